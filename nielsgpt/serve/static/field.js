// A field for text, as tall as what is in it: Enter sends, Shift+Enter begins a new line.

/** Put the text in, as if it had been typed. */
export function fill(area, text) {
  area.value = text;
  area.parentElement.dataset.text = `${text}\n`;
}

/**
 * Let a person write here.
 * @param {(text: string) => void} keep is told of every change, so that nothing typed is lost
 * @param {(text: string) => void} send
 */
export function writable(area, keep, send) {
  area.addEventListener("input", () => {
    fill(area, area.value);
    keep(area.value);
  });
  area.addEventListener("keydown", (event) => {
    // While an input method composes a word, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (area.value.trim()) send(area.value);
  });
}
