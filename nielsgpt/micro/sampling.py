"""Text from a trained model, a character at a time, for as long as one likes."""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice

from nielsgpt.micro.backends import GPT
from nielsgpt.micro.documents import Alphabet


def draw(logits: Sequence[float], temperature: float, rng: random.Random) -> int:
    """An id sampled from softmax(logits / temperature); temperature 0 is greedy."""
    top = max(logits)
    if temperature == 0.0:
        return logits.index(top)
    powers = [math.exp((logit - top) / temperature) for logit in logits]
    return rng.choices(range(len(logits)), powers)[0]


def continued(
    model: GPT,
    alphabet: Alphabet,
    prompt: str,
    temperature: float,
    rng: random.Random,
    stop_at_bos: bool = True,
) -> Iterator[str]:
    """The characters after the prompt: up to BOS, or without end when BOS is never drawn.

    The model sees block_size tokens, so the window slides: once it is full, the model reads BOS and
    the last half window again and continues from there. BOS comes first because in training
    position 0 never held anything else; half a window stays free so that most characters need one
    reading and not a whole window of them. Of a long prompt the end counts, not the beginning.
    """
    window = model.shape.block_size
    ids = alphabet.encode(prompt)
    unread = [alphabet.bos, *_last(ids, window - 1)]
    model.restart()
    seen = 0
    while True:
        for id in unread:
            logits = model.read(id)
        seen += len(unread)
        if not stop_at_bos:
            logits[alphabet.bos] = -math.inf
        id = draw(logits, temperature, rng)
        if id == alphabet.bos:
            return
        yield alphabet.characters[id]
        ids.append(id)
        unread = [id]
        if seen == window:
            unread = [alphabet.bos, *_last(ids, window // 2)]
            model.restart()
            seen = 0


def sample(
    model: GPT,
    alphabet: Alphabet,
    prompt: str,
    temperature: float,
    rng: random.Random,
    stop_at_bos: bool = True,
    max_tokens: int | None = None,
) -> str:
    """Return the prompt and up to max_tokens more characters; None fills the window."""
    characters = continued(model, alphabet, prompt, temperature, rng, stop_at_bos)
    return prompt + "".join(islice(characters, max_tokens or model.shape.block_size))


def chain(
    model: GPT,
    alphabet: Alphabet,
    prompt: str,
    temperature: float,
    rng: random.Random,
    max_chars: int,
) -> str:
    """A text of max_chars characters that begins with the prompt; BOS is never drawn."""
    characters = continued(model, alphabet, prompt, temperature, rng, stop_at_bos=False)
    return prompt + "".join(islice(characters, max(max_chars - len(prompt), 0)))


def _last(ids: Sequence[int], count: int) -> Sequence[int]:
    return ids[max(len(ids) - count, 0) :]
