"""Verification of an export: Transformers opens the folder and is compared with the model."""

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

PROMPTS = (
    "hello",
    "Who are you?",
    "What is the capital of Peru?",
    "What is 3 plus 4?",
    "Tell me a story.",
    "Write <|eot|> twice.\n\n  Please.",
    "\u00bfQu\u00e9 tal? \U0001f642",
    "2 \u2581 3",
)


@dataclass(frozen=True)
class ExportCheck:
    """The largest difference of logits, the largest logit, the number of prompts, and for how many
    of them the prompt ids and the greedy replies are equal."""

    max_difference: float
    max_logit: float
    prompts: int
    equal_ids: int
    equal_replies: int

    def __str__(self) -> str:
        return (
            f"Transformers: max |logit difference| {self.max_difference:.1e} where the largest "
            f"logit is {self.max_logit:.1f}; prompt ids equal {self.equal_ids} of {self.prompts}; "
            f"greedy replies equal {self.equal_replies} of {self.prompts}"
        )


@torch.inference_mode()
def verify(trained: TrainedModel, folder: Path) -> ExportCheck:
    """Compare logits on prompts and on a full context, the ids of prompts, and greedy replies.

    Raises EngineError if Transformers is not installed.
    """
    exported, exported_tokenizer = _open(folder)
    tokenizer, context = trained.tokenizer, trained.model.context_length
    conversations = [Conversation((Message("user", text),)) for text in PROMPTS]
    rows = [prompt(one, tokenizer.encode, tokenizer.specials) for one in conversations]
    exported_rows = [_render_chat(exported_tokenizer, one) for one in conversations]
    full = torch.randint(trained.model.vocab_size, (context,), generator=torch.Generator())
    pairs = [_compute_logits(trained, exported, row[:context]) for row in (*rows, full.tolist())]
    fitting = [row for row in rows if len(row) < context]
    return ExportCheck(
        max(float((own - other).abs().max()) for own, other in pairs),
        max(float(own.abs().max()) for own, _ in pairs),
        len(rows),
        sum(one == other for one, other in zip(rows, exported_rows, strict=True)),
        sum(
            _generate(trained, row) == _generate_exported(trained, exported, row) for row in fitting
        ),
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
    has_tokenizer = (folder / "tokenizer.json").is_file()
    tokenizer = library.AutoTokenizer.from_pretrained(folder) if has_tokenizer else None
    return model.eval(), tokenizer


def _render_chat(tokenizer: Any, conversation: Conversation) -> list[int]:
    if tokenizer is None:
        return []
    messages = [{"role": m.role, "content": m.content} for m in conversation.messages]
    ids: list[int] = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )
    return ids


def _compute_logits(trained: TrainedModel, exported: Any, row: list[int]) -> tuple[Tensor, Tensor]:
    ids = torch.tensor([row])
    return trained.model(ids), exported(ids).logits.float()


def _choose_length(trained: TrainedModel, row: list[int]) -> int:
    """The number of ids that fit before the window would slide."""
    return min(64, trained.model.context_length - len(row))


def _generate(trained: TrainedModel, row: list[int]) -> list[int]:
    specials = trained.tokenizer.specials
    greedy = trained.generation.model_copy(
        update={"temperature": 0.0, "max_new_tokens": _choose_length(trained, row)}
    )
    (generated,) = generate_all(
        trained.model, [row], greedy, stop_ids=[specials.end], banned_ids=specials.roles
    )
    return generated.ids


def _generate_exported(trained: TrainedModel, exported: Any, row: list[int]) -> list[int]:
    ids = torch.tensor([row])
    output = exported.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        temperature=None,
        top_k=None,
        top_p=None,
        max_new_tokens=_choose_length(trained, row),
    )
    reply: list[int] = output[0, len(row) :].tolist()
    end = trained.tokenizer.specials.end
    return reply[: reply.index(end)] if end in reply else reply
