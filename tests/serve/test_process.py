"""The server process: its address, its key, its shutdown."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from cli.main import nielsgpt
from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import ServeSettings, Settings
from nielsgpt.errors import CheckpointError, RunError, SettingsError
from nielsgpt.serve.engine import InferenceEngine
from nielsgpt.serve.server import Server, bind, format_url, read_key
from nielsgpt.tokenizers.byte import ByteTokenizer
from tests.serve.conftest import GENERATION, Running, events, lively_model
from tests.serve.test_engine import FailingBatcher

HERE = Path(__file__).resolve().parents[2]


def test_a_port_that_is_taken_is_one_line() -> None:
    with bind(ServeSettings(port=0), None, False) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"port {port} \(Address already in use\)"):
            bind(ServeSettings(port=port), None, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_need_a_key_or_insecure(host: str) -> None:
    settings = ServeSettings(host=host, port=0)
    with pytest.raises(SettingsError, match="set a key with --api-key-file or NIELSGPT_API_KEY"):
        bind(settings, None, False)
    for key, insecure in (("a-key", False), (None, True)):
        bind(settings, key, insecure).close()


def test_an_invalid_address_is_named() -> None:
    for host in ("1.2.3.4.5", "192.0.2.1"):
        with pytest.raises(SettingsError, match=re.escape(host)):
            bind(ServeSettings(host=host, port=0), "a-key", False)


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")],
)
def test_the_url_opens_in_a_browser_on_this_machine(host: str, name: str) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with bind(ServeSettings(host=host, port=0), "a-key", False) as listener:
        assert format_url(listener, host) == f"http://{name}:{listener.getsockname()[1]}"


def test_the_key_is_read_from_the_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("  from-the-file\n", encoding="utf-8")
    assert read_key(file, "from-the-environment") == "from-the-file"
    file.write_bytes(b"\xef\xbb\xbffrom-an-editor\r\n")
    assert read_key(file, None) == "from-an-editor"
    assert read_key(None, "from-the-environment") == "from-the-environment"
    assert read_key(None, "") is None
    assert read_key(None, None) is None


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two words", b"two\nlines", b"k\xc3\xa9y", b"\xff"]
)
def test_a_malformed_key_file_is_named_without_its_content(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=str(file)) as error:
        read_key(file, None)
    assert not content.split() or content.decode("latin-1").split()[-1] not in str(error.value)
    with pytest.raises(SettingsError, match="No such file"):
        read_key(tmp_path / "none", None)


def test_no_option_takes_the_key_itself() -> None:
    words = CliRunner().invoke(nielsgpt, ["serve", "--help"]).output
    assert re.findall(r"--[\w-]*key[\w-]*", words) == ["--api-key-file"]


def test_a_model_that_fails_stops_the_server_with_an_error(tiny_server: Running) -> None:
    settings = ServeSettings(port=0)
    engine = InferenceEngine(FailingBatcher(), lambda ids, count: [], ByteTokenizer(), 4, 4)
    running = Server(engine, tiny_server.served, settings)
    statuses: list[int] = []

    def ask() -> None:
        while not running.started:
            time.sleep(0.01)
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        statuses.append(httpx.post(f"{url}/v1/chat/completions", json=body).status_code)

    with bind(settings, None, False) as listener:
        url = format_url(listener, settings.host)
        asking = threading.Thread(target=ask)
        asking.start()
        with pytest.raises(RunError, match="the model failed: the device is gone"):
            running.serve_until_stopped(listener)
        asking.join()
    assert statuses == [503]


Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def start(root: Path, tiny: Callable[..., Settings]) -> Iterator[Start]:
    """Starts `nielsgpt serve` where a tiny model lies that seldom ends; waits for its line."""
    settings = tiny(
        model={"n_layer": 2, "n_head": 2, "n_embd": 16, "context_length": 4096, "tied": False},
        generation=GENERATION.model_dump(mode="json"),
    )
    (root / "tiny.json").write_text(json.dumps(settings.model_dump(mode="json")), encoding="utf-8")
    state = {
        "weights": lively_model(4096, endless=True).state_dict(),
        "tokenizer": load_model.pack_tokenizer(ByteTokenizer()),
        "settings": settings.model_dump(mode="json"),
        "facts": {"name": "tiny", "phase": "sft"},
        "step": 6,
    }
    checkpoint_file.save(root / "checkpoints" / "tiny" / "best.pt", state)
    started = []

    def launch(*words: str, **environment: str) -> tuple["subprocess.Popen[str]", str]:
        code = "from cli.main import main; main()"
        line = [sys.executable, "-c", code, "serve", "--config", "tiny.json", "--port", "0"]
        process = subprocess.Popen(
            [*line, *words],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stderr
        line = process.stderr.readline()
        match = re.search(r"at (http://\S+)$", line)
        return process, match[1] if match else line

    yield launch
    for process in started:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()


HEADERS = {"Authorization": "Bearer a-key"}


def streamed(url: str, seed: int) -> str:
    body = {"messages": [{"role": "user", "content": "Hello"}], "seed": seed, "stream": True}
    return httpx.post(
        f"{url}/v1/chat/completions",
        json={**body, "max_tokens": 4000, "temperature": 0},
        headers=HEADERS,
        timeout=60,
    ).text


def rows_running(url: str) -> float:
    page = httpx.get(f"{url}/metrics", headers=HEADERS).text
    match = re.search(r"^nielsgpt_rows_running (.*)$", page, re.M)
    assert match
    return float(match[1])


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_open_streams_with_an_error_and_the_process_in_time(
    start: Start, number: int
) -> None:
    process, url = start(NIELSGPT_API_KEY="a-key")
    assert httpx.get(f"{url}/v1/models").status_code == 401
    listed = httpx.get(f"{url}/v1/models", headers=HEADERS).json()["data"]
    assert [model["id"] for model in listed] == ["tiny"]
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    with ThreadPoolExecutor(8) as pool, socket.create_connection(address) as idle:
        idle.sendall(b"GET /health")
        streams = [pool.submit(streamed, url, seed) for seed in range(8)]
        while rows_running(url) < 8:
            assert process.poll() is None
        start_s = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == 0
        assert time.monotonic() - start_s < 5
        for reply in streams:
            first, *_, last = events(reply.result())
            assert re.fullmatch(r"fp_[0-9a-f]{12}", first["system_fingerprint"])
            assert last["error"]["code"] == "server_stopping"
    assert process.stderr
    assert "a-key" not in process.stderr.read()


def test_without_a_model_the_error_names_the_command_that_makes_one(
    root: Path, tiny: Callable[..., Settings]
) -> None:
    (root / "tiny.json").write_text(tiny().model_dump_json(), encoding="utf-8")
    words = ["serve", "--config", "tiny.json", "--port", "0"]
    result = CliRunner().invoke(nielsgpt, words, standalone_mode=False)
    assert isinstance(result.exception, CheckpointError)
    refused = CliRunner().invoke(nielsgpt, [*words, "--host", "0.0.0.0"], standalone_mode=False)
    assert "--insecure" in str(refused.exception)
