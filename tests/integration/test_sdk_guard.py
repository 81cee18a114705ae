"""Guarded actions: nothing runs unclear, what runs is what was approved, and its outcome is told."""

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest

import keyturn
from keyturn import exact
from tests.stub_keyturn import TOKEN, StubKeyturn, answer, drop_after, drop_before, running_stub


@pytest.fixture
def stub() -> Iterator[StubKeyturn]:
    with running_stub() as stub:
        yield stub


@pytest.fixture
def client(stub: StubKeyturn) -> Iterator[keyturn.Client]:
    with keyturn.Client(stub.url, TOKEN) as client:
        yield client


@pytest.fixture
async def async_client(stub: StubKeyturn) -> AsyncIterator[keyturn.AsyncClient]:
    async with keyturn.AsyncClient(stub.url, TOKEN) as client:
        yield client


def approve_all(stub: StubKeyturn, status: str = "approved", **changes: Any) -> None:
    stub.on_request = lambda request_id: stub.decide(request_id, status, **changes)


def only_outcome(stub: StubKeyturn) -> dict[str, Any]:
    (outcome,) = stub.outcomes.values()
    return outcome


def test_a_guarded_function_runs_with_what_was_approved_and_reports(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    params = {"amount": Decimal("1800.50"), "to": "bob", "urgent": False}
    approve_all(stub, "modified", params=params)

    @client.requires_approval(
        "transfer",
        description="Send {amount} to {to}",
        session_id="run-7",
        rollback=lambda amount, to, urgent: {"type": "custom", "handler": "refund", "data": {"to": to}},
        output=lambda result: {"transaction": result},
    )
    def send(amount: Decimal, to: str, urgent: bool = False) -> str:
        """Send money."""
        ran.append((amount, to, urgent))
        return "tx-1"

    ran: list[Any] = []
    assert send(Decimal("2500.00"), to="bob") == "tx-1"
    assert ran == [(Decimal("1800.50"), "bob", False)]
    asked = stub.requests["req_0001"]
    assert asked["description"] == "Send 2500.00 to bob"
    assert asked["session_id"] == "run-7"
    assert exact.dumps(asked["params"]) == '{"amount":2500.00,"to":"bob","urgent":false}'
    outcome = only_outcome(stub)
    assert outcome["success"] is True
    assert outcome["output"] == {"transaction": "tx-1"}
    assert outcome["rollback"] == {"type": "custom", "handler": "refund", "data": {"to": "bob"}}
    assert outcome["duration_ms"] >= 0
    assert send.__doc__ == "Send money."


@pytest.mark.parametrize(
    ("status", "changes", "error"),
    [
        ("rejected", {"reason": "No"}, keyturn.Rejected),
        ("rejected", {"cause": "policy_rule", "reason": "Blocked"}, keyturn.PolicyRejected),
        ("rejected", {"cause": "paused", "reason": "Off"}, keyturn.Paused),
        ("timed_out", {"cause": "timeout"}, keyturn.TimedOut),
        ("cancelled", {"cause": "cancelled_by_operator"}, keyturn.Cancelled),
    ],
)
def test_a_guarded_function_does_not_run_when_the_answer_is_no(
    stub: StubKeyturn, client: keyturn.Client, status: str, changes: dict[str, Any], error: type[Exception]
) -> None:
    approve_all(stub, status, **changes)

    @client.requires_approval("file_delete")
    def delete(path: str) -> None:
        pytest.fail("it ran")

    with pytest.raises(error):
        delete("/tmp/x")
    assert stub.claims == stub.outcomes == {}


def test_a_guarded_function_does_not_run_when_its_claim_is_refused(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    approve_all(stub)
    stub.fail("POST /v1/requests/req_0001/claim", answer(409, "approval_expired"))
    with pytest.raises(keyturn.ApprovalExpired), client.approved("custom", {}, "Do it"):
        pytest.fail("it ran")


def test_a_guarded_function_does_not_run_when_the_claim_is_unclear(stub: StubKeyturn) -> None:
    approve_all(stub)
    stub.fail("POST /v1/requests/req_0001/claim", *[drop_after] * 50)
    with (
        keyturn.Client(stub.url, TOKEN, retry_for=0.3) as client,
        pytest.raises(keyturn.Unreachable),
        client.approved("custom", {}, "Do it"),
    ):
        pytest.fail("it ran")


def test_a_change_the_function_cannot_take_is_refused_before_it_is_claimed(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    approve_all(stub, "modified", params={"count": "many"})

    @client.requires_approval("custom")
    def run(count: int) -> None:
        pytest.fail("it ran")

    with pytest.raises(keyturn.ModificationMismatch, match='cannot take count="many"'):
        run(3)
    assert stub.claims == {}


def test_the_own_exception_is_reported_and_raised(stub: StubKeyturn, client: keyturn.Client) -> None:
    approve_all(stub)

    @client.requires_approval("custom")
    def run(count: int) -> None:
        raise OSError(f"disk {count} is \ud800 full\x00")

    with pytest.raises(OSError, match="disk 3"):
        run(3)
    assert only_outcome(stub)["success"] is False
    assert only_outcome(stub)["error"] == "OSError: disk 3 is \\ud800 full\\x00"


def test_a_block_runs_with_the_approved_params_and_says_what_it_did(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    approve_all(stub, "modified", params={"path": "/tmp/b"}, conditions={"text": "Only once"})
    with client.approved("file_delete", {"path": "/tmp/a"}, description="Clean up") as action:
        assert action.params == {"path": "/tmp/b"}
        assert action.modified
        assert keyturn.current_action() is action
        assert action.request.decision is not None
        assert action.request.decision.conditions is not None
        assert action.request.decision.conditions.text == "Only once"
        action.output, action.message = {"freed": 12}, "Removed one file"
        action.rollback = [{"type": "file_restore", "path": "/tmp/b", "existed": True}]
    outcome = only_outcome(stub)
    assert (outcome["output"], outcome["message"]) == ({"freed": 12}, "Removed one file")
    assert outcome["rollback"][0]["path"] == "/tmp/b"
    with pytest.raises(LookupError):
        keyturn.current_action()


def test_an_interrupted_block_is_reported_as_failed(stub: StubKeyturn, client: keyturn.Client) -> None:
    approve_all(stub)
    with pytest.raises(KeyboardInterrupt), client.approved("custom", {}, "Do it"):
        raise KeyboardInterrupt
    assert only_outcome(stub)["error"] == "KeyboardInterrupt"


def test_undo_data_that_cannot_be_captured_stops_the_action(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    approve_all(stub)

    def capture(path: str) -> dict[str, Any]:
        raise PermissionError(path)

    @client.requires_approval("file_delete", rollback=capture)
    def delete(path: str) -> None:
        pytest.fail("it ran")

    with pytest.raises(PermissionError):
        delete("/etc/x")
    assert only_outcome(stub)["success"] is False


def test_an_outcome_is_told_through_failures(stub: StubKeyturn, client: keyturn.Client) -> None:
    approve_all(stub)
    stub.fail("POST /v1/requests/req_0001/outcome", drop_after, answer(503, "unavailable", "0"), drop_before)
    with client.approved("custom", {}, "Do it") as action:
        pass
    assert only_outcome(stub)["success"] is True
    assert action.unreported is None


def test_an_outcome_that_cannot_be_told_never_hides_the_result(
    stub: StubKeyturn, caplog: pytest.LogCaptureFixture
) -> None:
    approve_all(stub)
    lost: list[tuple[str, Any]] = []
    stub.fail(
        "POST /v1/requests/*", *[lambda handler: "outcome" in handler.path and drop_before(handler)] * 500
    )
    with keyturn.Client(
        stub.url, TOKEN, retry_for=0.3, on_unreported=lambda *each: lost.append(each)
    ) as client:

        @client.requires_approval("custom")
        def run(fail: bool) -> int:
            if fail:
                raise ValueError("its own fault")
            return 42

        assert run(False) == 42
        with pytest.raises(ValueError, match="its own fault") as caught:
            run(True)
    assert [(request_id, outcome["success"]) for request_id, outcome in lost] == [
        ("req_0001", True),
        ("req_0002", False),
    ]
    assert "The outcome of req_0001 could not be reported" in caplog.text
    assert "Keyturn was not told" in "".join(traceback.format_exception(caught.value))


def test_an_output_that_json_cannot_carry_costs_only_itself(
    stub: StubKeyturn, client: keyturn.Client, caplog: pytest.LogCaptureFixture
) -> None:
    approve_all(stub)
    with client.approved("custom", {}, "Do it") as action:
        action.output = object()
    assert only_outcome(stub)["success"] is True
    assert "output is a object" in caplog.text


def test_a_client_closed_too_early_does_not_hide_the_result(stub: StubKeyturn) -> None:
    approve_all(stub)
    client = keyturn.Client(stub.url, TOKEN)

    @client.requires_approval("custom")
    def run() -> int:
        client.close()
        return 42

    assert run() == 42
    with pytest.raises(keyturn.Unreachable, match="closed"):
        run()


def test_an_exception_that_cannot_be_printed_is_still_reported(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    approve_all(stub)
    with pytest.raises(Mute), client.approved("custom", {}, "Do it"):
        raise Mute
    assert "Mute" in only_outcome(stub)["error"]


def test_an_outcome_the_server_refuses_is_told_without_its_extras(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    approve_all(stub)
    stub.fail("POST /v1/requests/req_0001/outcome", answer(413, "too_large"))
    with client.approved("custom", {}, "Do it") as action:
        action.output = "x" * 300_000
    assert only_outcome(stub)["success"] is True
    assert "output" not in only_outcome(stub)


def test_calls_with_one_key_run_once(stub: StubKeyturn, client: keyturn.Client) -> None:
    approve_all(stub)
    ran: list[str] = []

    @client.requires_approval("payment", idempotency_key=lambda invoice: f"pay-{invoice}")
    def pay(invoice: str) -> None:
        ran.append(invoice)

    pay("7")
    with pytest.raises(keyturn.AlreadyClaimed):
        pay("7")
    pay("8")
    assert ran == ["7", "8"]


def test_a_preview_is_taken_again_right_before_the_claim(stub: StubKeyturn, client: keyturn.Client) -> None:
    approve_all(stub)
    rows = iter([3, 3, 3, 4])

    @client.requires_approval("database_modify", preview=lambda query: f"{next(rows)} rows")
    def execute(query: str) -> None:
        ran.append(query)

    ran: list[str] = []
    execute("DELETE FROM t WHERE old")
    with pytest.raises(keyturn.PreviewChanged):
        execute("DELETE FROM t WHERE old")
    assert ran == ["DELETE FROM t WHERE old"]


def test_a_changed_action_has_no_preview_to_keep(stub: StubKeyturn, client: keyturn.Client) -> None:
    approve_all(stub, "modified", params={"n": 2})
    with client.approved("custom", {"n": 1}, "Do it", preview="1 row") as action:
        assert action.params == {"n": 2}


def test_a_generator_cannot_be_guarded(client: keyturn.Client) -> None:
    def steps() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        client.requires_approval("custom")(steps)


def test_a_description_comes_from_the_docstring_or_a_function(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    approve_all(stub)

    @client.requires_approval("custom")
    def documented(n: int) -> None:
        """Write {n} rows.

        And more.
        """

    @client.requires_approval("custom", description=lambda n: "x" * n)
    def described(n: int) -> None: ...

    documented(1)
    described(5000)
    texts = [request["description"] for request in stub.requests.values()]
    assert texts[0] == "Write {n} rows."
    assert len(texts[1]) == 3000
    assert texts[1].endswith("(truncated)")


def test_a_blocking_client_guards_an_async_function_without_blocking_its_loop(
    stub: StubKeyturn, client: keyturn.Client
) -> None:
    @client.requires_approval("custom", output=lambda result: result)
    async def run(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    async def main() -> list[int]:
        def decide_both() -> None:
            stub.wait_for(lambda: len(stub.requests) == 2)
            for request_id in list(stub.requests):
                stub.decide(request_id, "approved")

        thread = threading.Thread(target=decide_both)
        thread.start()
        # Both must be waiting at once before either is decided.
        results = await asyncio.gather(run(1), run(2))
        thread.join()
        return results

    assert asyncio.run(main()) == [2, 3]
    assert sorted(outcome["output"] for outcome in stub.outcomes.values()) == [2, 3]


async def test_an_async_function_is_guarded(stub: StubKeyturn, async_client: keyturn.AsyncClient) -> None:
    approve_all(stub, "modified", params={"amount": Decimal("10.50")})

    @async_client.requires_approval("transfer")
    async def send(amount: Decimal) -> str:
        keyturn.current_action().message = "Sent"
        return str(amount)

    assert await send(Decimal("25.00")) == "10.50"
    assert only_outcome(stub)["message"] == "Sent"


async def test_a_sync_function_is_not_for_the_async_client(async_client: keyturn.AsyncClient) -> None:
    def run() -> None: ...

    with pytest.raises(TypeError, match=r"guard it with keyturn\.Client"):
        async_client.requires_approval("custom")(run)  # type: ignore[arg-type]  # the mistake under test


async def test_a_cancelled_async_action_is_reported_as_failed(
    stub: StubKeyturn, async_client: keyturn.AsyncClient
) -> None:
    approve_all(stub)
    inside = asyncio.Event()

    async def work() -> None:
        async with async_client.approved("custom", {}, "Do it"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert only_outcome(stub)["error"].startswith("asyncio.exceptions.CancelledError")


async def test_an_async_wait_that_is_cancelled_claims_nothing(
    stub: StubKeyturn, async_client: keyturn.AsyncClient
) -> None:
    async def work() -> None:
        async with async_client.approved("custom", {}, "Do it"):
            pytest.fail("it ran")

    task = asyncio.create_task(work())
    await asyncio.to_thread(stub.wait_for, lambda: any("wait=" in path for _, path, _, _ in stub.log))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stub.claims == {}
