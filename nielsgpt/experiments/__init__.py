"""Experiments: how fast this machine trains (bench), and which model to train in a time (plan)."""
