// Copying to the clipboard, also on a plain-HTTP page in a local network.

import { element } from "./element.js";

const SHOWN_MS = 1500;

/** Copy the text and show the result on the button for a moment. */
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
    // The clipboard API needs HTTPS or localhost; elsewhere there is an older way.
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
