// Creating elements from tag, properties and children; text stays text, never markup.

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

/** A copy of the single element in the page's template with this id. */
export function stamped(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}
