"""Rollback data: what an undo would do, as an action that risk and policy can judge.

The data is what the agent sent: one flat object, or a list of them that is undone in reverse. Every
step counts as an action of its own kind. A step stays within what was approved only where that can be
told from the two actions alone; whatever cannot be told lies outside.
"""

import shlex
from collections.abc import Mapping
from typing import Any

from bot.core.digest import canonical, sha256
from bot.core.models import Action, ApprovalRequest, Digest, JsonObject
from bot.core.risk import analyse
from bot.core.risk.facts import Access, Touched

CANNOT_BE_CHECKED = frozenset({"command_undo", "custom"})
"""Kinds of undo for which nobody can tell whether the present state is the one the action left."""


def steps(data: Any) -> tuple[JsonObject, ...]:
    """The steps in the order in which they are applied: a list is undone in reverse."""
    return tuple(reversed(data)) if isinstance(data, list) else (data,)


def data_of(request: ApprovalRequest) -> Any:
    """What undoes the action: as reported with its outcome, else as planned with the request; or None."""
    outcome = request.execution.outcome or {}
    reported = outcome.get("rollback")
    return request.submission.rollback if reported is None else reported


def undo_digest(data: Any) -> Digest:
    """`sha256:` and the hex of the canonical data, types and all: what a confirmation is bound to."""
    return Digest(sha256(canonical(data)))


def as_action(step: JsonObject) -> Action:
    """What a step counts as for risk and policy."""
    kind = step.get("type")
    return _KINDS.get(kind, _unknown)(step) if isinstance(kind, str) else _unknown(step)


def words(step: JsonObject, *, say: Any) -> str:
    """What a step does, in one line of ours; `say` puts a value in quotes that it cannot close."""
    match step.get("type"):
        case "file_restore":
            verb = "Put back" if step.get("existed") else "Remove"
            return f"{verb} the {_file_or_directory(step)} {say(step.get('path'))}"
        case "command_undo":
            line = f"Run {say(shlex.join(str(word) for word in step.get('argv', ())))}"
            return line if step.get("cwd") is None else f"{line} in {say(step['cwd'])}"
        case "database_restore":
            count = len(step.get("statements", ()))
            return f"Run {count} SQL statement{'' if count == 1 else 's'} on {say(step.get('database'))}"
        case "config_restore":
            return f"Put back the setting {say(step.get('key'))} of {say(step.get('store'))}"
        case "custom":
            return f"Call the agent's handler {say(step.get('handler'))}"
    return f"Undo step of the unknown kind {say(step.get('type'))}"


def beyond_words(step: JsonObject) -> Any:
    """What a step's one line leaves out and only its data says, to be shown as it is; None for nothing.

    Of files and settings the preview has the difference.
    """
    match step.get("type"):
        case "database_restore":
            return step.get("statements")
        case "custom":
            return step.get("data")
    return None


def target_of(step: JsonObject) -> str:
    """What a step changes, in words."""
    match step.get("type"):
        case "file_restore":
            return f"{_file_or_directory(step)} {step.get('path')}"
        case "database_restore":
            return f"database {step.get('database')}"
        case "config_restore":
            return f"setting {step.get('store')} {step.get('key')}"
    return f"{step.get('type')}"


def _file_or_directory(step: JsonObject) -> str:
    return "directory" if str(step.get("path")).endswith("/") else "file"


def share_a_target(one: JsonObject, other: JsonObject) -> bool:
    """Whether two steps are known to change one thing: a file as a whole and a setting in it, too."""
    return not _targets(one).isdisjoint(_targets(other))


def _targets(step: JsonObject) -> frozenset[tuple[str, Any]]:
    match step.get("type"):
        case "file_restore":
            return frozenset({("file", step.get("path"))})
        case "database_restore":
            return frozenset({("database", step.get("database"))})
        case "config_restore":
            # A store that is no file has a name, which no path can be: a path is absolute.
            return frozenset({("file", step.get("store"))})
    return frozenset()


def beyond_approval(request: ApprovalRequest, data: Any) -> str | None:
    """Why this undo was not approved along with the action, so that it needs its own full approval; or None.

    A planned rollback was shown to the approvers, so exactly it stays within where nobody can tell what
    it touches. Known targets must be those of the action, planned or not: an edit may have moved them.
    """
    planned = request.submission.rollback
    if planned is not None and undo_digest(planned) != undo_digest(data):
        return "It is not the rollback that was planned and shown with the request."
    approved = approved_action(request)
    for step in steps(data):
        shown = planned is not None and step.get("type") in CANNOT_BE_CHECKED
        if not shown and not _within(step, approved):
            return f"It touches what the approved action did not: {target_of(step)}."
    return None


def approved_action(request: ApprovalRequest) -> Action:
    """What was approved to run, which an edit may have made another than was submitted."""
    params = request.action.params if request.decision is None else request.decision.params
    return Action(request.action.type, params or {})


def _within(step: JsonObject, approved: Action) -> bool:
    match step.get("type"):
        case "file_restore":
            return _covered(as_action(step), approved)
        case "config_restore":
            return _same_setting(step, approved) or _covered(
                Action("file_write", {"path": step.get("store")}), approved
            )
        case "database_restore":
            named = approved.params.get("database")
            return approved.type == "database_modify" and named is not None and named == step.get("database")
    return False


def _same_setting(step: JsonObject, approved: Action) -> bool:
    """Whether the action changed this very setting; where it named a store, of this very store."""
    named = approved.params.get("store", step.get("store"))
    return (
        approved.type == "config_change"
        and step.get("key") == approved.params.get("key")
        and named == step.get("store")
    )


def _covered(undo: Action, approved: Action) -> bool:
    """Whether every path of the undo is one that the approved action changed."""
    changed = [path for path in analyse(approved).paths if path.access in (Access.WRITE, Access.DELETE)]
    touched = analyse(undo).paths
    return bool(touched) and all(any(_covers(known, path) for known in changed) for path in touched)


def _covers(known: Touched, path: Touched) -> bool:
    if not known.readable or not path.readable or known.glob or path.glob:
        return False
    below = known.recursive and path.path.startswith(known.path.rstrip("/") + "/")
    return path.path == known.path or below


def _file_restore(step: JsonObject) -> Action:
    path = step.get("path")
    if not step.get("existed"):
        return Action("file_delete", {"path": path, "recursive": False})
    content = step.get("original_content")
    known = {"content": content} if isinstance(content, str) else {}
    return Action("file_write", {"path": path, **known, "overwrite": True})


def _command_undo(step: JsonObject) -> Action:
    argv = step.get("argv") or [""]
    cwd = step.get("cwd")
    params: dict[str, Any] = {"command": argv[0], "args": list(argv[1:])}
    return Action("command_execute", params if cwd is None else {**params, "cwd": cwd})


def _database_restore(step: JsonObject) -> Action:
    statements = [part for part in step.get("statements") or () if isinstance(part, Mapping)]
    query = ";\n".join(str(part.get("sql", "")).rstrip().rstrip(";") for part in statements)
    params = [value for part in statements for value in part.get("params") or ()]
    return Action("database_modify", {"query": query, "params": params, "database": step.get("database")})


def _config_restore(step: JsonObject) -> Action:
    given = {"key": step.get("key"), "old_value": step.get("expected"), "new_value": step.get("old_value")}
    return Action("config_change", {**given, "store": step.get("store")})


def _unknown(step: JsonObject) -> Action:
    return Action("undo:custom", {name: value for name, value in step.items() if name != "type"})


_KINDS = {
    "file_restore": _file_restore,
    "command_undo": _command_undo,
    "database_restore": _database_restore,
    "config_restore": _config_restore,
}
