"""Ids to logits: one block, five variants."""
