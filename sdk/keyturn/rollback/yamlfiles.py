"""Settings in YAML 1.2 files, by ruamel.yaml.

A scalar is replaced in the text, in the quotes it stands in, so that not one other byte moves. Only what
is no scalar, or is new, is written by the library, which keeps comments but may lay lists out anew.
"""

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

from keyturn import exact
from keyturn.rollback.parts import UndoFailed
from keyturn.rollback.settingpaths import (
    MISSING,
    Format,
    carried,
    edits,
    found_at,
    path_of,
    plainly,
    put,
    with_floats,
)

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_FLOAT = "tag:yaml.org,2002:float"


class YamlFormat(Format):
    """YAML with its comments."""

    def value(self, text: str, key: str) -> Any:
        """As `Format.value`."""
        document = self._library().load(text)
        path = path_of(document, key)
        found = found_at(document, path)
        if found is MISSING:
            return MISSING
        node = self._node(text, path)
        if node is not None and node.tag == _FLOAT and _NUMBER.fullmatch(node.value):
            return Decimal(node.value)  # a float would lose digits
        return carried(found, key)

    def settings(self, text: str) -> dict[str, Any]:
        """As `Format.settings`."""
        return dict(plainly(self._library().load(text)) or {})

    def changed(self, text: str, key: str, value: Any) -> str:
        """As `Format.changed`."""
        path = path_of(self._library().load(text), key)
        present = self.value(text, key)
        for place, part in edits(present, value, path):
            text = self._set(text, place, part)
        return text

    def _set(self, text: str, path: tuple[str, ...], value: Any) -> str:
        node = None if isinstance(value, dict | list) or value is MISSING else self._node(text, path)
        key = "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
        if node is not None and isinstance(node.value, str) and node.style in (None, "'", '"'):
            for written in _written(value, node):
                fresh = text[: node.start_mark.index] + written + text[node.end_mark.index :]
                if self._is(fresh, key, value):
                    return fresh
        return self._rewritten(text, path, value)

    def _is(self, text: str, key: str, value: Any) -> bool:
        from ruamel.yaml.error import YAMLError

        try:
            return exact.same(self.value(text, key), value)
        except (YAMLError, TypeError, UndoFailed):
            return False

    def _rewritten(self, text: str, path: Sequence[str], value: Any) -> str:
        from ruamel.yaml.util import load_yaml_guess_indent

        yaml = self._library()
        _, indent, offset = load_yaml_guess_indent(text)
        if indent is not None and offset is not None:
            yaml.indent(mapping=max(2, indent - offset), sequence=max(indent, offset + 2), offset=offset)
        yaml.explicit_start = text.startswith("---")
        document = yaml.load(text)
        document = {} if document is None else document
        put(document, path, with_floats(value))
        out = StringIO()
        yaml.dump(document, out)
        return out.getvalue()

    def _node(self, text: str, path: Sequence[str]) -> Any:
        """The node of a setting in the text; None where it comes from a merged mapping.

        Raises:
            UndoFailed: it is written in one place for several settings.
        """
        node, after = self._library().compose(text), 0
        for part in path:
            step = _below(node, part)
            if step is None:
                return None
            node, after = step
            if node.anchor is not None or node.start_mark.index < after:
                raise UndoFailed(
                    f"{'.'.join(path)} is shared by an anchor, so other settings would change with it; keep "
                    "the whole file instead, with changed_file(...)"
                )
        return node

    def _library(self) -> Any:
        try:
            from ruamel.yaml import YAML
        except ImportError as error:
            raise UndoFailed("YAML files need an extra: pip install 'keyturn-sdk[yaml]'") from error
        yaml = YAML(typ="rt")
        yaml.preserve_quotes = True
        yaml.width = 4096
        return yaml


def _below(node: Any, part: str) -> tuple[Any, int] | None:
    """A value of a mapping or a list, and where the text before it ends."""
    if node is None or not isinstance(node.value, list):  # an empty file, or a scalar
        return None
    pairs = node.value
    if pairs and isinstance(pairs[0], tuple):
        return next(((value, key.end_mark.index) for key, value in pairs if key.value == part), None)
    if part.isdecimal() and int(part) < len(pairs):
        place = int(part)
        after = node.start_mark.index if place == 0 else pairs[place - 1].end_mark.index
        return pairs[place], after
    return None


def _written(value: Any, node: Any) -> Iterator[str]:
    """Ways to write a scalar, the one in which the present one stands first."""
    gap = " " if node.start_mark.index == node.end_mark.index else ""
    if not isinstance(value, str):
        yield gap + exact.dumps(value)
        return
    single, double = "'" + value.replace("'", "''") + "'", json.dumps(value, ensure_ascii=False)
    first = {"'": [single], '"': [double]}.get(node.style, [value])
    for written in [*first, value, single, double]:
        if "\n" not in written:
            yield gap + written
