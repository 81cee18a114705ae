"""The blocking client against a real HTTP server that fails in every way a network can."""

import socket
import struct
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

import keyturn
from tests.stub_keyturn import (
    PATIENCE,
    TOKEN,
    Handler,
    StubKeyturn,
    answer,
    drop_after,
    drop_before,
    gateway,
    hang,
    running_stub,
)

PARAMS = {"amount": Decimal("2500.00"), "currency": "USD", "count": 3}


@pytest.fixture
def stub() -> Iterator[StubKeyturn]:
    with running_stub() as stub:
        yield stub


@pytest.fixture
def client(stub: StubKeyturn) -> Iterator[keyturn.Client]:
    with keyturn.Client(stub.url, TOKEN) as client:
        yield client


def in_background(target: Any, *args: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=args)
    thread.start()
    return thread


def decide_when_asked(stub: StubKeyturn, request_id: str, status: str, **changes: Any) -> threading.Thread:
    def run() -> None:
        stub.wait_for(lambda: any("wait=" in path for _, path, _, _ in stub.log))
        stub.decide(request_id, status, **changes)

    return in_background(run)


def test_a_request_keeps_its_digits_both_ways(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS | {"rate": 0.1}, "Pay Bob", reason="Invoice 7", urgency="high")
    headers, body = stub.calls("POST", "/v1/requests")[0]
    assert b'"amount":2500.00,' in body
    assert b'"rate":0.1' in body
    assert headers["content-type"] == "application/json"
    assert asked.status is keyturn.Status.PENDING
    assert str(asked.params["amount"]) == "2500.00"
    assert type(asked.params["count"]) is int
    assert asked.risk.score == 35
    assert asked.requirement is not None
    assert asked.requirement.approvers[0].users == ("U0DANA001",)


def test_ask_wait_claim_report(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    thread = decide_when_asked(stub, asked.id, "approved", reason="Fine")
    decided = client.wait(asked)
    thread.join()
    assert decided.decision is not None
    assert decided.decision.by[0].name == "Dana"
    claim = client.claim(decided)
    assert claim.params == PARAMS
    assert claim.receipt
    client.report(asked, success=True, duration_ms=12, output={"paid": Decimal("2500.00")})
    client.report(asked, success=True, duration_ms=12, output={"paid": Decimal("2500.00")})
    assert client.get(asked.id).execution.state is keyturn.ExecutionState.SUCCEEDED
    with pytest.raises(keyturn.OutcomeConflict):
        client.report(asked, success=False)


@pytest.mark.parametrize(
    "faults",
    [
        (drop_after,),
        (drop_before, drop_after),
        (answer(503, "unavailable", "0"), drop_after, answer(429, "rate_limited", "0")),
        (gateway,),
        (drop_after, gateway, drop_before),
    ],
)
def test_no_failure_of_the_network_makes_a_second_request(
    stub: StubKeyturn, client: keyturn.Client, faults: tuple[Any, ...]
) -> None:
    stub.fail("POST /v1/requests", *faults)
    asked = client.request("transfer", PARAMS, "Pay Bob")
    assert list(stub.requests) == [asked.id]
    assert len(stub.calls("POST", "/v1/requests")) == len(faults) + 1


def test_a_server_that_stores_but_never_answers_is_asked_again(stub: StubKeyturn) -> None:
    stub.fail("POST /v1/requests", hang)
    with keyturn.Client(stub.url, TOKEN, timeout=0.2) as client:
        asked = client.request("transfer", PARAMS, "Pay Bob")
    assert list(stub.requests) == [asked.id]


def test_no_server_means_no_action(stub: StubKeyturn) -> None:
    stub.stop()
    with (
        keyturn.Client(stub.url, TOKEN, retry_for=0.5) as client,
        pytest.raises(keyturn.Unreachable) as caught,
    ):
        client.request("transfer", PARAMS, "Pay Bob")
    assert caught.value.idempotency_key


def test_asking_again_with_the_key_of_an_unanswered_call_finds_the_request(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    stub.fail("POST /v1/requests", *[drop_after] * 50)
    with (
        keyturn.Client(stub.url, TOKEN, retry_for=0.3) as hasty,
        pytest.raises(keyturn.Unreachable) as caught,
    ):
        hasty.request("transfer", PARAMS, "Pay Bob")
    stub.faults.clear()
    asked = client.request("transfer", PARAMS, "Pay Bob", idempotency_key=caught.value.idempotency_key)
    assert list(stub.requests) == [asked.id]
    with pytest.raises(keyturn.IdempotencyConflict):
        client.request("transfer", {}, "Pay Eve", idempotency_key=caught.value.idempotency_key)


def test_a_wait_survives_a_restart_of_the_server(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")

    def restart() -> None:
        stub.wait_for(lambda: any("wait=" in path for _, path, _, _ in stub.log))
        stub.stop()
        stub.decide(asked.id, "approved")
        stub.start()

    thread = in_background(restart)
    assert client.wait(asked).approved
    thread.join()


def test_a_wait_survives_refusals_and_broken_polls(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    stub.fail(
        f"GET /v1/requests/{asked.id}",
        drop_before,
        answer(503, "unavailable", "0"),
        gateway,
        answer(429, "rate_limited", "0"),
    )
    thread = decide_when_asked(stub, asked.id, "approved")
    assert client.wait(asked.id).approved
    thread.join()


def test_an_own_timeout_leaves_the_request_pending(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    with pytest.raises(keyturn.NotYetDecided) as caught:
        client.wait(asked, timeout=0.01)
    stub.decide(asked.id, "approved")
    assert client.wait(caught.value.request, timeout=5).approved


def test_a_person_and_a_policy_say_no_differently(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = [client.request("transfer", PARAMS, "Pay Bob") for _ in range(4)]
    stub.decide(asked[0].id, "rejected", reason="Wrong account")
    stub.decide(asked[1].id, "rejected", cause="policy_rule", reason="Blocked")
    stub.decide(asked[2].id, "timed_out", cause="timeout")
    stub.decide(asked[3].id, "rejected", cause="paused", reason="Maintenance")
    with pytest.raises(keyturn.Rejected, match="rejected by Dana: Wrong account") as human:
        client.wait(asked[0])
    assert not isinstance(human.value, keyturn.PolicyRejected)
    with pytest.raises(keyturn.PolicyRejected) as policy:
        client.wait(asked[1])
    assert policy.value.cause == keyturn.Cause.POLICY_RULE
    with pytest.raises(keyturn.TimedOut):
        client.wait(asked[2])
    with pytest.raises(keyturn.Paused, match="Maintenance"):
        client.wait(asked[3])


def test_a_claim_whose_answer_was_lost_is_not_lost(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    stub.decide(asked.id, "modified", params=PARAMS | {"amount": Decimal("1800.50")})
    stub.fail(f"POST /v1/requests/{asked.id}/claim", drop_after, answer(503, "unavailable", "0"))
    assert str(client.claim(asked).params["amount"]) == "1800.50"
    with pytest.raises(keyturn.AlreadyClaimed):
        client.claim(asked)


def test_claimed_params_that_are_not_the_approved_ones_are_refused(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    stub.decide(asked.id, "approved")
    stub.tamper = lambda claim: claim | {"params": PARAMS | {"amount": 1_000_000}}
    with pytest.raises(keyturn.DigestMismatch, match="do not run"):
        client.claim(asked)


def test_a_pending_or_rejected_request_cannot_be_claimed(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    with pytest.raises(keyturn.NotYetDecided):
        client.claim(asked.id)
    stub.decide(asked.id, "rejected", reason="No")
    with pytest.raises(keyturn.Rejected):
        client.claim(asked.id)
    assert stub.calls("POST", "/claim") == []


def test_a_preview_must_still_say_what_was_approved(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob", preview="3 rows")
    stub.decide(asked.id, "approved")
    for preview in (None, "4 rows"):
        with pytest.raises(keyturn.PreviewChanged):
            client.claim(asked, preview=preview)
    assert client.claim(asked, preview="3 rows").params == PARAMS


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("approval_expired", keyturn.ApprovalExpired),
        ("outside_window", keyturn.OutsideWindow),
        ("paused", keyturn.Paused),
    ],
)
def test_a_refused_claim_says_why(
    stub: StubKeyturn, client: keyturn.Client, code: str, error: type[Exception]
) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    stub.decide(asked.id, "approved")
    stub.fail(f"POST /v1/requests/{asked.id}/claim", answer(409, code))
    with pytest.raises(error):
        client.claim(asked)


def test_a_wrong_token_is_told_at_once(stub: StubKeyturn) -> None:
    with keyturn.Client(stub.url, "kt_wrong") as client, pytest.raises(keyturn.Unauthorized):
        client.request("transfer", PARAMS, "Pay Bob")
    assert len(stub.log) == 1


def test_reading_cancelling_and_talking(stub: StubKeyturn, client: keyturn.Client) -> None:
    first, second = (client.request("transfer", PARAMS, "Pay Bob") for _ in range(2))
    assert [item.id for item in client.list().items] == [second.id, first.id]
    client.reply(first, "Because the invoice is due.", in_reply_to="3")
    assert stub.messages == [{"text": "Because the invoice is due.", "in_reply_to": "3"}]
    assert client.cancel(first, "No longer needed").status is keyturn.Status.CANCELLED
    assert client.cancel(first, "No longer needed").cause is keyturn.Cause.CANCELLED_BY_AGENT
    assert [item.id for item in client.list(status=keyturn.Status.PENDING, limit=1).items] == [second.id]
    with pytest.raises(keyturn.Cancelled):
        client.wait(first)
    with pytest.raises(keyturn.NotFound):
        client.get("req_nobody")


def test_evaluating_asks_nobody(stub: StubKeyturn, client: keyturn.Client) -> None:
    evaluation = client.evaluate("transfer", PARAMS, "Pay Bob")
    assert (evaluation.effect, evaluation.risk.level) == ("review", keyturn.RiskLevel.MEDIUM)
    assert evaluation.digest == keyturn.digest("transfer", PARAMS)
    assert stub.requests == {}


def test_sessions(stub: StubKeyturn, client: keyturn.Client) -> None:
    stub.fail("POST /v1/sessions", drop_after)
    session = client.start_session(name="Nightly run")
    ids = {exact_id(body) for _, body in stub.calls("POST", "/v1/sessions")}
    assert ids == {session.id}
    assert client.get_session(session.id).counts == {"pending": 0}
    first = client.timeline(session.id)
    assert [entry.event for entry in first.items] == ["session_started"]
    rest = client.timeline(session.id, cursor=first.next_cursor)
    assert ([entry.event for entry in rest.items], rest.next_cursor) == (["session_ended"], None)
    assert client.end_session(session.id, summary="Done").ended_at is not None


def exact_id(body: bytes) -> str:
    return str(keyturn.exact.loads(body)["id"])


def test_events_are_followed_over_a_broken_connection_without_gap_or_repetition(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    stub.fail("EVENT action_approved", lambda _: True)
    seen = []
    for event in client.events(asked):
        seen.append((event.event, event.request.status))
        if event.event == "state":
            stub.decide(asked.id, "approved")
            client.claim(asked.id)
            client.report(asked, success=True)
    assert [name for name, _ in seen] == ["state", "action_approved", "action_claimed", "action_executed"]
    resumed = [headers.get("last-event-id") for headers, _ in stub.calls("GET", "/events")]
    assert resumed == [None, "101"]


def test_events_are_asked_for_again_when_the_network_or_the_server_fails(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    stub.decide(asked.id, "rejected", reason="No")
    stub.fail(f"GET /v1/requests/{asked.id}/events", drop_before, answer(503, "unavailable", "0"), gateway)
    assert [event.event for event in client.events(asked)] == ["state"]
    with pytest.raises(keyturn.NotFound):
        next(client.events("req_nobody"))


def test_events_resume_where_an_earlier_run_stopped(stub: StubKeyturn, client: keyturn.Client) -> None:
    asked = client.request("transfer", PARAMS, "Pay Bob")
    stub.decide(asked.id, "rejected", reason="No")
    assert [event.event for event in client.events(asked, last_seq="100")] == ["action_rejected"]
    assert list(client.events(asked, last_seq="101")) == []


def test_a_callback_hears_the_decision_in_the_background(stub: StubKeyturn, client: keyturn.Client) -> None:
    heard: list[tuple[str, str]] = []
    done = threading.Event()

    def on_decision(request: keyturn.Request) -> None:
        claim = client.claim(request)
        client.report(request, success=True)
        heard.append((request.status, str(claim.params["amount"])))
        done.set()

    asked = client.request("transfer", PARAMS, "Pay Bob", on_decision=on_decision)
    stub.wait_for(lambda: any("wait=" in path for _, path, _, _ in stub.log))
    assert heard == []
    stub.decide(asked.id, "approved")
    assert done.wait(PATIENCE)
    assert heard == [("approved", "2500.00")]


def test_one_thread_waits_for_many_and_a_bad_callback_harms_no_other(
    stub: StubKeyturn, client: keyturn.Client, caplog: pytest.LogCaptureFixture
) -> None:
    heard: set[str] = set()
    done = threading.Event()

    def on_decision(request: keyturn.Request) -> None:
        heard.add(request.id)
        if len(heard) == 120:
            done.set()
        raise RuntimeError("a fault of the callback")

    before = threading.active_count()
    asked = [client.request("transfer", PARAMS, "Pay Bob", on_decision=on_decision) for _ in range(120)]
    stub.wait_for(lambda: sum("wait=" in path for _, path, _, _ in stub.log) >= 120)
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith("keyturn")]
    assert ours == ["keyturn-waits"]
    assert before > 0
    for each in asked:
        stub.decide(each.id, "rejected", reason="No")
    assert done.wait(PATIENCE)
    assert "a fault of the callback" in caplog.text


def test_closing_ends_the_waits_at_once_and_lets_a_running_callback_finish(stub: StubKeyturn) -> None:
    client = keyturn.Client(stub.url, TOKEN)
    entered, finish, heard = threading.Event(), threading.Event(), []

    def on_decision(request: keyturn.Request) -> None:
        entered.set()
        assert finish.wait(PATIENCE)
        heard.append(request.id)

    never = client.request("transfer", PARAMS, "Nobody decides", on_decision=on_decision)
    asked = client.request("transfer", PARAMS, "Pay Bob", on_decision=on_decision)
    stub.decide(asked.id, "approved")
    assert entered.wait(PATIENCE)
    closer = in_background(client.close)
    finish.set()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    assert heard == [asked.id]
    assert stub.requests[never.id]["status"] == "pending"
    with pytest.raises(RuntimeError, match="closed"):
        client.watch(never, on_decision)
    client.close()


def test_a_callback_cannot_close_the_client_that_runs_it(stub: StubKeyturn, client: keyturn.Client) -> None:
    heard: list[BaseException] = []
    done = threading.Event()

    def on_decision(request: keyturn.Request) -> None:
        try:
            client.close()
        except RuntimeError as error:
            heard.append(error)
        done.set()

    asked = client.request("transfer", PARAMS, "Pay Bob", on_decision=on_decision)
    stub.decide(asked.id, "approved")
    assert done.wait(PATIENCE)
    assert "cannot close" in str(heard[0])


def test_a_wait_that_fails_for_good_tells_on_error(stub: StubKeyturn, client: keyturn.Client) -> None:
    heard: list[keyturn.KeyturnError] = []
    done = threading.Event()

    def on_error(error: keyturn.KeyturnError) -> None:
        heard.append(error)
        done.set()

    client.watch("req_nobody", lambda request: None, on_error)
    assert done.wait(PATIENCE)
    assert isinstance(heard[0], keyturn.NotFound)


def test_the_stub_breaks_its_connections_also_after_a_client_has_reset_its_own(stub: StubKeyturn) -> None:
    read, go_on = threading.Event(), threading.Event()

    def stall(_: Handler) -> bool:
        read.set()
        return go_on.wait(PATIENCE)

    stub.fail("GET /v1/requests", stall)
    with socket.create_connection(("127.0.0.1", urlsplit(stub.url).port)) as connection:
        connection.sendall(b"GET /v1/requests HTTP/1.1\r\n\r\n")
        assert read.wait(PATIENCE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        stub.sever()
    finally:
        go_on.set()
