"""Where a setting stands in a document, and which of its values an undo can carry.

A key is a name at the top, names joined by dots, or a JSON Pointer.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

from keyturn import exact
from keyturn.rollback.parts import UndoFailed


class Missing:
    """There is no such setting."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


class Format(ABC):
    """How one kind of file holds settings."""

    @abstractmethod
    def value(self, text: str, key: str) -> Any:
        """The value of a setting, as JSON's own types, or MISSING.

        Raises:
            UndoFailed: it is one that an undo could not bring back as it is.
        """

    @abstractmethod
    def settings(self, text: str) -> dict[str, Any]:
        """All of them, in containers of Python's own; to be compared, not to be carried."""

    @abstractmethod
    def changed(self, text: str, key: str, value: Any) -> str:
        """The text with the setting at `value`; MISSING takes it out."""


def path_of(document: Any, key: str) -> tuple[str, ...]:
    """Where a key points."""
    if key.startswith("/"):
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in key[1:].split("/"))
    parts = tuple(key.split("."))
    if isinstance(document, Mapping) and key not in document and isinstance(document.get(parts[0]), Mapping):
        return parts
    return (key,)


def found_at(document: Any, path: Sequence[str]) -> Any:
    """What stands there, or MISSING."""
    for part in path:
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return MISSING
    return document


def put(document: Any, path: Sequence[str], value: Any) -> None:
    """Set, or take out, what stands there.

    Raises:
        UndoFailed: nothing there could hold it.
    """
    *above, last = path
    holder = found_at(document, above)
    if isinstance(holder, list) and last.isdecimal() and int(last) < len(holder) and value is not MISSING:
        holder[int(last)] = value
    elif not isinstance(holder, MutableMapping):
        raise UndoFailed(f"There is nothing at {'/'.join(above) or 'the top'} that could hold {last!r}")
    elif value is MISSING:
        holder.pop(last, None)
    else:
        holder[last] = value


def edits(present: Any, wanted: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The smallest changes from one value to the other: what is alike inside stays as it is written."""
    if isinstance(present, dict) and isinstance(wanted, dict) and list(present) == list(wanted):
        for name in wanted:
            yield from edits(present[name], wanted[name], (*path, name))
    elif isinstance(present, list) and isinstance(wanted, list) and len(present) == len(wanted):
        for place, (before, after) in enumerate(zip(present, wanted, strict=True)):
            yield from edits(before, after, (*path, str(place)))
    elif present is MISSING or wanted is MISSING or not exact.same(present, wanted):
        yield path, wanted


def plainly(value: Any) -> Any:
    """A library's containers as Python's own: those may know an order, or a place in a text."""
    if isinstance(value, Mapping):
        return {str(name): plainly(item) for name, item in value.items()}
    return [plainly(item) for item in value] if isinstance(value, list) else value


def carried(value: Any, key: str) -> Any:
    """A value of a library as JSON's own types.

    Raises:
        UndoFailed: JSON would make something else of it.
    """
    if isinstance(value, date | time | bytes | set):
        raise UndoFailed(
            f"{key} holds a {type(value).__name__}, which an undo cannot carry; keep the whole file instead, "
            "with changed_file(...)"
        )
    if isinstance(value, Mapping):
        return {str(name): carried(item, key) for name, item in value.items()}
    if isinstance(value, list):
        return [carried(item, key) for item in value]
    return exact.plain(value, key)


def with_floats(value: Any) -> Any:
    """The same with floats, for libraries that know no Decimal."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: with_floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [with_floats(item) for item in value]
    return value
