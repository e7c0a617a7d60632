// Export and import of chats: JSON in the training format, Markdown to read.

import { fresh, messagesOf, titleOf } from "./chats.js";
import { element } from "./element.js";

const NAMES = { system: "System", user: "You", assistant: "Model" };

/** One line of nielsgpt's chat files: {"messages": [{"role", "content"}, ...]}. */
export function asJson(chat) {
  return `${JSON.stringify({ messages: messagesOf(chat) })}\n`;
}

export function asMarkdown(chat) {
  const said = messagesOf(chat).map(({ role, content }) => `## ${NAMES[role]}\n\n${content}\n`);
  return [`# ${titleOf(chat)}\n`, ...said].join("\n");
}

/** Download the text as a file. */
export function download(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A file name for the chat that is valid on every system. */
export function fileName(chat, ending) {
  const plain = titleOf(chat).normalize("NFKD").replace(/[^\p{L}\p{N}]+/gu, "-");
  return `${plain.replace(/^-+|-+$/g, "").slice(0, 48).toLowerCase() || "chat"}.${ending}`;
}

/**
 * The chats in a file: one, a list, or one a line.
 * Throws Error with the file, the position and the reason.
 */
export function chatsFrom(text, name) {
  const found = records(text, name);
  if (!found.length) throw new Error(`${name} has no chat.`);
  return found.map((record, number) => chatFrom(record, `${name}, chat ${number + 1}`));
}

function records(text, name) {
  let whole;
  try {
    whole = JSON.parse(text);
  } catch {
    const lines = text.split("\n").filter((line) => line.trim());
    return lines.map((line, number) => {
      try {
        return JSON.parse(line);
      } catch {
        throw new Error(`${name}, line ${number + 1} is not JSON.`);
      }
    });
  }
  const isList = Array.isArray(whole) && (Array.isArray(whole[0]) || whole[0]?.messages);
  return isList ? whole : [whole];
}

function chatFrom(record, where) {
  const said = Array.isArray(record) ? record : record?.messages;
  if (!Array.isArray(said) || !said.length) throw new Error(`${where} has no list of messages.`);
  const chat = fresh();
  said.forEach((message, number) => {
    const { role, content } = message ?? {};
    const due = ["user", "assistant"][chat.turns.length % 2];
    if (typeof content !== "string") {
      throw new Error(`${where}: message ${number + 1} has no text.`);
    }
    if (role === "system" && number === 0) chat.system = content;
    else if (role === due) chat.turns.push({ role, content, state: "done" });
    else throw new Error(`${where}: message ${number + 1} is of ${role} where ${due} was due.`);
  });
  if (chat.turns.length % 2) {
    const fault = { status: 0, said: "This chat ends with a question." };
    chat.turns.push({ role: "assistant", content: "", state: "failed", fault });
  }
  return chat;
}
