"""Models of the Hugging Face Hub: sent there, and fetched from there."""
