"""`nielsgpt hub download`: what comes back, what is refused, and what is left as it was."""

import base64
import json
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.errors import DataError, RunError
from nielsgpt.export import hub_download
from nielsgpt.export.hub_repository import HubRepository, RemoteFile, check_name
from nielsgpt.model.gpt import GPT
from nielsgpt.system.atomic_files import seal, unseal
from nielsgpt.tokenizers.base import Tokenizer
from tests.data.sources.hubserver import Files
from tests.export.hub.conftest import Run
from tests.export.hub.server import WritableHub


@pytest.fixture(scope="module")
def shelf() -> Files:
    """What an upload sent, for the tests after the first."""
    return {}


@pytest.fixture
def sent(run: Run, kept: GPT, hub: WritableHub, shelf: Files) -> Files:
    """The files of a model that was uploaded as me/keeper."""
    if not shelf:
        assert run("upload", "me/keeper", "--gguf", "f16").code == 0
        shelf |= hub.files("me/keeper")
    hub.model("me/keeper", shelf)
    hub.private.add("me/keeper")
    hub.lfs |= {sha256(data).hexdigest(): data for data in shelf.values()}
    return dict(shelf)


def told(sent: Files, part: str, **changed: Any) -> Files:
    """The files that were sent, with something else told in nielsgpt.json, and sealed."""
    own = unseal(json.loads(sent["nielsgpt.json"]))
    own[part].update(changed)
    return {**sent, "nielsgpt.json": json.dumps(seal(own)).encode()}


def test_an_uploaded_model_is_restored_bit_for_bit(
    run: Run, sent: Files, kept: GPT, tmp_path: Path, pieced: Tokenizer
) -> None:
    code, out, err = run("download", "me/keeper")
    place = tmp_path / "models/keeper/hub"
    assert (code, err) == (0, "")
    assert out.endswith(f"chat with it: nielsgpt chat --ckpt {place / 'best.pt'}\n")
    model, codec = load_model.restore_model(checkpoint_file.load(place / "best.pt"))
    ids = torch.randint(300, (3, 16), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(model(ids), kept(ids))
    assert codec.fingerprint == pieced.fingerprint
    for name in set(sent) - {".gitattributes"}:
        assert (place / name).read_bytes() == sent[name], name
    assert [path.name for path in place.parent.iterdir()] == ["hub"]


def test_a_downloaded_model_chats_and_uploads_the_same_weights(
    run: Run, sent: Files, hub: WritableHub, tmp_path: Path
) -> None:
    run("download", "me/keeper")
    again = str(tmp_path / "models/keeper/hub/best.pt")
    assert run("upload", "me/again", again).code == 0
    assert hub.asked("^/lfs/") == 0
    assert hub.files("me/again")["nielsgpt.json"] == sent["nielsgpt.json"]


def test_a_complete_download_is_not_repeated_but_a_new_commit_is_downloaded(
    run: Run, sent: Files, hub: WritableHub, tmp_path: Path
) -> None:
    run("download", "me/keeper")
    hub.requests.clear()
    assert "is here already" in run("download", "me/keeper").out
    assert hub.asked("/resolve/") == 0
    hub.model("me/keeper", {**sent, "README.md": b"newer\n"})
    assert "fetched" in run("download", "me/keeper").out
    place = tmp_path / "models/keeper/hub"
    assert (place / "README.md").read_bytes() == b"newer\n"
    (place / "config.json").write_bytes(b"{}")
    assert "fetched" in run("download", "me/keeper").out
    assert (place / "config.json").read_bytes() == sent["config.json"]


def test_an_interrupted_download_resumes_with_the_same_command(
    run: Run, sent: Files, hub: WritableHub, tmp_path: Path
) -> None:
    hub.fail("resolve/.*/model.safetensors", times=100, cut=5000)
    code, out, err = run("download", "me/keeper")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "me/keeper: the Hub cannot be reached (" in err
    assert not (tmp_path / "models/keeper/hub").exists()
    hub.heal()
    hub.requests.clear()
    assert run("download", "me/keeper").code == 0
    assert hub.asked("resolve/.*/config.json") == 0
    assert (tmp_path / "models/keeper/hub/best.pt").is_file()


def test_files_with_another_hash_than_the_hubs_are_not_kept(
    run: Run, sent: Files, hub: WritableHub, tmp_path: Path
) -> None:
    hub.fail("resolve/.*/model.safetensors", times=1, spoil=True)
    code, _, err = run("download", "me/keeper")
    assert (code, err) == (
        2,
        "error: me/keeper: model.safetensors does not match the Hub's hash; run the "
        "command again\n",
    )
    assert run("download", "me/keeper").code == 0


def test_only_known_kinds_of_files_are_downloaded(
    run: Run, sent: Files, hub: WritableHub, tmp_path: Path
) -> None:
    foreign = [
        "evil.py",
        "pytorch_model.bin",
        "model.pt",
        "data.pkl",
        "LICENSE.py",
        "x.gguf.py",
    ]
    hub.model("me/keeper", {**sent, **dict.fromkeys(foreign, b"import os"), "src/a.json": b"{}"})
    code, _, err = run("download", "me/keeper")
    assert (code, err) == (0, f"left there: {', '.join(sorted([*foreign, 'src/']))}\n")
    assert all(hub.asked(name) == 0 for name in foreign)
    known = {*sent, "best.pt", "best.json", "origin.json"} - {".gitattributes"}
    assert {path.name for path in (tmp_path / "models/keeper/hub").iterdir()} == known


def test_models_of_other_programs_are_downloaded_without_a_checkpoint(
    run: Run, sent: Files, hub: WritableHub
) -> None:
    names = ("config.json", "model.safetensors", "tokenizer.json")
    hub.model("you/other", {name: sent[name] for name in names})
    code, out, _ = run("download", "you/other")
    assert (code, out.splitlines()[1]) == (
        0,
        "not made by nielsgpt: open it with Transformers or llama.cpp",
    )


WRONG: list[tuple[Callable[[Files], Files], str]] = [
    (lambda f: {**f, "model.safetensors": b"\xff" * 64}, "model.safetensors is not a safetensors"),
    (
        lambda f: {**f, "model.safetensors": struct.pack("<Q", 9) + b'{"a":1' + b" " * 64},
        "model.safetensors is not a safetensors file (",
    ),
    (lambda f: {**f, "quickstart-f16.gguf": b"NOPE"}, "quickstart-f16.gguf is not a GGUF file"),
    (lambda f: {**f, "nielsgpt.json": b"[1,"}, "nielsgpt.json is not valid (the whole file"),
    (
        lambda f: {**f, "nielsgpt.json": f["nielsgpt.json"].replace(b'"sft"', b'"pretrain"')},
        "nielsgpt.json is damaged (its seal is not that of what it says)",
    ),
    (lambda f: told(f, "facts", run_id="../../x"), "(facts.run_id: String should match"),
    (lambda f: told(f, "facts", name="../../x"), "(facts.name: String should match"),
    (lambda f: told(f, "facts", weights_sha256="0" * 64), "does not have the weights that"),
    (lambda f: told(f, "model", context_length=10**8), "MiB of memory and"),
    (lambda f: told(f, "model", n_layer=10**12), "lacks the tensors of 1000000000000 blocks"),
    (lambda f: told(f, "model", n_embd=64), "lacks embedding.weight in the shape of the model"),
    (lambda f: told(f, "model", variant="gpt"), "has no tensor 'transformer.wte.weight'"),
    (lambda f: told(f, "tokenizer", kind="pickle"), "has a tokenizer that cannot be opened ("),
    (lambda f: told(f, "tokenizer", files={"spm.model": "?"}), "a tokenizer that is not base64"),
    (
        lambda f: told(f, "tokenizer", files={"spm.model": base64.b64encode(b"no").decode()}),
        "has a tokenizer that cannot be opened (",
    ),
    (lambda f: {"pytorch_model.bin": b"x"}, "has no .safetensors and no .gguf"),
    (lambda f: {**f, "config.json/x": b""}, "config.json is not a file; choose another"),
    (lambda f: {**f, "../evil.json": b""}, "has the unsafe file name '..'; choose another"),
    (lambda f: {**f, "a\\b.json": b""}, "has the unsafe file name 'a\\\\b.json'; choose another"),
    (
        lambda f: {**f, "a\x1b[2J.json": b""},
        "has the unsafe file name 'a\\x1b[2J.json'; choose another",
    ),
]


@pytest.mark.parametrize(("spoilt", "expected"), WRONG, ids=[expected for _, expected in WRONG])
def test_a_hostile_repository_is_one_line_and_leaves_nothing(
    spoilt: Callable[[Files], Files],
    expected: str,
    run: Run,
    sent: Files,
    hub: WritableHub,
    tmp_path: Path,
) -> None:
    if "config.json/x" in (files := spoilt(sent)):
        files.pop("config.json")
    hub.model("bad/model", files)
    code, out, err = run("download", "bad/model")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("error: bad/model: ") and expected in err, err
    left = tmp_path / "models/model"
    assert not left.exists() or list(left.iterdir()) == []


def test_the_previous_download_stays_when_the_new_one_is_damaged(
    run: Run, sent: Files, hub: WritableHub, tmp_path: Path
) -> None:
    run("download", "me/keeper")
    place = tmp_path / "models/keeper/hub"
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    hub.model("me/keeper", told(sent, "facts", weights_sha256="0" * 64))
    assert run("download", "me/keeper").code == 2
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_anything_but_a_download_is_not_replaced(
    run: Run, sent: Files, hub: WritableHub, tmp_path: Path
) -> None:
    hub.model("you/keeper", sent)
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    link.symlink_to(mine)
    run("download", "me/keeper")
    expected = [
        run("download", "me/keeper", "--out", str(mine), "--force").err,
        run("download", "me/keeper", "--out", str(link), "--force").err,
        run("download", "you/keeper").err,
    ]
    assert expected == [
        f"error: {mine} exists and was not downloaded by nielsgpt; choose another --out\n",
        f"error: {link} is a link; choose another --out\n",
        f"error: {tmp_path / 'models/keeper/hub'} contains me/keeper, and this is you/keeper; "
        "choose another --out, or replace it with --force\n",
    ]
    assert (mine / "thesis.txt").read_text() == "mine"
    assert run("download", "you/keeper", "--force").code == 0


def test_a_link_in_the_way_of_a_file_is_not_followed(run: Run, sent: Files, tmp_path: Path) -> None:
    mine, coming = tmp_path / "mine.json", tmp_path / "models/keeper/.hub.coming"
    mine.write_text("mine")
    coming.mkdir(parents=True)
    (coming / "config.json").symlink_to(mine)
    code, _, err = run("download", "me/keeper")
    assert (code, err) == (
        2,
        f"error: {coming / 'config.json'} is a link; delete it and run the command again\n",
    )
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["me/nothing"], "me/nothing: does not exist on the Hub or is private; set HF_TOKEN"),
        (["me/keeper", "--revision", "v9"], "me/keeper: has no such revision; name another one"),
        (["keeper"], "'keeper' is not a valid repository name; write owner/name"),
        (["../keeper"], "'../keeper' is not a valid repository name; write owner/name"),
    ],
)
def test_a_missing_model_is_one_line(
    words: list[str], expected: str, run: Run, sent: Files
) -> None:
    code, out, err = run("download", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {expected}")


def test_a_private_model_comes_with_a_token_only(run: Run, sent: Files, hub: WritableHub) -> None:
    assert "me/keeper" in hub.private
    assert (
        "me/keeper: does not exist on the Hub or is private"
        in run("download", "me/keeper", token="").err
    )
    assert run("download", "me/keeper").code == 0


def test_a_download_that_does_not_fit_on_the_disk_is_not_started(tmp_path: Path) -> None:
    huge = RemoteFile("model.safetensors", 10**16, "0" * 64, "0" * 40)
    found = HubRepository("me/huge", "0" * 40, False, (huge,), ())
    with pytest.raises(RunError, match=r"me/huge: 9,536,743,164 MiB are needed and .* are free"):
        hub_download._download_all(found, [huge], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_file_that_is_too_long_is_refused() -> None:
    entries = (
        RemoteFile("model.safetensors", 1, "0" * 64, "0" * 40),
        RemoteFile("tokenizer.json", hub_download.MAX_TEXT_BYTES + 1, None, "0" * 40),
    )
    with pytest.raises(DataError, match=r"tokenizer.json has 67,108,865 bytes, too many"):
        hub_download.choose_files(HubRepository("me/x", "0" * 40, False, entries, ()))


@pytest.mark.parametrize(
    "name",
    ["a", "a/b/c", "a/..", "../b", "a/.b", "a/b.", "a/b--c", "a/b.git", "a/b\n", "é/b", ""],
)
def test_a_name_that_the_hub_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="is not a valid repository name; write owner/name"):
        check_name(name)
