"""What lies on the disk after an export, also after one that failed, and what is never replaced."""

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from nielsgpt.errors import BusyError, DataError, RunError, TokenizerError
from nielsgpt.export import gguf_file, hf_folder
from nielsgpt.export.tensors import export_tensors
from nielsgpt.model.gpt import GPT, parameter_count
from nielsgpt.system.folder_lock import lock
from nielsgpt.tokenizers.base import Tokenizer
from tests.export.made import trained
from tests.tokenizers.conftest import train_small

Lively = Callable[..., GPT]
FILES = ["README.md", "config.json", "generation_config.json", "model.safetensors"]
TOKENIZER = ["tokenizer.json", "tokenizer_config.json"]


def test_the_folder_has_the_tensors_of_the_model_and_no_partial_file(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_qk")
    hf_folder.write(trained(model, pieced), tmp_path / "out", "float32", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES + TOKENIZER)
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert stored.keys() == dict(export_tensors(model, "hf")).keys()
    assert sum(tensor.numel() for tensor in stored.values()) == parameter_count(model)


def test_the_configs_have_the_end_token_and_the_suppressed_tokens(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_plus", tied=False, rope_theta=500.0, d_ff=48)
    source = trained(model, pieced, temperature=0.5, top_k=7)
    hf_folder.write(source, tmp_path / "out", "bfloat16", force=False)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    special = pieced.specials
    assert (config["eos_token_id"], config["bos_token_id"]) == (special.end, None)
    assert (config["rope_theta"], config["intermediate_size"]) == (500.0, 48)
    assert (config["tie_word_embeddings"], config["dtype"]) == (False, "bfloat16")
    drawn = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (drawn["do_sample"], drawn["temperature"], drawn["top_k"]) == (True, 0.5, 7)
    assert drawn["suppress_tokens"] == [special.system, special.user, special.assistant]


def test_the_card_has_the_figures_and_leaves_the_license_to_the_owner(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_qk")
    source = trained(model, pieced)
    hf_folder.write(source, tmp_path / "out", "float32", force=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| parameters | {parameter_count(model):,} |" in card
    assert "| tokens seen in sft | 1,920 |" in card  # 30 steps of 4 rows of 16
    assert "| bits per byte on held-out primer, after sft | 0.7500 |" in card
    assert "`0123456789abcdef`" in card
    assert source.metadata["weights_sha256"] in card
    assert "# license: choose one" in card


def test_a_failed_export_keeps_the_previous_one(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_qk")
    hf_folder.write(trained(model, pieced), tmp_path / "out", "float32", force=False)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with torch.no_grad():
        model.blocks[0].mlp.down.weight[0, 0] = 1e6
    line = r"down_proj.weight has numbers beyond the range of torch.float16; use --dtype float32"
    with pytest.raises(DataError, match=line):
        hf_folder.write(trained(model, pieced), tmp_path / "out", "float16", force=False)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_of_a_killed_export_are_removed(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    left = tmp_path / ".out.part"
    (left / "deep").mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    hf_folder.write(trained(lively("gpt_qk"), pieced), tmp_path / "out", "float32", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / "deep").exists()


def test_two_exports_to_one_folder_do_not_mix(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    with lock(tmp_path / ".out.part"), pytest.raises(BusyError):
        hf_folder.write(trained(lively("gpt_qk"), pieced), tmp_path / "out", "float32", force=False)


@pytest.mark.parametrize("write", [hf_folder.write, gguf_file.write], ids=["hf", "gguf"])
def test_the_export_of_another_model_is_replaced_only_with_force(
    write: Callable[..., None], tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    dtype = "float32" if write is hf_folder.write else "f32"
    model, out = lively("gpt_qk"), tmp_path / "out"
    write(trained(model, pieced), out, dtype, force=False)
    write(trained(model, pieced), out, dtype, force=False)
    with pytest.raises(DataError, match=r"is an export of keeper, and this is other; .*--force"):
        write(trained(model, pieced, "other"), out, dtype, force=False)
    write(trained(model, pieced, "other"), out, dtype, force=True)


@pytest.mark.parametrize("write", [hf_folder.write, gguf_file.write], ids=["hf", "gguf"])
def test_anything_but_an_export_is_not_replaced_even_with_force(
    write: Callable[..., None], tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    mine = tmp_path / "out"
    if write is hf_folder.write:
        mine.mkdir()
        mine = mine / "thesis.txt"
    mine.write_text("mine")
    with pytest.raises(DataError, match="exists and is not an export of nielsgpt"):
        write(trained(lively("gpt_qk"), pieced), tmp_path / "out", "f32", force=True)
    assert mine.read_text() == "mine"


def test_a_tensor_that_differs_when_read_back_is_an_error(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_qk")
    hf_folder.write(trained(model, pieced), tmp_path / "out", "float32", force=False)
    gguf_file.write(trained(model, pieced), tmp_path / "m.gguf", "q8_0", force=False)
    with torch.no_grad():
        model.norm.weight[3] += 0.5
    with pytest.raises(RunError, match=r"model.norm.weight differs from what was written"):
        hf_folder.verify_tensors(tmp_path / "out", model, torch.float32)
    with pytest.raises(RunError, match=r"output_norm.weight differs from what was written"):
        gguf_file.verify_tensors(tmp_path / "m.gguf", model, "q8_0")


def test_an_extra_tensor_is_an_error(tmp_path: Path, lively: Lively, pieced: Tokenizer) -> None:
    model, out, file = lively("gpt_qk", tied=False), tmp_path / "out", tmp_path / "m.gguf"
    hf_folder.write(trained(model, pieced), out, "float32", force=False)
    gguf_file.write(trained(model, pieced), file, "f32", force=False)
    model.unembedding = None
    line = rf"^{out}/model\.safetensors has lm_head\.weight, which is not a tensor of the model$"
    with pytest.raises(RunError, match=line):
        hf_folder.verify_tensors(out, model, torch.float32)
    del model.blocks[1]
    model.n_layer = 1
    line = rf"^{file} has blk\.1\.attn_k\.weight, which is not a tensor of the model$"
    with pytest.raises(RunError, match=line):
        gguf_file.verify_tensors(file, model, "f32")


def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, lively: Lively, pieced: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(hf_folder, "save_file", full)
    line = r"could not be written: .* No space left on device \(os error 28\); free some space$"
    with pytest.raises(RunError, match=rf"model\.safetensors {line}"):
        hf_folder.write(trained(lively("gpt_qk"), pieced), tmp_path / "out", "float32", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_writes_other_numbers_is_detected_before_the_export_appears(
    tmp_path: Path, lively: Lively, pieced: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, add = hf_folder.save_file, gguf.GGUFWriter.add_tensor
    monkeypatch.setattr(
        hf_folder,
        "save_file",
        lambda tensors, *rest: save({n: t + 1 for n, t in tensors.items()}, *rest),
    )
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_tensor", lambda self, name, array, **rest: add(self, name, array + 1)
    )
    source = trained(lively("gpt_qk"), pieced)
    with pytest.raises(RunError, match="differs from what was written"):
        hf_folder.write(source, tmp_path / "out", "float32", force=False)
    with pytest.raises(RunError, match="differs from what was written"):
        gguf_file.write(source, tmp_path / "m.gguf", "f32", force=False)
    assert list(tmp_path.iterdir()) == []


def test_kind_word_exports_its_weights_and_its_own_tokenizer_file(
    tmp_path: Path, lively: Lively, caplog: pytest.LogCaptureFixture
) -> None:
    codec = train_small("word")
    torch.manual_seed(0)
    model = GPT(lively("gpt_qk").shape, codec.vocab_size)
    hf_folder.write(trained(model, codec), tmp_path / "out", "float32", force=False)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*FILES, "vocab.json"])
    assert "Transformers opens the weights alone" in caplog.text


@pytest.mark.parametrize(
    ("kind", "named"), [("word", "kind word"), ("pieces unigram", "algorithm unigram")]
)
def test_an_unsupported_tokenizer_for_llama_cpp_is_one_line_and_no_file(
    kind: str, named: str, tmp_path: Path, lively: Lively
) -> None:
    codec = train_small(kind)
    model = GPT(lively("gpt_qk").shape, codec.vocab_size)
    with pytest.raises(TokenizerError, match=named) as raised:
        gguf_file.write(trained(model, codec), tmp_path / "m.gguf", "f32", force=False)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_gguf_file_has_the_metadata_of_llama_cpp(
    tmp_path: Path, lively: Lively, pieced: Tokenizer
) -> None:
    model = lively("gpt_qk", n_head=4, rope_theta=500.0)
    gguf_file.write(trained(model, pieced), tmp_path / "m.gguf", "f16", force=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.Modelfile", "m.gguf"]
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    expected = {name: field.contents() for name, field in reader.fields.items()}
    assert expected["general.architecture"] == "qwen3"
    assert expected["general.name"] == "keeper"
    assert (expected["qwen3.context_length"], expected["qwen3.attention.key_length"]) == (16, 8)
    assert expected["qwen3.rope.freq_base"] == 500.0
    assert expected["tokenizer.ggml.eos_token_id"] == pieced.specials.end
    assert expected["tokenizer.ggml.eot_token_id"] == pieced.specials.end
    assert not expected["tokenizer.ggml.add_bos_token"]
    assert not expected["tokenizer.ggml.add_space_prefix"]
    tokens, types = expected["tokenizer.ggml.tokens"], expected["tokenizer.ggml.token_type"]
    assert len(tokens) == len(expected["tokenizer.ggml.scores"]) == pieced.vocab_size
    assert len(set(tokens)) == len(tokens)
    special = pieced.specials
    assert tokens[special.user] == "<|usr|>"
    assert types[special.user] == gguf.TokenType.CONTROL
    assert tokens[pieced.encode("\n")[0]] == "<0x0A>"
    assert tokens[pieced.encode(" ")[0]] == "\u2581"


def test_q8_0_keeps_vectors_in_float32_and_rows_without_whole_blocks_in_float16(
    lively: Lively,
) -> None:
    model = lively("gpt_plus", d_ff=40)
    kinds = {name: kind.name for name, _, kind in gguf_file.quantize_tensors(model, "q8_0")}
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert kinds["blk.0.attn_q.weight"] == "Q8_0"
    assert kinds["blk.0.ffn_down.weight"] == "F16"
    tensors = gguf_file.quantize_tensors(lively("gpt"), "q8_0")
    learned = {name: kind.name for name, _, kind in tensors}
    assert learned["position_embd.weight"] == "F32"
