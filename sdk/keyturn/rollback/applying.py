"""Applying one claimed undo, step by step, so that a crash at any point is told apart afterwards.

Before a step the journal says that it is begun; after it, that it is done; of files and settings only
now and then, since it can be seen of them at any time. What was begun and not done when the process died
is looked at: what is in place is done, what can be seen not to be is applied, and what nobody can tell
ends the undo, cleanly failed. An undo that failed half-way and is
asked for again goes on where it stopped.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keyturn import exact
from keyturn.rollback.foreseen import things_of
from keyturn.rollback.journal import Entry, Journal
from keyturn.rollback.parts import Step, UndoConflict, UndoFailed
from keyturn.rollback.resources import (
    MOST_SENTENCES,
    Resources,
    affected_by,
    in_order,
    merged,
    shortened_list,
)

LARGEST_REPORT = 200_000
"""Bytes of a report; the server takes 256 KiB."""

LONGEST_SENTENCE, LONGEST_NAME, MOST_NAMES = 2900, 4096, 1000

_VISIBLE = frozenset({"file_restore", "config_restore"})
_EVERY = 25
"""Steps after which the journal is told in any case."""

_log = logging.getLogger("keyturn")


def preview_outcome(resources: Resources, journal: Journal, work: dict[str, Any]) -> dict[str, Any]:
    """The outcome to report for a preview: `previewed`, `conflict`, or `failed` where it cannot be done."""
    steps, (done, _) = len(in_order(work["rollback"])), journal.done_before(work)
    try:
        each = resources.previews(work["rollback"], done=done)
        if not _of_a_session(work):
            journal.note_shown(str(work["id"]), [*[None] * done, *(preview.state for preview in each)])
        seen = merged(each)
    except UndoFailed as failed:
        return _outcome("failed", str(failed))
    except Exception as error:
        _log.exception("the preview of %s broke", work["id"], extra={"event": "undo_preview_broke"})
        return _outcome("failed", f"The preview broke: {type(error).__name__}: {error}. Nothing was changed.")
    state = "previewed" if seen.conflict is None else "conflict"
    earlier = f"{done} of {steps} steps were undone by an earlier try and stay so. " if done else ""
    told = _outcome(state, earlier + seen.summary, message=seen.conflict, affected=seen.affected)
    return _with_diff(told, seen.diff)


def _of_a_session(work: dict[str, Any]) -> bool:
    """A step of a session's undo has an id with a dot and its place. Newer steps, which are applied first,
    may rightly leave it another state than the one that was shown."""
    return "." in str(work["id"])


def apply(resources: Resources, journal: Journal, entry: Entry) -> Entry:
    """Apply what is left of an undo; the entry that comes back holds the outcome."""
    work = entry.work
    assert work is not None, "only what was claimed is applied"
    steps = in_order(work["rollback"])
    apart, shown = _told_apart(steps), _shown(journal, entry, len(steps))
    if entry.done == 0 and not entry.begun:
        done, earlier = journal.done_before(work)
        entry = journal.changed(entry, done=done, said=earlier)
    try:
        if not entry.begun:
            _refuse_conflicts(resources, work, entry.done, shown)
        for step, state in zip(steps[entry.done :], shown[entry.done :], strict=True):
            entry = _applied(resources, journal, entry, step, state, told_apart=step in apart)
    except UndoConflict as conflict:
        return journal.changed(entry, outcome=_stopped(entry, steps, "conflict", conflict, conflict.diff))
    except UndoFailed as failed:
        return journal.changed(entry, outcome=_stopped(entry, steps, "failed", failed, None))
    except Exception as error:
        _log.exception("the undo %s broke", entry.id, extra={"event": "undo_broke"})
        broke = UndoFailed(f"It broke: {type(error).__name__}: {error}")
        return journal.changed(entry, outcome=_stopped(entry, steps, "failed", broke, None))
    told = _outcome("succeeded", shortened_list(entry.said, count=len(steps)), affected=_affected(steps))
    return journal.changed(entry, outcome=told)


def _shown(journal: Journal, entry: Entry, steps: int) -> Sequence[str | None]:
    """The state of each step that people were shown, where a note of it is left."""
    noted = journal.shown(entry.id)
    return noted if len(noted) == steps else [None] * steps


def _told_apart(steps: Sequence[Step]) -> list[Step]:
    """Steps of which it can be seen, whenever one looks, whether they are done."""
    changed = Counter(thing for step in steps for thing in things_of(step))
    return [
        step
        for step in steps
        if step.get("type") in _VISIBLE and all(changed[thing] == 1 for thing in things_of(step))
    ]


def _applied(
    resources: Resources, journal: Journal, entry: Entry, step: Step, shown: str | None, *, told_apart: bool
) -> Entry:
    """The entry once the step is done. One that can be told apart needs no word in the journal each time."""
    kind, work = resources.kind(step), entry.work or {}
    if entry.begun and (there := kind.in_place(step)) is not False:
        said = _recovered(there)
    else:
        entry = entry if told_apart else journal.changed(entry, begun=True)
        said = kind.apply(step, force=bool(work["force"]), shown=shown)
    told = entry.said if len(entry.said) >= MOST_SENTENCES else (*entry.said, _text(said))
    after = replace(entry, begun=False, done=entry.done + 1, said=told)
    return after if told_apart and after.done % _EVERY else journal.write(after)


def _affected(steps: Sequence[Step]) -> Sequence[str]:
    return [name for step in steps if (name := affected_by(step)) is not None]


def _refuse_conflicts(
    resources: Resources, work: dict[str, Any], done: int, shown: Sequence[str | None]
) -> None:
    """All steps are looked at before the first is applied: a conflict changes nothing at all."""
    refused = resources.refusal(work["rollback"], done=done, force=bool(work["force"]), shown=shown)
    if refused is not None:
        raise refused


def _recovered(there: bool | None) -> str:
    if there is None:
        raise UndoFailed(
            "The agent was interrupted while it applied this step, and nobody can tell whether it was done. "
            "Look at what it changes, and finish it by hand."
        )
    return "It was in place already when the agent came back."


def _stopped(
    entry: Entry, steps: Sequence[Step], state: str, why: UndoFailed, diff: str | None
) -> dict[str, Any]:
    if not entry.done:
        told = _outcome(state, str(why))
    else:
        rest = f"{entry.done} of {len(steps)} steps are undone, the rest is not; finish it by hand. {why}"
        told = _outcome("failed", str(why), message=rest, affected=_affected(steps[: entry.done]))
    return _with_diff(told, diff)


def _outcome(
    state: str, summary: str, *, message: str | None = None, affected: Sequence[str] = ()
) -> dict[str, Any]:
    told: dict[str, Any] = {"state": state, "summary": _text(summary)[:LONGEST_SENTENCE] or state}
    told["affected"] = _fitting([_text(name)[:LONGEST_NAME] for name in dict.fromkeys(affected)])
    return told if message is None else {**told, "message": _text(message)[:LONGEST_SENTENCE]}


def _fitting(names: list[str]) -> list[str]:
    """As many names as have room in one half of a report."""
    fitting = names[:MOST_NAMES]
    while len(exact.dumps(fitting).encode()) > LARGEST_REPORT // 2:
        fitting = fitting[: len(fitting) // 2]
    return fitting


def _with_diff(told: dict[str, Any], diff: str | None) -> dict[str, Any]:
    """The outcome with as much of the diff as a report has room for."""
    if not diff:
        return told
    whole = shown = _text(diff)
    while len(exact.dumps({**told, "diff": shown}).encode()) > LARGEST_REPORT:
        shown = shown[: len(shown) // 2]
    left_out = len(whole) - len(shown)
    return {**told, "diff": shown if not left_out else f"{shown}\n… {left_out:,} more characters"}


def _text(value: str) -> str:
    """Text that JSON can carry and the server takes."""
    return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
