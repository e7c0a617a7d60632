"""Encoding speed of each kind of tokenizer beside its library's own batch encode, on one core.

    python benchmarks/encode.py data/raw/wikitext.txt
    python benchmarks/encode.py --vocab-size 8192 --rounds 9 books/*.txt

The tokenizers are trained on the text itself. Library, lists and arrays are timed in turns, round
after round; a share is the median of the rounds' ratios. Also printed: tokens per byte, with which
docs/tokenizers.md compares the kinds.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nielsgpt.config.settings import TokenizerSettings
from nielsgpt.data.sources.files import cut_chunks, read_text
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer

KINDS: dict[str, dict[str, Any]] = {
    "byte": {"kind": "byte"},
    "char": {"kind": "char"},
    "word": {"kind": "word"},
    "bpe": {"kind": "bpe"},
    "sentencepiece bpe": {"kind": "sentencepiece", "algorithm": "bpe"},
    "sentencepiece unigram": {"kind": "sentencepiece", "algorithm": "unigram"},
}


def seconds(work: Callable[[], object]) -> float:
    """How long it takes once."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def library(tokenizer: Tokenizer, texts: list[str]) -> Callable[[], object] | None:
    """The library's own way to encode a batch, without a check or a change of ours."""
    if tokenizer.library == "sentencepiece":
        processor = tokenizer._processor  # type: ignore[attr-defined]
        return lambda: processor.encode(texts, num_threads=1)
    if tokenizer.library == "tokenizers":
        inner = tokenizer._inner  # type: ignore[attr-defined]
        return lambda: [e.ids for e in inner.encode_batch_fast(texts, add_special_tokens=False)]
    return None


def main() -> None:
    """Train each kind on the files, time it, print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    texts = [text for file in options.files for text in cut_chunks([read_text(file)], 4000)]
    size = sum(len(text.encode()) for text in texts)
    print(f"{size:,} bytes in {len(texts)} texts, {options.vocab_size:,} ids, MB/s on one core")
    print(
        f"{'':22} {'ids':>6} {'tokens/byte':>11} {'lists':>7} {'arrays':>7} {'library':>8}  share"
    )
    for name, chosen in KINDS.items():
        asked = TokenizerSettings(vocab_size=options.vocab_size, **chosen)
        tokenizer = registry.train(asked, texts)
        tokens = len(tokenizer.encode_arrays(texts)[0])
        ways = [
            lambda t=tokenizer: t.encode_batch(texts),
            lambda t=tokenizer: t.encode_arrays(texts),
        ]
        own = library(tokenizer, texts)
        ways += [own] if own else []
        rounds = [[seconds(way) for way in ways] for _ in range(options.rounds)]
        rates = [size / 1e6 / statistics.median(times) for times in zip(*rounds, strict=True)]
        shares = [statistics.median(r[2] / r[way] for r in rounds) for way in (0, 1) if own]
        told = f"{rates[2]:8.1f}  {shares[0]:.0%} lists, {shares[1]:.0%} arrays" if own else ""
        print(
            f"{name:22} {tokenizer.vocab_size:>6,} {tokens / size:>11.4f} "
            f"{rates[0]:7.1f} {rates[1]:7.1f} {told}"
        )


if __name__ == "__main__":
    main()
