"""The exam of a person's own text: its passages, its choices, and repeating text verbatim."""

import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nielsgpt.checkpoint.exam_report import format_table
from nielsgpt.config.settings import GenerationSettings, ModelSettings, Settings
from nielsgpt.data.cache.shards import Split
from nielsgpt.data.cache.split_writer import SplitWriter
from nielsgpt.inference.generate import compute_logprobs, generate_all, score_endings
from nielsgpt.model.gpt import GPT
from nielsgpt.pipeline import exam, own_text_exam, pipeline
from nielsgpt.pipeline.own_text_exam import draw_passages, offer_continuations
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.lively import lively

BYTES = ByteTokenizer()
END = BYTES.specials.end
OWN = {
    "mix_pretrain": {"text": 1.0},
    "text": {"path": "own", "chunk_characters": 500},
    "mix_sft": {"chat": 1.0},
    "chat": {"path": "talks.jsonl"},
    "val_fraction": 0.3,
    "workers": 1,
}
SMALL = ModelSettings(n_layer=2, n_head=2, n_embd=32, context_length=64)
Tiny = Callable[..., Settings]


def write_split(folder: Path, documents: list[list[int]], name: str = "s") -> Split:
    writer = SplitWriter(folder, name, 300, 2**20, masked=False)
    for ids in documents:
        writer.add([*ids, END], [len(ids) + 1], 0)
    writer.finish({"tokenizer": "t"})
    return Split(folder, name, "t")


def random_documents(count: int, length: int) -> list[list[int]]:
    rng = random.Random(5)
    return [[rng.randrange(200) for _ in range(length)] for _ in range(count)]


@pytest.fixture(scope="module")
def written() -> str:
    """A text without two equal sentences."""
    rng = random.Random(1)
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 8))) for _ in range(300)]
    lines = [" ".join(rng.choices(words, k=60)).capitalize() + "." for _ in range(60)]
    return "\n\n".join(lines)


@pytest.fixture
def own(tiny: Tiny, tmp_path: Path, written: str) -> Workspace:
    """The settings of a model of somebody's text and conversations, without the primer."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/book.txt").write_text(written)
    talks = [
        [{"role": "user", "content": f"Is bean {n} up?"}, {"role": "assistant", "content": "Yes."}]
        for n in range(60)
    ]
    (tmp_path / "talks.jsonl").write_text("\n".join(map(json.dumps, talks)))
    return Workspace(tmp_path, tiny(data=OWN))


def test_a_passage_lies_within_one_document_and_begins_like_one(tmp_path: Path) -> None:
    documents = random_documents(40, 50)
    passages = draw_passages(write_split(tmp_path, documents), 20, END, seed=3)
    assert passages.shape == (80, 21)
    assert (passages[:, 0] == END).all() and not (passages[:, 1:] == END).any()
    windows = {tuple(ids[start : start + 20]) for ids in documents for start in (0, 20)}
    assert {tuple(row) for row in passages[:, 1:].tolist()} == windows


def test_the_passages_are_a_hundred_at_most_and_depend_on_the_seed_alone(tmp_path: Path) -> None:
    split = write_split(tmp_path, random_documents(300, 50))
    first, again, other = (draw_passages(split, 20, END, seed) for seed in (3, 3, 4))
    assert len(first) == 100
    assert (first == again).all() and (first != other).any()


def test_the_other_continuations_differ_from_the_true_one_and_from_one_another(
    tmp_path: Path,
) -> None:
    same, *rest = random_documents(6, 24)
    passages = draw_passages(write_split(tmp_path, [same] * 30 + rest), 24, END, seed=1)
    offered = offer_continuations(passages, 8)
    assert offered.shape == (35, 4, 25)
    for passage, rows in zip(passages, offered, strict=True):
        assert (rows[0] == passage).all()
        assert (rows[:, :-8] == passage[:-8]).all()
        assert len({row[-8:].tobytes() for row in rows}) == 4
    assert len(offer_continuations(passages[:0], 8)) == 0
    assert len(offer_continuations(np.tile(passages[:1], (9, 1)), 8)) == 0


@pytest.mark.parametrize("rows_at_once", [1, 3, 32])
def test_endings_are_scored_as_one_by_one_whatever_the_batch(rows_at_once: int) -> None:
    model = lively(GPT(SMALL, 300), std=0.2).eval()
    rows = np.array(random_documents(7, 30))
    sums, _ = score_endings(model, rows, 8, rows_at_once)
    for row, total in zip(rows.tolist(), sums, strict=True):
        logprobs = [value or 0.0 for value, _ in compute_logprobs(model, row, 0)]
        assert total == pytest.approx(sum(logprobs[-8:]), rel=1e-4)


def test_verbatim_means_what_greedy_decoding_writes() -> None:
    model = lively(GPT(SMALL, 300), std=0.2).eval()
    prompts = random_documents(6, 20)
    greedy = GenerationSettings(temperature=0.0, max_new_tokens=8)
    said = [one.ids for one in generate_all(model, prompts, greedy, stop_ids=[])]
    rows = np.array([prompt + ids for prompt, ids in zip(prompts, said, strict=True)])
    rows[3:, -1] = (rows[3:, -1] + 1) % 200
    assert score_endings(model, rows, 8)[1].tolist() == [True] * 3 + [False] * 3


def test_a_model_that_memorized_its_text_repeats_it_and_a_random_one_guesses(
    own: Workspace,
) -> None:
    pipeline.caches(own)
    model = lively(GPT(own.settings.model, BYTES.vocab_size), std=0.05)
    train, _ = own_text_exam.identify_caches(own)["text"]
    figures = own_text_exam.examine_sources(own, model, BYTES, {"text": train})
    low, high = figures["sections"][0]["interval"]
    assert low < 0.25 < high and figures["sections"][0]["total"] > 20
    (row,) = figures["verbatim"]
    assert row["train"][0] == row["val"][0] == 0

    split = Split(own.splits("pretrain"), "text_train", BYTES.fingerprint)
    rows = torch.from_numpy(draw_passages(split, 96, END, own.settings.seed)[:4])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(100):
        logits = model(rows[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    (row,) = own_text_exam.examine_sources(own, model, BYTES, {"text": train})["verbatim"]
    assert row["tokens"] == 32
    assert row["train"][0] >= 4 and row["val"][0] == 0


def test_a_model_without_a_persona_is_examined_on_its_text_as_long_as_the_caches_are_here(
    own: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    report = pipeline.run(own)
    assert [row["section"] for row in report["sections"]] == ["continues text"]
    table = format_table(report)
    assert "repeated word for word (text, 32 tokens): " in table
    assert "replies that the model ended" not in table
    assert exam.run_exam(own) == report and "exam: up to date" in caplog.messages
    for path in own.splits("pretrain").glob("text_*"):
        path.unlink()
    without = exam.run_exam(own)
    assert without["sections"] == without["verbatim"] == []
    assert format_table(without).startswith("nothing to examine")
    left_out = "exam: no passages of text: the cache it was pretrained on is not here"
    assert caplog.messages.count(left_out) == 1


def test_too_little_validation_text_is_said_in_one_line(
    own: Workspace, written: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nielsgpt")
    (own.root / "own/book.txt").write_text("\n\n".join(written.split("\n\n")[:6]))
    pipeline.caches(own)
    model = GPT(own.settings.model, BYTES.vocab_size)
    train, _ = own_text_exam.identify_caches(own)["text"]
    figures = own_text_exam.examine_sources(own, model, BYTES, {"text": train})
    assert figures == {"sections": [], "verbatim": []}
    assert caplog.messages[-1].startswith("exam: no passages of text: its validation text has")
