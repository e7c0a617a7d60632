"""Where text and conversations come from."""
