"""Whether this machine computes a training step right, and what it has to compute with."""
