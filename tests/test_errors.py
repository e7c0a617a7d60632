"""What a run can do without never ends it."""

import pytest

from nielsgpt.errors import RunError, Stopped, best_effort


@pytest.mark.parametrize(
    "error", [OSError("disk"), ValueError("x"), RunError("no space"), KeyError()]
)
def test_what_a_run_can_do_without_fails_with_one_warning(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with best_effort("the report"):
        raise error
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].getMessage().startswith("the report failed (")


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(1), Stopped("stopped", 15)])
def test_a_stop_comes_through(end: BaseException) -> None:
    with pytest.raises(type(end)), best_effort("the report"):
        raise end
