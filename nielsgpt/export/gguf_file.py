"""A GGUF file that llama.cpp opens, and with it Ollama and LM Studio; a Modelfile beside it."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType
from numpy.typing import NDArray

from nielsgpt.errors import RunError
from nielsgpt.export import gguf_tokenizer
from nielsgpt.export.atomic_folder import check_place, new_file
from nielsgpt.export.chat_template import jinja, modelfile
from nielsgpt.export.hf_configs import eps, inner
from nielsgpt.export.tensors import export_tensors, family_of
from nielsgpt.export.trained import TrainedModel
from nielsgpt.model.gpt import GPT
from nielsgpt.model.variants import VARIANTS
from nielsgpt.system.workspace import write_text

DTYPES = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
BLOCK = 32  # numbers that share a scale in q8_0
WHOLE = ("position_embd.weight",)  # what llama.cpp keeps in float32 besides vectors
Numbers = NDArray[np.generic]


def write(trained: TrainedModel, out: Path, dtype: str, force: bool) -> None:
    """Write the file, read it back, and write a Modelfile of its name beside it.

    Raises TokenizerError where llama.cpp has no form for the tokenizer, DataError where another
    model's file lies at `out`, RunError where what is read back is not what was written.
    """
    is_export, held = _check_held(out)
    check_place(out, trained.name, held, is_export, force)
    words = gguf_tokenizer.spell_tokens(trained.tokenizer)
    with new_file(out) as path:
        writer = gguf.GGUFWriter(path, family_of(trained.model).gguf)
        _describe(writer, trained, dtype)
        _shape(writer, trained.model)
        gguf_tokenizer.add(writer, words, trained.tokenizer.specials)
        writer.add_chat_template(jinja(parts=False))
        for name, numbers, kind in choose_dtype(trained.model, dtype):
            writer.add_tensor(name, numbers, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        check(path, trained.model, dtype)
    told = modelfile(out.name, trained.model.context_length, trained.generation)
    write_text(out.with_suffix(".Modelfile"), told)


def choose_dtype(model: GPT, dtype: str) -> Iterator[tuple[str, Numbers, GGMLQuantizationType]]:
    """Name, numbers as they lie in the file, and their kind: vectors stay float32, and rows that
    q8_0 cannot cut into blocks are float16."""
    for name, tensor in export_tensors(model, "gguf"):
        kind = DTYPES[dtype][0]
        if tensor.dim() == 1 or name in WHOLE:
            kind = GGMLQuantizationType.F32
        elif kind == GGMLQuantizationType.Q8_0 and tensor.size(-1) % BLOCK:
            kind = GGMLQuantizationType.F16
        yield name, gguf.quants.quantize(tensor.cpu().numpy(), kind), kind


def check(path: Path, model: GPT, dtype: str) -> None:
    """Raise RunError unless the file holds exactly the model's tensors, number for number."""
    left = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    for name, numbers, kind in choose_dtype(model, dtype):
        found = left.pop(name, None)
        if found is None or found.tensor_type != kind or not np.array_equal(found.data, numbers):
            raise RunError(f"{name} did not come back from {path} as it was written")
    if left:
        raise RunError(f"{path} holds {min(left)}, which is no tensor of the model")


def _check_held(out: Path) -> tuple[bool, str | None]:
    """Whether a GGUF file lies there, and the name of its model."""
    try:
        field = gguf.GGUFReader(out).get_field("general.name")
    except (OSError, ValueError, IndexError):
        return False, None
    return True, None if field is None else str(field.contents())


def _describe(writer: gguf.GGUFWriter, trained: TrainedModel, dtype: str) -> None:
    writer.add_type("model")
    writer.add_name(trained.name)
    weights = str(trained.facts["weights_sha256"])
    writer.add_description(f"trained from scratch with nielsgpt; weights {weights}")
    writer.add_file_type(DTYPES[dtype][1])
    if dtype == "q8_0":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _shape(writer: gguf.GGUFWriter, model: GPT) -> None:
    shape, variant = model.shape, VARIANTS[model.shape.variant]
    writer.add_vocab_size(model.vocab_size)
    writer.add_context_length(model.context_length)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(inner(model))
    writer.add_head_count(shape.n_head)
    if variant.norm == "layer":
        writer.add_layer_norm_eps(eps(model))
    else:
        writer.add_layer_norm_rms_eps(eps(model))
        writer.add_head_count_kv(shape.n_head)
        writer.add_key_length(model.head_width)
        writer.add_value_length(model.head_width)
    if variant.position == "rotary":
        writer.add_rope_dimension_count(model.head_width)
        writer.add_rope_freq_base(shape.rope_theta)
    if family_of(model).gguf == "gptneox":
        writer.add_parallel_residual(False)
