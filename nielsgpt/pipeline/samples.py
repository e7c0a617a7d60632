"""Samples during training: the same prompts at every evaluation."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch

from nielsgpt.config.settings import GenerationSettings, PhaseSettings
from nielsgpt.conversation import Conversation, Message, prompt
from nielsgpt.inference.generate import generate_all
from nielsgpt.model.gpt import eval_mode
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training.loop import Sampler
from nielsgpt.training.trainer import Trainer


def make_sampler(
    tokenizer: Tokenizer, phase_settings: PhaseSettings, chats: bool
) -> Sampler | None:
    """Generates greedy samples for the phase's prompts; None if there are no prompts.

    Draws no random number and leaves the model's mode and precision as they were.
    """
    texts, specials = phase_settings.sample_prompts, tokenizer.specials
    if not texts:
        return None
    asked = [_ids(text, tokenizer, chats) for text in texts]
    greedy = GenerationSettings(temperature=0.0, max_new_tokens=phase_settings.sample_tokens)

    def ask(trainer: Trainer) -> Sequence[tuple[str, str]]:
        model, average = trainer.model, trainer.ema
        before = model.compute_dtype
        model.compute_dtype = torch.float32
        try:
            with eval_mode(model), average.apply() if average else nullcontext():
                replies = generate_all(
                    model, asked, greedy, stop_ids=[specials.end], banned_ids=specials.roles
                )
        finally:
            model.compute_dtype = before
        return [(text, tokenizer.decode(r.ids)) for text, r in zip(texts, replies, strict=True)]

    return ask


def _ids(text: str, tokenizer: Tokenizer, chats: bool) -> list[int]:
    if chats:
        return prompt(Conversation((Message("user", text),)), tokenizer.encode, tokenizer.specials)
    return [tokenizer.specials.end, *tokenizer.encode(text)]
