// The inline parser of Markdown: bold, italic, strikethrough, code and links, as nodes.
//
// One pass from left to right with a stack of open marks; an unclosed mark is text.
// Model output is untrusted: elements are only made with createElement.

import { element } from "./element.js";

const MARK = /\\[!-/:-@[-`{-~]|`+|\*+|_+|~~|!?\[|\bhttps?:\/\/[^\s<>`]+|\n/g;
const LINK = /!?\[([^[\]\n]{0,500})\]\([ \t]{0,8}<?((?:[^\s()<>]|\([^\s()<>]{0,200}\)){1,2000})>?[ \t]{0,8}(?:"[^"\n]{0,300}"[ \t]{0,8})?\)/y;
const TAGS = { "*": "em", _: "em", "**": "strong", __: "strong", "~~": "del" };
const SAFE = ["http:", "https:"];
const MAX_DEPTH = 12;

/** The nodes of one block's text; line breaks are kept. */
export function inline(text) {
  const walk = new Walk(text);
  return walk.nodes();
}

/** A link with its address as its text, or null if the address is not plain HTTP(S). */
export function link(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  // A user name before the host deceives: readers take it for the host.
  if (!SAFE.includes(url.protocol) || url.username || url.password) return null;
  const rel = "noopener noreferrer nofollow";
  return element("a", { href: url.href, target: "_blank", rel }, [url.href]);
}

class Walk {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.frames = [{ mark: "", nodes: [] }];
    this.unclosed = new Set();
  }

  nodes() {
    const { text } = this;
    while (this.at < text.length) {
      MARK.lastIndex = this.at;
      const found = MARK.exec(text);
      if (!found) break;
      this.put(text.slice(this.at, found.index));
      this.at = found.index;
      this.take(found[0]);
    }
    this.put(text.slice(this.at));
    this.flatten(1);
    return this.frames[0].nodes;
  }

  put(node) {
    if (node !== "") this.frames.at(-1).nodes.push(node);
  }

  /** Replace this many characters with nodes. */
  replace(length, ...nodes) {
    for (const node of nodes) this.put(node);
    this.at += length;
  }

  take(mark) {
    if (mark === "\n") this.replace(1, element("br"));
    else if (mark[0] === "\\") this.replace(2, mark[1]);
    else if (mark[0] === "`") this.code(mark);
    else if (mark.endsWith("[")) this.linked(mark);
    else if (mark[0] === "h") this.address(mark);
    else this.emphasis(mark);
  }

  code(ticks) {
    const start = this.at + ticks.length;
    const end = this.unclosed.has(ticks.length) ? -1 : this.closing(ticks.length, start);
    if (end < 0) {
      this.unclosed.add(ticks.length);
      this.replace(ticks.length, ticks);
      return;
    }
    const inner = this.text.slice(start, end).replaceAll("\n", " ");
    const padded = inner.startsWith(" ") && inner.endsWith(" ") && inner.trim();
    const shown = padded ? inner.slice(1, -1) : inner;
    this.replace(end + ticks.length - this.at, element("code", {}, [shown]));
  }

  /** The index of the next run of exactly this many backticks, or -1. */
  closing(length, from) {
    const runs = /`+/g;
    runs.lastIndex = from;
    for (let run = runs.exec(this.text); run; run = runs.exec(this.text)) {
      if (run[0].length === length) return run.index;
    }
    return -1;
  }

  linked(mark) {
    LINK.lastIndex = this.at;
    const [whole, label, address] = LINK.exec(this.text) ?? [];
    const made = whole && link(address);
    if (!made) this.replace(mark.length, mark);
    else if (label.trim() === "" || label === address) this.replace(whole.length, made);
    else this.replace(whole.length, `${label} (`, made, ")");
  }

  address(run) {
    const address = trimmed(run);
    const made = link(address);
    this.replace(address.length, made ?? address);
  }

  emphasis(run) {
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + run.length] ?? " ";
    const inWord = run[0] === "_" && isWord(before) && isWord(after);
    let left = run.length > 3 || inWord ? 0 : run.length;
    let literal = run.length - left;
    if (!isSpace(before)) left -= this.close(run[0], left);
    if (isSpace(after) || (run[0] === "_" && isWord(before))) [literal, left] = [literal + left, 0];
    this.put(run.slice(0, literal));
    for (; left > 0 && this.frames.length <= MAX_DEPTH; left -= Math.min(left, 2)) {
      this.frames.push({ mark: run.slice(0, Math.min(left, 2)), nodes: [] });
    }
    this.put(run.slice(0, left));
    this.at += run.length;
  }

  /** Close open marks of this character, innermost first; returns how many characters it used. */
  close(character, available) {
    let used = 0;
    for (;;) {
      const last = this.frames.findLastIndex(
        ({ mark }) => mark[0] === character && mark.length <= available - used && mark in TAGS,
      );
      if (last < 1 || !this.frames[last].nodes.length) return used;
      this.flatten(last + 1);
      const { mark, nodes } = this.frames.pop();
      this.put(element(TAGS[mark], {}, nodes));
      used += mark.length;
    }
  }

  /** Turn the marks of unclosed frames, from this one on, into text. */
  flatten(from) {
    const host = this.frames[from - 1];
    for (const { mark, nodes } of this.frames.splice(from)) {
      host.nodes.push(mark);
      for (const node of nodes) host.nodes.push(node);
    }
  }
}

/** The address without the punctuation that follows it. */
function trimmed(run) {
  const open = run.includes("(");
  let end = run.length;
  while (end > 0 && (".,:;!?'\"*_~]}".includes(run[end - 1]) || (run[end - 1] === ")" && !open))) {
    end -= 1;
  }
  return run.slice(0, end);
}

function isSpace(character) {
  return /\s/.test(character);
}

function isWord(character) {
  return /[\p{L}\p{N}_]/u.test(character);
}
