"""The rules of repeating and waiting, driven without a network: a scripted server and a clock that obeys."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from keyturn import exact, flows
from keyturn.errors import (
    DigestMismatch,
    InvalidRequest,
    NotYetDecided,
    RateLimited,
    Unavailable,
    Unreachable,
)
from keyturn.exchange import Answer, Call, Flow, NoAnswer, Sleep, delay, insist, parsed, post
from keyturn.flows import _REQUEST
from keyturn.settings import Settings
from tests.stub_keyturn import resource

LOST = NoAnswer(ConnectionResetError("gone"), sent=True)
NEVER_SENT = NoAnswer(ConnectionRefusedError("nobody there"), sent=False)
BODY = {"type": "custom", "params": {"x": 1}}


def shown(**changes: Any) -> Answer:
    body = resource("req_1", BODY) | changes
    del body["_body"]
    return Answer(200, {"content-type": "application/json"}, exact.dumps(body).encode())


def problem(status: int, code: str, retry_after: str | None = None) -> Answer:
    headers = {"content-type": "application/problem+json"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return Answer(status, headers, exact.dumps({"code": code, "detail": "says so"}).encode())


@dataclass
class World:
    """Answers calls from a script (the last line repeats); sleeping and long polls move its clock."""

    script: list[Answer | NoAnswer | Callable[[], Answer | NoAnswer]]
    time: float = 0.0
    calls: list[Call] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)

    def settings(self, **changes: Any) -> Settings:
        return Settings(url="http://x", token="t", clock=lambda: self.time, **changes)

    def run(self, flow: Flow[Any]) -> Any:
        result: Answer | NoAnswer | None = None
        for _ in range(10_000):
            try:
                step = flow.send(result)
            except StopIteration as done:
                return done.value
            if isinstance(step, Sleep):
                self.sleeps.append(step.seconds)
                self.time += step.seconds
                result = None
            else:
                self.calls.append(step)
                told = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                result = told() if callable(told) else told
        raise AssertionError("the flow spins")

    def pending(self, after: float) -> Callable[[], Answer]:
        def answer() -> Answer:
            self.time += after
            return shown()

        return answer


def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    world = World([LOST, problem(503, "unavailable", "2"), Answer(502, {}, b""), shown()])
    world.run(flows.request(world.settings(), "custom", {"x": 1}, "Do it", None, {}))
    assert len({call.idempotency_key for call in world.calls}) == 1
    assert len({call.body for call in world.calls}) == 1
    assert world.calls[0].idempotency_key
    assert world.sleeps[1] == 2


def test_two_logical_requests_have_two_keys() -> None:
    world = World([shown()])
    for _ in range(2):
        world.run(flows.request(world.settings(), "custom", {"x": 1}, "Do it", None, {}))
    assert world.calls[0].idempotency_key != world.calls[1].idempotency_key


def test_repeating_ends_at_the_deadline_and_tells_the_key() -> None:
    world = World([LOST])
    with pytest.raises(Unreachable) as caught:
        world.run(flows.request(world.settings(retry_for=30), "custom", {}, "Do it", "my-key", {}))
    assert world.time <= 30
    assert len(world.calls) > 5
    assert caught.value.idempotency_key == "my-key"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem(429, "rate_limited", "3600"), RateLimited),
        (problem(503, "unavailable", "3600"), Unavailable),
    ],
)
def test_a_server_that_asks_for_more_patience_than_there_is_ends_the_call(
    answer: Answer, error: type[Exception]
) -> None:
    world = World([answer])
    with pytest.raises(error):
        world.run(flows.request(world.settings(), "custom", {}, "Do it", None, {}))
    assert world.sleeps == []


def test_a_proxy_that_says_503_for_too_long_is_an_unavailable_server() -> None:
    world = World([Answer(503, {"content-type": "text/html"}, b"<html>")])
    with pytest.raises(Unavailable):
        world.run(flows.request(world.settings(), "custom", {}, "Do it", None, {}))
    assert len(world.calls) > 5


def test_a_refusal_is_not_repeated() -> None:
    world = World([problem(422, "invalid_request")])
    with pytest.raises(InvalidRequest, match="says so"):
        world.run(flows.request(world.settings(), "custom", {}, "Do it", None, {}))
    assert len(world.calls) == 1


def test_a_message_whose_answer_was_lost_is_not_sent_twice() -> None:
    world = World([LOST])
    with pytest.raises(Unreachable):
        world.run(flows.reply(world.settings(), "req_1", "Because.", None))
    assert len(world.calls) == 1


@pytest.mark.parametrize("first", [NEVER_SENT, problem(503, "unavailable")])
def test_a_message_that_surely_never_arrived_is_sent_again(first: Answer | NoAnswer) -> None:
    world = World([first, shown()])
    world.run(flows.reply(world.settings(), "req_1", "Because.", None))
    assert len(world.calls) == 2


def test_pauses_grow_and_are_bounded() -> None:
    longest = [max(delay(LOST, attempt) for _ in range(50)) for attempt in (0, 3, 60)]
    assert longest == sorted(longest)
    assert longest[0] <= 0.2
    assert longest[2] <= 5


def test_retry_after_may_be_a_date() -> None:
    past = Answer(503, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"")
    assert past.retry_after == 0
    assert Answer(503, {"retry-after": "soon"}, b"").retry_after is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"content-type": "text/html"}, b"<html>login</html>"),
        Answer(200, {"content-type": "application/json"}, b'{"ok": true}'),
        Answer(302, {"location": "https://login.example"}, b""),
        Answer(404, {"content-type": "text/html"}, b"no such page"),
        shown(status="probably_fine"),
    ],
)
def test_an_answer_that_is_not_keyturns_is_no_answer(answer: Answer) -> None:
    with pytest.raises(Unreachable):
        parsed(Call("GET", "/v1/requests/req_1"), answer, _REQUEST)


def test_a_wait_asks_in_polls_the_server_allows_until_it_is_decided() -> None:
    world = World([])
    decided = shown(status="cancelled", cause="cancelled_by_agent")
    world.script = [world.pending(55), world.pending(55), decided]
    assert world.run(flows.wait(world.settings(), "req_1", None)).status == "cancelled"
    assert [call.query["wait"] for call in world.calls] == ["55", "55", "55"]
    assert world.sleeps == []


def test_an_own_timeout_is_no_denial() -> None:
    world = World([])
    world.script = [world.pending(55), world.pending(15), shown()]
    with pytest.raises(NotYetDecided, match="still pending") as caught:
        world.run(flows.wait(world.settings(), "req_1", 70))
    assert caught.value.request.id == "req_1"
    assert [call.query.get("wait") for call in world.calls] == ["55", "15", None]


def test_a_timeout_of_nothing_looks_once() -> None:
    world = World([shown()])
    with pytest.raises(NotYetDecided):
        world.run(flows.wait(world.settings(), "req_1", 0))
    assert [dict(call.query) for call in world.calls] == [{}]


def test_a_server_that_answers_early_is_not_asked_in_a_spin() -> None:
    world = World([shown()])
    with pytest.raises(NotYetDecided):
        world.run(flows.wait(world.settings(), "req_1", 60))
    assert len(world.calls) < 1000
    assert all(pause > 0 for pause in world.sleeps)


def test_a_wait_sits_through_an_outage_and_hears_the_decision() -> None:
    outage = [NEVER_SENT] * 40 + [problem(503, "unavailable", "7"), problem(429, "rate_limited", "1")]
    world = World([LOST, *outage, shown(status="rejected", cause="human")])
    assert world.run(flows.wait(world.settings(), "req_1", None)).status == "rejected"


def test_a_wait_does_not_outlast_a_server_that_is_gone() -> None:
    world = World([NEVER_SENT])
    with pytest.raises(Unreachable, match="Do not run"):
        world.run(flows.wait(world.settings(outage=100), "req_1", None))
    assert 90 < world.time <= 100


def test_when_the_server_is_away_at_the_own_timeout_nothing_is_said_of_the_request() -> None:
    world = World([NEVER_SENT])
    with pytest.raises(Unreachable):
        world.run(flows.wait(world.settings(outage=5), "req_1", 60))
    assert world.time == pytest.approx(60)


def test_a_retried_post_is_built_once() -> None:
    call = post("/v1/requests", {"amount": 1})
    world = World([LOST, shown()])
    world.run(insist(call, world.settings()))
    assert world.calls == [call, call]


@pytest.mark.parametrize(
    "asked", [("custom", {"x": 2}), ("custom", {"x": "1"}), ("other", {"x": 1}), ("custom", {})]
)
def test_an_answer_about_another_action_is_no_answer(asked: tuple[str, dict[str, Any]]) -> None:
    kind, params = asked
    world = World([shown()])
    with pytest.raises(Unreachable, match="another action"):
        world.run(flows.request(world.settings(), kind, params, "Do it", None, {}))


def test_a_wait_that_is_told_of_another_request_is_not_over() -> None:
    world = World([shown(id="req_2")])
    with pytest.raises(Unreachable, match="req_2, not req_1"):
        world.run(flows.wait(world.settings(), "req_1", 30))


@pytest.mark.parametrize("status", ["approved", "modified"])
def test_a_status_that_its_own_digest_denies_is_not_claimed(status: str) -> None:
    other = exact.digest("custom", {"x": 2})
    digest = other if status == "approved" else exact.digest("custom", {"x": 1})
    decision = {"status": status, "digest": digest, "decided_at": "2026-01-01T00:00:00Z"}
    world = World([shown()])
    seen = parsed(Call("GET", "/"), shown(status=status, decision=decision), _REQUEST)
    with pytest.raises(DigestMismatch, match="do not run it"):
        world.run(flows.claim(world.settings(), seen, None, None))
    assert world.calls == []
