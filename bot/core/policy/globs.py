"""Path patterns: `*` stays inside one segment, `**` crosses them, `/x/**` is what lies below `/x`.

A segment is matched by wcmatch; segments are walked here, because a pattern must also be
compared with what a shell will still expand (`/et*/passwd`) and with directories that are
taken as a whole (`rm -rf /`). Time grows with path times pattern, never exponentially.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote

import bracex
from wcmatch import fnmatch

LONGEST_SEGMENT = 255
"""NAME_MAX of every common file system; a longer name is no file."""

MOST_STARS = 4
"""Wildcards in one segment; each multiplies the time a hostile name can cost."""

_FLAGS = fnmatch.DOTMATCH | fnmatch.FORCEUNIX | fnmatch.CASE
_MAGIC = re.compile(r"[*?\[]")

Segment = str | Callable[[str], bool] | None
"""A literal, a matcher, or None for `**`."""


class BadPattern(ValueError):
    """A pattern that could never match, or not as it reads. The message says what to write instead."""


@dataclass(frozen=True, slots=True)
class PathGlob:
    """One compiled path pattern."""

    source: str
    segments: tuple[Segment, ...]
    below: str | None = field(default=None)
    """`/x/` for the pattern `/x/**`, which needs no walking."""

    def matches(self, path: str) -> bool:
        """Whether the pattern matches one normal path."""
        if self.below is not None:
            return path.startswith(self.below) or (self.below == "/" and path.startswith("/") and path != "/")
        return _walk(self.segments, split(path), _is)

    def reaches(self, path: str, *, glob: bool, recursive: bool) -> bool:
        """Whether anything the path stands for may match: an expansion of it, or what lies below it."""
        if not glob and self.matches(path):
            return True
        parts = split(path)
        if glob and _walk(self.segments, parts, _may_be):
            return True
        return recursive and (path == "/" or _is_above(parts, self.segments))

    def contains(self, path: str, *, glob: bool, recursive: bool) -> bool:
        """Whether everything the path stands for matches for certain."""
        if not glob and not recursive:
            return self.matches(path)
        if self.segments[-1] is not None:
            return False
        if not glob:
            return self.matches(path)
        return self.matches(_any_below(path))


@lru_cache(4096)  # a pattern is compiled to check it, and again for its rule
def compile_path(pattern: str) -> tuple[PathGlob, ...]:
    """Compile a path pattern; braces make several.

    Raises:
        BadPattern: it could never match.
    """
    if "{" not in pattern:
        return (_compile(pattern),)
    try:
        spread = bracex.expand(pattern, keep_escapes=True, limit=100)
    except (bracex.ExpansionLimitException, ValueError):
        raise BadPattern("its braces make more than 100 patterns; write fewer alternatives") from None
    return tuple(_compile(one) for one in spread)


def split(path: str) -> list[str]:
    """The segments of a normal path; an absolute one starts with an empty segment."""
    return [""] if path == "/" else path.split("/")


def _compile(pattern: str) -> PathGlob:
    text = _windows(pattern)
    _check(text)
    segments = tuple(_segment(part) for part in ([""] if text == "/" else text.split("/")))
    literal = text.endswith("/**") and not _MAGIC.search(text[:-3]) and "\\" not in text
    return PathGlob(pattern, segments, text[:-2] if literal else None)


def _windows(pattern: str) -> str:
    if re.match(r"[A-Za-z]:[\\/]", pattern):
        return pattern.replace("\\", "/").lower()
    return pattern


def _check(text: str) -> None:
    if not text.strip():
        raise BadPattern("it is empty and would match nothing; remove it or write a path such as /srv/**")
    if text.endswith("/") and text != "/":
        raise BadPattern(
            f"paths have no slash at their end, so it matches nothing; write {text}** for what is below"
        )
    parts = text.split("/")
    if any(part in (".", "..") for part in parts) or "//" in text:
        raise BadPattern(
            "paths are compared in normal form, without '.', '..' and '//'; write the resolved path"
        )
    if any("**" in part and part != "**" for part in parts):
        raise BadPattern("'**' must stand alone between slashes; write * inside a segment")
    if any(len(part) > LONGEST_SEGMENT for part in parts):
        raise BadPattern(f"a segment has more than {LONGEST_SEGMENT} characters, which no file name has")
    if text.startswith(("$HOME/", "${HOME}/")):
        raise BadPattern("home is written ~ here; write ~/" + text.split("/", 1)[1])
    if "%" in text and unquote(text) != text:
        raise BadPattern(f"percent forms are resolved in paths, so it matches nothing; write {unquote(text)}")
    if re.search(r"\$[\w{(@*#?!-]|`", text):
        raise BadPattern("variables in paths cannot be read, so it matches nothing; write the path itself")
    if any(len(re.findall(r"\*+", part)) > MOST_STARS for part in parts):
        raise BadPattern(f"a segment has more than {MOST_STARS} wildcards; write several patterns")


def _segment(part: str) -> Segment:
    if part == "**":
        return None
    if not _MAGIC.search(part) and "\\" not in part:
        return part
    match: Callable[[str], bool] = fnmatch.compile(part, flags=_FLAGS).match
    return match


def _is(segment: Segment, part: str) -> bool:
    if isinstance(segment, str):
        return segment == part
    return segment is not None and len(part) <= LONGEST_SEGMENT and bool(part) and segment(part)


def _may_be(segment: Segment, part: str) -> bool:
    """Whether an expansion of `part`, which a shell may expand, can match the segment."""
    if not _MAGIC.search(part):
        return _is(segment, part)
    if isinstance(segment, str):
        return bool(segment) and fnmatch.fnmatch(segment, part, flags=_FLAGS)
    return True


def _walk(segments: Sequence[Segment], parts: Sequence[str], same: Callable[[Segment, str], bool]) -> bool:
    """Wildcard matching with one remembered `**`: a later one makes going back further needless."""
    at = place = 0
    star, resume = -1, 0
    while place < len(parts):
        if at < len(segments) and segments[at] is None:
            star, resume = at, place
            at += 1
            if at == len(segments):
                return True  # a final `**` takes the rest, of which there is at least one segment
        elif at < len(segments) and same(segments[at], parts[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return at == len(segments)


def _is_above(parts: Sequence[str], segments: Sequence[Segment]) -> bool:
    """Whether a directory lies above something that the pattern matches."""
    if segments[0] is None:
        return False
    for part, segment in zip(parts, segments, strict=False):
        if segment is None:
            return True
        if not _may_be(segment, part):
            return False
    return len(parts) <= len(segments)


def _any_below(path: str) -> str:
    """Stands for everything in the directory where a path's first wildcard is."""
    parts = split(path)
    first = next((at for at, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return "/".join([*parts[:first], "x"])


def home_forms(path: str) -> tuple[str, ...]:
    """A path, and how it reads from the home it lies in."""
    for home in _HOMES:
        if found := home.match(path):
            return path, "~" + path[found.end() :]
    return (path,)


_HOMES = (re.compile(r"/(?:home|Users)/[^/]+(?=/|$)"), re.compile(r"/root(?=/|$)"))
