// The settings: the system prompt, sampling parameters, export and import of chats, the key.

import { key } from "./api.js";
import { asJson, asMarkdown, chatsFrom, download, fileName } from "./transfer.js";

export class Panel {
  /**
   * @param {Chats} chats
   * @param {{chat: () => object, changed: () => void, imported: (chats: object[]) => void,
   *   notice: (text: string) => void}} page
   */
  constructor(chats, page) {
    this.chats = chats;
    this.page = page;
    this.dialog = document.getElementById("panel");
    this.system = document.getElementById("system");
    this.inputs = [...this.dialog.querySelectorAll("input[name]")];
    this.file = document.getElementById("file");
    const kept = chats.settings().numbers ?? {};
    for (const input of this.inputs) input.value = kept[input.name] ?? "";
    this.dialog.addEventListener("input", () => this.keep());
    const does = {
      tune: () => this.open(),
      defaults: () => this.clear(),
      "save-json": () => this.save("json", asJson, "application/json"),
      "save-markdown": () => this.save("md", asMarkdown, "text/markdown"),
      "save-all": () => this.saveAll(),
      load: () => this.file.click(),
      forget: () => this.forget(),
    };
    for (const [id, act] of Object.entries(does)) {
      document.getElementById(id).addEventListener("click", act);
    }
    this.file.addEventListener("change", () => this.load([...this.file.files]));
  }

  open() {
    const chat = this.page.chat();
    this.system.value = chat.system;
    const nothing = !chat.turns.length;
    for (const id of ["save-json", "save-markdown"]) document.getElementById(id).disabled = nothing;
    document.getElementById("save-all").disabled = !this.chats.list().length;
    document.getElementById("forget").hidden = !key.read();
    this.dialog.showModal();
  }

  /** The system prompt of a new chat. */
  opening() {
    return this.chats.settings().system ?? "";
  }

  /** The sampling parameters by the API's names; null for an invalid number, which it shows. */
  numbers() {
    if (!this.inputs.every((input) => input.validity.valid)) {
      this.open();
      this.inputs.find((input) => !input.reportValidity());
      return null;
    }
    const set = this.inputs.filter((input) => input.value !== "");
    return Object.fromEntries(set.map((input) => [input.name, input.valueAsNumber]));
  }

  keep() {
    const numbers = Object.fromEntries(this.inputs.map(({ name, value }) => [name, value]));
    this.chats.keepSettings({ system: this.system.value, numbers });
    this.page.chat().system = this.system.value;
    this.page.changed();
  }

  clear() {
    for (const input of this.inputs) input.value = "";
    this.system.value = this.page.chat().system;
    this.keep();
  }

  save(ending, spelled, type) {
    const chat = this.page.chat();
    download(fileName(chat, ending), spelled(chat), type);
  }

  saveAll() {
    this.chats.flush();
    const all = this.chats.list().map(({ id }) => this.chats.read(id));
    download("chats.jsonl", all.filter(Boolean).map(asJson).join(""), "application/jsonl");
  }

  async load(files) {
    this.file.value = "";
    this.dialog.close();
    try {
      for (const file of files) this.page.imported(chatsFrom(await file.text(), file.name));
    } catch (error) {
      this.page.notice(error.message);
    }
  }

  forget() {
    key.forget();
    document.getElementById("forget").hidden = true;
  }
}
