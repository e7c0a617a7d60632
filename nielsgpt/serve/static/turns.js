// The conversation on the page: its turns, the growing reply, the editor of a message.

import { copy } from "./copying.js";
import { stamped } from "./element.js";
import { fill, writable } from "./field.js";
import { Growing, markdown } from "./markdown.js";

const NEAR_PX = 80;
const LENGTH = "The reply ended at the longest length allowed.";
const ENDINGS = {
  open: "This reply was interrupted.",
  stopped: "You stopped this reply.",
  failed: "",
  done: "",
};

export class Turns {
  /**
   * @param {{again: () => void, edit: (at: number, text: string) => void, draft: (at: number) =>
   *   string, keepDraft: (at: number, text: string) => void}} does the actions of the turns' buttons
   */
  constructor(does) {
    this.does = does;
    this.host = document.getElementById("turns");
    this.column = document.getElementById("column");
    this.latest = document.getElementById("latest");
    this.host.addEventListener("scroll", () => this.measure());
    new ResizeObserver(() => this.follow()).observe(this.host);
    this.column.addEventListener("click", (event) => this.clicked(event));
    this.latest.addEventListener("click", () => this.follow(true));
    this.acts = {
      copy: (at, button) => copy(this.turns[at].content, button),
      "copy-code": (_, button) => copy(codeOf(button), button),
      edit: (at) => this.editor(at, this.turns[at].content),
      again: () => this.does.again(),
    };
  }

  /** Show a whole chat; `live` is the turn being generated, or undefined. */
  show(chat, live) {
    this.turns = chat.turns;
    this.growing = null;
    this.column.replaceChildren();
    chat.turns.forEach((turn) => this.add(turn, turn === live));
    chat.turns.forEach((turn, at) => {
      if (turn.role === "user" && this.does.draft(at)) this.editor(at, this.does.draft(at));
    });
    this.empty();
    this.follow(true);
  }

  /** Show one more turn; `growing`: it is being generated. */
  add(turn, growing = false) {
    const article = stamped(turn.role === "user" ? "user-turn" : "reply-turn");
    this.column.append(article);
    const said = article.querySelector(".said");
    if (turn.role === "user") said.textContent = turn.content;
    else if (!growing) this.finish(turn, article);
    else this.begin(turn, article, said);
    this.empty();
  }

  begin(turn, article, said) {
    article.classList.add("growing");
    article.setAttribute("aria-busy", "true");
    this.noted(turn, article);
    this.growing = new Growing(said, () => this.follow());
    if (turn.content) this.growing.push(turn.content);
  }

  grow(turn, piece) {
    if (turn !== this.turns.at(-1)) return;
    this.noted(turn, this.column.lastElementChild);
    this.growing?.push(piece);
  }

  /** Show the finished reply and how it ended. */
  settle(turn) {
    this.finish(turn, this.column.lastElementChild);
    this.follow();
  }

  finish(turn, article) {
    article.classList.remove("growing");
    article.removeAttribute("aria-busy");
    if (this.growing && article.contains(this.growing.host)) this.growing.draw();
    else article.querySelector(".said").replaceChildren(...markdown(turn.content));
    this.growing = null;
    this.noted(turn, article);
    const ending = turn.finish === "length" ? LENGTH : ENDINGS[turn.state ?? "done"];
    article.querySelector(".facts").textContent = [ending, pace(turn)].filter(Boolean).join(" ");
    const fault = article.querySelector(".fault");
    fault.hidden = turn.state !== "failed";
    fault.firstElementChild.textContent = turn.fault?.said ?? "";
  }

  noted({ dropped }, article) {
    const note = article.querySelector(".note");
    const what = dropped === 1 ? "exchange was" : `${dropped} exchanges were`;
    note.textContent = `This chat is longer than the model can read: the oldest ${what} left out.`;
    note.hidden = !dropped;
  }

  clicked(event) {
    const button = event.target.closest("[data-act]");
    const article = button?.closest("article");
    if (!article || !(button.dataset.act in this.acts)) return;
    this.acts[button.dataset.act]([...this.column.children].indexOf(article), button);
  }

  /** Replace the message of a turn with an editor. */
  editor(at, text) {
    const article = this.column.children[at];
    if (article.classList.contains("editing")) return;
    const form = stamped("editor");
    const area = form.querySelector("textarea");
    const leave = () => {
      this.does.keepDraft(at, "");
      form.remove();
      article.classList.remove("editing");
      article.querySelector("[data-act=edit]").focus();
    };
    const send = (typed) => typed.trim() && this.does.edit(at, typed);
    writable(area, (typed) => this.does.keepDraft(at, typed), send);
    form.querySelector("[data-act=leave]").addEventListener("click", leave);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(area.value);
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.stopPropagation();
      leave();
    });
    article.classList.add("editing");
    article.append(form);
    fill(area, text);
    area.focus();
  }

  /** Edit the last message. */
  editLast() {
    const at = this.turns.findLastIndex(({ role }) => role === "user");
    if (at >= 0) this.editor(at, this.turns[at].content);
  }

  empty() {
    document.getElementById("empty").hidden = this.turns.length > 0;
  }

  /** Keep the newest line visible, unless the person has scrolled away. */
  follow(always = false) {
    if (always || this.near) this.host.scrollTop = this.host.scrollHeight;
    this.measure();
  }

  measure() {
    const { scrollHeight, scrollTop, clientHeight } = this.host;
    this.near = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.latest.hidden = this.near;
  }
}

function codeOf(button) {
  return button.closest("figure").querySelector("code").textContent;
}

/** How fast the reply came, from the question to its last token. */
function pace({ tokens, seconds }) {
  if (!tokens || !seconds) return "";
  const rate = tokens / seconds;
  return `${tokens} tokens, ${rate.toFixed(rate < 10 ? 1 : 0)} tokens/s`;
}
