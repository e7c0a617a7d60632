"""Tokenizers: text to ids and back, and the byte length of every id."""
