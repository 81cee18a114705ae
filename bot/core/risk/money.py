"""How much money an action moves, exactly."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.core.risk.weights import Money

_AMOUNT = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?")


def amount_of(value: object) -> Decimal | None:
    """An amount as sent, a number or a string of digits; None when it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    return None


def in_base(params: Mapping[str, Any], money: Money) -> Decimal | None:
    """The absolute amount in the base currency; None when it cannot be told."""
    return worth(params.get("amount"), params.get("currency"), money)


def worth(value: object, currency: object, money: Money) -> Decimal | None:
    """What a value in a currency (None: the base) is worth in the base, never negative; None if unknown."""
    amount = amount_of(value)
    if amount is None:
        return None
    if currency is None:
        return abs(amount)
    if not isinstance(currency, str):
        return None
    code = currency.strip().upper()
    rate = Decimal(1) if code == money.base else money.rates.get(code)
    return None if rate is None else abs(amount) * rate


def why_unknown(params: Mapping[str, Any], money: Money) -> str:
    """What is missing for `in_base`, in words."""
    if amount_of(params.get("amount")) is None:
        return "how much is not told as a number"
    currency = params.get("currency")
    if not isinstance(currency, str):
        return "its currency is not told as text"
    return f"there is no rate from {currency.strip().upper()[:20]} to {money.base}"


def tier(amount: Decimal | None, money: Money) -> tuple[Decimal, Decimal | None]:
    """Points that an amount adds, and the least amount of its tier; the top tier for what cannot be told."""
    if amount is None:
        return (money.tiers[-1][1], None) if money.tiers else (Decimal(0), None)
    reached = [(points, least) for least, points in money.tiers if amount >= least]
    return reached[-1] if reached else (Decimal(0), None)
