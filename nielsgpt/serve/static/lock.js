// The form for the server's key, which is kept until the tab closes.

import { key } from "./api.js";

export class Lock {
  /** @param {() => void} given is called with each new key */
  constructor(given) {
    this.form = document.getElementById("key");
    this.field = document.getElementById("secret");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      key.keep(this.field.value.trim());
      given();
    });
  }

  /** Ask for a key, or for another one if it was refused. */
  ask() {
    const label = this.form.querySelector("label");
    if (key.read()) label.textContent = "The server does not accept this key. Try another one.";
    this.form.hidden = false;
    this.field.value = "";
    this.field.focus();
  }

  /** Hide the form: the server accepts the key. */
  open() {
    this.form.hidden = true;
  }
}
