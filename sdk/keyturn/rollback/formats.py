"""Settings in files: one value is read or changed, and everything else stays as it was written.

JSON and env files are edited in their text; YAML (ruamel.yaml) and TOML (tomlkit) by libraries that
keep comments and layout, which are extras of this package.
"""

import json
import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from decimal import Decimal
from io import StringIO
from pathlib import PurePath
from typing import Any

from keyturn import exact
from keyturn.rollback.jsonspans import deleted, set_value
from keyturn.rollback.parts import UndoFailed


class Missing:
    """There is no such setting."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


class Format:
    """How one kind of file holds settings."""

    def value(self, text: str, key: str) -> Any:
        """The value of a setting, or MISSING."""
        return _found(self.parse(text), _path(self.parse(text), key))

    def parse(self, text: str) -> Any:
        """Everything the file holds, as JSON's own types."""
        raise NotImplementedError

    def changed(self, text: str, key: str, value: Any) -> str:
        """The text with the setting at `value`; MISSING takes it out."""
        raise NotImplementedError


class JsonFormat(Format):
    """JSON, edited in its text."""

    def parse(self, text: str) -> Any:
        """As `Format.parse`."""
        return exact.loads(text)

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        path = _path(exact.loads(text), key)
        fresh = deleted(text, path) if value is MISSING else set_value(text, path, exact.dumps(value))
        exact.loads(fresh)
        return fresh


class YamlFormat(Format):
    """YAML 1.2 with its comments, by ruamel.yaml."""

    def parse(self, text: str) -> Any:
        """As `Format.parse`."""
        return _plain(self._library().load(text) or {})

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        yaml = self._library()
        document = yaml.load(text) or {}
        _put(document, _path(_plain(document), key), value, _float_of)
        out = StringIO()
        yaml.dump(document, out)
        return out.getvalue()

    def _library(self) -> Any:
        try:
            from ruamel.yaml import YAML
        except ImportError as error:
            raise UndoFailed("YAML files need an extra: pip install 'keyturn-sdk[yaml]'") from error
        yaml = YAML(typ="rt")
        yaml.preserve_quotes = True
        yaml.width = 4096
        return yaml


class TomlFormat(Format):
    """TOML with its comments, by tomlkit."""

    def parse(self, text: str) -> Any:
        """As `Format.parse`."""
        return _plain(self._library().parse(text).unwrap())

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        tomlkit = self._library()
        document = tomlkit.parse(text)
        _put(document, _path(_plain(document.unwrap()), key), value, _float_of)
        return str(tomlkit.dumps(document))

    def _library(self) -> Any:
        try:
            import tomlkit
        except ImportError as error:
            raise UndoFailed("TOML files need an extra: pip install 'keyturn-sdk[toml]'") from error
        return tomlkit


class EnvFormat(Format):
    """`KEY=value` lines; every value is text."""

    def parse(self, text: str) -> Any:
        """As `Format.parse`."""
        return {
            found["key"]: _unquoted(found["value"]) for found in map(_LINE.match, text.splitlines()) if found
        }

    def value(self, text: str, key: str) -> Any:
        """As `Format.value`; a dot is a part of the name."""
        return self.parse(text).get(key, MISSING)

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        if not re.fullmatch(_NAME, key):
            raise UndoFailed(f"{key!r} cannot be the name of a variable")
        if isinstance(value, Missing):
            entry = None
        elif isinstance(value, str):
            entry = f"{key}={_quoted(value)}"
        else:
            raise UndoFailed(f"{key}: an env file holds text only, not {value!r}")
        lines, done = [], False
        for line in text.splitlines(keepends=True):
            found = _LINE.match(line)
            if found is None or found["key"] != key:
                lines.append(line)
            elif entry is not None and not done:
                end = line[len(line.rstrip("\r\n")) :]
                lines.append(f"{found['lead']}{entry}{end}")
                done = True
        if entry is not None and not done:
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            lines.append(f"{entry}\n")
        return "".join(lines)


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
_NAME = r"[A-Za-z_][A-Za-z0-9_.]*"
_LINE = re.compile(rf"(?P<lead>\s*(?:export\s+)?)(?P<key>{_NAME})\s*=\s*(?P<value>.*?)\s*$", re.DOTALL)
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def _path(document: Any, key: str) -> tuple[str, ...]:
    """Where a key points: a JSON Pointer, a name at the top, or names joined by dots."""
    if key.startswith("/"):
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in key[1:].split("/"))
    parts = tuple(key.split("."))
    if isinstance(document, Mapping) and key not in document and isinstance(document.get(parts[0]), Mapping):
        return parts
    return (key,)


def _found(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        if isinstance(document, Mapping) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return MISSING
    return document


def _put(document: Any, path: Sequence[str], value: Any, as_number: Callable[[Any], Any]) -> None:
    *above, last = path
    holder = _found_live(document, above)
    if isinstance(holder, list) and last.isdecimal() and int(last) < len(holder) and value is not MISSING:
        holder[int(last)] = as_number(value)
    elif not isinstance(holder, MutableMapping):
        raise UndoFailed(f"There is nothing at {'/'.join(above) or 'the top'} that could hold {last!r}")
    elif value is MISSING:
        holder.pop(last, None)
    else:
        holder[last] = as_number(value)


def _found_live(document: Any, path: Sequence[str]) -> Any:
    found = _found(document, path)
    return document if not path else found


def _float_of(value: Any) -> Any:
    """YAML and TOML libraries know no Decimal."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _float_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_float_of(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    return exact.plain(value, "setting")


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == "'" and value.endswith("'"):
        return value[1:-1]
    if value.startswith('"'):
        try:
            text, _ = json.JSONDecoder(strict=False).raw_decode(value)
        except ValueError:
            return value
        return str(text)
    return re.split(r"\s+#", value, maxsplit=1)[0]


def _quoted(value: str) -> str:
    if _SAFE.fullmatch(value):
        return value
    if "'" not in value and "\n" not in value:
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)
