"""The optimizers and the learning rate's way through a phase."""

import math

import torch
from torch import nn

from nielsgpt.model.gpt import GPT
from nielsgpt.settings import PhaseSettings


def lr_at(step: int, phase: PhaseSettings) -> float:
    """The learning rate of optimizer step `step`, counted from 0: 0 at 0, the peak at the end of
    the warm-up, the minimum at the last step."""
    peak, floor, last = phase.learning_rate, phase.min_learning_rate, phase.max_steps - 1
    if step < phase.warmup_steps:
        return peak * step / phase.warmup_steps
    if phase.schedule == "constant":
        return peak
    start = phase.warmup_steps
    if phase.schedule == "trapezoid":
        start = max(start, last - round(phase.cooldown_fraction * phase.max_steps))
    if step <= start:
        return peak
    progress = min(1.0, (step - start) / max(1, last - start))
    fall = progress if phase.schedule == "trapezoid" else (1 - math.cos(math.pi * progress)) / 2
    return max(floor, peak + (floor - peak) * fall)


class Optimizer:
    """One or two torch optimizers that step as one.

    Weight decay is on matrices alone; embeddings, biases and norms have none. With `muon`, the
    blocks' matrices go by Muon (Jordan et al. 2024) and the rest by AdamW (Loshchilov and Hutter
    2019).
    """

    def __init__(self, model: GPT, phase: PhaseSettings) -> None:
        self.phase = phase
        matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
        chosen = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if id(p) not in chosen]
        groups = [{"params": rest, "weight_decay": 0.0}]
        self.parts: list[tuple[torch.optim.Optimizer, float]] = []
        if phase.optimizer == "muon":
            muon = torch.optim.Muon(
                matrices, lr=phase.muon_learning_rate, weight_decay=phase.weight_decay
            )
            self.parts.append((muon, phase.muon_learning_rate / phase.learning_rate))
        else:
            groups.append({"params": matrices, "weight_decay": phase.weight_decay})
        adamw = torch.optim.AdamW(
            groups,
            lr=phase.learning_rate,
            betas=(phase.beta1, phase.beta2),
            eps=phase.eps,
            fused=True,
        )
        self.parts.append((adamw, 1.0))
        self._parameters = [*matrices, *rest]

    def step(self, step: int) -> tuple[float, float]:
        """Clip, update and clear; returns the learning rate and the gradient's norm before it.

        Nothing is updated when the norm is not finite.
        """
        limit = self.phase.grad_clip or math.inf
        norm = float(nn.utils.clip_grad_norm_(self._parameters, limit, foreach=True))
        rate = lr_at(step, self.phase)
        for part, ratio in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * ratio
            if math.isfinite(norm):
                part.step()
            part.zero_grad(set_to_none=True)
        return rate, norm

    def state(self) -> list[dict[str, object]]:
        """What a resumed run needs."""
        return [part.state_dict() for part, _ in self.parts]

    def load(self, states: list[dict[str, object]]) -> None:
        """Go on from `state()`; rates, decay and betas stay those of the settings."""
        for (part, _), state in zip(self.parts, states, strict=True):
            own = [{k: v for k, v in group.items() if k != "params"} for group in part.param_groups]
            part.load_state_dict(state)
            for group, numbers in zip(part.param_groups, own, strict=True):
                group.update(numbers)
