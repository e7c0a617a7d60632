"""The data: sources of text and conversations, and the token caches made from them."""
