// The chats in this browser's storage, one entry each, with the drafts of unsent messages.
//
// A chat is {id, title, updated, system, turns}; a turn is {role, content} and, for a reply, its
// state (open, done, stopped, failed), fault, model, dropped, tokens, seconds.

const CHAT = "nielsgpt.chat.";
const DRAFT = "nielsgpt.draft.";
const SETTINGS = "nielsgpt.settings";
const LATER_MS = 400;

/** A new, empty chat. */
export function fresh(system = "") {
  const [noise] = crypto.getRandomValues(new Uint32Array(1));
  const id = `${Date.now().toString(36)}-${noise.toString(36)}`;
  return { id, title: "", updated: Date.now(), system, turns: [] };
}

/** The title of a chat: the given one, else the beginning of its first message. */
export function titleOf(chat) {
  const opening = chat.turns[0]?.content.trim().split("\n")[0] ?? "";
  const letters = [...opening];
  const short = letters.length > 48 ? `${letters.slice(0, 47).join("")}…` : opening;
  return chat.title || short || "New chat";
}

/**
 * The messages of a chat in the format of the API and of nielsgpt's files: [{role, content}, ...].
 * A message without a reply is left out unless it is the last, so that roles alternate.
 * @param {number} dropped the number of oldest exchanges to leave out
 */
export function messagesOf(chat, dropped = 0) {
  const system = chat.system.trim() ? [{ role: "system", content: chat.system }] : [];
  const pairs = [];
  for (let at = 0; at < chat.turns.length; at += 2) {
    const pair = chat.turns.slice(at, at + 2).filter(({ content }) => content !== "");
    const last = at + 2 >= chat.turns.length;
    if (pair.length === 2 || (last && pair[0]?.role === "user")) pairs.push(pair);
  }
  const said = pairs.slice(dropped).flat();
  const spelled = ({ role, content }) => ({ role, content: content.toWellFormed() });
  return [...system, ...said].map(spelled);
}

export class Chats {
  /** @param {(full: boolean) => void} failed is called if storage is forbidden or full */
  constructor(failed) {
    this.failed = failed;
    this.storage = lasting();
    if (!(this.storage instanceof Storage)) failed(false);
    this.titles = new Map();
    this.late = new Map();
    for (const name of Object.keys(this.storage)) this.learn(name);
    addEventListener("pagehide", () => this.flush());
    document.addEventListener("visibilitychange", () => this.flush());
  }

  /** [{id, title, updated}, ...], newest first. */
  list() {
    return [...this.titles.values()].sort((one, other) => other.updated - one.updated);
  }

  /** The chat with this id, or null. */
  read(id) {
    try {
      const chat = JSON.parse(this.storage.getItem(CHAT + id));
      return Array.isArray(chat?.turns) ? chat : null;
    } catch {
      return null;
    }
  }

  keep(chat) {
    this.late.delete(chat.id);
    this.put(CHAT + chat.id, JSON.stringify(chat));
    this.titles.set(chat.id, { id: chat.id, title: titleOf(chat), updated: chat.updated });
  }

  /** Save a chat soon: a growing reply is written a few times a second, not for each piece. */
  keepSoon(chat) {
    if (!this.titles.has(chat.id)) return;
    if (!this.late.size) setTimeout(() => this.flush(), LATER_MS);
    this.late.set(chat.id, chat);
  }

  flush() {
    for (const chat of this.late.values()) this.keep(chat);
  }

  /** Remove a chat and its drafts. Returns a function that restores them. */
  remove(id) {
    this.flush();
    this.titles.delete(id);
    const names = Object.keys(this.storage).filter(
      (name) => name === CHAT + id || name.startsWith(`${DRAFT}${id}.`),
    );
    const kept = names.map((name) => [name, this.storage.getItem(name)]);
    for (const name of names) this.storage.removeItem(name);
    return () => {
      for (const [name, text] of kept) this.put(name, text);
      this.learn(CHAT + id);
    };
  }

  /** The unsent text at a place of a chat: "new", or the index of a turn. */
  draft(id, place) {
    return this.storage.getItem(`${DRAFT}${id}.${place}`) ?? "";
  }

  keepDraft(id, place, text) {
    if (text) this.put(`${DRAFT}${id}.${place}`, text);
    else this.storage.removeItem(`${DRAFT}${id}.${place}`);
  }

  settings() {
    try {
      return JSON.parse(this.storage.getItem(SETTINGS)) ?? {};
    } catch {
      return {};
    }
  }

  keepSettings(settings) {
    this.put(SETTINGS, JSON.stringify(settings));
  }

  /** Update the list after another tab wrote this entry. Returns the chat's id, or null. */
  learn(name) {
    if (!name?.startsWith(CHAT)) return null;
    const id = name.slice(CHAT.length);
    const chat = this.read(id);
    if (chat) this.titles.set(id, { id, title: titleOf(chat), updated: chat.updated });
    else this.titles.delete(id);
    return id;
  }

  put(name, text) {
    try {
      this.storage.setItem(name, text);
    } catch {
      this.failed(true);
    }
  }
}

/** The browser's storage; if it is forbidden, one that lasts as long as the page. */
function lasting() {
  try {
    return localStorage;
  } catch {
    return Object.create({
      getItem(name) { return this[name] ?? null; },
      setItem(name, text) { this[name] = text; },
      removeItem(name) { delete this[name]; },
    });
  }
}
