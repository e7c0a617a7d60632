"""The optimizers of a phase, stepping as one."""

import math

import torch
from torch import nn

from nielsgpt.config.settings import PhaseSettings
from nielsgpt.model.gpt import GPT
from nielsgpt.training.muon import Muon


class Optimizer:
    """One or two torch optimizers that step as one.

    Weight decay is on matrices alone; embeddings, biases and norms have none. With `muon`, the
    blocks' matrices go by Muon and the rest by AdamW (Loshchilov and Hutter 2019). Decay is
    cautious (Chen et al. 2025) where the phase says so: only where the update points the same way.
    """

    def __init__(self, model: GPT, phase_settings: PhaseSettings) -> None:
        self.phase = phase_settings
        matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
        chosen = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if id(p) not in chosen]
        self.parts: list[tuple[torch.optim.Optimizer, float]] = []
        self._cautious: list[nn.Parameter] = []
        decay, careful = phase_settings.weight_decay, phase_settings.cautious_weight_decay
        groups = [{"params": rest, "weight_decay": 0.0}]
        if phase_settings.optimizer == "muon":
            half = model.compute_dtype == torch.bfloat16
            dtype = torch.bfloat16 if half else torch.float32
            peak = phase_settings.muon_learning_rate
            muon = Muon(matrices, peak, decay, cautious=careful, dtype=dtype)
            self.parts.append((muon, peak / phase_settings.learning_rate))
        else:
            self._cautious = matrices if careful and decay else []
            groups.append({"params": matrices, "weight_decay": 0.0 if careful else decay})
        betas = (phase_settings.beta1, phase_settings.beta2)
        adamw = torch.optim.AdamW(
            groups, phase_settings.learning_rate, betas, phase_settings.eps, fused=True
        )
        self.parts.append((adamw, 1.0))
        self._parameters = [*matrices, *rest]

    def clip(self, scale: float = 1.0) -> float:
        """Divide the gradients by the loss's scale and clip them; their norm before clipping."""
        if scale != 1.0:
            torch._foreach_mul_([p.grad for p in self._parameters if p.grad is not None], 1 / scale)
        limit = self.phase.grad_clip or math.inf
        return float(nn.utils.clip_grad_norm_(self._parameters, limit, foreach=True))

    def step(self, rate: float) -> None:
        """Update every parameter, AdamW at this rate and Muon at its share of it, and clear."""
        for part, ratio in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * ratio
        before = [p.detach().clone() for p in self._cautious]
        for part, _ in self.parts:
            part.step()
        self._decay_cautiously(before, rate * self.phase.weight_decay)
        self.clear()

    def clear(self) -> None:
        """Forget the gradients."""
        for part, _ in self.parts:
            part.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _decay_cautiously(self, before: list[torch.Tensor], decay: float) -> None:
        for p, old in zip(self._cautious, before, strict=True):
            p.sub_(decay * old * ((old - p) * old > 0))

    def state(self) -> list[dict[str, object]]:
        """The values that a resumed run needs."""
        return [part.state_dict() for part, _ in self.parts]

    def load(self, states: list[dict[str, object]]) -> None:
        """Restore `state()`; learning rates, decay and betas come from the settings."""
        for (part, _), state in zip(self.parts, states, strict=True):
            own = [{k: v for k, v in group.items() if k != "params"} for group in part.param_groups]
            part.load_state_dict(state)
            for group, numbers in zip(part.param_groups, own, strict=True):
                group.update(numbers)
