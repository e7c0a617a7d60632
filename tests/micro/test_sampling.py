import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nielsgpt.micro import backends, sampling
from nielsgpt.micro.backends import BACKENDS, GPT
from nielsgpt.micro.documents import Alphabet
from nielsgpt.micro.weights import Shape, Weights

ALPHABET = Alphabet(tuple("abcd"))


@pytest.fixture
def model_of(lively: Callable[..., Weights]) -> Callable[..., GPT]:
    """A model with a window of so many tokens that likes BOS by so much."""

    def build(window: int, likes_bos: float = 0.0, backend: str = "numpy") -> GPT:
        shape = Shape(n_embd=8, n_head=2, n_layer=2, block_size=window, vocab_size=5)
        weights = lively(shape, deviation=0.6)
        if likes_bos:
            weights["wpe"] = [[9.0] + [0.0] * 7 for _ in range(window)]
            for name in ("layer0.attn_wo", "layer0.mlp_fc2", "layer1.attn_wo", "layer1.mlp_fc2"):
                weights[name] = [[0.0] * len(row) for row in weights[name]]
            weights["lm_head"][ALPHABET.bos] = [likes_bos] + [0.0] * 7
        return backends.make(backend, shape, weights)

    return build


def rng() -> random.Random:
    return random.Random(5)


@pytest.mark.parametrize("likes_bos", [0.0, 50.0])
@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_a_chain_reaches_max_chars_from_a_prompt_of_any_length(
    window: int, likes_bos: float, model_of: Callable[..., GPT]
) -> None:
    model = model_of(window, likes_bos)
    for length in range(3 * window + 2):
        prompt = "abcd" * 10
        text = sampling.chain(model, ALPHABET, prompt[:length], 0.5, rng(), 40)
        assert len(text) == 40
        assert text.startswith(prompt[:length])


def test_a_prompt_longer_than_the_chain_comes_back_as_it_is(model_of: Callable[..., GPT]) -> None:
    assert sampling.chain(model_of(4), ALPHABET, "abcdabcd", 0.5, rng(), 5) == "abcdabcd"


def seen_at_each_character(prompt: str, text: str, window: int) -> list[str]:
    """What the model has in its window when it draws each character after the prompt: BOS (as
    `.`) and the end of the prompt, growing; when full, BOS and the last half window."""
    context = "." + prompt[max(len(prompt) - window + 1, 0) :]
    contexts = []
    for end in range(len(prompt), len(text)):
        contexts.append(context)
        full = len(context) == window
        kept = text[max(end + 1 - window // 2, 0) : end + 1]
        context = "." + kept if full else context + text[end]
    return contexts


@pytest.mark.parametrize("window", [1, 2, 5, 8])
@pytest.mark.parametrize("prompt", ["", "ab", "abcdabcdabcd"])
def test_each_character_is_the_likeliest_after_what_is_in_the_window(
    window: int, prompt: str, model_of: Callable[..., GPT]
) -> None:
    model = model_of(window)
    text = sampling.chain(model, ALPHABET, prompt, 0.0, rng(), len(prompt) + 30)
    for at, context in enumerate(seen_at_each_character(prompt, text, window), len(prompt)):
        assert len(context) <= window
        model.restart()
        for character in context:
            logits = model.read(ALPHABET.bos if character == "." else "abcd".index(character))
        logits[ALPHABET.bos] = -math.inf
        assert text[at] == "abcd"[logits.index(max(logits))]


def test_bos_ends_a_sample_unless_that_is_refused(model_of: Callable[..., GPT]) -> None:
    model = model_of(8, likes_bos=50.0)
    assert sampling.sample(model, ALPHABET, "ab", 0.5, rng()) == "ab"
    text = sampling.sample(model, ALPHABET, "ab", 0.5, rng(), stop_at_bos=False, max_tokens=30)
    assert len(text) == 32
    assert len(sampling.sample(model, ALPHABET, "ab", 0.5, rng(), stop_at_bos=False)) == 2 + 8


def test_characters_that_the_model_does_not_know_are_shown_and_not_read(
    model_of: Callable[..., GPT],
) -> None:
    model = model_of(8)
    plain = sampling.sample(model, ALPHABET, "ab", 0.5, rng())
    assert sampling.sample(model, ALPHABET, "Xaé b", 0.5, rng()) == "Xaé b" + plain[2:]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_gives_the_same_text_from_every_backend(
    backend: str, model_of: Callable[..., GPT]
) -> None:
    text = sampling.chain(model_of(6, backend=backend), ALPHABET, "a", 0.8, rng(), 60)
    assert text == sampling.chain(model_of(6), ALPHABET, "a", 0.8, rng(), 60)


def test_an_endless_text_does_not_end(model_of: Callable[..., GPT]) -> None:
    characters = sampling.continued(model_of(4), ALPHABET, "", 1.0, rng(), stop_at_bos=False)
    assert len(list(islice(characters, 200))) == 200


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6))
def test_temperature_zero_takes_the_likeliest(logits: list[float]) -> None:
    assert logits[sampling.draw(logits, 0.0, rng())] == max(logits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_are_as_frequent_as_softmax_says(temperature: float) -> None:
    logits, source, count = [0.0, 1.0, 2.0, -math.inf], rng(), 20_000
    found = Counter(sampling.draw(logits, temperature, source) for _ in range(count))
    powers = [math.exp(logit / temperature) for logit in logits]
    for id, power in enumerate(powers):
        assert found[id] / count == pytest.approx(power / sum(powers), abs=0.012)
    assert found[3] == 0
