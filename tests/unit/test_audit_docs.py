"""docs/audit.md lists every event that the code can write, and no change is written without one."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.audited import audited_state
from bot.core.events import EVENTS
from bot.core.replay import replay
from bot.store import Store
from bot.store.commands import CreateRequest, SaveTransition
from tests.store.conftest import HandClock
from tests.store.histories import approved, random_history, submitted

ROOT = Path(__file__).parents[2]
TABLE = re.compile(r"^\| ([a-z_]+) \| [^|]+ \|([^|]*)\|$", re.MULTILINE)
DOCUMENTED = {
    name: {field.strip() for field in fields.split(",") if field.strip()}
    for name, fields in TABLE.findall((ROOT / "docs" / "audit.md").read_text())
    if name != "event"
}
EVENT = re.compile(
    r"(session|action|policy|review|escalation|reminder|notification|claim|rollback|grant|info|agent|oncall"
    r"|checkpoint|audit)_[a-z_]*(ed|sent|used|unreachable|out|given|back|signed|overridden)"
)
"""What an event is called: a noun, and what happened to it."""

NOT_EVENTS = {"policy_owed", "rollback_ended"}
"""Names of the same form that are something else."""

BOOKKEEPING = {
    "LeaseDue": "a lease says who looks, it changes nothing that anybody decided",
    "Rearm": "the same",
    "Wake": "the same",
    "Probe": "shows that storage takes writes, and nothing else",
    "LeaseOutbox": "nothing has happened yet",
    "RenewLease": "the same",
    "CompleteOutbox": "its sender hands over the event of what arrived",
    "RetryOutbox": "nothing has happened yet",
    "FailOutbox": "its sender hands over the event",
    "EnqueueOutbox": "nothing has happened yet",
    "CreateCard": "where a card stands is Slack's own record; its posting is notification_sent",
    "CardPosted": "the same",
    "CardPainted": "the same",
    "CardFailed": "its failure is the outbox row's",
    "RepaintCards": "nothing has happened: what stands is shown again",
    "EndOffers": "the same",
    "CardTold": "how far a thread was told of what the audit holds",
    "PaceKey": "how soon the next message may go",
    "OfferCover": "nothing is in force until it is accepted, which is oncall_overridden",
    "SetBack": "moves waits with the clock, and nothing that anybody was promised",
    "Prune": "forgets mail and keys that have ended",
}
"""Commands that leave no event of their own, and why."""


def literals() -> Iterator[tuple[str, str]]:
    """Every text in the code that is an event's name, and where."""
    for part in ("core", "store", "services", "slack", "notify"):
        for path in (ROOT / "bot" / part).rglob("*.py"):
            if path.name == "events.py":  # the list itself writes none
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                said = node.value if isinstance(node, ast.Constant) else None
                if isinstance(said, str) and EVENT.fullmatch(said) and said not in NOT_EVENTS:
                    yield said, path.name


def test_every_event_in_the_code_is_documented() -> None:
    unknown = {f"{name} in {where}" for name, where in literals() if name not in DOCUMENTED}
    assert unknown == set()


def test_every_documented_event_can_happen() -> None:
    assert set(DOCUMENTED) - {name for name, _ in literals()} == set()


def commands() -> dict[str, str]:
    """Every command of the store by name, with the source of its module."""
    found = {}
    for path in sorted((ROOT / "bot" / "store").glob("*.py")):
        source = path.read_text()
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(part, ast.FunctionDef)
                and part.name == "apply"
                and [argument.arg for argument in part.args.args] == ["self", "tx"]
                for part in node.body
            ):
                found[node.name] = source
    return found


def emits(name: str, source: str) -> bool:
    """Whether a command reaches `tx.emit`, by itself or through functions of its module."""
    tree = ast.parse(source)
    bodies = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    seen, left = set(), [name]
    while left:
        node = bodies.get(left.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and part.attr == "emit":
                return True
            if isinstance(part, ast.Name):
                left.append(part.id)
    return False


def test_a_command_that_changes_something_emits_an_event_or_says_why_not() -> None:
    silent = {name for name, source in commands().items() if not emits(name, source)}
    known = silent & set(BOOKKEEPING)
    shared = {"save", "emit_all", "record"}  # a command may leave it to a function of another module
    unexplained = {
        name for name in silent - known if not any(f"{word}(" in commands()[name] for word in shared)
    }
    assert unexplained == set()


async def test_events_carry_the_documented_fields(tmp_path: Path) -> None:
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        for number in range(40):
            first, *rest = random_history(number, number)
            await store.write(CreateRequest(first))
            for step in rest:
                assert await store.write(SaveTransition(step))
        seen = await store.reads.audit_page(limit=10_000)
    assert len({event.event for event in seen}) > 8
    for event in seen:
        strange = set(event.body) - DOCUMENTED[event.event]
        assert strange == set() or "…" in DOCUMENTED[event.event], (event.event, strange)


@pytest.mark.parametrize("seed", range(30))
def test_every_change_of_a_request_has_events_that_tell_it_whole(seed: int) -> None:
    bodies: list[dict[str, object]] = []
    for step in random_history(seed, 1):
        assert step.events
        bodies += [dict(event.body) for event in step.events if event.request_id == step.request.id]
        assert replay(bodies) == audited_state(step.request)


async def test_a_change_without_an_event_cannot_be_stored(tmp_path: Path) -> None:
    step = submitted()
    async with Store.open(f"sqlite:///{tmp_path}/k.db", clock=HandClock()) as store:
        await store.write(CreateRequest(step))
        silent = replace(approved(step.request), events=())
        with pytest.raises(ValueError, match="event"):
            await store.write(SaveTransition(silent))
        kept = await store.reads.request(step.request.id)
        assert kept is not None
        assert kept.version == 1


def test_the_list_of_events_is_that_of_the_docs() -> None:
    assert list(EVENTS) == [
        name for name, _ in TABLE.findall((ROOT / "docs" / "audit.md").read_text()) if name != "event"
    ]
