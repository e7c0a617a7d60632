// The server's key: asked for when the server wants one, kept until the tab closes.

import { key } from "./api.js";

export class Lock {
  /** @param {() => void} given is called once there is a key to try */
  constructor(given) {
    this.form = document.getElementById("key");
    this.field = document.getElementById("secret");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      key.keep(this.field.value.trim());
      given();
    });
  }

  /** Ask for the key, or for a better one than there is. */
  ask() {
    const label = this.form.querySelector("label");
    if (key.read()) label.textContent = "The server does not accept this key. Is there another?";
    this.form.hidden = false;
    this.field.value = "";
    this.field.focus();
  }

  /** The server is content. */
  open() {
    this.form.hidden = true;
  }
}
