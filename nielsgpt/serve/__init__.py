"""The server: an OpenAI-compatible API over one batch, access control, and a chat page."""
