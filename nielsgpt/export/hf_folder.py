"""A folder that Transformers opens by itself: AutoModelForCausalLM and AutoTokenizer."""

import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nielsgpt.errors import DataError, RunError, TokenizerError
from nielsgpt.export import hf_configs, model_card
from nielsgpt.export.atomic_folder import check_place, new_folder
from nielsgpt.export.hf_tokenizer import tokenizer_config, tokenizer_json
from nielsgpt.export.tensors import export_tensors
from nielsgpt.export.token_table import vocabulary
from nielsgpt.export.trained import TrainedModel
from nielsgpt.model.gpt import GPT
from nielsgpt.system.workspace import sync_file, write_json, write_text

log = logging.getLogger("nielsgpt")
WEIGHTS = "model.safetensors"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def write(trained: TrainedModel, out: Path, dtype: str, force: bool) -> None:
    """Write the export and read its weights back.

    Raises DataError where another model's export, or something else, lies at `out`; RunError where
    a tensor did not come back as it was.
    """
    is_export, held = _check_held(out)
    check_place(out, trained.name, held, is_export, force)
    model, specials = trained.model, trained.tokenizer.specials
    with new_folder(out) as folder:
        write_json(folder / "config.json", hf_configs.config(model, specials, dtype))
        generation = hf_configs.generation_config(trained.generation, specials)
        write_json(folder / "generation_config.json", generation)
        opens = _write_tokenizer(trained, folder)
        write_text(folder / "README.md", model_card.text(trained, dtype, opens))
        _write_weights(trained, folder / WEIGHTS, DTYPES[dtype])
        check(folder, model, DTYPES[dtype])


def check(folder: Path, model: GPT, dtype: torch.dtype) -> None:
    """Raise RunError unless the folder holds exactly the model's tensors, number for number."""
    path = folder / WEIGHTS
    with safe_open(path, framework="pt") as file:
        left = set(file.keys())
        for name, tensor in export_tensors(model, "hf"):
            if name not in left or not _same(file.get_tensor(name), tensor.to(dtype)):
                raise RunError(f"{name} did not come back from {path} as it was written")
            left.remove(name)
    if left:
        raise RunError(f"{path} holds {sorted(left)[0]}, which is no tensor of the model")


def _check_held(out: Path) -> tuple[bool, str | None]:
    """Whether an export lies there, and the name of its model."""
    try:
        with safe_open(out / WEIGHTS, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        return False, None
    return "nielsgpt" in metadata, metadata.get("nielsgpt")


def _write_weights(trained: TrainedModel, path: Path, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in export_tensors(trained.model, "hf")}
    too_large = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if too_large:
        damaged = "has numbers that are not finite, so it is damaged; name another checkpoint"
        wide = f"has numbers that {dtype} cannot hold; use --dtype float32"
        raise DataError(f"{too_large[0]} {damaged if dtype == torch.float32 else wide}")
    weights = str(trained.facts["weights_sha256"])
    metadata = {"format": "pt", "nielsgpt": trained.name, "weights_sha256": weights}
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        raise RunError(f"{path} could not be written: {error}; free some space") from None
    _normalize_header(path)
    path.chmod((path.parent / "config.json").stat().st_mode)  # the library hides it from others
    sync_file(path)


def _normalize_header(path: Path) -> None:
    """Sort the metadata, which the library writes in any order: the same model, the same bytes."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(text) <= size, "the sorted header is longer than the library's"
        file.seek(8)
        file.write(text.ljust(size))


def _write_tokenizer(trained: TrainedModel, folder: Path) -> bool:
    """Write the tokenizer where it has a form there; else say so and keep its own files."""
    try:
        text = tokenizer_json(vocabulary(trained.tokenizer))
    except TokenizerError as error:
        log.warning("%s: the weights alone open in Transformers, by ids", error)
        own = {name: content.decode() for name, content in trained.tokenizer.files().items()}
        for name, content in own.items():
            write_text(folder / name, content)
        return False
    write_text(folder / "tokenizer.json", text)
    chat = tokenizer_config(trained.model.context_length)
    write_text(folder / "tokenizer_config.json", json.dumps(chat, indent=2) + "\n")
    return True


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
