// A text field that grows with its text: Enter sends, Shift+Enter starts a new line.

/** Set the text as if it had been typed. */
export function fill(area, text) {
  area.value = text;
  area.parentElement.dataset.text = `${text}\n`;
}

/**
 * Make the field send and save what a person types.
 * @param {(text: string) => void} keep is called on every change, so that nothing typed is lost
 * @param {(text: string) => void} send
 */
export function writable(area, keep, send) {
  area.addEventListener("input", () => {
    fill(area, area.value);
    keep(area.value);
  });
  area.addEventListener("keydown", (event) => {
    // While an input method composes a word, Enter confirms the word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (area.value.trim()) send(area.value);
  });
}
