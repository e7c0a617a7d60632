"""Export to a folder for AutoModelForCausalLM and AutoTokenizer of Transformers."""

import json
import logging
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from torch import Tensor

from nielsgpt.conversation import SPECIAL_TEXTS
from nielsgpt.errors import DataError, RunError, TokenizerError
from nielsgpt.export import hf_configs, model_card
from nielsgpt.export.atomic_folder import check_replaceable, create_folder
from nielsgpt.export.chat_template import END, OPENING, SPLIT_OPENING, build_jinja_template
from nielsgpt.export.tensors import export_tensors
from nielsgpt.export.token_table import TokenTable, build_token_table
from nielsgpt.export.trained import TrainedModel
from nielsgpt.model.gpt import GPT
from nielsgpt.system.atomic_files import sync_file, write_json, write_text

log = logging.getLogger("nielsgpt")
WEIGHTS = "model.safetensors"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# A unigram model matches pieces of any kind in a text; splitting the text prevents that.
SPECIAL_PIECES = r"<(?=0x[0-9A-F]{2}>|unk>|\|(?:sys|usr|asst|eot)\|>)"
UNREACHABLE_SCORE = -1e6  # of pieces that text never becomes


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


def build_tokenizer_json(table: TokenTable) -> str:
    """The content of tokenizer.json."""
    builders = {"pieces": _build_pieces, "unigram": _build_unigram, "bytes": _build_bytes}
    tokenizer = builders[table.format](table)
    tokenizer.normalizer = normalizers.Replace(SPLIT_OPENING, OPENING)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL_TEXTS])
    text: str = tokenizer.to_str(pretty=False)
    return text


def build_tokenizer_config(context_length: int) -> dict[str, Any]:
    """The content of tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": END,
        "additional_special_tokens": [text for text in SPECIAL_TEXTS if text != END],
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "chat_template": build_jinja_template(for_transformers=True),
    }


def _build_pieces(table: TokenTable) -> tokenizers.Tokenizer:
    merges = list(table.merges)
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=table.ids, merges=merges, byte_fallback=True))
    tokenizer.decoder = _build_decoder()
    return tokenizer


def _build_unigram(table: TokenTable) -> tokenizers.Tokenizer:
    pieces = [
        (entry.text, entry.score if entry.kind == "normal" else UNREACHABLE_SCORE)
        for entry in table.entries
    ]
    tokenizer = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(SPECIAL_PIECES), "merged_with_previous")
    tokenizer.decoder = _build_decoder()
    return tokenizer


def _build_bytes(table: TokenTable) -> tokenizers.Tokenizer:
    merges = list(table.merges)
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=table.ids, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=bool(merges)
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _build_decoder() -> decoders.Decoder:
    return decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
