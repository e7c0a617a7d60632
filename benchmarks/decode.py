"""Reply speed side by side: nielsgpt in each form of its weights, Transformers, llama.cpp.

    python benchmarks/decode.py                                # model R, random weights
    python benchmarks/decode.py --llama /path/to/python        # a Python that has llama-cpp-python
    python benchmarks/decode.py --checkpoint checkpoints/mine/best.pt --text held_out.txt

256 tokens drawn greedily after one, the first token after a prompt of 200, 16 replies at once, the
second turn of a chat. Every way runs in a process of its own, in turns, round after round, from
the same exported weights; the medians are compared. With a text: the bits per byte of each form.
"""

import argparse
import importlib.util
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NEW, PROMPT, STREAMS, THREADS = 256, 200, 16, 2
FORMS = ("float32", "bfloat16", "int8")
Figures = dict[str, float]


def _timed(run: Callable[[], Any], count: int = 1) -> float:
    """Seconds of one run, the least of `count`."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)


def ours(folder: Path, form: str) -> Figures:
    """nielsgpt, from the checkpoint."""
    import torch

    from nielsgpt.checkpoint import checkpoint_file, load_model
    from nielsgpt.config.settings import GenerationSettings
    from nielsgpt.inference import compiled_decode
    from nielsgpt.inference.batcher import Batcher, GenerationRequest
    from nielsgpt.inference.generate import generate_all, stream_ids
    from nielsgpt.inference.quantize import convert_weights
    from nielsgpt.inference.sampling import make_generator

    torch.set_num_threads(THREADS)
    model, _ = load_model.restore_model(checkpoint_file.load(folder / "model.pt"))
    form, _, compiled = form.partition(" ")
    model = convert_weights(model.eval(), form)  # type: ignore[arg-type]
    if compiled:
        model.step = compiled_decode.compile_decode(model)
    new = min(NEW, model.context_length) - 1
    prompt = [i % model.vocab_size for i in range(min(PROMPT, model.context_length // 2))]

    def reply(prompt: Sequence[int], count: int, batch: Batcher | None = None) -> list[int]:
        sampling = GenerationSettings(max_new_tokens=count, temperature=0.0)
        asked = GenerationRequest(tuple(prompt), sampling, make_generator(0))
        return list(stream_ids(batch or Batcher(model, 1), asked))

    def together() -> None:
        sampling = GenerationSettings(max_new_tokens=new, temperature=0.0)
        generate_all(model, [[i + 1] for i in range(STREAMS)], sampling, stop_ids=())

    def second_turn() -> float:
        batch = Batcher(model, 1)
        first = prompt + reply(prompt, 16, batch)
        return _timed(lambda: reply([*first, 1, 2, 3], 1, batch))

    _timed(lambda: reply([1], new))  # warms up, and compiles
    return {
        "tokens_per_s": new / _timed(lambda: reply([1], new)),
        "first_token_ms": 1e3 * _timed(lambda: reply(prompt, 1), 5),
        "next_turn_ms": 1e3 * statistics.median(second_turn() for _ in range(5)),
        "streams_tokens_per_s": STREAMS * new / _timed(together),
    }


def transformers(folder: Path, _: str) -> Figures:
    """Transformers' generate, from the exported folder."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(THREADS)
    model = AutoModelForCausalLM.from_pretrained(folder / "hf").eval()
    new = min(NEW, model.config.max_position_embeddings) - 1

    def reply(prompt: list[int], count: int, rows: int = 1) -> None:
        ids = torch.tensor([prompt] * rows)
        mask = torch.ones_like(ids)
        plain = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None}
        model.generate(ids, attention_mask=mask, max_new_tokens=count, **plain)

    reply([1], 16)
    prompt = list(range(min(PROMPT, model.config.max_position_embeddings // 2)))
    return {
        "tokens_per_s": new / _timed(lambda: reply([1], new)),
        "first_token_ms": 1e3 * _timed(lambda: reply(prompt, 1), 3),
        "streams_tokens_per_s": STREAMS * new / _timed(lambda: reply([1], new, STREAMS)),
    }


def llama(folder: Path, dtype: str) -> Figures:
    """llama.cpp through llama-cpp-python, from the exported file; the argmax is NumPy's."""
    import llama_cpp  # type: ignore[import-not-found]

    model = llama_cpp.Llama(
        str(folder / f"model-{dtype}.gguf"),
        n_ctx=0,
        n_threads=THREADS,
        n_threads_batch=THREADS,
        verbose=False,
    )
    new = min(NEW, model.n_ctx()) - 1

    def reply(prompt: list[int], count: int) -> None:
        model.reset()
        token = prompt
        for _ in range(count):
            model.eval(token)
            token = [_argmax(model._ctx.get_logits(), model.n_vocab())]

    reply([1], 16)
    prompt = list(range(min(PROMPT, model.n_ctx() // 2)))
    return {
        "tokens_per_s": new / _timed(lambda: reply([1], new)),
        "first_token_ms": 1e3 * _timed(lambda: reply(prompt, 1), 3),
    }


def _argmax(logits: Any, count: int) -> int:
    import numpy as np

    return int(np.ctypeslib.as_array(logits, shape=(count,)).argmax())


SIDES: dict[str, Callable[[Path, str], Figures]] = {
    "nielsgpt": ours,
    "transformers": transformers,
    "llama.cpp": llama,
}


def prepare(folder: Path, given: Path | None, llama_too: bool) -> None:
    """The same weights as a checkpoint, for Transformers and for llama.cpp."""
    import shutil

    from nielsgpt.config import load
    from nielsgpt.export import gguf_file, hf_folder
    from nielsgpt.export.trained import open_trained
    from nielsgpt.system.workspace import Workspace

    if given is None:
        _invent(folder / "model.pt")
    else:
        shutil.copyfile(given, folder / "model.pt")
    workspace = Workspace(folder, load.validate({}, "defaults"))
    trained = open_trained(workspace, folder / "model.pt")
    hf_folder.write(trained, folder / "hf", "float32", False)
    for dtype in ("f32", "f16") if llama_too else ():
        gguf_file.write(trained, folder / f"model-{dtype}.gguf", dtype, False)


def _invent(path: Path) -> None:
    """Model R: 6 blocks, 6 heads, width 384, context 256, 16,000 ids, tied; random weights."""
    import torch

    from nielsgpt.checkpoint import checkpoint_file, load_model
    from nielsgpt.config.load import validate
    from nielsgpt.config.settings import ModelSettings
    from nielsgpt.model.gpt import GPT
    from nielsgpt.tokenizers import bpe

    rng = random.Random(0)
    syllables = [a + b for a in "bcdfghjklmnprstvwxz" for b in "aeiou"]
    words = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(60_000)]
    codec = bpe.train([" ".join(rng.choices(words, k=200)) for _ in range(600)], 16_000)
    shape = ModelSettings(variant="gpt_plus", n_layer=6, n_head=6, n_embd=384, context_length=NEW)
    torch.manual_seed(0)
    model = GPT(shape, codec.vocab_size)
    for weight in model.parameters():
        if weight.dim() == 2:
            torch.nn.init.normal_(weight, std=0.05)
    settings = validate({"name": "r", "model": shape.model_dump()}, "model R")
    facts = {"name": "r", "phase": "pretrain", "origin": {}, "shape": shape.model_dump()}
    facts["numbers"] = {"batch_size": 1, "mix": {}}
    state = {
        "step": 0,
        "settings": settings.model_dump(mode="json"),
        "tokenizer": load_model.pack_tokenizer(codec),
        "weights": model.state_dict(),
        "facts": facts,
    }
    checkpoint_file.save(path, state)


def bits_per_byte(folder: Path, form: str, text: Path) -> float:
    """Of a text under one form, in windows of the whole context."""
    import torch

    from nielsgpt.checkpoint import checkpoint_file, load_model
    from nielsgpt.inference.quantize import convert_weights

    model, codec = load_model.restore_model(checkpoint_file.load(folder / "model.pt"))
    model = convert_weights(model.eval(), form)  # type: ignore[arg-type]
    whole = text.read_text(encoding="utf-8")
    ids, context = codec.encode(whole), model.context_length
    nats = 0.0
    with torch.inference_mode():
        for start in range(0, len(ids) - 1, context):
            window = torch.tensor(ids[start : start + context + 1])
            logits = model(window[None, :-1])[0]
            nats += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
    return nats / math.log(2) / len(whole.encode())


def main() -> None:
    """Measure one side, or all of them in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--llama", metavar="PYTHON")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        name, _, form = asked.side.partition(" ")
        print(json.dumps(SIDES[name](asked.folder, form)))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), asked)


def compare(folder: Path, asked: argparse.Namespace) -> None:
    """Print a line for each side: the medians of the rounds."""
    prepare(folder, asked.checkpoint, bool(asked.llama))
    pythons = {f"nielsgpt {form}": sys.executable for form in (*FORMS, "int8 compiled")}
    if importlib.util.find_spec("transformers"):
        pythons["transformers"] = sys.executable
    for dtype in ("f32", "f16") if asked.llama else ():
        pythons[f"llama.cpp {dtype}"] = asked.llama
    rounds: dict[str, list[Figures]] = {side: [] for side in pythons}
    for _ in range(asked.rounds):
        for side, python in pythons.items():
            words = [python, __file__, "--side", side, "--folder", str(folder)]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{side}: {done.stderr.strip()[-500:]}")
            rounds[side].append(json.loads(done.stdout.splitlines()[-1]))
    for side, figures in rounds.items():
        medians = {key: statistics.median(f[key] for f in figures) for key in figures[0]}
        told = "  ".join(f"{key} {value:.1f}" for key, value in medians.items())
        print(f"{side:22} {told}", flush=True)
    for form in FORMS if asked.text else ():
        print(f"nielsgpt {form:9} {bits_per_byte(folder, form, asked.text):.4f} bits per byte")


if __name__ == "__main__":
    main()
