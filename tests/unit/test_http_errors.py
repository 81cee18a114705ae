"""Every refusal has one status, or is known to belong to another face."""

import json
import logging
from collections.abc import Iterator

import pytest

from bot.core.errors import InvalidRequest, KeyturnError, NotFound, RateLimited, Unauthorized
from bot.http.errors import OTHER_FACES, STATUS, internal, problem


def _tree(root: type[KeyturnError]) -> Iterator[type[KeyturnError]]:
    for child in root.__subclasses__():
        if child.__module__ == "bot.core.errors":
            yield child
            yield from _tree(child)


def test_the_table_names_every_code_of_the_tree_and_no_other() -> None:
    codes = {error.code for error in _tree(KeyturnError)}
    assert codes == set(STATUS) | OTHER_FACES
    assert not set(STATUS) & OTHER_FACES


def test_a_problem_says_what_is_wrong_and_where() -> None:
    response = problem(InvalidRequest(errors=[("/params/amount", "must be a number")]))
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "code": "invalid_request",
        "detail": "/params/amount: must be a number",
        "errors": [{"pointer": "/params/amount", "detail": "must be a number"}],
    }


def test_a_refusal_that_may_be_retried_says_when() -> None:
    assert problem(RateLimited(retry_after=7)).headers["retry-after"] == "7"


def test_a_missing_token_is_asked_for() -> None:
    assert problem(Unauthorized()).headers["www-authenticate"] == "Bearer"


def test_a_fault_of_ours_shows_a_reference_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = internal(RuntimeError("password is hunter2"))
    body = json.loads(bytes(response.body))
    record = caplog.records[-1]
    assert (response.status_code, body["code"]) == (500, "internal")
    assert "hunter2" not in bytes(response.body).decode()
    assert record.__dict__["reference"] in body["detail"]
    assert record.exc_info is not None


def test_a_refusal_that_no_call_can_meet_is_a_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    class Strange(NotFound):
        code = "strange"

    assert problem(Strange()).status_code == 500
    assert "internal error" in caplog.text
