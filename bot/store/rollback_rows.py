"""Rollbacks to columns and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.core.rollback import Item, Rollback
from bot.store import rows
from bot.store.codec import decode, encode, micros, optional_micros
from bot.store.dialect import Row


def rollback_of(row: Row) -> Rollback:
    """A rollback from a row of `SELECT_ROLLBACK`: its body, and its steps as a JSON list."""
    found = decode(Rollback, row["body"])
    return replace(found, items=rows.list_of(Item, row["items"]))


SELECT_ROLLBACK = """
    SELECT b.id, b.state, b.body, (SELECT string_agg(body, ',' ORDER BY position) FROM rollback_item
        WHERE rollback_id = b.id) AS items
    FROM rollback b
"""


def rollback_columns(rollback: Rollback) -> Mapping[str, Any]:
    """Every column of a `rollback` row; its steps have rows of their own."""
    return {
        "id": rollback.id,
        "agent": rollback.agent,
        "session_id": rollback.session_id,
        "state": rollback.state.value,
        "version": rollback.version,
        "due_at": optional_micros(rollback.due_at),
        "body": encode(replace(rollback, items=())),
        "created_at": micros(rollback.created_at),
        "updated_at": micros(rollback.updated_at),
    }


def item_columns(rollback: Rollback, place: int, item: Item) -> Mapping[str, Any]:
    """Every column of the `rollback_item` row of a step."""
    return {
        "id": item.id,
        "rollback_id": rollback.id,
        "position": place,
        "request_id": item.request_id,
        "state": item.state.value,
        "body": encode(item),
    }
