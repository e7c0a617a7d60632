"""A reply computed position by position equals one computed from whole windows without a cache."""

import pytest
import torch

from nielsgpt.config.settings import GenerationSettings, ModelSettings
from nielsgpt.inference.generate import generate
from nielsgpt.inference.kvcache import KVCache
from nielsgpt.inference.sampling import make_generator, sample
from nielsgpt.model.gpt import GPT
from nielsgpt.model.variants import VARIANTS
from tests.lively import lively

CONTEXT, VOCABULARY = 16, 97
PROMPT = [3, 14, 15, 92, 65]


def model_that_says_something(variant: str, attention: str = "auto") -> GPT:
    """Random weights large enough that every block and every earlier token matters."""
    shape = ModelSettings(
        variant=variant,
        n_layer=3,
        n_head=2,
        n_embd=32,
        context_length=CONTEXT,
        attention=attention,
        tied=False,
    )
    return lively(GPT(shape, VOCABULARY).eval(), seed=28)


def assert_not_an_echo(prompt: list[int], new: list[int]) -> None:
    """The ids vary and are seldom their predecessor, so an error of one position would show."""
    assert len(set(new)) >= 8
    assert sum(a == b for a, b in zip(prompt[-1:] + new, new, strict=False)) <= len(new) // 2


@torch.inference_mode()
def uncached(model: GPT, prompt: list[int], sampling: GenerationSettings) -> list[int]:
    """The window rule without a cache: at 17 ids of 16 the newest 8 stay."""
    window, new, own = prompt[-CONTEXT:], list[int](), make_generator(sampling.seed)
    nothing = torch.empty(1, 0, dtype=torch.int64)
    for _ in range(sampling.max_new_tokens):
        if len(window) > CONTEXT:
            window = window[-(CONTEXT // 2) :]
        logits = model(torch.tensor([window]))[:, -1]
        new.append(int(sample(logits, nothing, sampling, [own])))
        window = [*window, new[-1]]
    return new


@pytest.mark.parametrize("attention", ["plain", "fused"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_cached_logits_equal_full_logits_at_every_step(variant: str, attention: str) -> None:
    model, cache = model_that_says_something(variant, attention), KVCache(CONTEXT)
    ids = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26, 43, 38, 32, 79]
    pieces = [ids[:5], ids[5:7], *([token] for token in ids[7:])]
    cached = [model(torch.tensor([piece]), cache.span(0, 1))[:, -1] for piece in pieces]
    ends = [5, *range(7, CONTEXT + 1)]
    full = [model(torch.tensor([ids[:end]]))[:, -1] for end in ends]
    torch.testing.assert_close(cached, full, rtol=1e-4, atol=1e-4)
    assert cache.lengths == [CONTEXT]


@pytest.mark.parametrize("prompt", [PROMPT, PROMPT[:1], PROMPT * 10], ids=["5", "1", "50"])
@pytest.mark.parametrize("temperature", [0.0, 2.0], ids=["greedy", "sampled"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_cached_replies_equal_uncached_ones_across_several_slides(
    variant: str, temperature: float, prompt: list[int]
) -> None:
    model = model_that_says_something(variant)
    sampling = GenerationSettings(max_new_tokens=3 * CONTEXT, temperature=temperature, top_k=0)
    cached = list(generate(model, prompt, sampling, stop_ids=()))
    assert cached == uncached(model, prompt, sampling)
    assert len(cached) == 3 * CONTEXT
    assert_not_an_echo(prompt, cached)


def test_a_slide_reads_half_a_context_and_other_tokens_one_position() -> None:
    model = model_that_says_something("gpt_qk")
    read: list[int] = []
    model.embedding.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].size(1)))
    sampling = GenerationSettings(max_new_tokens=25, temperature=0.0)
    list(generate(model, PROMPT, sampling, stop_ids=()))
    assert read == [5, *[1] * 11, 8, *[1] * 8, 8, *[1] * 3]
