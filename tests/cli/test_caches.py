"""nielsgpt caches: building, parts, verifying, showing, and errors through processes."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.caches import command
from nielsgpt.data.cache.loader import PackedRows
from nielsgpt.data.cache.shards import Split
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.conftest import TINY

SPECIAL = "x\n\n" * 99 + "look: <|asst|>\n\n" + "y\n\n" * 99


@pytest.fixture
def home(root: Path) -> Path:
    (root / "tiny.json").write_text(json.dumps(TINY))
    return root


def run(*words: str) -> Result:
    return CliRunner().invoke(command, [*words[:1], *words[1:], "-c", "tiny.json"])


def sound(home: Path) -> dict[str, bytes]:
    files = (home / "data/cache/tiny").rglob("*")
    return {path.name: path.read_bytes() for path in files if path.suffix in (".bin", ".npy")}


def test_options_stand_for_settings(home: Path) -> None:
    words = ("--cache-dir", "elsewhere", "--seed", "7", "--shard-bytes", "4096", "--workers", "1")
    ran = run(*words)
    assert ran.exit_code == 0, ran.output
    meta = json.loads((home / "elsewhere/streams/primer_val.meta.json").read_text())
    assert (meta["seed"], meta["shard_bytes"]) == (7, 4096)
    assert not (home / "data/cache").exists()


def test_verifying_names_each_damaged_file_and_ends_with_1(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run()
    assert run("verify").output == "all correct: 4 splits\n"
    stream, mask = (
        home / f"data/cache/tiny/{f}"
        for f in ("streams/primer_val.bin", "sft/primer_train.mask.bin")
    )
    content = bytearray(stream.read_bytes())
    content[3] ^= 4
    stream.write_bytes(content)
    mask.unlink()
    ran = run("verify")
    assert ran.exit_code == 1
    lines = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 2
    assert "primer_val.bin is damaged: its sha256 differs from its meta" in lines[0]
    assert "primer_train.mask.bin has no bytes but its meta says" in lines[1]


def test_nothing_to_verify_is_an_error_that_says_what_makes_caches(home: Path) -> None:
    with pytest.raises(Exception, match=r"no caches in .*; make them with 'nielsgpt caches'"):
        CliRunner().invoke(command, ["verify", "-c", "tiny.json"], catch_exceptions=False)


def test_the_table_says_what_training_reaches(home: Path) -> None:
    run()
    heading, *rows = (line.split("  ") for line in run("show").output.splitlines())
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert [cell.strip() for cell in heading if cell.strip()] == [
        *("phase", "source", "split", "documents", "tokens", "text", "tokens/byte"),
        *("tokens in rows", "row fill", "left out", "made from", "on disk", "age"),
    ]
    assert [row[:3] for row in rows] == [
        [phase, "primer", side] for phase in ("pretrain", "sft") for side in ("train", "val")
    ]
    assert float(rows[0][7].rstrip("%")) >= 95
    split = Split(home / "data/cache/tiny/sft", "primer_train", ByteTokenizer().fingerprint)
    assert rows[2][8] == f"{PackedRows(split, 128, 0, 0).fill_rate:.1%}"
    assert rows[2][9] == f"{split.meta['replies_left_out']} of {split.meta['replies']}"


def test_the_data_card_counts_what_is_there_and_leaves_the_rest_to_the_owner(home: Path) -> None:
    run()
    path = home / "data/cache/tiny/DATA.md"
    assert run("card").output == "data/cache/tiny/DATA.md\n"
    card = path.read_text("utf-8")
    for phase, folder in (("pretrain", "streams"), ("sft", "sft")):
        for side in ("train", "val"):
            meta = json.loads((path.parent / folder / f"primer_{side}.meta.json").read_text())
            row = f"| {phase} | primer | 100% | {side} | {meta['documents']:,} | "
            assert f"{row}{meta['tokens']:,} | " in card
            assert meta["split_rule"] in card and meta["tokenizer"] in card
    assert "invented by nielsgpt" in card
    assert "_the owner's to say: people's names" in card
    assert "| `tokenizer.kind` | `byte` |" in card
    assert run("card", "--out", "card.md").exit_code == 0
    assert (home / "card.md").read_text("utf-8") == card


def test_parts_are_put_together(home: Path) -> None:
    for part in ("2/2", "1/2"):
        assert run("--part", part).exit_code == 0
    assert run("--join", "2").exit_code == 0
    joined = sound(home)
    run("--cache-dir", "elsewhere")
    assert {p.name: p.read_bytes() for p in (home / "elsewhere").rglob("*.bin")}.items() <= (
        joined.items()
    )


@pytest.mark.parametrize("wrong", ["0/2", "3/2", "2", "a/b"])
def test_a_part_that_cannot_be_is_refused(wrong: str, home: Path) -> None:
    ran = run("--part", wrong)
    assert ran.exit_code == 2
    assert f"'{wrong}' is not a part; write the second of three as 2/3" in ran.output


def test_what_was_found_in_your_own_files_is_shown_and_on_the_card(home: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}]
    lines = [json.dumps([{**turns[0], "content": f"hi {n}"}, turns[1]]) for n in range(40)]
    blank = json.dumps([turns[0], {**turns[1], "content": " "}])
    (home / "chat").mkdir()
    (home / "chat/a.jsonl").write_bytes("\r\n".join([*lines, lines[3], blank]).encode())
    (home / "chat/._a.jsonl").write_bytes(b"\x00\x05")
    over = {**TINY["data"], "mix_sft": {"chat": 1.0}, "chat": {"path": "chat"}}
    (home / "tiny.json").write_text(json.dumps({**TINY, "data": over}))
    assert (ran := run()).exit_code == 0, ran.output
    told = [
        "chat: blank replies left out, each with what it answers: 1",
        "chat: conversations left out because they have no reply to train on: 1",
        "chat: exact repeats of another text: 1",
        "chat: hidden files not read: 1",
        "chat: line ends of other systems made \\n: 41",
    ]
    assert run("show").output.splitlines()[-5:] == told
    run("card")
    card = (home / "data/cache/tiny/DATA.md").read_text()
    assert "\n".join(f"- {line}" for line in told) in card


def test_near_duplicates_fall_to_one_side_however_the_work_is_parted(home: Path) -> None:
    said = [[f"{n}{m} " * 9 for m in "abcdefgh"] for n in range(60)]
    saved = [texts[:turns] for texts in said for turns in (2, 4, 8)]
    roles = ("user", "assistant")
    lines = [
        json.dumps([{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)])
        for texts in saved
    ]
    (home / "a.jsonl").write_text("\n".join(lines))
    over = {"mix_sft": {"chat": 1.0}, "chat": {"path": "a.jsonl"}, "val_fraction": 0.3}
    (home / "tiny.json").write_text(json.dumps({**TINY, "data": {**TINY["data"], **over}}))
    assert run().exit_code == 0
    alone = sound(home)
    shutil.rmtree(home / "data/cache/tiny")
    for part in ("2/2", "1/2"):
        assert run("--part", part).exit_code == 0
    assert run("--join", "2").exit_code == 0
    assert alone.items() <= sound(home).items()
    folder, codec = home / "data/cache/tiny/sft", ByteTokenizer()
    sides = [Split(folder, f"chat_{side}", codec.fingerprint) for side in ("train", "val")]
    told = [codec.decode(split.read(0, split.tokens).tolist()) for split in sides]
    seen = [{n for n in range(60) if f"{n}a {n}a" in text} for text in told]
    assert not seen[0] & seen[1]
    assert len(seen[1]) > 5
    assert "chat: near-duplicates, kept on one side of the split: 180" in run("show").output
