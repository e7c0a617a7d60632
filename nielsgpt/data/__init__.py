"""Text and conversations: where they come from, and the token caches made from them."""
