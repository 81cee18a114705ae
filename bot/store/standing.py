"""What gives authority beside requests, as the tables hold it, in the words of the log."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from bot.core import jsontext
from bot.core.digest import digest_of, sha256
from bot.core.grants import LONGEST
from bot.core.models import Action, Digest
from bot.core.rollback import Rollback
from bot.core.rollback_start import whole_digest
from bot.core.standing import (
    CONFIRMATIONS,
    COVERS,
    CREDENTIALS,
    GRANTS,
    PAUSES,
    ROLLBACKS,
    STEPS,
    Kind,
    Thing,
)
from bot.core.times import rfc3339
from bot.core.undo import undo_digest
from bot.store.codec import duration_micros, micros, moment
from bot.store.dialect import Row
from bot.store.rollback_rows import SELECT_ROLLBACK, rollback_of


@dataclass(frozen=True, slots=True)
class Source:
    """Where the things of a kind are: a statement that pages by `id`, and what one of its rows holds."""

    kind: Kind
    sql: str
    read: Callable[[Row], Iterable[Thing]]

    def things(self, row: Row) -> list[Thing]:
        """What a row holds, whatever somebody wrote into it."""
        try:
            return list(self.read(row))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            return [Thing(row["id"], {}, _EVER)]


def fingerprint(token_hash: str) -> Digest:
    """What the log says of a credential's token: it tells one from another, and opens nothing."""
    return Digest(sha256(token_hash.encode()))


_EVER = 2**63
"""Later than any time."""

_SAME = (
    "agent",
    "request_id",
    "rule",
    "policy",
    "policy_version",
    "directory",
    "session_id",
    "highest",
    "uses",
)


def _grants(row: Row) -> Iterable[Thing]:
    fields = {
        **{name: row[name] for name in _SAME},
        "type": row["action_type"],
        "giver": row["giver_id"],
        "used": row["used"],
        "expires_at": _time(row["expires_at"]),
        "revoked": row["revoked_at"] is not None,
    }
    asked = digest_of(Action(row["action_type"], jsontext.reread(row["params"])))
    # Whoever forges one may write any time of making; how long it lasts is what it is worth.
    since = max(row["created_at"], row["expires_at"] - duration_micros(LONGEST))
    yield Thing(row["id"], fields, since, None if asked == row["asked"] else "params")


def _pauses(row: Row) -> Iterable[Thing]:
    yield Thing(row["id"], {"reason": row["reason"], "by": row["by_id"], "at": _time(row["at"])}, row["at"])


def _credentials(row: Row) -> Iterable[Thing]:
    fields = {
        "owner": row["owner"],
        "scopes": sorted(orjson.loads(row["scopes"])),
        "rate": row["rate"],
        "callback_hosts": orjson.loads(row["callback_hosts"]),
        "fingerprint": fingerprint(row["token_hash"]),
        "revoked": row["revoked_at"] is not None,
    }
    yield Thing(row["id"], fields, row["created_at"])


def _covers(row: Row) -> Iterable[Thing]:
    fields = {
        **{name: row[name] for name in ("schedule", "covering", "covered", "offered_by", "state")},
        "from": _time(row["starts_at"]),
        "to": _time(row["ends_at"]),
    }
    # An offer gives nothing before it is accepted.
    yield Thing(row["id"], fields, row["decided_at"] if row["state"] == "accepted" else None)


def _rollbacks(row: Row) -> Iterable[Thing]:
    found = rollback_of(row)
    fields = {
        "reason": found.reason,
        "force": found.force,
        "digest": found.digest,
        "risk": found.risk.level.value,
        "policy": found.policy.name,
        "rule": found.policy.rule,
        "confirmed": found.confirmed_at is not None,
    }
    yield Thing(row["id"], fields, micros(found.created_at), _odd(row, found))


def _odd(row: Row, found: Rollback) -> str | None:
    if row["state"] != found.state.value or row["id"] != found.id:
        return "state"
    return None if whole_digest(found.items, found.session_id) == found.digest else "digest"


def _confirmations(row: Row) -> Iterable[Thing]:
    for given in rollback_of(row).confirmations:
        review = given.review
        fields = {"digest": review.digest, "reason": review.reason, "force_reason": given.force_reason}
        yield Thing(f"{row['id']} {review.reviewer.id}", fields, micros(review.at))


def _steps(row: Row) -> Iterable[Thing]:
    said = jsontext.reread(row["body"])
    fields = {"request_id": row["request_id"], "state": row["state"]}
    fits = said["state"] == row["state"] and undo_digest(said["data"]) == said["digest"]
    yield Thing(row["id"], fields, row["created_at"], None if fits else "data")


def _time(found: int) -> str:
    return rfc3339(moment(found))


_ROLLBACKS = f"{SELECT_ROLLBACK} WHERE b.id > :after ORDER BY b.id LIMIT :limit"

SOURCES = (
    Source(
        CREDENTIALS,
        "SELECT name AS id, * FROM agent WHERE name > :after ORDER BY name LIMIT :limit",
        _credentials,
    ),
    Source(
        GRANTS,
        "SELECT g.*, r.digest AS asked FROM grants g LEFT JOIN request r ON r.id = g.request_id"
        " WHERE g.id > :after ORDER BY g.id LIMIT :limit",
        _grants,
    ),
    Source(PAUSES, "SELECT what AS id, * FROM pause WHERE what > :after ORDER BY what LIMIT :limit", _pauses),
    Source(COVERS, "SELECT * FROM oncall_cover WHERE id > :after ORDER BY id LIMIT :limit", _covers),
    Source(ROLLBACKS, _ROLLBACKS, _rollbacks),
    Source(CONFIRMATIONS, _ROLLBACKS, _confirmations),
    Source(
        STEPS,
        "SELECT i.*, b.created_at FROM rollback_item i LEFT JOIN rollback b ON b.id = i.rollback_id"
        " WHERE i.id > :after ORDER BY i.id LIMIT :limit",
        _steps,
    ),
)
