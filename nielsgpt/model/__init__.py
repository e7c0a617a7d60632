"""The decoder: ids to logits, with one block for five variants."""
