// The block parser of Markdown: paragraphs, headings, fences, lists, quotes, tables, rules.
//
// The end of a block depends only on its own lines and the first line of the next block, so all
// blocks of a growing text but the last are final. Every pass is linear.

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:([ \t]+)(.*)|$)/;
const INTERRUPTS = [FENCE, HEADING, RULE, QUOTE, /^ {0,3}(?:[-*+]|1[.)])[ \t]+\S/];
const MAX_DEPTH = 8;

const READERS = [fence, heading, rule, quote, list, table, paragraph];

/**
 * The blocks of the lines, each {kind, from, to, ...}; `to` is exclusive.
 * @param {string[]} lines
 * @param {number} depth of enclosing quotes and lists; beyond the maximum all is paragraphs
 */
export function blocks(lines, depth = 0) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    for (const read of READERS) {
      const block = read(lines, at, depth);
      if (!block) continue;
      found.push({ ...block, from: at });
      at = block.to;
      break;
    }
  }
  return found;
}

function fence(lines, at) {
  const opening = FENCE.exec(lines[at]);
  if (!opening) return null;
  const [, mark, language] = opening;
  let to = at + 1;
  while (to < lines.length && !closes(lines[to], mark)) to += 1;
  const text = lines.slice(at + 1, to).join("\n");
  return { kind: "code", language: language.trim(), text, to: Math.min(to + 1, lines.length) };
}

function closes(line, mark) {
  const text = line.trim();
  return text.length >= mark.length && text === mark[0].repeat(text.length) && indent(line) < 4;
}

function heading(lines, at) {
  const [, marks, text = ""] = HEADING.exec(lines[at]) ?? [];
  if (!marks) return null;
  const words = text.trim().split(" ");
  if (/^#+$/.test(words.at(-1))) words.pop();
  return { kind: "heading", level: marks.length, text: words.join(" "), to: at + 1 };
}

function rule(lines, at) {
  return RULE.test(lines[at]) ? { kind: "rule", to: at + 1 } : null;
}

function quote(lines, at, depth) {
  if (depth >= MAX_DEPTH || !QUOTE.test(lines[at])) return null;
  let to = at;
  while (to < lines.length && QUOTE.test(lines[to])) to += 1;
  const inner = lines.slice(at, to).map((line) => line.replace(QUOTE, ""));
  return { kind: "quote", blocks: blocks(inner, depth + 1), to };
}

function list(lines, at, depth) {
  const opening = depth < MAX_DEPTH && ITEM.exec(lines[at]);
  if (!opening) return null;
  const marker = opening[2];
  const items = [];
  let to = at;
  while (to < lines.length) {
    const start = ITEM.exec(lines[to]);
    if (!start || start[2].at(-1) !== marker.at(-1) || RULE.test(lines[to])) break;
    const [inner, end] = item(lines, to, start);
    items.push(blocks(inner, depth + 1));
    to = end;
  }
  const ordered = marker.length > 1;
  return { kind: "list", ordered, start: ordered ? parseInt(marker, 10) : 1, items, to };
}

/** The lines of one item without its indentation, and the index of the line after it. */
function item(lines, at, [, before, marker, gap = " ", text = ""]) {
  const width = before.length + marker.length + (gap.length > 4 ? 1 : gap.length);
  const inner = [gap.length > 4 ? gap.slice(1) + text : text];
  let to = at + 1;
  while (to < lines.length) {
    let next = to;
    while (next < lines.length && isBlank(lines[next])) next += 1;
    if (next === lines.length) return [inner, next];
    const belongs = indent(lines[next]) >= width;
    // A lazy continuation line needs no indentation, but must not follow a blank line.
    const another = starts(lines[next]) || ITEM.test(lines[next]);
    const lazy = next === to && !another && inner.at(-1) !== "";
    if (!belongs && !lazy) return [inner, next];
    for (; to < next; to += 1) inner.push("");
    inner.push(belongs ? dedent(lines[to], width) : lines[to].trimStart());
    to += 1;
  }
  return [inner, to];
}

function table(lines, at) {
  const head = cells(lines[at]);
  const under = at + 1 < lines.length && lines[at].includes("|") ? cells(lines[at + 1]) : [];
  if (!under.length || head.length !== under.length) return null;
  if (!under.every((cell) => /^:?-+:?$/.test(cell))) return null;
  const alignment = (cell) => cell.endsWith(":") && (cell.startsWith(":") ? "middle" : "end");
  const aligned = under.map(alignment);
  const rows = [];
  let to = at + 2;
  for (; to < lines.length && !isBlank(lines[to]) && !starts(lines[to]); to += 1) {
    const row = cells(lines[to]);
    rows.push(head.map((_, column) => row[column] ?? ""));
  }
  return { kind: "table", head, aligned, rows, to };
}

function cells(line) {
  const text = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return text.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function paragraph(lines, at) {
  let to = at + 1;
  while (to < lines.length && !isBlank(lines[to]) && !starts(lines[to])) to += 1;
  const text = lines.slice(at, to).map((line) => line.trim());
  return { kind: "paragraph", text: text.join("\n"), to };
}

function starts(line) {
  return INTERRUPTS.some((pattern) => pattern.test(line));
}

function isBlank(line) {
  return line.trim() === "";
}

function indent(line) {
  let columns = 0;
  for (const character of line) {
    if (character === " ") columns += 1;
    else if (character === "\t") columns += 4;
    else break;
  }
  return columns;
}

function dedent(line, width) {
  const text = line.trimStart();
  return " ".repeat(Math.max(0, indent(line) - width)) + text;
}
