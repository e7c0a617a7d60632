"""From a prompt to a reply: KV cache, sampling, generation, streaming text, chat sessions."""
