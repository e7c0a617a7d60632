"""Measure a tokenizer on text: tokens per byte, also by script, frequent tokens, and its cost."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from nielsgpt.config.settings import ModelSettings
from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.report.drawing import CURVES
from nielsgpt.report.run_plots import render_figure
from nielsgpt.report.unicode_scripts import SCRIPTS, classify_bytes
from nielsgpt.system.atomic_files import write_atomically
from nielsgpt.tokenizers.base import Tokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BATCH_TEXTS = 256
TOP_TOKENS = 20
INCHES = (9.0, 4.6)
BAR_HEIGHT = 0.4  # of a row


class TextFigures(TypedDict):
    """Totals and rates over texts; `fallback_rate`: the share of ids that stand for one byte."""

    tokens: int
    characters: int
    bytes: int
    tokens_per_byte: float
    tokens_per_character: float
    fallback_rate: float


class TokenizerReport(TypedDict):
    """report.json: rates by source and by script, the most frequent tokens, and the head's cost."""

    kind: str
    vocab_size: int
    fingerprint: str
    combined: TextFigures
    sources: dict[str, TextFigures]
    scripts_of_text: dict[str, float]
    scripts_of_samples: dict[str, float]
    specials: dict[str, int]
    top: list[list[Any]]  # [id, count, text]
    head: dict[str, float]


class Tally:
    """Counts over the texts of one source."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.characters = 0
        self.bytes = 0
        self.ids = np.zeros(tokenizer.vocab_size, np.int64)  # occurrences of each id
        self.script_tokens = np.zeros(len(SCRIPTS) + 1, np.int64)
        self.script_bytes = np.zeros(len(SCRIPTS) + 1, np.int64)

    def add(self, texts: Sequence[str]) -> None:
        """Add these texts to the counts."""
        ids, _ = self._tokenizer.encode_arrays(texts)
        text = "".join(texts)
        scripts = classify_bytes(text)
        self.characters += len(text)
        self.bytes += len(scripts)
        self.ids += np.bincount(ids, minlength=len(self.ids))
        lengths = self._tokenizer.byte_lengths[ids]
        starts = (np.cumsum(lengths) - lengths)[lengths > 0]
        self.script_tokens += np.bincount(scripts[starts], minlength=len(SCRIPTS) + 1)
        self.script_bytes += np.bincount(scripts, minlength=len(SCRIPTS) + 1)

    def merge(self, other: "Tally") -> None:
        """Add another tally's counts to these."""
        self.characters += other.characters
        self.bytes += other.bytes
        for name in ("ids", "script_tokens", "script_bytes"):
            getattr(self, name).__iadd__(getattr(other, name))

    def figures(self) -> TextFigures:
        """Totals and rates."""
        tokens = int(self.ids.sum())
        single_bytes = int(self.ids[[*self._tokenizer.byte_ids]].sum())
        return {
            "tokens": tokens,
            "characters": self.characters,
            "bytes": self.bytes,
            "tokens_per_byte": tokens / max(1, self.bytes),
            "tokens_per_character": tokens / max(1, self.characters),
            "fallback_rate": single_bytes / max(1, tokens),
        }

    def by_script(self) -> dict[str, float]:
        """Tokens per byte of each script in the texts; a token counts where it begins."""
        rows = zip(SCRIPTS, self.script_tokens.tolist(), self.script_bytes.tolist(), strict=False)
        return {name: tokens / size for name, tokens, size in rows if size}


def measure(
    tokenizer: Tokenizer, sources: Mapping[str, Iterable[str]], shape: ModelSettings
) -> TokenizerReport:
    """The report on the texts of each source; `shape` is the model that will use the tokenizer."""
    combined, rows = Tally(tokenizer), dict[str, TextFigures]()
    for name, texts in sources.items():
        tally, remaining = Tally(tokenizer), iter(texts)
        while batch := list(islice(remaining, BATCH_TEXTS)):
            tally.add(batch)
        rows[name] = tally.figures()
        combined.merge(tally)
    ids = zip(SPECIAL_TEXTS, asdict(tokenizer.specials).values(), strict=True)
    top = np.argsort(-combined.ids, kind="stable")[:TOP_TOKENS].tolist()
    return {
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "fingerprint": tokenizer.fingerprint,
        "combined": combined.figures(),
        "sources": rows,
        "scripts_of_text": combined.by_script(),
        "scripts_of_samples": _measure_samples(tokenizer),
        "specials": {text: int(combined.ids[token]) for text, token in ids},
        "top": [
            [t, int(combined.ids[t]), format_token(tokenizer, t)] for t in top if combined.ids[t]
        ],
        "head": _measure_head(shape, tokenizer.vocab_size),
    }


def format_token(tokenizer: Tokenizer, token: int) -> str:
    """A token's text in quotes, with invalid UTF-8 escaped; a special token's name."""
    for text, special in zip(SPECIAL_TEXTS, asdict(tokenizer.specials).values(), strict=True):
        if token == special:
            return text
    content = tokenizer.decode_bytes([token])
    try:
        return repr(content.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(content)[1:]


def format_report(report: TokenizerReport) -> Iterator[str]:
    """The report as lines of text."""
    yield f"{report['kind']}, {report['vocab_size']:,} ids, {report['fingerprint']}"
    for name, row in {"combined": report["combined"], **report["sources"]}.items():
        yield (
            f"[{name}] tokens={row['tokens']:,} characters={row['characters']:,} "
            f"bytes={row['bytes']:,} tokens/byte={row['tokens_per_byte']:.4f} "
            f"tokens/character={row['tokens_per_character']:.4f} "
            f"fallback={row['fallback_rate']:.4%}"
        )
    yield f"{'tokens per byte':12}  {'sample':>8}  {'text':>8}"
    for name, rate in report["scripts_of_samples"].items():
        in_text = report["scripts_of_text"].get(name)
        yield f"{name:15}  {rate:>8.4f}  {'-' if in_text is None else f'{in_text:.4f}':>8}"
    yield "special tokens: " + "  ".join(f"{t} {n}" for t, n in report["specials"].items())
    yield f"{'id':>8}  {'count':>10}  token"
    for token, count, text in report["top"]:
        yield f"{token:>8}  {count:>10,}  {text}"
    head = report["head"]
    yield (
        f"head: {head['parameters']:.1%} of the model's {head['of_parameters']:,} parameters, "
        f"{head['flops']:.1%} of its FLOPs"
    )


def _measure_samples(tokenizer: Tokenizer) -> dict[str, float]:
    """Tokens per byte of each script's built-in sample."""
    return {
        name: len(tokenizer.encode(script.sample)) / len(script.sample.encode())
        for name, script in SCRIPTS.items()
    }


def _measure_head(shape: ModelSettings, vocab_size: int) -> dict[str, float]:
    from nielsgpt.model.gpt import head_shares  # loads torch

    return head_shares(shape, vocab_size)


def draw(report: TokenizerReport, path: Path) -> None:
    """Draw the report to a PNG file."""

    def paint(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2)
        _draw_scripts(left, report)
        _draw_tokens(right, report)
        for axes in (left, right):
            axes.invert_yaxis()
            axes.grid(False, axis="y")
            axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=2)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")  # a token its font cannot draw
        picture = render_figure(paint, inches=INCHES)
    with write_atomically(path) as file:
        file.write(picture)


def _draw_scripts(axes: "Axes", report: TokenizerReport) -> None:
    """Two bars for each script: the built-in sample and the given text."""
    names = list(report["scripts_of_samples"])
    shown = (
        (report["scripts_of_samples"], "built-in sample"),
        (report["scripts_of_text"], "this text"),
    )
    for index, (rates_of, label) in enumerate(shown):
        rates = [rates_of.get(name, 0.0) for name in names]
        rows = [row + BAR_HEIGHT * index - BAR_HEIGHT / 2 for row in range(len(names))]
        axes.barh(rows, rates, height=0.38, color=CURVES[index], label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"tokens per byte ({report['kind']}, {report['vocab_size']:,} ids)")


def _draw_tokens(axes: "Axes", report: TokenizerReport) -> None:
    """A bar for each of the most frequent tokens."""
    counts = [count for _, count, _ in report["top"]]
    axes.barh(range(len(counts)), counts, color=CURVES[0])
    axes.set_yticks(range(len(counts)), [text for _, _, text in report["top"]])
    axes.set_xlabel("times in this text")
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:,.0f}")
