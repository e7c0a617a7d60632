// Text to the clipboard, also on a plain-http page of the own network.

import { element } from "./element.js";

const SHOWN_MS = 1500;

/** Copy the text, and let the button say so for a moment. */
export async function copy(text, button) {
  const done = await written(text);
  button.dataset.done = done ? "Copied" : "Not copied";
  setTimeout(() => delete button.dataset.done, SHOWN_MS);
  return done;
}

async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have a clipboard only for https and localhost; there is an older way for the rest.
    const area = element("textarea", { value: text, className: "unseen" });
    const focused = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  }
}
