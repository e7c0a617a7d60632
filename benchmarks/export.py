"""What llama.cpp says of an exported checkpoint: logits, 64 greedy ids, ids of texts.

    python benchmarks/export.py checkpoints/quickstart/best.pt /path/to/python README.md

The second word is a Python that has llama-cpp-python; the others are texts to cut prompts from.
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

import torch

from nielsgpt.config import load
from nielsgpt.config.settings import GenerationSettings
from nielsgpt.export import gguf_file
from nielsgpt.export.trained import open_trained
from nielsgpt.inference.generate import generate_all
from nielsgpt.system.workspace import Workspace

SIDE = Path(__file__).resolve().parents[1] / "tests" / "export" / "llama_side.py"
LENGTH = 64


def main() -> None:
    """Print one line for each dtype."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("python")
    parser.add_argument("texts", type=Path, nargs="+")
    asked = parser.parse_args()
    trained = open_trained(Workspace(Path(), load.validate({}, "defaults")), asked.checkpoint)
    model, tokenizer, rng = trained.model, trained.tokenizer, random.Random(0)
    whole = "\n".join(path.read_text(encoding="utf-8") for path in asked.texts)
    starts = (rng.randrange(len(whole) - 200) for _ in range(1000))
    texts = [whole[start : start + rng.randrange(1, 200)] for start in starts]
    most = model.context_length - LENGTH
    prompts = [tokenizer.encode(text)[:most] for text in texts if text.strip()][:100]
    greedy = GenerationSettings(temperature=0.0, max_new_tokens=LENGTH)
    ours = [done.ids for done in generate_all(model, prompts, greedy, stop_ids=[])]
    with torch.inference_mode():
        logits = [model(torch.tensor([row]))[0, -1].tolist() for row in prompts]
    job = {"context": model.context_length, "length": LENGTH}
    job |= {"texts": texts, "prompts": prompts, "logits": logits}
    for dtype in gguf_file.DTYPES:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.gguf"
            gguf_file.write(trained, file, dtype, force=False)
            done = subprocess.run(
                [asked.python, str(SIDE)],
                input=json.dumps({**job, "file": str(file)}),
                capture_output=True,
                text=True,
                check=True,
            )
        answer = json.loads(done.stdout)
        equal = sum(one == other for one, other in zip(answer["replies"], ours, strict=True))
        pairs = zip(texts, answer["ids"], strict=True)
        wrong = sum(tokenizer.encode(text) != ids for text, ids in pairs)
        print(
            f"{dtype}: max |logit difference| {answer['worst']:.1e}; greedy equal {equal} of "
            f"{len(prompts)}; tokenized otherwise {wrong} of {len(texts)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
