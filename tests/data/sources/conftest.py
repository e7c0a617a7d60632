"""What the tests of the sources share."""

from collections.abc import Iterator

import pytest

from tests.data.sources.webserver import Web, serving


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The server, running."""
    with serving(monkeypatch) as running:
        yield running
