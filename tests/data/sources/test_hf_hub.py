"""Datasets of the Hub, read by the real libraries from a Hub of ours, also when it goes wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.sources import hubdata
from tests.data.sources.hubclient import Client
from tests.data.sources.hubserver import Files, Hub

PINNED = "b08601e04326c79dfdd32d625aee71d232d685c3"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as served:
        yield served


@pytest.fixture(scope="module")
def client(hub: Hub) -> Iterator[Client]:
    with Client(hub) as running:
        yield running


@pytest.fixture(autouse=True)
def _healed(hub: Hub) -> Iterator[None]:
    yield
    hub.heal()


def texts(rows: int, files: int = 1, column: str = "text") -> Files:
    """A dataset of one split, in several files of small row groups."""
    found = {"README.md": hubdata.card({"default": {"train": "data/train-*"}})}
    for index in range(files):
        part = [{column: hubdata.story(n)} for n in range(index * rows, (index + 1) * rows)]
        found[f"data/train-{index}.parquet"] = hubdata.parquet(part, row_group_size=5)
    return found


def stories(first: int, count: int) -> list[str]:
    return [hubdata.story(number) for number in range(first, first + count)]


def test_the_newest_commit_is_named_and_followed_when_it_moves(hub: Hub, client: Client) -> None:
    first = hub.commit("a/moves", texts(10))
    told = client.read("a/moves")
    assert (told["commit"], told["texts"], told["error"]) == (first, {"None": stories(0, 10)}, "")
    second = hub.commit("a/moves", texts(12))
    told = client.read("a/moves")
    assert (told["commit"], told["texts"]) == (second, {"None": stories(0, 12)})


def test_a_pinned_commit_is_what_is_read_and_read_again_without_a_request(
    hub: Hub, client: Client
) -> None:
    hub.commit("a/pinned", texts(10), sha=PINNED)
    hub.commit("a/pinned", texts(99))
    assert client.read("a/pinned", revision=PINNED)["texts"] == {"None": stories(0, 10)}
    before = len(hub.requests)
    assert client.read("a/pinned", revision=PINNED)["texts"] == {"None": stories(0, 10)}
    assert len(hub.requests) == before


def test_a_validation_split_of_its_own_decides_the_side(hub: Hub, client: Client) -> None:
    hub.commit("a/split", hubdata.tinystories(20))
    told = client.read("a/split")
    assert told["texts"] == {"val": stories(20, 8), "train": stories(0, 20)}


def test_only_the_files_of_the_configuration_are_fetched(hub: Hub, client: Client) -> None:
    hub.commit("a/wikitext", hubdata.wikitext(6))
    told = client.read("a/wikitext", "wikitext", config="wikitext-103-raw-v1")
    assert {side: len(found) for side, found in told["texts"].items()} == {"train": 6, "val": 4}
    assert told["texts"]["train"][0].startswith(" = Title 0 = \n Story 0: the lamp")
    assert told["texts"]["train"][0].count("\n") == 5
    assert hub.asked("a/wikitext.*wikitext-2") == 0


def test_a_stream_is_shuffled_alike_by_one_seed_and_otherwise_by_another(
    hub: Hub, client: Client
) -> None:
    hub.commit("a/shuffled", texts(40))
    wanted = {"streaming": True, "shuffle_buffer": 16}
    one, same, other = (
        client.read("a/shuffled", **wanted, seed=seed)["texts"]["None"] for seed in (1, 1, 2)
    )
    assert one == same != other
    assert sorted(one) == sorted(other) == sorted(stories(0, 40))


def test_a_failing_server_is_asked_again_with_a_line_for_each_time(
    hub: Hub, client: Client
) -> None:
    hub.commit("a/busy", texts(10))
    hub.fail("api/datasets/a/busy$", status=500, times=2)
    told = client.read("a/busy")
    assert told["texts"] == {"None": stories(0, 10)}
    assert [line.rpartition("; ")[2] for line in told["log"]] == [
        "trying again in 1 s",
        "trying again in 5 s",
    ]
    assert "source tinystories: a/busy at main: the Hub failed (Server error '500" in told["log"][0]


def test_a_server_that_goes_on_failing_is_one_line(hub: Hub, client: Client) -> None:
    hub.commit("a/down", texts(10))
    hub.fail("a/down", status=503, times=99)
    told = client.read("a/down")
    assert told["error"].startswith("source tinystories: a/down at main: the Hub failed (Server ")
    assert told["error"].endswith("; check the network and run the command again")
    assert len(told["log"]) == 3


def test_the_last_known_commit_is_taken_where_the_newest_cannot_be_asked(
    hub: Hub, client: Client
) -> None:
    sha = hub.commit("a/known", texts(10))
    client.read("a/known")
    hub.fail("a/known", status=503, times=99)
    told = client.read("a/known")
    assert (told["commit"], told["texts"]) == (sha, {"None": stories(0, 10)})
    assert told["log"] == [
        "source tinystories: a/known at main: the Hub is unreachable; "
        f"using commit {sha[:12]} as last time"
    ]


@pytest.mark.parametrize("fault", [{"cut": 700}, {"spoil": True}, {"status": 500}, {"short": 30}])
def test_a_file_that_comes_wrong_once_is_fetched_again(
    hub: Hub, client: Client, fault: dict[str, int]
) -> None:
    name = f"a/once-{next(iter(fault))}"
    hub.commit(name, texts(10))
    hub.fail(f"{name}.*train-0", **fault)
    told = client.read(name)
    assert (told["texts"], told["error"]) == ({"None": stories(0, 10)}, "")


def test_bytes_that_are_not_those_of_the_checksum_are_never_read(hub: Hub, client: Client) -> None:
    sha = hub.commit("a/spoilt", texts(10))
    hub.fail("a/spoilt.*train-0", times=99, spoil=True)
    assert client.read("a/spoilt")["error"] == (
        f"source tinystories: a/spoilt at {sha[:12]}: was damaged during the download "
        "(data/train-0.parquet differs from the sha256 on the Hub); "
        "check the network and run the command again"
    )
    hub.heal()
    assert client.read("a/spoilt")["texts"] == {"None": stories(0, 10)}


@pytest.mark.parametrize("fault", [{"cut": 700}, {"status": 500, "times": 9}])
def test_a_stream_that_breaks_goes_on_with_the_next_row(
    hub: Hub, client: Client, fault: dict[str, int]
) -> None:
    name = f"a/stream-{next(iter(fault))}"
    hub.commit(name, texts(60, files=3))
    hub.fail(f"{name}.*train-1", **fault)
    told = client.read(name, streaming=True)
    assert (told["texts"], told["error"]) == ({"None": stories(0, 180)}, "")


def test_a_commit_that_vanished_is_named_even_where_another_one_is_on_disk(
    hub: Hub, client: Client
) -> None:
    hub.commit("a/vanished", texts(10))
    assert client.read("a/vanished")["error"] == ""
    assert client.read("a/vanished", revision=PINNED)["error"] == (
        f"source tinystories: a/vanished at {PINNED[:12]}: has no such revision; "
        "take the newest with --set data.tinystories.revision=null"
    )


def test_another_commit_on_disk_never_stands_in_for_one_that_cannot_be_had(
    hub: Hub, client: Client
) -> None:
    old = hub.commit("a/other", texts(10))
    assert client.read("a/other")["error"] == ""
    hub.commit("a/other", texts(12), sha=PINNED)
    hub.fail("datasets/a/other/resolve", status=503, times=99)
    assert client.read("a/other", revision=PINNED)["error"] == (
        f"source tinystories: a/other at {PINNED[:12]}: the Hub cannot be reached (only commit "
        f"{old[:12]} is on disk); check the network and run the command again"
    )


@pytest.mark.parametrize("revision", [None, PINNED])
def test_a_dataset_that_is_not_there_names_the_setting_at_once(
    client: Client, revision: str | None
) -> None:
    told = client.read("a/nowhere", revision=revision)
    assert told["error"] == (
        f"source tinystories: a/nowhere at {(revision or 'main')[:12]}: does not exist "
        "on the Hub or is private; check data.tinystories.dataset, or log in with 'hf auth login'"
    )
    assert told["log"] == []


def test_an_unknown_configuration_lists_those_that_there_are(hub: Hub, client: Client) -> None:
    sha = hub.commit("a/configs", hubdata.wikitext(4))
    error = client.read("a/configs", config="wikitext-9")["error"]
    assert error.startswith(f"source tinystories: a/configs wikitext-9 at {sha[:12]}: ")
    assert "wikitext-2-raw-v1" in error
    assert "\n" not in error
    assert error.endswith("; check data.tinystories.config and data.tinystories.revision")


def test_a_dataset_without_a_split_to_train_on_lists_those_that_there_are(
    hub: Hub, client: Client
) -> None:
    files = {"README.md": hubdata.card({"default": {"test": "data/test-*"}})}
    files["data/test-0.parquet"] = hubdata.parquet([{"text": hubdata.story(1)}])
    sha = hub.commit("a/tests", files)
    assert client.read("a/tests")["error"] == (
        f"source tinystories: a/tests at {sha[:12]}: has no split called train, only test; "
        "set data.tinystories.config, or data.tinystories.dataset to another"
    )


def test_rows_without_text_list_their_columns(hub: Hub, client: Client) -> None:
    sha = hub.commit("a/columns", texts(3, column="body"))
    assert client.read("a/columns")["error"] == (
        f"source tinystories: a/columns at {sha[:12]}, train has no column text, content or "
        "document; its columns are body"
    )


def test_offline_what_was_fetched_is_read_and_the_rest_is_one_line(
    hub: Hub, client: Client
) -> None:
    sha = hub.commit("a/offline", texts(10))
    client.read("a/offline")
    streamed = hub.commit("a/streamed", texts(9))
    client.read("a/streamed", streaming=True)
    before = len(hub.requests)
    with Client(hub, offline=True) as later:
        told = later.read("a/offline")
        assert (told["commit"], told["texts"]) == (sha, {"None": stories(0, 10)})
        assert later.read("a/streamed", streaming=True)["error"] == (
            f"source tinystories: a/streamed at {streamed[:12]}: is streamed and HF_HUB_OFFLINE is "
            "set; unset it and run 'nielsgpt caches' once"
        )
        assert later.read("a/new", revision=PINNED)["error"] == (
            f"source tinystories: a/new at {PINNED[:12]}: is not in the Hugging Face cache and "
            "HF_HUB_OFFLINE is set; unset it and run 'nielsgpt caches' once"
        )
        assert later.read("a/new")["error"] == (
            "source tinystories: a/new at main: HF_HUB_OFFLINE is set and the newest commit is not "
            "known; set data.tinystories.revision, or unset it and run the command again"
        )
    assert len(hub.requests) == before


def test_a_machine_without_network_says_so_in_one_line(tmp_path: Path) -> None:
    with Hub(tmp_path) as gone:
        pass
    with Client(gone) as client:
        error = client.read("a/b", revision=PINNED)["error"]
    assert error.startswith(
        f"source tinystories: a/b at {PINNED[:12]}: the Hub cannot be reached ("
    )
    assert "\n" not in error
