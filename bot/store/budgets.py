"""What limits count: one row for each automatic approval and each limit that it falls under.

The same statement tells how much of a limit is used before a request is judged and, again, inside
the transaction that stores it, so requests of the same moment cannot slip under it together.
Amounts are kept as whole units and millionths, rounded up: sums are exact and never too small.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from bot.core.models import ApprovalRequest, Charge, Used
from bot.store.codec import duration_micros, micros
from bot.store.dialect import Row
from bot.store.transaction import Tx

_MILLION = 1_000_000


def fits(tx: Tx, charges: Sequence[Charge], now: datetime) -> bool:
    """Whether every limit still has room. The limits are this transaction's alone from here on."""
    for charge in sorted(charges, key=lambda charge: charge.limit):
        # On PostgreSQL the row is locked until COMMIT, and the look below sees all that was committed.
        tx.execute(_TAKE, {"name": charge.limit, "at": micros(now)})
        sql, params = query(charge, now)
        row = tx.fetch_one(sql, params)
        if not used_of(row).leaves_room_for(charge):
            return False
    return True


def spend(tx: Tx, request: ApprovalRequest, charges: Sequence[Charge], now: datetime) -> None:
    """Count an approval."""
    tx.execute_many(_SPEND, [_row(request, charge, now) for charge in charges])


def query(charge: Charge, now: datetime) -> tuple[str, dict[str, Any]]:
    """The statement, with its parameters, that tells how much of a limit is used; for `used_of`."""
    params = {"budget": charge.limit, "since": micros(now) - duration_micros(charge.per)}
    if charge.agent is None:
        return _USED, params
    return f"{_USED} AND agent = :agent", params | {"agent": charge.agent}


def used_of(row: Row | None) -> Used:
    """What `query` found."""
    assert row is not None, "a sum has one row"
    rest = (Decimal(row["millionths"]) / _MILLION).normalize()
    return Used(row["count"], Decimal(row["whole"]) + rest)


def _row(request: ApprovalRequest, charge: Charge, now: datetime) -> dict[str, Any]:
    amount = charge.amount or Decimal(0)
    whole = int(amount)
    millionths = int(((amount - whole) * _MILLION).to_integral_value(ROUND_CEILING))
    return {
        "request_id": request.id,
        "budget": charge.limit,
        "agent": request.agent,
        "at": micros(now),
        "whole": whole + millionths // _MILLION,
        "millionths": millionths % _MILLION,
    }


_TAKE = """
    INSERT INTO budget (name, spent_at) VALUES (:name, :at)
    ON CONFLICT (name) DO UPDATE SET spent_at = excluded.spent_at
"""
_SPEND = """
    INSERT INTO spend (request_id, budget, agent, at, whole, millionths)
    VALUES (:request_id, :budget, :agent, :at, :whole, :millionths)
"""
_USED = """
    SELECT COUNT(*) AS count, COALESCE(SUM(whole), 0) AS whole, COALESCE(SUM(millionths), 0) AS millionths
    FROM spend WHERE budget = :budget AND at > :since
"""
