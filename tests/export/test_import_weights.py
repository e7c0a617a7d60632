"""An export turned back: the same state, to the last bit, for every variant and tokenizer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.errors import DataError
from nielsgpt.export import hf_folder, nielsgpt_json
from nielsgpt.export.tensor_map import FAMILIES
from nielsgpt.export.tensors import FROM_LAYOUT, LAYOUTS, read_weights
from nielsgpt.model.gpt import GPT
from nielsgpt.model.variants import VARIANTS
from nielsgpt.tokenizers.base import Tokenizer
from tests.export.made import trained
from tests.tokenizers.conftest import SIZES, train_small

Lively = Callable[..., GPT]


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_imported_export_gives_the_same_logits(
    variant: str, tied: bool, tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively(variant, tied=tied, n_head=4)
    hf_folder.write(trained(model, pieced), tmp_path / "out", "float32", force=False)
    nielsgpt_json.write(trained(model, pieced), tmp_path / "out")
    nielsgpt_json.save_checkpoint(tmp_path / "out", tmp_path / "best.pt")
    back, codec = load_model.restore_model(checkpoint_file.load(tmp_path / "best.pt"))
    assert codec.fingerprint == pieced.fingerprint
    assert back.state_dict().keys() == model.state_dict().keys()
    ids = torch.randint(300, (2, 16), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        assert torch.equal(back(ids), model(ids))


@pytest.mark.parametrize("kind", SIZES)
def test_every_kind_of_tokenizer_is_restored(kind: str, tmp_path: Path, lively: Lively) -> None:
    codec = train_small(kind)
    model = GPT(lively("gpt_qk").shape, codec.vocab_size)
    hf_folder.write(trained(model, codec), tmp_path / "out", "float32", force=False)
    nielsgpt_json.write(trained(model, codec), tmp_path / "out")
    _, back = load_model.restore_model(nielsgpt_json.read_checkpoint(tmp_path / "out"))
    assert (back.kind, back.fingerprint) == (codec.kind, codec.fingerprint)
    assert back.encode("the keeper's lamp <|eot|>") == codec.encode("the keeper's lamp <|eot|>")


def test_every_layout_of_the_tables_has_an_inverse() -> None:
    used = {row.hf_layout for family in FAMILIES.values() for row in family.rows}
    assert used == set(FROM_LAYOUT)
    numbers = torch.arange(3 * 4 * 5 * 7.0).view(3 * 4 * 5, 7)
    for layout in used:
        assert torch.equal(FROM_LAYOUT[layout](LAYOUTS[layout](numbers, 4), 4), numbers)


def test_weights_of_fewer_bits_are_refused(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_qk")
    hf_folder.write(trained(model, pieced), tmp_path / "out", "bfloat16", force=False)
    with pytest.raises(DataError, match=r"lacks embedding.weight in the shape of the model"):
        read_weights(tmp_path / "out" / "model.safetensors", model.shape, pieced.vocab_size)


def test_a_tensor_of_a_wrong_shape_is_one_line(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_rope")
    hf_folder.write(trained(model, pieced), tmp_path / "out", "float32", force=False)
    odd = model.shape.model_copy(update={"n_head": 64})
    with pytest.raises(DataError, match=r"query_key_value.weight has the wrong shape"):
        read_weights(tmp_path / "out" / "model.safetensors", odd, pieced.vocab_size)
