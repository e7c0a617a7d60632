"""The exported folder opened by Transformers and held against the model that it was made from."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nielsgpt.conversation import Conversation, Message, prompt
from nielsgpt.errors import EngineError
from nielsgpt.export.trained import TrainedModel
from nielsgpt.inference.generate import generate_all

QUESTIONS = (
    *("hello", "Who are you?", "What is the capital of Peru?", "What is 3 plus 4?"),
    *(
        "Tell me a story.",
        "Write <|eot|> twice.\n\n  Please.",
        "\u00bfQu\u00e9 tal? \U0001f642",
        "2 \u2581 3",
    ),
)


@dataclass(frozen=True)
class ExportCheck:
    """What the two said: the largest difference of a logit, and how often ids and texts agreed."""

    logits: float
    largest: float
    prompts: int
    ids: int
    replies: int

    def __str__(self) -> str:
        return (
            f"Transformers: max |logit difference| {self.logits:.1e} where the largest logit is "
            f"{self.largest:.1f}; prompt ids equal {self.ids} of {self.prompts}; greedy replies "
            f"equal {self.replies} of {self.prompts}"
        )


@torch.inference_mode()
def verify(trained: TrainedModel, folder: Path) -> ExportCheck:
    """Compare logits on prompts and on a full context, the prompts' ids, and greedy replies.

    Raises EngineError where Transformers is not installed.
    """
    theirs, tokenizer = _open(folder)
    codec, context = trained.tokenizer, trained.model.context_length
    asked = [Conversation((Message("user", text),)) for text in QUESTIONS]
    rows = [prompt(conversation, codec.encode, codec.specials) for conversation in asked]
    rendered = [_render_chat(tokenizer, conversation) for conversation in asked]
    full = torch.randint(trained.model.vocab_size, (context,), generator=torch.Generator())
    pairs = [_logits(trained, theirs, row[:context]) for row in (*rows, full.tolist())]
    fitting = [row for row in rows if len(row) < context]
    return ExportCheck(
        max(float((own - other).abs().max()) for own, other in pairs),
        max(float(own.abs().max()) for own, _ in pairs),
        len(rows),
        sum(one == other for one, other in zip(rows, rendered, strict=True)),
        sum(_ours(trained, row) == _theirs(trained, theirs, row) for row in fitting),
    )


def _open(folder: Path) -> tuple[Any, Any]:
    try:
        library = importlib.import_module("transformers")
    except ImportError:
        raise EngineError(
            "--verify compares with Transformers, which is not installed; leave it out, or "
            "'pip install transformers'"
        ) from None
    model = library.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    own = (folder / "tokenizer.json").is_file()
    return model.eval(), library.AutoTokenizer.from_pretrained(folder) if own else None


def _render_chat(tokenizer: Any, conversation: Conversation) -> list[int]:
    if tokenizer is None:
        return []
    messages = [{"role": m.role, "content": m.content} for m in conversation.messages]
    ids: list[int] = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    return ids


def _logits(trained: TrainedModel, theirs: Any, row: list[int]) -> tuple[Tensor, Tensor]:
    ids = torch.tensor([row])
    return trained.model(ids), theirs(ids).logits.float()


def _length(trained: TrainedModel, row: list[int]) -> int:
    """How many ids both can add before the window would slide."""
    return min(64, trained.model.context_length - len(row))


def _ours(trained: TrainedModel, row: list[int]) -> list[int]:
    specials = trained.tokenizer.specials
    greedy = trained.generation.model_copy(
        update={"temperature": 0.0, "max_new_tokens": _length(trained, row)}
    )
    end, banned = [specials.end], specials.roles
    (done,) = generate_all(trained.model, [row], greedy, stop_ids=end, banned_ids=banned)
    return done.ids


def _theirs(trained: TrainedModel, theirs: Any, row: list[int]) -> list[int]:
    ids = torch.tensor([row])
    made = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        temperature=None,
        top_k=None,
        top_p=None,
        max_new_tokens=_length(trained, row),
    )
    reply: list[int] = made[0, len(row) :].tolist()
    end = trained.tokenizer.specials.end
    return reply[: reply.index(end)] if end in reply else reply
