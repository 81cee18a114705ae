"""One tree of errors, documented where it stands, complete for the contract's codes."""

import inspect
import re
from typing import Any

import pytest

from keyturn import errors
from keyturn.errors import KeyturnError, from_problem
from keyturn.models import Request
from keyturn.settings import configured
from tests.stub_keyturn import now, resource

CODES = """
invalid_json unauthorized missing_scope not_found method_not_allowed too_large unsupported_media_type
invalid_request inexact_number unknown_escalation_target rate_limited unavailable
idempotency_conflict already_decided session_ended not_claimed outcome_conflict
already_claimed digest_mismatch approval_expired outside_window preview_changed
"""


def test_every_code_of_the_contract_has_its_own_error() -> None:
    for code in CODES.split():
        error = from_problem(409, {"code": code, "detail": "why"})
        assert type(error) is not errors.ApiError, code
        assert isinstance(error, errors.ApiError)
        assert (error.code, str(error)) == (code, f"{code}: why")


def test_refused_claims_that_are_decisions_read_as_decisions() -> None:
    assert isinstance(from_problem(409, {"code": "paused", "detail": "maintenance"}), errors.Paused)
    assert type(from_problem(409, {"code": "not_approved"})) is errors.NotApproved


def test_an_unknown_code_is_still_an_error() -> None:
    error = from_problem(418, {"code": "teapot"})
    assert type(error) is errors.ApiError
    assert error.code == "teapot"


def test_the_documented_tree_names_every_class() -> None:
    classes = {
        name for name, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, KeyturnError)
    }
    assert classes <= set(re.findall(r"\w+", errors.__doc__ or ""))


def decided(status: str, cause: str, **policy: Any) -> Request:
    body = resource("req_1", {"type": "deployment", "params": {}})
    decision = {
        "status": status,
        "by": [{"id": "U1", "name": "Dana"}] if cause == "human" else [],
        "reason": "Not on a Friday",
        "decided_at": now(),
    }
    return Request.model_validate(body | {"status": status, "cause": cause, "decision": decision})


@pytest.mark.parametrize(
    ("status", "cause", "kind"),
    [
        ("rejected", "human", errors.Rejected),
        ("rejected", "policy_rule", errors.PolicyRejected),
        ("rejected", "risk_threshold", errors.PolicyRejected),
        ("rejected", "paused", errors.Paused),
        ("rejected", "something_new", errors.PolicyRejected),
        ("timed_out", "timeout", errors.TimedOut),
        ("timed_out", "no_approver", errors.TimedOut),
        ("cancelled", "cancelled_by_agent", errors.Cancelled),
        ("cancelled", "cancelled_by_operator", errors.Cancelled),
    ],
)
def test_every_way_to_say_no_has_its_own_error(status: str, cause: str, kind: type[Exception]) -> None:
    request = decided(status, cause)
    with pytest.raises(errors.NotApproved, match="Not on a Friday") as caught:
        request.ensure_approved()
    assert type(caught.value) is kind
    assert caught.value.cause == cause
    assert caught.value.reason == "Not on a Friday"
    assert caught.value.request is request


def test_an_approval_without_its_decision_is_no_approval() -> None:
    body = resource("req_1", {"type": "deployment", "params": {}}) | {"status": "approved", "cause": "human"}
    with pytest.raises(errors.NotApproved):
        Request.model_validate(body).ensure_approved()


@pytest.mark.parametrize(
    ("url", "token", "fix"),
    [
        (None, "t", "KEYTURN_URL"),
        ("http://x", None, "KEYTURN_TOKEN"),
        ("ftp://x", "t", "http://"),
        ("x:8420", "t", "http://"),
        ("http://", "t", "http://"),
        ("http://x", "two words", "copy it again"),
    ],
)
def test_a_client_that_cannot_ask_is_not_made(
    monkeypatch: pytest.MonkeyPatch, url: str | None, token: str | None, fix: str
) -> None:
    monkeypatch.delenv("KEYTURN_URL", raising=False)
    monkeypatch.delenv("KEYTURN_TOKEN", raising=False)
    with pytest.raises(errors.ConfigurationError, match=re.escape(fix)):
        configured(url, token)


def test_arguments_win_over_the_environment_and_the_token_is_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEYTURN_URL", "http://from-env:1/")
    monkeypatch.setenv("KEYTURN_TOKEN", "kt_secret\n")
    settings = configured(None, None)
    assert (settings.url, settings.token) == ("http://from-env:1", "kt_secret")
    assert configured("http://mine", None).url == "http://mine"
    assert "kt_secret" not in repr(settings)
