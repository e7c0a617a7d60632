"""Token ids on disk, and batches of them as pure functions of (seed, step)."""
