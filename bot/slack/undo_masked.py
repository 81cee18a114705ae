"""A rollback as people may see it: what people, agents and their data say, with secrets masked. Pure."""

from dataclasses import replace

from bot.core import redaction
from bot.core.models import Undo
from bot.core.rollback import Item, Report, Rollback


def masked(rollback: Rollback) -> Rollback:
    """The same rollback, but for secrets; ids and digests stay."""
    mask = redaction.own().text
    return replace(
        rollback,
        reason=mask(rollback.reason),
        policy=replace(rollback.policy, explanation=mask(rollback.policy.explanation)),
        items=tuple(_item(item) for item in rollback.items),
        left_out=tuple(replace(left, why=mask(left.why)) for left in rollback.left_out),
        message=_optional(rollback.message),
    )


def masked_undo(undo: Undo) -> Undo:
    """How the latest rollback of an action stands, without secrets."""
    return replace(undo, message=_optional(undo.message), partial=_optional(undo.partial))


def _item(item: Item) -> Item:
    return replace(
        item,
        data=redaction.own().value(item.data),
        beyond=_optional(item.beyond),
        preview=_report(item.preview),
        result=_report(item.result),
    )


def _report(said: Report | None) -> Report | None:
    if said is None:
        return None
    mask = redaction.own().text
    return replace(
        said,
        summary=mask(said.summary),
        diff=_optional(said.diff),
        affected=tuple(mask(name) for name in said.affected),
        message=_optional(said.message),
    )


def _optional(text: str | None) -> str | None:
    return None if text is None else redaction.own().text(text)
