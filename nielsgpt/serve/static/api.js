// The server's API as the page uses it: the model's name, and a reply as it comes.

import { events } from "./events.js";

const KEY = "nielsgpt.key";
const READABLE = {
  0: "The server does not answer. Is nielsgpt still running?",
  401: "The server asks for a key.",
  429: "The server is busy with other requests.",
  500: "The server failed at this.",
  503: "The server is not ready.",
};

/** Why there is no reply: a line for people, the HTTP status (0: no answer), the API's code. */
export class ApiError extends Error {
  constructor(status, said = "", code = null) {
    super([READABLE[status] ?? "", said].filter(Boolean).join(" ") || `The server said ${status}.`);
    this.status = status;
    this.code = code;
  }
}

/** The key that this tab was given, or "". */
export const key = {
  read: () => sessionStorage.getItem(KEY) ?? "",
  keep: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

/** The names of the models that the server has. Throws ApiError. */
export async function models() {
  const answer = await asked("v1/models", {});
  const told = await answer.json().catch(() => ({}));
  return (told.data ?? []).map((model) => String(model.id));
}

/**
 * A reply in pieces: {text}, {finish} and {usage} as they come, until the server says it is done.
 * Throws ApiError, also where the stream breaks off, and AbortError once the signal says so.
 */
export async function* chat(request, signal) {
  const streamed = { stream: true, stream_options: { include_usage: true } };
  const body = JSON.stringify({ ...request, ...streamed });
  const answer = await asked("v1/chat/completions", { method: "POST", body, signal });
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) {
    throw new ApiError(answer.status, "What answers here is not the server of nielsgpt.");
  }
  let ended = false;
  try {
    for await (const data of events(answer.body)) {
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
  let told;
  try {
    told = JSON.parse(data);
  } catch {
    throw new ApiError(500, "It sent an event that is not JSON.");
  }
  if (told.error) throw new ApiError(500, told.error.message, told.error.code);
  const choice = told.choices?.[0];
  if (choice?.delta?.content) yield { text: choice.delta.content };
  if (choice?.finish_reason) yield { finish: choice.finish_reason };
  if (told.usage) yield { usage: told.usage };
}

async function asked(path, options) {
  const headers = options.body ? { "content-type": "application/json" } : {};
  if (key.read()) headers.authorization = `Bearer ${key.read()}`;
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ApiError(0);
  }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  const wait = answer.headers.get("retry-after");
  const said = [error?.message, wait && `Try again in ${wait} s.`].filter(Boolean).join(" ");
  throw new ApiError(answer.status, said, error?.code);
}
