"""Speed of the cache builder against the tokenizers' own batch encode on all cores, in one run.

python benchmarks/caches.py                       # on text that nielsgpt invents
python benchmarks/caches.py --text FILE           # on a file, repeated

The library only makes lists of ids; the builder also guards the text, picks sides, starts its
processes, writes files and checksums. Rounds alternate; medians of MB/s, and their ratio.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers

from nielsgpt.config import load
from nielsgpt.config.settings import Settings
from nielsgpt.conversation import Document
from nielsgpt.data.catalog import Source
from nielsgpt.data.primer import stories
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.data.sources.files import split_chunks
from nielsgpt.pipeline import build_caches
from nielsgpt.system.machine import core_count
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer

KINDS: dict[str, tuple[dict[str, str], int]] = {
    "SentencePiece bpe": ({"kind": "sentencepiece", "algorithm": "bpe"}, 8),
    "SentencePiece unigram": ({"kind": "sentencepiece", "algorithm": "unigram"}, 16),
    "HF BPE": ({"kind": "bpe"}, 4),
}
TRAINED_ON = 3_000_000


def main() -> None:
    """Print MB/s of both, and how the builder compares, for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="about so long for one build")
    parser.add_argument("--vocab-size", type=int, default=4096)
    asked = parser.parse_args()
    pool = texts(asked.text)
    print(f"{core_count()} cores, {asked.rounds} rounds, vocabulary {asked.vocab_size:,}")
    for name, (chosen, pace) in KINDS.items():
        settings = load.validate(
            {"tokenizer": {**chosen, "vocab_size": asked.vocab_size}}, "benchmark"
        )
        tokenizer = registry.train(settings.tokenizer, taken(pool, TRAINED_ON))
        documents = list(taken(pool, int(asked.seconds * pace * 1e6)))
        size = sum(len(text.encode()) for text in documents) / 1e6
        paces: dict[str, list[float]] = {"library": [], "builder": []}
        for _ in range(asked.rounds):
            paces["library"].append(size / seconds(library(tokenizer), documents))
            paces["builder"].append(size / seconds(builder(tokenizer, settings), documents))
        theirs, ours = (statistics.median(paces[who]) for who in paces)
        print(
            f"{name:22} {size:6.1f} MB  library {theirs:6.2f} MB/s  builder {ours:6.2f} MB/s  "
            f"{ours / theirs:6.1%}"
        )


def texts(path: Path | None) -> list[str]:
    """Documents of about 2,000 characters from the file, or of the primer's prose."""
    if path is not None:
        return [d.text for d in split_chunks(path, [path.read_text("utf-8")], 2000)]
    return list(itertools.islice(stories.prose(load_persona("personas/niels.json"), 0), 20_000))


def taken(pool: list[str], characters: int) -> Iterator[str]:
    """So many characters of the pool's texts, over and over."""
    for text in itertools.cycle(pool):
        if characters <= 0:
            return
        characters -= len(text)
        yield text


def seconds(work: Callable[[list[str]], Any], documents: list[str]) -> float:
    """How long the work on the documents takes."""
    began = time.perf_counter()
    work(documents)
    return time.perf_counter() - began


def library(tokenizer: Tokenizer) -> Callable[[list[str]], Any]:
    """The package's own batch encode, with a thread for each core."""
    (content,) = tokenizer.files().values()
    if tokenizer.kind == "sentencepiece":
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        return lambda documents: processor.encode(documents, num_threads=core_count())
    model = tokenizers.Tokenizer.from_buffer(content)

    def encode(documents: list[str]) -> list[list[int]]:
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        ids = [each.ids for each in model.encode_batch_fast(documents)]
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        return ids

    return encode


def builder(tokenizer: Tokenizer, settings: Settings) -> Callable[[list[str]], Any]:
    """A whole build of a source, in a folder of its own."""

    def build(documents: list[str]) -> None:
        source = Source("benchmark", [], lambda: map(Document, documents))
        with tempfile.TemporaryDirectory() as folder:
            build_caches.build_source(
                Workspace(Path(folder), settings), "pretrain", source, tokenizer
            )

    return build


if __name__ == "__main__":
    main()
