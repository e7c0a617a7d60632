"""Check that this machine computes a training step correctly, and list its hardware."""
