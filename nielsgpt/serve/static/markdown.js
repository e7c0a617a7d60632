// Markdown as nodes, for a whole text or a growing one.

import { blocks } from "./blocks.js";
import { element, stamped } from "./element.js";
import { inline } from "./inline.js";

const MAKERS = {
  paragraph: ({ text }) => element("p", {}, inline(text)),
  // Headings in a reply start at level 3, below the page's own.
  heading: ({ level, text }) => element(`h${Math.min(level + 2, 6)}`, {}, inline(text)),
  rule: () => element("hr"),
  quote: (block) => element("blockquote", {}, made(block.blocks)),
  list: ({ ordered, start, items }) => {
    const lines = items.map((inner) => element("li", {}, made(inner)));
    return element(ordered ? "ol" : "ul", ordered ? { start } : {}, lines);
  },
  code: ({ language, text }) => {
    const figure = stamped("code-block");
    figure.querySelector(".language").textContent = language.slice(0, 24);
    figure.querySelector("code").textContent = text;
    return figure;
  },
  table: ({ head, rows, aligned }) => {
    const row = (tag, cells) =>
      element("tr", {}, cells.map((cell, column) =>
        element(tag, { className: aligned[column] || "" }, inline(cell))));
    const body = element("tbody", {}, rows.map((cells) => row("td", cells)));
    const grid = element("table", {}, [element("thead", {}, [row("th", head)]), body]);
    const named = { className: "scroll", tabIndex: 0, role: "group", ariaLabel: "Table" };
    return element("div", named, [grid]);
  },
};

/** The nodes of a whole text. */
export function markdown(text) {
  return made(blocks(text.split("\n")));
}

function made(found) {
  return found.map((block) => MAKERS[block.kind](block));
}

/**
 * A growing text: finished blocks are rendered once, only the last one again and again.
 *
 * It renders at most once a frame, then waits four times as long as the last rendering took, so
 * that even a long reply uses a fifth of the time at most.
 */
export class Growing {
  /** @param {() => void} drawn is called after each rendering */
  constructor(host, drawn = () => {}) {
    this.host = host;
    this.drawn = drawn;
    this.tail = "";
    this.open = [];
    this.cost_ms = 0;
    this.waiting = false;
  }

  push(piece) {
    this.tail += piece;
    if (this.waiting) return;
    this.waiting = true;
    setTimeout(() => requestAnimationFrame(() => this.waiting && this.draw()), this.cost_ms * 4);
  }

  /** Render the text so far. */
  draw() {
    this.waiting = false;
    const began_ms = performance.now();
    const lines = this.tail.split("\n");
    // An unfinished line can still change meaning, so only whole lines finish a block.
    const closed = blocks(lines.slice(0, -1)).slice(0, -1);
    const open = lines.splice(closed.at(-1)?.to ?? 0);
    for (const node of this.open) node.remove();
    this.tail = open.join("\n");
    this.open = made(blocks(open));
    this.host.append(...made(closed), ...this.open);
    this.cost_ms = performance.now() - began_ms;
    this.drawn();
  }
}
