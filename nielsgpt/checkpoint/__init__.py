"""Checkpoints: written, read, chosen, and turned into a model again."""
