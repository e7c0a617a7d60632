"""Export and import of models: Transformers, llama.cpp (GGUF), and the Hugging Face Hub."""
