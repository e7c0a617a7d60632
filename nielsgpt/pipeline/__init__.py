"""The stages from text to an examined chat model, and the order in which they run."""
