"""The command line from end to end."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nielsgpt.format import format_count
from tests.bad.running import run
from tests.journeys.conftest import ENVIRONMENT, Command, launch


def test_the_pipeline_says_where_everything_lies_what_it_scored_and_what_to_type(
    trained: Path,
) -> None:
    printed = (trained / "printed.txt").read_text()
    for section in ("known facts", "prose-only facts", "refusals", "unknowables", "arithmetic"):
        assert re.search(rf"^{section} +\d+/\d+ +[\d.]+% +[\d.]+% - [\d.]+%", printed, re.M)
    for place in ("checkpoints/tiny/best.pt", "data/tokenizers/tiny", "data/cache/tiny"):
        assert place in printed
        assert (trained / place).exists()
    assert "make chat" in printed
    assert "nielsgpt sample --prompt" in printed


def test_a_second_pipeline_is_up_to_date_and_writes_nothing(trained: Path) -> None:
    def stamps() -> dict[Path, int]:
        files = (p for p in trained.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return {path: path.stat().st_mtime_ns for path in files if path.name != ".lock"}

    before = stamps()
    ran = launch(trained, "pipeline", "-c", "tiny.json")
    assert ran.returncode == 0, ran.stderr
    assert len(re.findall("up to date", ran.stderr)) == 6
    assert stamps() == before


def test_metrics_have_the_documented_columns_first_and_a_row_a_step(trained: Path) -> None:
    runs = sorted((trained / "runs").iterdir())
    assert len(runs) == 2
    for each in runs:
        with (each / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = list(rows[0])
        assert columns[:2] == ["iter", "train_loss"]
        assert columns[12:14] == ["grad_norm", "phase"]
        assert [row["iter"] for row in rows] == [str(step) for step in range(1, 7)]
        assert rows[2]["val_loss"]
        assert float(rows[0]["lr"]) == 0.0
        meta = json.loads((each / "run_meta.json").read_text())
        assert meta["arch"] == "gpt_qk"
        assert meta["tokens_per_step"] == 4 * 128
        settings = json.loads((each / "resolved_settings.json").read_text())
        assert settings["model"]["n_embd"] == 32


def test_chat_answers_in_a_pipe_a_line_a_turn(trained: Path) -> None:
    words = ("chat", "-c", "tiny.json", "--max-new-tokens", "8", "--temperature", "0", "--stats")
    before = (trained / "tiny.json").read_bytes()
    lines = "hello\n\n/save --force tiny.json\n/temperature 0.5\n/exit\nwho are you?\n"
    ran = launch(trained, *words, input=lines)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count(" tokens at ") == 5
    assert "the temperature is" not in ran.stdout
    assert (trained / "tiny.json").read_bytes() == before
    assert "checkpoints/tiny" in ran.stderr


def test_sample_continues_a_text_and_a_seed_repeats_it(trained: Path) -> None:
    words = ("sample", "-c", "tiny.json", "--prompt", "The keeper", "--max-new-tokens", "12")
    once, again = (launch(trained, *words, "--seed", "5") for _ in range(2))
    assert once.returncode == 0, once.stderr
    assert once.stdout.startswith("The keeper")
    assert once.stdout == again.stdout


def test_checkpoint_hash_names_the_weights_and_show_the_facts(trained: Path) -> None:
    ran = launch(trained, "checkpoint", "hash", "checkpoints/tiny/best.pt")
    assert re.fullmatch(r"[0-9a-f]{64}  checkpoints/tiny/best\.pt\n", ran.stdout)
    shown = launch(trained, "checkpoint", "show", "checkpoints/tiny/best.pt")
    assert json.loads(shown.stdout)["phase"] == "sft"


@pytest.mark.slow
def test_killed_at_any_moment_the_rerun_ends_with_the_same_weights(
    home: Path, trained: Path
) -> None:
    words = [
        sys.executable,
        "-c",
        "from cli.main import main; main()",
        "pipeline",
        "-c",
        "tiny.json",
    ]
    moments = (
        "data/tokenizers/tiny/meta.json",
        "data/cache/tiny/sft/primer_val.meta.json",
        "checkpoints/tiny/pretrain/step_*.json",
        "checkpoints/tiny/sft/step_*.json",
    )
    for moment in moments:
        process = subprocess.Popen(
            words, cwd=home, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not list(home.glob(moment)):
            assert process.poll() is None, moment
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, moment
    ran = launch(home, *words[3:])
    assert ran.returncode == 0, ran.stderr
    for phase in ("pretrain", "sft"):
        path = f"checkpoints/tiny/{phase}/best.pt"
        killed, straight = (launch(f, "checkpoint", "hash", path).stdout for f in (home, trained))
        assert killed == straight != ""
    assert not list(home.rglob(".*.tmp-*"))


def test_a_signal_saves_and_says_how_to_go_on(home: Path) -> None:
    words = ["-c", "from cli.main import main; main()", "pretrain", "-c", "tiny.json"]
    process = subprocess.Popen(
        [sys.executable, *words, "--set", "training.pretrain.max_steps=100000"],
        cwd=home,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "step 3/" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate()
    assert process.returncode == 143
    said = re.search(r"stopped at step (\d+) of 100000, which is saved; rerun the same", rest)
    assert said is not None
    assert (home / f"checkpoints/tiny/pretrain/step_{int(said[1]):07d}.pt").exists()


def test_your_own_text_and_conversations_train_a_model(home: Path, nielsgpt: Command) -> None:
    (home / "notes").mkdir()
    for number in range(30):
        (home / "notes" / f"{number}.md").write_text(f"Note {number}. " + "The sea was calm. " * 20)
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello there"}]
    lines = [
        json.dumps({"messages": [{**talk[0], "content": f"hi {n}"}, talk[1]]}) for n in range(60)
    ]
    (home / "chat.jsonl").write_text("\n".join(lines))
    ran = nielsgpt(
        *("sft", "-c", "tiny.json", "--set", 'data.mix_sft={"chat":1.0}'),
        *("--set", "data.chat.path=chat.jsonl", "--set", 'data.mix_pretrain={"text":1.0}'),
        *("--set", "data.text.path=notes"),
    )
    assert ran.returncode == 2
    assert "run 'nielsgpt pretrain -c tiny.json" in ran.stderr
    own = (
        *("-c", "tiny.json", "--set", 'data.mix_sft={"chat":0.5,"primer":0.5}'),
        *("--set", "data.chat.path=chat.jsonl", "--set", "data.text.path=notes"),
        *("--set", 'data.mix_pretrain={"text":0.9,"primer":0.1}', "--set", "name=mine"),
    )
    ran = nielsgpt("pipeline", *own)
    assert ran.returncode == 0, ran.stderr
    assert "caches: sft chat train:" in ran.stderr
    assert "mine" in ran.stdout


def test_help_is_there_on_every_level_without_importing_torch(nielsgpt: Command) -> None:
    ran = nielsgpt("--help")
    assert ran.returncode == 0
    names = re.findall(r"^  ([a-z]+)  ", ran.stdout, re.M)
    assert len(names) >= 11
    code = (
        "import sys; sys.argv = ['nielsgpt', '--help']\n"
        "from cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'sentencepiece', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    checked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    for name in names:
        assert nielsgpt(name, "--help").returncode == 0


def test_config_prints_the_settled_tree(nielsgpt: Command) -> None:
    ran = nielsgpt("config", "-c", "tiny.json", "--set", "model.n_layer=7")
    tree = json.loads(ran.stdout)
    assert tree["model"]["n_layer"] == 7
    assert tree["name"] == "tiny"
    assert "model.n_layer = 7  # number of blocks" in nielsgpt(
        "config", "--meanings", "-c", "tiny.json", "--set", "model.n_layer=7"
    ).stdout  # fmt: skip


def test_primer_writes_the_documented_format(home: Path, nielsgpt: Command) -> None:
    ran = nielsgpt("primer", "--n-per-category", "2", "--seed", "3", "--out", "p.txt")
    assert ran.stdout == "wrote 14 dialogues to p.txt\n"
    blocks = (home / "p.txt").read_text().rstrip("\n").split("\n\n<dialogue>\n\n")
    assert len(blocks) == 14
    assert all(re.match(r"system: .+\nuser: .+\nassistant: .+", block) for block in blocks)


def test_a_reader_that_leaves_is_no_failure(home: Path) -> None:
    code = "from cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "config"], cwd=home, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    with process:
        assert process.wait() == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_tokens_are_those_that_were_read_wherever_they_are_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty steps of 4 rows, then thirty of 8: CSV, run, checkpoint, report and card agree."""
    monkeypatch.chdir(home)
    assert run("pretrain -c tiny.json --set training.pretrain.max_steps=30").code == 0
    more = (
        "training.pretrain.batch_size=8",
        "training.pretrain.max_steps=60",
        "training.report=true",
    )
    ran = run(f"pretrain -c tiny.json {' '.join(f'--set {setting}' for setting in more)}")
    assert ran.code == 0, ran.lines
    tokens = 128 * (30 * 4 + 30 * 8)
    (folder,) = (home / "runs").iterdir()
    with (folder / "metrics.csv").open() as file:
        assert int(list(csv.DictReader(file))[-1]["tokens_seen"]) == tokens
    assert json.loads((folder / "run_meta.json").read_text())["tokens_seen"] == tokens
    newest = home / "checkpoints/tiny/pretrain/latest.json"
    assert json.loads(newest.read_text())["tokens_seen"] == tokens
    ran = run(f"export {newest.with_suffix('.pt')} --to hf --out card")
    assert ran.code == 0, ran.lines
    assert f"{tokens:,}" in (home / "card/README.md").read_text()
    assert format_count(tokens) in (folder / "report.html").read_text()
