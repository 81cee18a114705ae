"""Settings in TOML files, by tomlkit, which keeps comments and layout."""

import re
from decimal import Decimal
from typing import Any

from keyturn import exact
from keyturn.rollback.parts import UndoFailed
from keyturn.rollback.settingpaths import MISSING, Format, carried, edits, found_at, path_of, put

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")


class TomlFormat(Format):
    """TOML with its comments."""

    def value(self, text: str, key: str) -> Any:
        """As `Format.value`."""
        document = self._library().parse(text)
        found = found_at(document, path_of(document, key))
        return found if found is MISSING else _plain(found, key)

    def settings(self, text: str) -> dict[str, Any]:
        """As `Format.settings`."""
        return dict(self._library().parse(text).unwrap())

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        library = self._library()
        document = library.parse(text)
        path = path_of(document, key)
        for place, part in edits(self.value(text, key), value, path):
            put(document, place, part if part is MISSING else _item(library, part, found_at(document, place)))
        return str(library.dumps(document))

    def _library(self) -> Any:
        try:
            import tomlkit
        except ImportError as error:
            raise UndoFailed("TOML files need an extra: pip install 'keyturn-sdk[toml]'") from error
        return tomlkit


def _plain(item: Any, key: str) -> Any:
    """A value as JSON's own types, numbers with all their digits."""
    if isinstance(item, dict):
        return {str(name): _plain(below, key) for name, below in item.items()}
    if isinstance(item, list):
        return [_plain(below, key) for below in item]
    if isinstance(item, float) and _NUMBER.fullmatch(raw := str(getattr(item, "as_string", str)())):
        return Decimal(raw)
    return carried(item.unwrap() if hasattr(item, "unwrap") else item, key)


def _item(library: Any, value: Any, present: Any) -> Any:
    """A value as tomlkit writes it: with its digits, and in the quotes in which `present` stands."""
    if value is None:
        raise UndoFailed("TOML has no null")
    if isinstance(value, dict):
        table = library.inline_table()
        for name, below in value.items():
            table.append(name, _item(library, below, MISSING))
        return table
    if isinstance(value, list):
        array = library.array()
        for below in value:
            array.append(_item(library, below, MISSING))
        return array
    if not isinstance(value, str):
        return library.value(exact.dumps(value).lower())
    raw = str(present.as_string()) if hasattr(present, "as_string") else ""
    quotes = next((marks for marks in ("'''", '"""', "'") if raw.startswith(marks)), '"')
    body = value if "'" in quotes else value.replace("\\", "\\\\").replace('"', '\\"')
    lead = "\n" if len(quotes) == 3 and raw[3:4] == "\n" else ""
    try:
        item = library.value(f"{quotes}{lead}{body}{quotes}")
    except library.exceptions.TOMLKitError:  # these quotes cannot hold it
        return library.string(value)
    return item if item == value else library.string(value)
