"""`nielsgpt hub upload`: the uploaded files, and one line for each refusal."""

import json
from pathlib import Path

import pytest
import torch

from nielsgpt.checkpoint import checkpoint_file
from nielsgpt.model.gpt import GPT
from tests.export.hub.conftest import Run
from tests.export.hub.server import READER, WritableHub

FILES = [
    *("README.md", "config.json", "generation_config.json", "model.safetensors"),
    *("nielsgpt.json", "tokenizer.json", "tokenizer_config.json"),
]


def test_all_files_go_in_one_commit_to_a_private_model(
    run: Run, kept: GPT, hub: WritableHub
) -> None:
    code, out, err = run("upload", "me/keeper")
    assert (code, err) == (0, "")
    assert hub.commits == [FILES]
    assert hub.private == {"me/keeper"}
    assert out.endswith(f"{hub.endpoint}/me/keeper (private)\n")


def test_files_with_an_unchanged_hash_are_not_uploaded_again(
    run: Run, kept: GPT, hub: WritableHub
) -> None:
    run("upload", "me/keeper", "--gguf", "f16")
    assert hub.commits == [sorted([*FILES, "quickstart-f16.Modelfile", "quickstart-f16.gguf"])]
    received = hub.received
    code, out, _ = run("upload", "me/keeper", "--gguf", "f16")
    assert (code, len(hub.commits), hub.received) == (0, 1, received)
    assert [line.split()[0] for line in out.splitlines()[:-1]] == ["same"] * 9
    run("upload", "me/keeper", "--gguf", "f16", "--license", "mit")
    assert hub.commits[1:] == [["README.md"]]
    card = hub.files("me/keeper")["README.md"].decode()
    assert "\nlicense: mit\n" in card
    assert 'from_pretrained("me/keeper")' in card


def test_an_interrupted_upload_does_not_send_its_large_files_twice(
    run: Run, kept: GPT, hub: WritableHub
) -> None:
    hub.fail("/commit/", status=400)
    code, _, err = run("upload", "me/keeper")
    assert (code, err.count("\n"), len(hub.lfs)) == (2, 1, 1)
    assert "me/keeper: the Hub failed (" in err
    hub.requests.clear()
    assert run("upload", "me/keeper").code == 0
    assert hub.commits == [FILES]
    assert hub.asked("^/lfs/") == 0


def test_neither_the_optimizer_nor_the_machine_nor_its_user_is_sent(
    run: Run, kept: GPT, hub: WritableHub, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints/quickstart/best.pt"
    state = checkpoint_file.load(path)
    state["optimizer"] = {"secret": torch.full((4096,), 0.123)}
    state["settings"]["data"]["text"]["path"] = str(tmp_path / "diary")
    facts = state["facts"]
    facts["numbers"]["init_from"] = str(tmp_path / "secret.pt")
    facts["engine"] = {"device": "cpu"}
    facts["evaluations"]["primer"]["loss"] = 1.25
    checkpoint_file.save(path, state)
    assert run("upload", "me/keeper", "--gguf", "f32").code == 0
    everything = b"".join(hub.files("me/keeper").values())
    words = [str(tmp_path), "diary", "secret", "init_from", "engine", "optimizer"]
    for word in [*words, str(Path.home())]:
        assert word.encode() not in everything, word
    assert len(everything) < 1_000_000
    assert torch.full((8,), 0.123).numpy().tobytes() not in everything


def test_uploading_to_a_public_repository_needs_public(
    run: Run, kept: GPT, hub: WritableHub
) -> None:
    assert run("upload", "me/keeper", "--public").out.endswith("(public)\n")
    code, out, err = run("upload", "me/keeper", "--license", "mit")
    assert (code, out) == (2, "")
    assert err == (
        "error: me/keeper: exists and is public; upload to it with --public, or name another\n"
    )
    assert len(hub.commits) == 1


def test_other_files_of_the_repository_are_kept_and_listed(
    run: Run, kept: GPT, hub: WritableHub
) -> None:
    hub.model("me/keeper", {"notes.txt": b"mine", ".gitattributes": b""})
    hub.private.add("me/keeper")
    code, _, err = run("upload", "me/keeper")
    assert (code, err) == (0, "left as they are: notes.txt\n")
    assert hub.files("me/keeper")["notes.txt"] == b"mine"


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("", "there is no token; set HF_TOKEN to your token, or log in"),
        ("hf_wrong", "the Hub refuses the token; set HF_TOKEN to your token, or log in"),
        (
            READER,
            "the token lacks the permission; use one with write access, and a name under your own",
        ),
    ],
)
def test_a_token_that_is_missing_or_refused_is_one_line(
    token: str, expected: str, run: Run, kept: GPT, hub: WritableHub
) -> None:
    code, out, err = run("upload", "me/keeper", token=token)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: me/keeper: {expected}")
    assert hub.repositories == {}


def test_a_dry_run_does_not_contact_the_hub(run: Run, kept: GPT, hub: WritableHub) -> None:
    code, out, err = run("upload", "me/keeper", "--dry-run", token="")
    assert (code, err, hub.requests) == (0, "", [])
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == FILES
    assert out.endswith(
        "would upload to me/keeper, created as a private model if it does not exist\n"
    )


def test_the_same_model_is_the_same_bytes_each_time(run: Run, kept: GPT, hub: WritableHub) -> None:
    for number in range(4):  # the library writes its metadata in any order
        assert run("upload", f"me/keeper{number}").code == 0
    assert len(hub.lfs) == 1
    told = json.loads(hub.files("me/keeper0")["nielsgpt.json"])
    assert told["facts"]["weights_sha256"] == checkpoint_file.weights_sha256(kept.state_dict())
