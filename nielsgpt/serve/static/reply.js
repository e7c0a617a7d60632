// One reply: its request, its pieces, and how it ended.

import { chat as stream } from "./api.js";
import { messagesOf } from "./chats.js";

const tooLong = ({ code, status }) => code === "context_length_exceeded" || status === 413;
const TOO_LONG =
  "This message and the system prompt alone are longer than the model can read. Shorten one.";
// The server accepts at most 512 messages.
const MAX_EXCHANGES = 250;

export class Reply {
  /**
   * The reply to the chat's last turn; it appends its own turn to the chat at once.
   * @param {object} numbers the sampling parameters of the settings
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
    // With the same model, exchanges that the previous reply dropped do not fit now either.
    const dropped = before?.model === model ? (before?.dropped ?? 0) : 0;
    this.turn = { role: "assistant", content: "", state: "open", model };
    const beyond = this.exchanges - MAX_EXCHANGES;
    this.turn.dropped = Math.min(Math.max(dropped, beyond, 0), this.exchanges - 1);
    chat.turns.push(this.turn);
  }

  /** Stop the reply and keep its text so far. */
  stop() {
    this.leaving.abort();
  }

  /** The page is closing: an error from now on is an interruption, not a failure. */
  close() {
    this.closing = true;
  }

  /** Receive the whole reply. Never throws: the turn's state and fault tell how it ended. */
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

  /** True once the reply is complete; false to retry without the oldest exchange. */
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

/** The stored form of an error: its status and a message for people. */
function fault(error) {
  return { status: error.status ?? 500, said: tooLong(error) ? TOO_LONG : error.message };
}
