"""What a download withstands, against a real server with faults; waiting is noted, never done."""

import errno
import hashlib
import json
import re
import threading
from pathlib import Path

import pytest

from nielsgpt.data.sources.download import download
from nielsgpt.data.sources.http import CHUNK_BYTES, RetryPolicy, fetch
from nielsgpt.errors import BusyError, DataError
from tests.data.sources.webserver import Web, endless, file, status

TEXT = bytes(range(32, 127)) * 3000
BUSY = status(503)


def policy(web: Web, tries: int = 4) -> RetryPolicy:
    return RetryPolicy(tries=tries, timeout_s=5.0, sleep=web.waited.append)


def test_a_file_is_fetched_once_and_whole(web: Web, tmp_path: Path) -> None:
    web.answers["/a"] = [file(TEXT)]
    for _ in range(2):
        download(f"{web.home}/a", tmp_path / "in" / "a.txt", policy=policy(web))
    assert (tmp_path / "in" / "a.txt").read_bytes() == TEXT
    assert len(web.asked) == 1 and web.waited == []
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again_after_ever_longer_pauses(
    code: int, web: Web, tmp_path: Path
) -> None:
    odd = status(code, Retry_After="soon")
    web.answers["/a"] = [status(code), status(code), odd, file(TEXT)]
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert (tmp_path / "a").read_bytes() == TEXT
    assert len(web.waited) == 3 and sorted(web.waited) == web.waited and web.waited[-1] >= 2


def test_a_server_that_says_when_is_asked_then_but_not_waited_for_all_day(
    web: Web, tmp_path: Path
) -> None:
    patient = RetryPolicy(longest_s=60, sleep=web.waited.append)
    web.answers["/a"] = [status(429, Retry_After="7"), status(429, Retry_After="86400"), file(TEXT)]
    download(f"{web.home}/a", tmp_path / "a", policy=patient)
    assert web.waited == [7, 60]


def test_a_body_that_breaks_off_is_resumed_where_it_did(web: Web, tmp_path: Path) -> None:
    web.answers["/a"] = [file(TEXT, cut=3 * CHUNK_BYTES, ETag='"1"'), file(TEXT, ETag='"1"')]
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert (tmp_path / "a").read_bytes() == TEXT
    asked = [headers.get("Range") for _, headers in web.asked]
    assert asked == [None, f"bytes={3 * CHUNK_BYTES}-"]
    assert web.asked[1][1]["If-Range"] == '"1"'


def test_the_next_command_resumes_what_an_earlier_one_left(web: Web, tmp_path: Path) -> None:
    version = {"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    web.answers["/a"] = [file(TEXT, cut=50_000, **version), status(404), file(TEXT, **version)]
    with pytest.raises(DataError, match="404 Not Found"):
        download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert not (tmp_path / "a").exists()
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert (tmp_path / "a").read_bytes() == TEXT


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changed_is_fetched_anew(heeds: bool, web: Web, tmp_path: Path) -> None:
    newer = TEXT[::-1]
    changed = file(newer, heedless=not heeds, ETag='"2"')
    web.answers["/a"] = [file(TEXT, cut=50_000, ETag='"1"'), changed]
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert (tmp_path / "a").read_bytes() == newer


@pytest.mark.parametrize("version", [{}, {"ETag": 'W/"1"'}])
def test_what_has_no_version_is_never_pieced_together(
    version: dict[str, str], web: Web, tmp_path: Path
) -> None:
    web.answers["/a"] = [file(TEXT, cut=50_000, **version), file(TEXT[::-1], **version)]
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert (tmp_path / "a").read_bytes() == TEXT[::-1]


def test_a_part_that_is_longer_than_the_file_is_fetched_anew(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(TEXT * 2)
    note = {"url": f"{web.home}/a", "version": '"1"'}
    (tmp_path / "a.part.json").write_text(json.dumps(note))
    web.answers["/a"] = [file(TEXT, ETag='"1"')]
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert (tmp_path / "a").read_bytes() == TEXT


def test_a_part_of_another_address_is_not_used(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"something else")
    (tmp_path / "a.part.json").write_text(json.dumps({"url": "http://b", "version": '"1"'}))
    web.answers["/a"] = [file(TEXT, ETag='"1"')]
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert (tmp_path / "a").read_bytes() == TEXT and "Range" not in web.asked[0][1]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([status(404)], "404 Not Found"),
        ([BUSY], "503 Service Unavailable"),
        ([file(TEXT, length=len(TEXT) + 9, ETag='"1"')], "bytes"),
        ([status(302, Location="/a")], "Exceeded 30 redirects"),
        ([status(302, Location="file:///etc/passwd")], "No connection adapters"),
        ([endless], "more than the 500,000 bytes allowed"),
        ([file(TEXT * 3)], "855,000 bytes, more than the limit of 500,000"),
        (
            [file(b"<html>", Content_Type="text/html; charset=utf-8")],
            "a web page instead of a text",
        ),
        ([file(TEXT, Content_Encoding="gzip")], "it is encoded as gzip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_had_is_one_line_with_address_reason_and_place(
    answers: list, reason: str, web: Web, tmp_path: Path
) -> None:
    web.answers["/a"] = answers
    with pytest.raises(DataError) as told:
        download(f"{web.home}/a", tmp_path / "a", policy=policy(web), limit_bytes=500_000)
    line = str(told.value)
    place = re.escape(f"); put a copy at {tmp_path / 'a'}")
    assert re.fullmatch(re.escape(f"{web.home}/a cannot be downloaded (") + rf".+{place}", line)
    assert reason in line and "\n" not in line and len(line) < 300
    assert not (tmp_path / "a").exists()


def test_a_server_that_is_not_there_is_named_with_its_reason(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1/a cannot be downloaded \(.*Connection refused"):
        download("http://127.0.0.1:1/a", tmp_path / "a", policy=policy(web))
    assert len(web.waited) == 3


def test_a_wrong_checksum_leaves_nothing_to_build_on(web: Web, tmp_path: Path) -> None:
    web.answers["/a"] = [file(TEXT, ETag='"1"')]
    right = hashlib.sha256(TEXT).hexdigest()
    with pytest.raises(DataError, match=f"its sha256 is {right}, not 00"):
        download(f"{web.home}/a", tmp_path / "a", policy=policy(web), sha256="00")
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web), sha256=right)
    assert (tmp_path / "a").read_bytes() == TEXT and "Range" not in web.asked[1][1]


def test_without_locks_a_file_names_the_process_that_downloads(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", without_locks)
    web.answers["/a"] = [file(TEXT)]
    holder = tmp_path / "a.part-holder"
    holder.write_text("elsewhere 7\n")
    line = f"{tmp_path} is in use by process 7 on elsewhere; wait for it to end, or remove {holder}"
    with pytest.raises(BusyError, match=f"^{re.escape(line)}"):
        download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    holder.unlink()
    download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_two_at_once_fetch_it_once(web: Web, tmp_path: Path) -> None:
    web.answers["/a"] = [file(TEXT)]
    both = [
        threading.Thread(
            target=download,
            args=(f"{web.home}/a", tmp_path / "a"),
            kwargs={"policy": policy(web)},
        )
        for _ in range(4)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert (tmp_path / "a").read_bytes() == TEXT
    assert len(web.asked) == 1 and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_offline_asks_nobody_and_says_where_the_file_goes(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "here").write_text("mine")
    download(f"{web.home}/a", tmp_path / "here", policy=policy(web))
    with pytest.raises(DataError, match=r"HF_HUB_OFFLINE is set; put a copy at .*/a$"):
        download(f"{web.home}/a", tmp_path / "a", policy=policy(web))
    assert web.asked == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://[", "ftp://host/a", "a.txt", ""])
def test_only_the_web_is_asked(url: str, web: Web, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(url)} is not an http or https address"):
        download(url, tmp_path / "a", policy=policy(web))


@pytest.mark.parametrize(
    ("answer", "reason"), [(endless, "more than 1,000 bytes"), (status(403), "403 Forbidden")]
)
def test_a_small_answer_fails_in_one_line_too(answer: object, reason: str, web: Web) -> None:
    web.answers["/a"] = [answer]  # type: ignore[list-item]
    with pytest.raises(DataError, match=rf"/a cannot be read \({reason}\); try later"):
        fetch(f"{web.home}/a", policy(web), 1000, "try later")
