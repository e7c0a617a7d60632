"""A tokenizer's folder: what it says, and what is said of a damaged one."""

import io
import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import sentencepiece

from nielsgpt.config.settings import TokenizerSettings
from nielsgpt.errors import NielsError, TokenizerError
from nielsgpt.tokenizers import registry, sentence_piece
from tests.tokenizers.conftest import CORPUS, SIZES, TRAINED, train_small


@pytest.mark.parametrize("name", SIZES)
def test_a_folder_gives_back_the_tokenizer_and_says_what_it_is(name: str, tmp_path: Path) -> None:
    tokenizer = train_small(name)
    registry.save(tokenizer, tmp_path, {"made_from": "m", "trained_on": {}})
    again = registry.load(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint
    assert again.encode_batch(CORPUS) == tokenizer.encode_batch(CORPUS)
    meta = registry.read_meta(tmp_path)
    assert meta is not None
    assert (meta["kind"], meta["vocab_size"]) == (tokenizer.kind, tokenizer.vocab_size)
    assert meta["specials"] == vars(tokenizer.specials)
    assert (meta["made_from"], meta["trained_on"]) == ("m", {})
    own = meta["library"] == "nielsgpt"
    assert own == (tokenizer.kind in ("byte", "char", "word"))
    assert own or meta["library_version"] == version(meta["library"])


def test_every_kind_of_the_settings_is_in_the_table() -> None:
    kinds = TokenizerSettings.model_json_schema()["properties"]["kind"]["enum"]
    assert sorted(kinds) == sorted(registry.KINDS)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("damage", ["cut", "empty", "another", "gone", "list", "deep"])
def test_a_damaged_folder_is_one_line(name: str, damage: str, tmp_path: Path) -> None:
    registry.save(train_small(name), tmp_path, {})
    (file,) = (tmp_path / one for one in train_small(name).files())
    content = file.read_bytes()
    other = registry.train(
        TokenizerSettings(
            kind=train_small(name).kind, vocab_size={"char": 261, "word": 270}.get(name, 292)
        ),  # type: ignore[arg-type]
        [text + " more lamps" for text in CORPUS],
    )
    made_worse = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "another": next(iter(other.files().values())),
        "list": b"[]",
        "deep": b"[" * 100_000,
    }
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(made_worse[damage])
    with pytest.raises(TokenizerError) as caught:
        registry.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("vocab", "said"),
    [
        (
            {"stoi": {"a": 0, "b": 1}, "itos": ["a", "c"]},
            "not the same list of distinct strings",
        ),
        ({"stoi": {"a": 1}, "itos": ["a", "a"]}, "not the same list of distinct strings"),
        ({"stoi": {"ab": 0}, "itos": ["ab"]}, "^the character vocabulary contains longer strings"),
        ({"stoi": {"": 0}, "itos": [""]}, "not the same list of distinct strings"),
        ({"stoi": {"\ud800": 0}, "itos": ["\ud800"]}, r"is the lone surrogate U\+D800"),
        ({"stoi": {}, "itos": [1]}, "^the vocabulary cannot be read"),
        ({"stoi": {}, "itos": 5}, "^the vocabulary cannot be read"),
        ({"itos": ["a"]}, "not the same list of distinct strings"),
    ],
)
def test_a_list_of_characters_that_is_none_is_refused(vocab: object, said: str) -> None:
    with pytest.raises(TokenizerError, match=said):
        registry.restore("char", {"vocab.json": json.dumps(vocab).encode()})


@pytest.mark.parametrize("change", ["hole", "twice", "no byte", "no merge", "foreign character"])
def test_a_bpe_model_that_would_break_the_contract_is_refused(change: str) -> None:
    tree = json.loads(train_small("bpe").files()["tokenizer.json"])
    model, vocab = tree["model"], tree["model"]["vocab"]
    last = max(vocab, key=vocab.get)
    if change == "hole":
        vocab[last] += 1
    elif change == "twice":
        vocab[last] = 0
    elif change == "no byte":
        vocab["zzzzz"] = vocab.pop("z")
    elif change == "foreign character":
        vocab["\u4e2d"] = vocab.pop(last)
    else:
        model["merges"].append(["nothing", "here"])
    with pytest.raises(TokenizerError, match="the BPE model cannot be read"):
        registry.restore("bpe", {"tokenizer.json": json.dumps(tree).encode()})


def test_a_sentencepiece_model_that_cannot_be_read_is_a_line() -> None:
    with pytest.raises(TokenizerError, match=r"^the SentencePiece model cannot be read: it is emp"):
        registry.restore("sentencepiece", {"spm.model": b""})
    with pytest.raises(TokenizerError, match=r"^the SentencePiece model cannot be read: .*Parse"):
        registry.restore("sentencepiece", {"spm.model": b"no"})


def test_what_the_library_says_of_a_size_that_it_cannot_train_is_passed_on() -> None:
    line = str(sentence_piece._training_error(300, " Internal: it is tired "))
    assert line == (
        "tokenizer.vocab_size 300 cannot be trained on this corpus: Internal: it is tired; "
        "set another size or use more text"
    )


def test_a_sentencepiece_model_made_elsewhere_lacks_the_control_symbols() -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=40, minloglevel=2
    )
    line = (
        "the SentencePiece model lacks the control symbols <|sys|> <|usr|> <|asst|> <|eot|>; "
        "train one with 'nielsgpt tokenizer'"
    )
    with pytest.raises(TokenizerError, match=f"^{re.escape(line)}$"):
        registry.restore("sentencepiece", {"spm.model": model.getvalue()})


def test_what_surrounds_a_bpe_model_cannot_change_how_text_is_cut() -> None:
    tree = json.loads(train_small("bpe").files()["tokenizer.json"])
    tree["normalizer"] = {"type": "Lowercase"}
    special = {"id": 5, "content": "<|eot|>", "special": True, "normalized": False}
    tree["added_tokens"] = [special | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)]
    tokenizer = registry.restore("bpe", {"tokenizer.json": json.dumps(tree).encode()})
    assert tokenizer.decode(tokenizer.encode("The <|eot|>")) == "The <|eot|>"


@pytest.mark.parametrize(
    ("kind", "files"), [("morse", {}), ("char", {}), ("bpe", {"spm.model": b""})]
)
def test_an_unknown_kind_or_one_without_its_file_is_a_line(
    kind: str, files: dict[str, bytes]
) -> None:
    with pytest.raises(TokenizerError, match=f"a tokenizer of kind '{kind}' with files"):
        registry.restore(kind, files)


def test_another_kind_in_the_same_folder_leaves_nothing_of_the_former(tmp_path: Path) -> None:
    for name in ("pieces bpe", "char", "bpe", "byte"):
        registry.save(train_small(name), tmp_path, {})
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"meta.json", *train_small(name).files()}
        assert registry.load(tmp_path).kind == train_small(name).kind


def test_a_meta_that_is_no_object_is_a_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text("[]")
    with pytest.raises(NielsError, match="delete it and run 'nielsgpt tokenizer'"):
        registry.load(tmp_path)
