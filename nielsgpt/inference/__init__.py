"""From a prompt to a reply: KV cache, sampling, generation, streamed text, chat sessions."""
