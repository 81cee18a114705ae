"""YAML text to nodes that know their line and column.

libyaml reads many times as fast as ruamel.yaml, in C. It is asked only for what both read alike:
plain mappings, lists and texts. Anything else goes to ruamel.yaml, and so does whatever is not YAML,
for it says better what is wrong. A difference between the two would be a policy that means something
else, so what is in doubt is never libyaml's to read.
"""

import re
from contextlib import suppress
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.resolver import VersionedResolver
from yaml import (
    CollectionEndEvent,
    MappingNode,
    MappingStartEvent,
    ScalarEvent,
    ScalarNode,
    SequenceNode,
    StreamEndEvent,
)
from yaml import YAMLError as NotForLibyaml

try:
    from yaml.cyaml import CParser
except ImportError:  # built from its sources where there is no libyaml
    CParser = None

Node = Any
"""Of either library: `id` is scalar, sequence or mapping, beside `tag`, `value` and `start_mark`."""

_DEEPEST = 50
"""Levels that are read here; each is a call within a call."""

_IN_DOUBT = re.compile("[\t\r\x85\u2028\u2029\ufeff]|[\"'\\]}]:\\S")
"""White space and line breaks on which the versions of YAML differ, and keys that are written as in JSON."""

_PLAIN = VersionedResolver().versioned_resolver
"""What text without quotes stands for, by its first character: tags and expressions of YAML 1.2."""


def compose(text: str) -> Node:
    """The only document of a text; None when there is none.

    Raises:
        ruamel.yaml.error.YAMLError: not YAML, or more than one document.
        ValueError, RecursionError: YAML that cannot be read.
    """
    if CParser is not None and not _IN_DOUBT.search(text):
        with suppress(_Doubt, NotForLibyaml):
            return _Composer(text).document()
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # that is allowed, and the later one counts
    return yaml.compose(text)


class _Doubt(Exception):
    """Something that the two libraries may read differently."""


class _Composer:
    """Nodes from libyaml's events; its own composer overflows the stack on deep nesting."""

    def __init__(self, text: str) -> None:
        self._next = CParser(text).get_event

    def document(self) -> Node:
        self._next()  # the stream's start
        start = self._next()
        if isinstance(start, StreamEndEvent):
            return None
        node = self._node(self._next(), 0)
        end, after = self._next(), self._next()
        if start.explicit or end.explicit or not isinstance(after, StreamEndEvent):
            raise _Doubt
        return node

    def _node(self, event: Any, depth: int) -> Node:
        if event.anchor is not None or event.tag is not None or depth > _DEEPEST:
            raise _Doubt
        mark = event.start_mark
        if isinstance(event, ScalarEvent):
            if event.style in ("|", ">"):
                raise _Doubt
            return ScalarNode(_tag(event.value) if event.implicit[0] else "str", event.value, mark, None)
        parts = self._parts(depth + 1)
        if isinstance(event, MappingStartEvent):
            return MappingNode("map", list(zip(parts[::2], parts[1::2], strict=True)), mark, None)
        return SequenceNode("seq", parts, mark, None)

    def _parts(self, depth: int) -> list[Node]:
        parts = []
        while not isinstance(event := self._next(), CollectionEndEvent):
            parts.append(self._node(event, depth))
        return parts


def _tag(text: str) -> str:
    return next((tag for tag, expression in _PLAIN.get(text[:1], ()) if expression.match(text)), "str")
