"""Export to GGUF, for llama.cpp, Ollama and LM Studio, with a Modelfile beside the file."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType, TokenType
from numpy.typing import NDArray

from nielsgpt.conversation import Specials
from nielsgpt.errors import RunError, TokenizerError
from nielsgpt.export.atomic_folder import check_replaceable, create_file
from nielsgpt.export.chat_template import build_jinja_template, build_modelfile
from nielsgpt.export.hf_configs import find_inner_width, find_norm_eps
from nielsgpt.export.tensors import export_tensors, find_family
from nielsgpt.export.token_table import TokenEntry, TokenKind, TokenTable, build_token_table
from nielsgpt.export.trained import TrainedModel
from nielsgpt.model.gpt import GPT
from nielsgpt.model.variants import VARIANTS
from nielsgpt.system.atomic_files import write_text
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.tokenizers.sentence_piece import SPACE

DTYPES = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
BLOCK = 32  # numbers that share a scale in q8_0
FLOAT32_NAMES = ("position_embd.weight",)  # float32 in llama.cpp, like all vectors
Array = NDArray[np.generic]
TYPES: dict[TokenKind, TokenType] = {
    "normal": TokenType.NORMAL,
    "unknown": TokenType.UNKNOWN,
    "control": TokenType.CONTROL,
    "byte": TokenType.BYTE,
}
UNREACHABLE = "<U+2581>"  # llama.cpp reads this character of a text as a space


def write(trained: TrainedModel, out: Path, dtype: str, force: bool) -> None:
    """Write the file, read it back, and write a Modelfile with its name beside it.

    Raises TokenizerError if llama.cpp does not support the tokenizer, DataError if another model's
    file is at `out`, RunError if the file differs when read back.
    """
    is_export, existing = _read_model_name(out)
    check_replaceable(out, trained.name, existing, is_export, force)
    table = build_supported_table(trained.tokenizer)
    with create_file(out) as path:
        writer = gguf.GGUFWriter(path, find_family(trained.model).gguf)
        _add_metadata(writer, trained, dtype)
        _add_shape(writer, trained.model)
        add_tokenizer(writer, table, trained.tokenizer.specials)
        writer.add_chat_template(build_jinja_template(for_transformers=False))
        for name, array, quantization in quantize_tensors(trained.model, dtype):
            writer.add_tensor(name, array, raw_dtype=quantization)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        verify_tensors(path, trained.model, dtype)
    modelfile = build_modelfile(out.name, trained.model.context_length, trained.generation)
    write_text(out.with_suffix(".Modelfile"), modelfile)


def quantize_tensors(model: GPT, dtype: str) -> Iterator[tuple[str, Array, GGMLQuantizationType]]:
    """Yields name, data and type of each tensor of the file.

    Vectors stay float32; matrices whose rows are not whole blocks of q8_0 are float16.
    """
    for name, tensor in export_tensors(model, "gguf"):
        quantization = DTYPES[dtype][0]
        if tensor.dim() == 1 or name in FLOAT32_NAMES:
            quantization = GGMLQuantizationType.F32
        elif quantization == GGMLQuantizationType.Q8_0 and tensor.size(-1) % BLOCK:
            quantization = GGMLQuantizationType.F16
        yield name, gguf.quants.quantize(tensor.cpu().numpy(), quantization), quantization


def verify_tensors(path: Path, model: GPT, dtype: str) -> None:
    """Raise RunError unless the file has exactly the model's tensors, bit for bit."""
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    for name, array, quantization in quantize_tensors(model, dtype):
        tensor = tensors.pop(name, None)
        is_same = tensor is not None and tensor.tensor_type == quantization
        if tensor is None or not is_same or not np.array_equal(tensor.data, array):
            raise RunError(f"{path}: {name} differs from what was written; check memory and disk")
    if tensors:
        raise RunError(f"{path} has {min(tensors)}, which is not a tensor of the model")


def _read_model_name(out: Path) -> tuple[bool, str | None]:
    """True if a GGUF file is there, and the name of its model."""
    try:
        field = gguf.GGUFReader(out).get_field("general.name")
    except (OSError, ValueError, IndexError):
        return False, None
    return True, None if field is None else str(field.contents())


def _add_metadata(writer: gguf.GGUFWriter, trained: TrainedModel, dtype: str) -> None:
    writer.add_type("model")
    writer.add_name(trained.name)
    sha256 = str(trained.metadata["weights_sha256"])
    writer.add_description(f"trained from scratch with nielsgpt; weights {sha256}")
    writer.add_file_type(DTYPES[dtype][1])
    if dtype == "q8_0":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_shape(writer: gguf.GGUFWriter, model: GPT) -> None:
    shape, variant = model.shape, VARIANTS[model.shape.variant]
    writer.add_vocab_size(model.vocab_size)
    writer.add_context_length(model.context_length)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(find_inner_width(model))
    writer.add_head_count(shape.n_head)
    if variant.norm == "layer":
        writer.add_layer_norm_eps(find_norm_eps(model))
    else:
        writer.add_layer_norm_rms_eps(find_norm_eps(model))
        writer.add_head_count_kv(shape.n_head)
        writer.add_key_length(model.head_width)
        writer.add_value_length(model.head_width)
    if variant.position == "rotary":
        writer.add_rope_dimension_count(model.head_width)
        writer.add_rope_freq_base(shape.rope_theta)
    if find_family(model).gguf == "gptneox":
        writer.add_parallel_residual(False)


def build_supported_table(tokenizer: Tokenizer) -> TokenTable:
    """The vocabulary of a tokenizer for which llama.cpp gives the same ids, else TokenizerError."""
    if tokenizer.kind == "word":
        raise _list_unsupported("kind word")
    table = build_token_table(tokenizer)
    if table.format == "unigram":
        raise _list_unsupported("algorithm unigram")
    return table


def add_tokenizer(writer: gguf.GGUFWriter, table: TokenTable, specials: Specials) -> None:
    """Write the vocabulary and the special tokens; no token is added before or after a text."""
    if table.format == "pieces":
        writer.add_tokenizer_model("llama")
        writer.add_token_list([_mark_spaces(entry) for entry in table.entries])
        writer.add_token_scores([entry.score for entry in table.entries])
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list([entry.text for entry in table.entries])
        # llama.cpp refuses a file without merges; no text has two bytes FF, so this never applies.
        never = (table.entries[0xFF].text, table.entries[0xFF].text)
        writer.add_token_merges([" ".join(pair) for pair in table.merges or (never,)])
    writer.add_token_types([TYPES[entry.kind] for entry in table.entries])
    writer.add_bos_token_id(specials.end)
    writer.add_eos_token_id(specials.end)
    writer.add_eot_token_id(specials.end)
    writer.add_pad_token_id(specials.end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _mark_spaces(entry: TokenEntry) -> str:
    if entry.kind != "normal":
        return entry.text
    return UNREACHABLE if entry.text == SPACE else entry.text.replace(" ", SPACE)


def _list_unsupported(feature: str) -> TokenizerError:
    return TokenizerError(
        f"llama.cpp does not support a tokenizer of {feature}; use --to hf, or train "
        "one of kind sentencepiece with algorithm bpe, or of kind bpe, char or byte"
    )
