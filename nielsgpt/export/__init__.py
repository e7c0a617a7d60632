"""A trained model as the ecosystem opens it: Transformers, llama.cpp and what is built on them."""
