"""Applying one claimed undo, step by step, so that a crash at any point is told apart afterwards.

Before a step the journal says that it is begun; after it, that it is done. What was begun and not
done when the process died is looked at: what is in place is done, what can be seen not to be is
applied, and what nobody can tell ends the undo, cleanly failed. An undo that failed half-way and is
asked for again goes on where it stopped.
"""

import logging
from typing import Any

from keyturn.rollback.journal import Entry, Journal
from keyturn.rollback.parts import UndoConflict, UndoFailed
from keyturn.rollback.resources import Resources, in_order, shortened_list

_log = logging.getLogger("keyturn")


def preview_outcome(resources: Resources, work: dict[str, Any]) -> dict[str, Any]:
    """The outcome to report for a preview: `previewed`, `conflict`, or `failed` where it cannot be done."""
    try:
        seen = resources.preview(work["rollback"])
    except UndoFailed as failed:
        return _outcome("failed", str(failed))
    except Exception as error:
        _log.exception("the preview of %s broke", work["id"], extra={"event": "undo_preview_broke"})
        return _outcome("failed", f"The preview broke: {type(error).__name__}: {error}")
    state = "previewed" if seen.conflict is None else "conflict"
    told = _outcome(state, seen.summary, message=seen.conflict, affected=list(seen.affected))
    return told if seen.diff is None else {**told, "diff": _text(seen.diff)}


def apply(resources: Resources, journal: Journal, entry: Entry) -> Entry:
    """Apply what is left of an undo; the entry that comes back holds the outcome."""
    work = entry.work
    assert work is not None, "only what was claimed is applied"
    steps = in_order(work["rollback"])
    if entry.done == 0 and not entry.begun:
        done, earlier = journal.done_before(work)
        entry = journal.changed(entry, done=done, said=earlier)
    try:
        if entry.done == 0 and not entry.begun and not work["force"]:
            _refuse_conflicts(resources, work)
        for step in steps[entry.done :]:
            kind = resources.kind(step)
            if entry.begun and (there := kind.in_place(step)) is not False:
                said = _recovered(there)
            else:
                entry = journal.changed(entry, begun=True)
                said = kind.apply(step, force=bool(work["force"]))
            entry = journal.changed(entry, begun=False, done=entry.done + 1, said=(*entry.said, _text(said)))
    except UndoConflict as conflict:
        return journal.changed(
            entry, outcome=_stopped(entry, len(steps), "conflict", conflict, conflict.diff)
        )
    except UndoFailed as failed:
        return journal.changed(entry, outcome=_stopped(entry, len(steps), "failed", failed, None))
    except Exception as error:
        _log.exception("the undo %s broke", entry.id, extra={"event": "undo_broke"})
        broke = UndoFailed(f"It broke: {type(error).__name__}: {error}")
        return journal.changed(entry, outcome=_stopped(entry, len(steps), "failed", broke, None))
    return journal.changed(entry, outcome=_outcome("succeeded", shortened_list(entry.said), affected=[]))


def _refuse_conflicts(resources: Resources, work: dict[str, Any]) -> None:
    """All steps are looked at before the first is applied: a conflict changes nothing at all."""
    seen = resources.preview(work["rollback"])
    if seen.conflict is not None and not _own_doing(work):
        raise UndoConflict(seen.conflict, seen.diff)


def _own_doing(work: dict[str, Any]) -> bool:
    """Whether several steps change one thing: only the first can be checked before, the rest as they come."""
    steps = in_order(work["rollback"])
    named = [(step.get("type"), step.get("path"), step.get("store"), step.get("key")) for step in steps]
    checked = [name for name in named if name[0] in ("file_restore", "config_restore")]
    return len(set(checked)) < len(checked)


def _recovered(there: bool | None) -> str:
    if there is None:
        raise UndoFailed(
            "The agent was interrupted while it applied this step, and nobody can tell whether it was done. "
            "Look at what it changes, and finish it by hand."
        )
    return "It was in place already when the agent came back."


def _stopped(entry: Entry, steps: int, state: str, why: UndoFailed, diff: str | None) -> dict[str, Any]:
    if not entry.done:
        told = _outcome(state, str(why))
    else:
        rest = f"{entry.done} of {steps} steps are undone, the rest is not; finish it by hand. {why}"
        told = _outcome("failed", str(why), message=rest)
    return told if diff is None else {**told, "diff": _text(diff)}


def _outcome(state: str, summary: str, **rest: Any) -> dict[str, Any]:
    cleaned = {name: _text(value)[:2900] if isinstance(value, str) else value for name, value in rest.items()}
    shown = _text(summary)[:2900] or state
    told: dict[str, Any] = {"state": state, "summary": shown, "affected": [], **cleaned}
    return {name: value for name, value in told.items() if value is not None}


def _text(value: str) -> str:
    """Text that JSON can carry and the server takes."""
    return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
