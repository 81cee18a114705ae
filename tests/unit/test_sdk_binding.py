"""Approved params reach the function as the types it was called with, or not at all."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from keyturn.binding import Shape
from keyturn.errors import ModificationMismatch


def transfer(amount: Decimal, to: str, *, dry: bool = False) -> None: ...


def test_params_are_the_bound_arguments_with_defaults() -> None:
    bound = Shape(transfer).bound((Decimal("2500.00"), "bob"), {})
    assert bound.params == {"amount": Decimal("2500.00"), "to": "bob", "dry": False}
    assert str(bound.params["amount"]) == "2500.00"


def test_an_unchanged_argument_is_the_callers_own_object() -> None:
    services = ["api", "web"]

    def deploy(services: list[str]) -> None: ...

    bound = Shape(deploy).bound((services,), {})
    assert bound.restored({"services": ["api", "web"]})[0][0] is services


def test_an_argument_changed_behind_our_back_runs_as_it_was_approved() -> None:
    services = ["api"]

    def deploy(services: list[str]) -> None: ...

    bound = Shape(deploy).bound((services,), {})
    services.append("billing")
    assert bound.restored({"services": ["api"]}) == ((["api"],), {})


@pytest.mark.parametrize(
    ("original", "approved", "expected"),
    [
        (Decimal("2500.00"), Decimal("1800.50"), Decimal("1800.50")),
        (Decimal("2500.00"), 1800, Decimal(1800)),
        (0.5, Decimal("0.25"), 0.25),
        (3, 4, 4),
        ("a", "b", "b"),
        (True, False, False),
        (None, "set", "set"),
        (Path("/a"), "/b", Path("/b")),
        (date(2026, 1, 1), "2026-02-01", date(2026, 2, 1)),
        ([0.5, 1.5], [Decimal("0.5"), Decimal("2.5")], [0.5, 2.5]),
        ({"rate": 0.5}, {"rate": Decimal("0.75")}, {"rate": 0.75}),
        (("a", "b"), ["a"], ("a",)),
    ],
)
def test_a_changed_argument_keeps_the_type_it_had(original: Any, approved: Any, expected: Any) -> None:
    def untyped(value):  # type: ignore[no-untyped-def]  # an agent's function without annotations
        ...

    (value,), _ = Shape(untyped).bound((original,), {}).restored({"value": approved})
    assert value == expected
    assert type(value) is type(expected)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Size:
    width: Decimal


class Order(BaseModel):
    total: Decimal


@pytest.mark.parametrize(
    ("hint", "original", "approved", "expected"),
    [
        (Colour, Colour.RED, "blue", Colour.BLUE),
        (Size, Size(Decimal("1.50")), {"width": Decimal("2.50")}, Size(Decimal("2.50"))),
        (Order, Order(total=Decimal(1)), {"total": Decimal("2.00")}, Order(total=Decimal("2.00"))),
        (list[Decimal], [Decimal(1)], [1, Decimal("2.5")], [Decimal(1), Decimal("2.5")]),
        (list[float], [0.5], [Decimal("0.5"), Decimal("0.75")], [0.5, 0.75]),
        (Decimal | None, None, Decimal("3.10"), Decimal("3.10")),
        (Decimal, 2500, Decimal("1800.50"), Decimal("1800.50")),
        (set[str] | None, None, ["a"], {"a"}),
    ],
)
def test_an_annotation_gives_back_what_json_lost(
    hint: Any, original: Any, approved: Any, expected: Any
) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = hint
    (value,), _ = Shape(function).bound((original,), {}).restored({"value": approved})
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("hint", "original", "approved"),
    [
        (int, 3, Decimal("3.5")),
        (Colour, Colour.RED, "green"),
        (Literal["a", "b"], "a", "c"),
        (Annotated[Decimal, Field(gt=0)], Decimal(1), Decimal(-1)),
        (Any, 3, "three"),
    ],
)
def test_a_change_the_function_cannot_take_is_refused(hint: Any, original: Any, approved: Any) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = hint
    bound = Shape(function).bound((original,), {})
    with pytest.raises(ModificationMismatch, match="cannot take value="):
        bound.restored({"value": approved})


def test_a_removed_or_an_added_param_is_refused() -> None:
    bound = Shape(transfer).bound((Decimal(1), "bob"), {})
    with pytest.raises(ModificationMismatch, match="lack 'to'"):
        bound.restored({"amount": 1, "dry": False})
    with pytest.raises(ModificationMismatch, match="takes no argument 'iban'"):
        bound.restored({"amount": 1, "to": "bob", "dry": False, "iban": "DE"})


def test_variadic_arguments_are_a_list_and_params_of_their_own() -> None:
    def run(command: str, *args: str, **env: int) -> None: ...

    bound = Shape(run).bound(("ls", "-l", "/tmp"), {"depth": 2})
    assert bound.params == {"command": "ls", "args": ["-l", "/tmp"], "depth": 2}
    changed = {"command": "ls", "args": ["/var"], "depth": 1, "width": 9}
    assert bound.restored(changed) == (("ls", "/var"), {"depth": 1, "width": 9})


def test_excluded_arguments_and_self_are_passed_on_but_not_asked_for() -> None:
    class Bank:
        def send(self, amount: Decimal, connection: object) -> None: ...

    bank, connection = Bank(), object()
    bound = Shape(Bank.send, ("connection",)).bound((bank, Decimal(1), connection), {})
    assert bound.params == {"amount": Decimal(1)}
    assert bound.restored({"amount": Decimal(2)}) == ((bank, Decimal(2), connection), {})


def test_excluding_an_argument_that_is_not_there_is_a_mistake_told_at_once() -> None:
    with pytest.raises(TypeError, match="no argument 'conection' to exclude"):
        Shape(transfer, ("conection",))


def test_an_argument_json_cannot_carry_is_named() -> None:
    with pytest.raises(TypeError, match=r"^to is a bytes"):
        Shape(transfer).bound((Decimal(1), b"bob"), {})
