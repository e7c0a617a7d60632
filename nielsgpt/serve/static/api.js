// The client of the server's API: the model's name, and streamed replies.

import { events } from "./events.js";

const KEY = "nielsgpt.key";
const READABLE = {
  0: "The server does not answer. Is nielsgpt still running?",
  401: "The server requires a key.",
  429: "The server is busy with other requests.",
  500: "The server failed.",
  503: "The server is not ready.",
};

/** An error of the API: a message for people, the HTTP status (0: no response), the API's code. */
export class ApiError extends Error {
  constructor(status, message = "", code = null) {
    super([READABLE[status] ?? "", message].filter(Boolean).join(" ") || `The server responded with ${status}.`);
    this.status = status;
    this.code = code;
  }
}

/** The key entered in this tab, or "". */
export const key = {
  read: () => sessionStorage.getItem(KEY) ?? "",
  keep: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The names of the served models. Throws ApiError. */
export async function models() {
  const response = await request("v1/models", {});
  const body = await response.json().catch(() => ({}));
  return (body.data ?? []).map((model) => String(model.id));
}

/**
 * Yields a reply in pieces {text}, {finish} and {usage} as they arrive, until the last.
 * Throws ApiError, also if the stream breaks off, and AbortError if the signal aborts it.
 */
export async function* chat(parameters, signal) {
  const streamed = { stream: true, stream_options: { include_usage: true } };
  const body = JSON.stringify({ ...parameters, ...streamed });
  const response = await request("v1/chat/completions", { method: "POST", body, signal });
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
    throw new ApiError(response.status, "This is not a server of nielsgpt.");
  }
  let ended = false;
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      for (const piece of pieces(data)) {
        ended ||= "finish" in piece;
        yield piece;
      }
    }
  } catch (error) {
    throw error instanceof TypeError ? new ApiError(0, "The reply broke off.") : error;
  }
  if (!ended) throw new ApiError(0, "The reply broke off.");
}

function* pieces(data) {
  let chunk;
  try {
    chunk = JSON.parse(data);
  } catch {
    throw new ApiError(500, "It sent an event that is not JSON.");
  }
  if (chunk.error) throw new ApiError(500, chunk.error.message, chunk.error.code);
  const choice = chunk.choices?.[0];
  if (choice?.delta?.content) yield { text: choice.delta.content };
  if (choice?.finish_reason) yield { finish: choice.finish_reason };
  if (chunk.usage) yield { usage: chunk.usage };
}

async function request(path, options) {
  const headers = options.body ? { "content-type": "application/json" } : {};
  if (key.read()) headers.authorization = `Bearer ${key.read()}`;
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ApiError(0);
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const wait = response.headers.get("retry-after");
  const message = [error?.message, wait && `Try again in ${wait} s.`].filter(Boolean).join(" ");
  throw new ApiError(response.status, message, error?.code);
}
