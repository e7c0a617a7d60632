"""Random weights that say something: every block and every token matters."""

import torch

from nielsgpt.model.gpt import GPT


def lively(model: GPT, std: float = 0.5, seed: int = 0) -> GPT:
    """The model, ready to talk, with weights drawn anew; a fresh one would only echo."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = "norm" in name and name.endswith("weight")
            parameter.normal_(1.0 if is_norm else 0.0, std, generator=generator)
    return model
