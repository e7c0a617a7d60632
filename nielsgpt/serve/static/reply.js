// One reply: asked for, received piece by piece, stopped; and what became of it.

import { chat as stream } from "./api.js";
import { messagesOf } from "./chats.js";

const tooLong = ({ code, status }) => code === "context_length_exceeded" || status === 413;
const ALONE_TOO_LONG =
  "This message and the system prompt alone are longer than the model can read. Shorten one.";
// The server takes 512 messages at most.
const MOST_EXCHANGES = 250;

export class Reply {
  /**
   * The reply to the chat's last turn; it adds its own turn to the chat at once.
   * @param {object} numbers the sampling numbers that the person set
   * @param {(turn: object, piece: string) => void} grown
   */
  constructor(chat, model, numbers, grown) {
    const before = chat.turns.findLast(({ role }) => role === "assistant");
    const asked = { ...chat, turns: [...chat.turns] };
    this.messages = (dropped) => messagesOf(asked, dropped);
    this.exchanges = messagesOf(chat).filter(({ role }) => role === "user").length;
    this.request = { ...(model && { model }), ...numbers };
    this.grown = grown;
    this.chat = chat;
    this.leaving = new AbortController();
    // What the reply before did not see will not fit now either, with the same model.
    const dropped = before?.model === model ? (before?.dropped ?? 0) : 0;
    this.turn = { role: "assistant", content: "", state: "open", model };
    const beyond = this.exchanges - MOST_EXCHANGES;
    this.turn.dropped = Math.min(Math.max(dropped, beyond, 0), this.exchanges - 1);
    chat.turns.push(this.turn);
  }

  /** End it here; what was said stays. */
  stop() {
    this.leaving.abort();
  }

  /** The page is closing, so that what fails from now on is an interruption and no fault. */
  close() {
    this.closing = true;
  }

  /** Receive all of it. Never throws: the turn's state and fault say how it ended. */
  async run() {
    try {
      while (!(await this.received()));
      this.turn.state = "done";
    } catch (error) {
      const stopped = this.leaving.signal.aborted;
      this.turn.state = stopped ? "stopped" : this.closing ? "open" : "failed";
      if (this.turn.state === "failed") this.turn.fault = fault(error);
    }
    this.chat.updated = Date.now();
  }

  /** True once the reply is there; false where it must be asked again without the oldest turns. */
  async received() {
    const { turn } = this;
    const began_ms = performance.now();
    try {
      const request = { ...this.request, messages: this.messages(turn.dropped) };
      for await (const piece of stream(request, this.leaving.signal)) {
        if (piece.finish) turn.finish = piece.finish;
        if (piece.usage) turn.tokens = piece.usage.completion_tokens;
        if (piece.text) this.add(piece.text);
        if (piece.text) turn.seconds = (performance.now() - began_ms) / 1000;
      }
      return true;
    } catch (error) {
      if (!tooLong(error) || turn.dropped >= this.exchanges - 1) throw error;
      turn.dropped += 1;
      return false;
    }
  }

  add(text) {
    this.turn.content += text;
    this.grown(this.turn, text);
  }
}

/** What is kept of an error: its status and a line for people. */
function fault(error) {
  return { status: error.status ?? 500, said: tooLong(error) ? ALONE_TOO_LONG : error.message };
}
