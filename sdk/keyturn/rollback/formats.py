"""Settings in files: one value is read or changed, and everything else stays as it was written.

JSON, env and most YAML values are edited in their text; the rest of YAML (ruamel.yaml) and TOML
(tomlkit) by libraries that keep comments and layout, which are extras of this package.
"""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from keyturn import exact
from keyturn.rollback.envfiles import EnvFormat
from keyturn.rollback.jsonspans import deleted, set_value
from keyturn.rollback.parts import UndoFailed
from keyturn.rollback.settingpaths import MISSING, Format, edits, found_at, path_of
from keyturn.rollback.tomlfiles import TomlFormat
from keyturn.rollback.yamlfiles import YamlFormat

__all__ = ["MISSING", "format_of"]


class JsonFormat(Format):
    """JSON, edited in its text."""

    def value(self, text: str, key: str) -> Any:
        """As `Format.value`."""
        document = exact.loads(text)
        return found_at(document, path_of(document, key))

    def settings(self, text: str) -> dict[str, Any]:
        """As `Format.settings`."""
        return dict(exact.loads(text))

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        document = exact.loads(text)
        path = path_of(document, key)
        if value is MISSING:
            return deleted(text, path)
        for place, part in edits(found_at(document, path), value, path):
            text = set_value(text, place, exact.dumps(part))
        return text


def format_of(path: str) -> Format:
    """How a file holds settings, by its name.

    Raises:
        UndoFailed: nobody knows.
    """
    name = PurePath(path).name
    for suffix, kind in _FORMATS.items():
        if name.endswith(suffix):
            return kind()
    if name.startswith(".env"):
        return EnvFormat()
    raise UndoFailed(f"{path}: settings are known in {', '.join(_FORMATS)} files and in registered stores")


_FORMATS: Mapping[str, Callable[[], Format]] = {
    ".json": JsonFormat,
    ".yaml": YamlFormat,
    ".yml": YamlFormat,
    ".toml": TomlFormat,
    ".env": EnvFormat,
}
