// One element from its tag, its properties and its children; text becomes text, never markup.

/**
 * @param {string} tag
 * @param {object} properties of the element, as in {className: "code", hidden: true}
 * @param {Iterable<Node | string>} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const child of children) made.append(child);
  return made;
}

/** A copy of what the page's template of this id holds: its one element. */
export function stamped(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}
