// The list of chats: open, rename, delete, and undo a deletion.

import { element, stamped } from "./element.js";

export class List {
  /**
   * @param {Chats} chats
   * @param {{renamed: (id: string, title: string) => void, removed: (id: string) => void,
   *   restored: (id: string) => void}} does what follows of it
   */
  constructor(chats, does) {
    this.chats = chats;
    this.does = does;
    this.host = document.getElementById("chats");
    this.gone = document.getElementById("gone");
    this.host.addEventListener("click", ({ target }) => {
      const act = target.closest("[data-act]")?.dataset.act;
      if (act) this[act](target.closest("li"));
    });
    this.gone.querySelector("button").addEventListener("click", () => this.restore());
  }

  /** Render the list; `current` is the id of the chat on the page. */
  draw(current) {
    if (this.host.querySelector("input")) return;
    const focused = this.host.querySelector(":focus");
    const id = focused?.closest("li").dataset.id;
    const rows = this.chats.list().map((chat) => row(chat.id, chat.title, current));
    this.host.replaceChildren(...rows);
    if (focused) this.part(id, focused.dataset.act)?.focus();
  }

  rename(line) {
    const anchor = line.querySelector("a");
    const field = element("input", { value: anchor.textContent, maxLength: 120 });
    field.setAttribute("aria-label", "Name of this chat");
    let open = true;
    const done = (keep) => {
      // To take the field away blurs it, which ends the renaming a second time.
      if (!open) return;
      open = false;
      const title = field.value.trim();
      field.replaceWith(anchor);
      if (keep && title !== anchor.textContent) this.does.renamed(line.dataset.id, title);
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      event.stopPropagation();
      // Else the same press would also push the button that gets the focus.
      event.preventDefault();
      done(event.key === "Enter");
      this.part(line.dataset.id, "rename")?.focus();
    });
    field.addEventListener("blur", () => done(true));
    anchor.replaceWith(field);
    field.select();
  }

  delete(line) {
    const { id } = line.dataset;
    const title = line.querySelector("a").textContent;
    const back = this.chats.remove(id);
    this.does.removed(id);
    this.back = () => {
      back();
      this.does.restored(id);
    };
    line.remove();
    this.gone.hidden = false;
    this.gone.firstElementChild.textContent = `Deleted: ${title}`;
    this.gone.querySelector("button").focus();
  }

  restore() {
    this.gone.hidden = true;
    this.back();
  }

  /** The named button of this chat's row, or its link. */
  part(id, act) {
    const what = act ? `[data-act=${act}]` : "a";
    return this.host.querySelector(`[data-id="${CSS.escape(id)}"] ${what}`);
  }
}

function row(id, title, current) {
  const line = stamped("chat-row");
  line.dataset.id = id;
  const anchor = line.querySelector("a");
  Object.assign(anchor, { href: `#${id}`, textContent: title, title });
  if (id === current) anchor.setAttribute("aria-current", "page");
  for (const button of line.querySelectorAll("button")) {
    const says = { rename: "Rename", delete: "Delete" }[button.dataset.act];
    button.setAttribute("aria-label", `${says}: ${title}`);
    button.title = says;
  }
  return line;
}
