"""The OpenAPI schema is true: requests made from it get the responses that it describes."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.serve.conftest import Running

CHECKS: list[Callable[..., Any]] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


def hold(running: Running, mode: GenerationMode, examples: int) -> None:
    """Make requests from the description and check every answer against it."""
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:  # there is nothing to get wrong about the others
        operations = [operation for operation in operations if operation.method == "post"]
    assert len(operations) >= 2
    bounded = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for operation in operations:

        @bounded
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        check()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_response_matches_the_openapi_schema(
    tiny_server: Running, mode: GenerationMode
) -> None:
    hold(tiny_server, mode, 4)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_many_responses_match_the_openapi_schema(
    tiny_server: Running, mode: GenerationMode
) -> None:
    hold(tiny_server, mode, 300)


def test_the_openapi_schema_has_requests_events_and_errors(tiny_server: Running) -> None:
    described = tiny_server.get("/openapi.json").json()
    chat = described["paths"]["/v1/chat/completions"]["post"]
    body = chat["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    question = described["components"]["schemas"][body.rpartition("/")[2]]
    assert question["required"] == ["messages"]
    assert question["properties"]["seed"]["description"]
    assert set(chat["responses"]) == {"200", "4XX", "5XX"}
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    for name in ("4XX", "5XX"):
        schema = chat["responses"][name]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("/ErrorResponse")
