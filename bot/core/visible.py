"""Text of strangers, made so that a reader sees every character of it. Pure."""

import re
import unicodedata
from bisect import bisect_right

# Visible by category, yet they draw nothing: fillers, joiners, variation selectors, reserved code points.
_BLANK = frozenset(
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xFFF0, 0xFFF9),
        *range(0xE0000, 0xE1000),
    ]
)
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"})
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_MARKS = (
    r"[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    r"\u0f71-\u0f84\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
# More marks on one letter would paint over the lines around it.
_STACKED = re.compile(f"({_MARKS}{{3}})({_MARKS}+)")


def visible(text: str, *, lines: bool = False) -> str:
    r"""`text` with everything invisible or reordering shown as an escape such as `\u202e`.

    Control, bidi, zero-width, tag, private-use and filler characters, variation selectors, spaces
    other than U+0020, and marks stacked more than three high. Beyond U+FFFF the escape is a
    surrogate pair, so JSON text stays JSON text.

    Args:
        lines: Keep line feeds; otherwise they are escaped too, and the result is one line.
    """
    shown = text.translate(_LINES if lines else _ONE_LINE)
    return shown if shown.isascii() else _STACKED.sub(lambda run: run[1] + _escaped(run[2]), shown)


def fitting(text: str, limit: int, *, lines: bool = False) -> int:
    """How many characters from the start of `text` take at most `limit` once they are visible."""
    head = text[:limit]
    if len(visible(head, lines=lines)) <= limit:
        return len(head)
    # Escapes make it longer, the more the longer the head.
    sizes = range(len(head) + 1)
    return bisect_right(sizes, limit, key=lambda size: len(visible(head[:size], lines=lines))) - 1


class _Escapes(dict[int, str]):
    """What each code point is shown as; filled as they are met, so that long texts stay cheap."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES or code in _BLANK
        shown = self[code] = _escaped(character) if hidden and character != " " else character
        return shown


_ONE_LINE = _Escapes()
_LINES = _Escapes({ord("\n"): "\n"})


def _escaped(text: str) -> str:
    if text in _NAMED:
        return _NAMED[text]
    units = text.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
