"""Export to a folder for AutoModelForCausalLM and AutoTokenizer of Transformers."""

import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nielsgpt.errors import DataError, RunError, TokenizerError
from nielsgpt.export import hf_configs, model_card
from nielsgpt.export.atomic_folder import check_replaceable, create_folder
from nielsgpt.export.hf_tokenizer import build_tokenizer_config, build_tokenizer_json
from nielsgpt.export.tensors import export_tensors
from nielsgpt.export.token_table import build_token_table
from nielsgpt.export.trained import TrainedModel
from nielsgpt.model.gpt import GPT
from nielsgpt.system.atomic_files import sync_file, write_json, write_text

log = logging.getLogger("nielsgpt")
WEIGHTS = "model.safetensors"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def write(trained: TrainedModel, out: Path, dtype: str, force: bool) -> None:
    """Write the export and read its weights back.

    Raises DataError if something other than an export of this model is at `out`, RunError if a
    tensor differs when read back.
    """
    is_export, existing = _read_model_name(out)
    check_replaceable(out, trained.name, existing, is_export, force)
    model, specials = trained.model, trained.tokenizer.specials
    with create_folder(out) as folder:
        write_json(folder / "config.json", hf_configs.build_config(model, specials, dtype))
        generation = hf_configs.build_generation_config(trained.generation, specials)
        write_json(folder / "generation_config.json", generation)
        has_tokenizer = _write_tokenizer(trained, folder)
        write_text(folder / "README.md", model_card.build_card(trained, dtype, has_tokenizer))
        _write_weights(trained, folder / WEIGHTS, DTYPES[dtype])
        verify_tensors(folder, model, DTYPES[dtype])


def verify_tensors(folder: Path, model: GPT, dtype: torch.dtype) -> None:
    """Raise RunError unless the folder has exactly the model's tensors, bit for bit."""
    path = folder / WEIGHTS
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        for name, tensor in export_tensors(model, "hf"):
            if name not in names or not _is_same(file.get_tensor(name), tensor.to(dtype)):
                raise RunError(
                    f"{path}: {name} differs from what was written; check memory and disk"
                )
            names.remove(name)
    if names:
        raise RunError(f"{path} has {min(names)}, which is not a tensor of the model")


def _read_model_name(out: Path) -> tuple[bool, str | None]:
    """True if an export is there, and the name of its model."""
    try:
        with safe_open(out / WEIGHTS, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        return False, None
    return "nielsgpt" in metadata, metadata.get("nielsgpt")


def _write_weights(trained: TrainedModel, path: Path, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in export_tensors(trained.model, "hf")}
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            reason = f"has numbers beyond the range of {dtype}; use --dtype float32"
            if dtype == torch.float32:
                reason = (
                    "has numbers that are not finite, so it is damaged; name another checkpoint"
                )
            raise DataError(f"{name} {reason}")
    sha256 = str(trained.metadata["weights_sha256"])
    metadata = {"format": "pt", "nielsgpt": trained.name, "weights_sha256": sha256}
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        raise RunError(f"{path} could not be written: {error}; free some space") from None
    _normalize_header(path)
    path.chmod(
        (path.parent / "config.json").stat().st_mode
    )  # the library lets only the owner read it
    sync_file(path)


def _normalize_header(path: Path) -> None:
    """Sort the metadata, so that the same model gives the same bytes; the library does not."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(text) <= size, "the sorted header is longer than the library's"
        file.seek(8)
        file.write(text.ljust(size))


def _write_tokenizer(trained: TrainedModel, folder: Path) -> bool:
    """Write tokenizer.json and return True; if Transformers lacks such a tokenizer, write its own
    files, log a warning and return False."""
    try:
        text = build_tokenizer_json(build_token_table(trained.tokenizer))
    except TokenizerError as error:
        log.warning("%s; Transformers opens the weights alone, which take ids", error)
        for name, content in trained.tokenizer.files().items():
            write_text(folder / name, content.decode())
        return False
    write_text(folder / "tokenizer.json", text)
    config = build_tokenizer_config(trained.model.context_length)
    write_text(folder / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    return True


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
