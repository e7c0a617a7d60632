"""nielsgpt: train your own chat model from scratch, overnight, on the machine you have."""

__version__ = "0.1.0"
