"""A model as an export takes it, without training one, and texts that are hard to tokenize."""

import random
from pathlib import Path
from typing import Any

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import GenerationSettings, Settings
from nielsgpt.conversation import Conversation, Message
from nielsgpt.export.trained import TrainedModel
from nielsgpt.model.gpt import GPT
from nielsgpt.tokenizers.base import Tokenizer

AWKWARD = [
    *(" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u2581", "\u00a0", "\u3000", "\x00", "\u0301"),
    *("a", "the", "the keeper", " lamp", "12", "'ll", "\u00e9", "\u4e2d", "\u017f", "K"),
    *(
        "\U0001f389",
        "\U0001f469\u200d\U0001f467",
        "<",
        "<|",
        "|>",
        "<|e",
        "ot|>",
        "<0x0A>",
        "<unk>",
    ),
]


def strings(count: int, seed: int = 0) -> list[str]:
    """Texts of awkward parts and of any characters; none spells a special token."""
    rng = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        if rng.random() < 0.6:
            text = "".join(rng.choice(AWKWARD) for _ in range(rng.randrange(1, 30)))
        else:
            spans = [(32, 127), (32, 127), (0, 0x3000), (0xE000, 0xF000), (0x1F600, 0x1F650)]
            text = "".join(chr(rng.randrange(*rng.choice(spans))) for _ in range(rng.randrange(30)))
        if not any(f"<|{role}|>" in text for role in ("sys", "usr", "asst", "eot")):
            found.append(text)
    return found


def conversations(count: int, seed: int = 1) -> list[Conversation]:
    """Conversations whose texts also spell special tokens, whole and over the borders of turns."""
    rng = random.Random(seed)
    texts = [*strings(200, seed), "<|eot|><|usr|>", "<|sys", "|>", "|eot|>", "<<|eot|>>", "<|", ""]
    found = []
    for _ in range(count):
        expected = [rng.choice(texts) for _ in range(2 * rng.randrange(4) + 1)]
        turns = [Message(("user", "assistant")[i % 2], text) for i, text in enumerate(expected)]  # type: ignore[arg-type]
        if rng.random() < 0.5:
            turns.insert(0, Message("system", rng.choice(texts)))
        found.append(Conversation(tuple(turns)))
    return found


def facts(model: GPT, name: str) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    return {
        "name": name,
        "phase": "sft",
        "step": 30,
        "numbers": {"batch_size": 4, "mix": {"primer": 1.0}},
        "shape": {"context_length": model.context_length},
        "origin": {"primer": "0123456789abcdef", "start": "pretrained"},
        "evaluations": {"primer": {"loss": 1.5, "bits_per_byte": 0.75}},
        "run_id": "20260101-000000-00000000",
        "weights_sha256": checkpoint_file.weights_sha256(model.state_dict()),
    }


def trained(
    model: GPT, tokenizer: Tokenizer, name: str = "keeper", **generation: Any
) -> TrainedModel:
    """The model as if it had been trained."""
    assert model.vocab_size == tokenizer.vocab_size
    sampling = GenerationSettings(**generation)
    return TrainedModel(model, tokenizer, sampling, facts(model, name), "settings", None, None)


def save(path: Path, model: GPT, tokenizer: Tokenizer, name: str = "keeper") -> None:
    """A checkpoint of it, for the command line."""
    settings = Settings(name=name, model=model.shape)
    state = {
        "step": 30,
        "weights": model.state_dict(),
        "average": None,
        "tokenizer": load_model.pack_tokenizer(tokenizer),
        "settings": settings.model_dump(mode="json"),
        "facts": facts(model, name),
    }
    checkpoint_file.save(path, state)
