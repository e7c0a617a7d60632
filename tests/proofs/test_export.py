"""What Transformers and llama.cpp compute and tokenize, held against the model they were given."""

import importlib.util
import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nielsgpt.config.settings import GenerationSettings, ModelSettings
from nielsgpt.conversation import prompt, render
from nielsgpt.export import gguf_file, hf_folder
from nielsgpt.export.chat_template import build_jinja_template
from nielsgpt.inference.generate import generate_all
from nielsgpt.model.gpt import GPT
from nielsgpt.model.variants import VARIANTS
from nielsgpt.tokenizers.base import Tokenizer
from tests.export.made import conversations, strings, trained
from tests.tokenizers.conftest import train_small

Lively = Callable[..., GPT]
KINDS = ["byte", "char", "bpe", "pieces bpe", "pieces unigram"]
HELD = [kind for kind in KINDS if kind != "pieces unigram"]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_variant = pytest.mark.parametrize("variant", VARIANTS)
heads = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
# The python of an environment that has llama-cpp-python, which is none of the project's packages.
LLAMA = os.environ.get("NIELSGPT_LLAMA_PYTHON", "")
CONTEXT = 128
TEXTS = [*(text for text in strings(3000, 3) if "\u2581" not in text)][:1000]

pytestmark = [
    pytest.mark.slow,
    # A library's own warnings are none of ours.
    pytest.mark.filterwarnings("default"),
]
transformers_there = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
llama_there = pytest.mark.skipif(not LLAMA, reason="NIELSGPT_LLAMA_PYTHON is not set")


def lively(variant: str, tokenizer: Tokenizer, decided: bool = False, **shape: Any) -> GPT:
    """A model whose every weight matters; `decided`: its next id is rarely a near tie, as in a
    trained one."""
    torch.manual_seed(11)
    size = {"n_layer": 3, "n_head": 4, "n_embd": 64, "context_length": CONTEXT, **shape}
    model = GPT(ModelSettings(variant=variant, **size), tokenizer.vocab_size)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
        if decided:
            model.head_weight.mul_(torch.randn(tokenizer.vocab_size, 1).mul(0.7).sub(1).exp())
    return model.eval()


def rows(vocab_size: int, count: int = 100) -> list[list[int]]:
    """Prompts of random ids; every tenth fills the context."""
    rng = random.Random(5)
    lengths = [CONTEXT if i % 10 == 0 else rng.randrange(1, CONTEXT) for i in range(count)]
    return [[rng.randrange(vocab_size) for _ in range(length)] for length in lengths]


def continued(model: GPT, prompts: list[list[int]], length: int) -> list[list[int]]:
    greedy = GenerationSettings(temperature=0.0, max_new_tokens=length)
    return [done.ids for done in generate_all(model, prompts, greedy, stop_ids=[])]


def replies(theirs: Any, prompts: list[list[int]]) -> list[list[int]]:
    """64 greedy ids after each of the prompts, which are equally long, whatever the ids."""
    ids = torch.tensor(prompts)
    theirs.generation_config.eos_token_id = None
    made_ids = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=64,
        suppress_tokens=None,
    )
    listed: list[list[int]] = made_ids[:, ids.size(1) :].tolist()
    return listed


@transformers_there
@heads
@every_variant
def test_transformers_computes_the_same_logits_and_greedy_text(
    variant: str, tied: bool, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    codec = train_small("pieces bpe")
    model = lively(variant, codec, tied=tied)
    hf_folder.write(trained(model, codec), tmp_path / "out", "float32", force=False)
    theirs, told = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype=torch.float32, output_loading_info=True
    )
    assert not any(told.values()), told
    prompts, worst = rows(codec.vocab_size), 0.0
    with torch.inference_mode():
        for row in prompts:
            ids = torch.tensor([row])
            worst = max(worst, float((theirs(ids).logits - model(ids)).abs().max()))
    print(f"{variant} tied={tied}: max |logit difference| {worst:.1e}")
    assert worst <= 1e-4
    for length in (1, 16, 40, CONTEXT - 64):
        short = [row[:length] for row in prompts if len(row) >= length][:25]
        assert replies(theirs, short) == continued(model, short, 64)


@transformers_there
@every_kind
def test_transformers_tokenizes_as_we_do(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    codec = train_small(kind)
    model = lively("gpt_qk", codec)
    hf_folder.write(trained(model, codec), tmp_path / "out", "float32", force=False)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    texts = strings(1000)
    assert [theirs(text)["input_ids"] for text in texts] == codec.encode_batch(texts)
    assert [theirs.decode(codec.encode(text)) for text in texts] == texts
    spelled = "a<|eot|>b<|usr|>"
    assert theirs(spelled, split_special_tokens=True)["input_ids"] == codec.encode(spelled)
    specials = codec.specials
    assert theirs("<|usr|><|eot|>")["input_ids"] == [specials.user, specials.end]
    assert (theirs.eos_token_id, theirs.bos_token_id) == (specials.end, None)
    for conversation in conversations(1000):
        messages = [{"role": m.role, "content": m.content} for m in conversation.messages]
        rendered = theirs.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
        assert rendered == prompt(conversation, codec.encode, codec.specials)


@transformers_there
@every_kind
def test_transformers_masks_what_the_assistant_says_in_batches_and_parts(
    kind: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    codec = train_small(kind)
    hf_folder.write(
        trained(lively("gpt_qk", codec), codec), tmp_path / "out", "float32", force=False
    )
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    whole = [c.with_message("assistant", "<|eot|> Aye.\n") for c in conversations(200)]
    messages = [
        [{"role": m.role, "content": [{"type": "text", "text": m.content}]} for m in c.messages]
        for c in whole
    ]
    made_ids = theirs.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True, padding=True
    )
    columns = (made_ids[name] for name in ("input_ids", "assistant_masks", "attention_mask"))
    for conversation, ids, mask, there in zip(whole, *columns, strict=True):
        kept = [
            (token, bool(said)) for token, said, read in zip(ids, mask, there, strict=True) if read
        ]
        assert kept == list(zip(*render(conversation, codec.encode, codec.specials), strict=True))
        assert sum(mask) == sum(said for _, said in kept)


def asked_of_llama(
    path: Path, model: GPT, tokenizer: Tokenizer, prompts: list[list[int]]
) -> dict[str, Any]:
    """What llama.cpp makes of the file: ids of texts, the largest error of a logit, greedy ids."""
    with torch.inference_mode():
        logits = [model(torch.tensor([row]))[0, -1].tolist() for row in prompts]
    job = {
        "file": str(path),
        "context": CONTEXT,
        "texts": TEXTS,
        "prompts": prompts,
        "logits": logits,
        "length": 64,
    }
    side = Path(__file__).resolve().parents[1] / "export" / "llama_side.py"
    done = subprocess.run(
        [LLAMA, str(side)], input=json.dumps(job), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@llama_there
@heads
@every_variant
def test_llama_cpp_computes_the_same_and_goes_on_with_the_same_ids(
    variant: str, tied: bool, tmp_path: Path
) -> None:
    codec = train_small("pieces bpe")
    model = lively(variant, codec, decided=True, tied=tied)
    gguf_file.write(trained(model, codec), tmp_path / "m.gguf", "f32", force=False)
    prompts = [row[: CONTEXT - 64] for row in rows(codec.vocab_size)]
    answer = asked_of_llama(tmp_path / "m.gguf", model, codec, prompts)
    pairs = zip(answer["replies"], continued(model, prompts, 64), strict=True)
    equal = sum(theirs == ours for theirs, ours in pairs)
    print(f"{variant} tied={tied}: max |logit difference| {answer['worst']:.1e}, equal {equal}")
    assert equal >= 95


@llama_there
@pytest.mark.parametrize(("dtype", "share"), [("f16", 0.05), ("q8_0", 0.5)])
@every_variant
def test_llama_cpp_opens_fewer_bits_too(
    variant: str, dtype: str, share: float, tmp_path: Path
) -> None:
    codec = train_small("pieces bpe")
    model = lively(variant, codec)
    gguf_file.write(trained(model, codec), tmp_path / "m.gguf", dtype, force=False)
    prompts = [row[: CONTEXT - 64] for row in rows(codec.vocab_size, 20)]
    answer = asked_of_llama(tmp_path / "m.gguf", model, codec, prompts)
    with torch.inference_mode():
        spread = max(float(model(torch.tensor([row])).std()) for row in prompts)
    print(f"{variant} {dtype}: max |logit difference| {answer['worst']:.1e} of {spread:.1f}")
    assert answer["worst"] <= share * spread


@llama_there
@pytest.mark.parametrize("kind", HELD)
def test_llama_cpp_tokenizes_as_we_do(kind: str, tmp_path: Path) -> None:
    codec = train_small(kind)
    model = lively("gpt_qk", codec)
    gguf_file.write(trained(model, codec), tmp_path / "m.gguf", "f32", force=False)
    answer = asked_of_llama(tmp_path / "m.gguf", model, codec, [[1]])
    pairs = zip(TEXTS, answer["ids"], strict=True)
    wrong = [text for text, ids in pairs if ids != codec.encode(text)]
    print(f"{kind}: {len(wrong)} of {len(TEXTS)} tokenized otherwise")
    assert not wrong
    special = codec.specials
    all_four = [special.system, special.user, special.assistant, special.end]
    assert answer["specials"] == all_four
    assert answer["template"] == build_jinja_template(for_transformers=False)
