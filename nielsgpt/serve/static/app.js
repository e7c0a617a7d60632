// The page: the open chat, its requests, and the actions of keys and buttons.

import { models } from "./api.js";
import { Chats, fresh, titleOf } from "./chats.js";
import { fill, writable } from "./field.js";
import { List } from "./list.js";
import { Lock } from "./lock.js";
import { Panel } from "./panel.js";
import { Reply } from "./reply.js";
import { Turns } from "./turns.js";

const FULL =
  "This browser's storage is full, so new messages are not saved. Export chats and delete some.";
const NOTHING =
  "This browser does not allow storage, so chats are lost when the page closes.";

const at = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.live = new Map();
    this.model = "";
    this.chats = new Chats((full) => this.notice(full ? FULL : NOTHING));
    this.turns = new Turns({
      again: () => this.again(),
      edit: (place, text) => this.edit(place, text),
      draft: (place) => this.chats.draft(this.chat.id, place),
      keepDraft: (place, text) => this.chats.keepDraft(this.chat.id, place, text),
    });
    this.list = new List(this.chats, {
      renamed: (id, title) => this.renamed(id, title),
      removed: (id) => this.removed(id),
      restored: (id) => this.go(id),
    });
    this.panel = new Panel(this.chats, {
      chat: () => this.chat,
      changed: () => this.chats.keepSoon(this.chat),
      imported: (found) => this.imported(found),
      notice: (text) => this.notice(text),
    });
    this.lock = new Lock(() => this.unlocked());
    this.listen();
    this.open();
    this.meet();
  }

  listen() {
    writable(at("message"), (text) => this.keepDraft(text), (text) => this.say(text));
    const does = {
      fresh: () => this.go(""),
      stop: () => this.stop(),
      open: () => this.drawer(true),
      shut: () => this.drawer(false),
      // The part of the address after # names a chat, so the link must not be followed.
      skip: (event) => (event.preventDefault(), at("message").focus()),
    };
    for (const [id, act] of Object.entries(does)) at(id).addEventListener("click", act);
    at("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      if (at("message").value.trim()) this.say(at("message").value);
    });
    at("notice").querySelector("button").addEventListener("click", () => this.notice(""));
    at("chats").addEventListener("click", (event) => event.target.matches("a") && this.drawer(false));
    addEventListener("beforeunload", () => this.live.forEach((reply) => reply.close()));
    addEventListener("hashchange", () => this.open());
    addEventListener("storage", ({ key: name }) => this.elsewhere(name));
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  pressed(event) {
    if (event.isComposing || at("panel").open) return;
    if (event.key === "Escape") {
      if (document.body.classList.contains("drawn")) this.drawer(false);
      else this.stop();
    } else if (event.key === "ArrowUp" && event.target === at("message") && !at("message").value) {
      event.preventDefault();
      if (!this.live.has(this.chat.id)) this.turns.editLast();
    }
  }

  /** Show the chat that the address names, or a new one. */
  open() {
    const id = location.hash.slice(1);
    const known = this.live.get(id)?.chat ?? this.chats.read(id);
    this.chat = known ?? fresh(this.panel.opening());
    this.turns.show(this.chat, this.live.get(id)?.turn);
    fill(at("message"), this.chats.draft(this.draftName(), "new"));
    this.drawer(false);
    this.refresh();
    // On a phone, focus would open the keyboard.
    if (!matchMedia("(pointer: coarse)").matches) at("message").focus();
  }

  go(id) {
    if (location.hash.slice(1) === id) this.open();
    else location.hash = id;
  }

  /** A new chat has no id in the address yet, so its draft has a fixed name. */
  draftName() {
    return this.chat.turns.length ? this.chat.id : "fresh";
  }

  keepDraft(text) {
    this.chats.keepDraft(this.draftName(), "new", text);
  }

  /** Update everything beside the turns. */
  refresh() {
    const { chat } = this;
    const replying = this.live.has(chat.id);
    at("title").textContent = titleOf(chat);
    document.title = chat.turns.length ? `${titleOf(chat)} - nielsgpt` : "nielsgpt";
    at("model").textContent = this.model;
    at("send").hidden = replying;
    at("stop").hidden = !replying;
    at("column").classList.toggle("replying", replying);
    this.list.draw(chat.id);
  }

  /** Ask for the model's name. Returns true if the server responds. */
  async meet() {
    try {
      [this.model = ""] = await models();
      this.lock.open();
      if (this.unmet) this.notice("");
      this.unmet = false;
    } catch (error) {
      this.model = "";
      this.unmet = error.status !== 401;
      if (this.unmet) this.notice(error.message);
      else this.lock.ask();
    }
    this.refresh();
    return this.model !== "";
  }

  say(text) {
    if (this.live.has(this.chat.id) || !this.panel.numbers()) return;
    this.keepDraft("");
    fill(at("message"), "");
    this.put(text);
  }

  put(text) {
    this.chat.turns.push({ role: "user", content: text });
    this.turns.add(this.chat.turns.at(-1));
    this.ask();
  }

  edit(place, text) {
    if (this.live.has(this.chat.id) || !this.panel.numbers()) return;
    for (let later = place; later < this.chat.turns.length; later += 1) {
      this.chats.keepDraft(this.chat.id, later, "");
    }
    this.chat.turns.length = place;
    this.turns.show(this.chat);
    this.put(text);
  }

  /** Replace the last reply with another. */
  again() {
    if (this.live.has(this.chat.id) || !this.panel.numbers()) return;
    if (this.chat.turns.at(-1).role === "assistant") this.chat.turns.pop();
    this.turns.show(this.chat);
    this.ask();
  }

  async ask() {
    const { chat } = this;
    chat.updated = Date.now();
    const grown = (turn, piece) => {
      this.chats.keepSoon(chat);
      if (chat === this.chat) this.turns.grow(turn, piece);
    };
    const reply = new Reply(chat, this.model, this.panel.numbers(), grown);
    this.live.set(chat.id, reply);
    this.chats.keep(chat);
    history.replaceState(null, "", `#${chat.id}`);
    this.turns.add(reply.turn, true);
    this.turns.follow(true);
    this.refresh();
    await reply.run();
    this.live.delete(chat.id);
    this.settled(chat, reply.turn);
  }

  settled(chat, turn) {
    this.chats.keepSoon(chat);
    this.chats.flush();
    if (chat === this.chat) this.turns.settle(turn);
    this.refresh();
    const said = turn.fault?.said ?? turn.content;
    if (turn.state !== "stopped") at("told").textContent = turn.fault ? said : `Reply: ${said}`;
    // A restarted server may require a key, or serve another model.
    if (turn.fault ? [401, 404].includes(turn.fault.status) : !this.model) this.meet();
  }

  stop() {
    this.live.get(this.chat.id)?.stop();
  }

  /** Retry what failed without the key. */
  async unlocked() {
    if (!(await this.meet())) return;
    at("message").focus();
    if (this.chat.turns.at(-1)?.fault?.status === 401) this.again();
  }

  renamed(id, title) {
    const chat = id === this.chat.id ? this.chat : (this.live.get(id)?.chat ?? this.chats.read(id));
    if (!chat) return;
    chat.title = title;
    this.chats.keep(chat);
    this.refresh();
  }

  removed(id) {
    this.live.get(id)?.stop();
    if (id !== this.chat.id) return;
    history.replaceState(null, "", location.pathname);
    this.chats.flush();
    this.open();
  }

  imported(found) {
    for (const chat of found) this.chats.keep(chat);
    this.go(found[0].id);
  }

  /** Another tab of this browser changed the storage. */
  elsewhere(name) {
    const id = this.chats.learn(name);
    if (!id) return;
    const writing = at("column").querySelector(".editor") || this.live.has(id);
    const kept = this.chats.read(id);
    if (id === this.chat.id && kept && !writing) {
      this.chat = kept;
      this.turns.show(kept);
    }
    this.refresh();
  }

  /** On a narrow page, the list of chats covers the rest. */
  drawer(drawn) {
    const was = document.body.classList.contains("drawn");
    document.body.classList.toggle("drawn", drawn);
    document.querySelector("main").inert = drawn;
    at("open").setAttribute("aria-expanded", String(drawn));
    if (drawn) at("shut").focus();
    else if (was) at("open").focus();
  }

  notice(text) {
    at("notice").hidden = !text;
    at("notice").firstElementChild.textContent = text;
  }
}

new Page();
