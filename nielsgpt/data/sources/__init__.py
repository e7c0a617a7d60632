"""Sources of text and conversations."""
