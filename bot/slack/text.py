"""Text as Slack takes it: Block Kit's text objects, and how long texts are cut.

Untrusted text only ever enters a `plain_text` object or a rich text leaf, neither of which Slack
parses, and always through `visible`. `mrkdwn` is for sentences of our own; what goes into one from
outside is escaped (docs.slack.dev, messaging/formatting-message-text).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.core.visible import fitting, visible

Block = dict[str, Any]
"""One block, element or text object as JSON."""


def escape(text: str) -> str:
    """`text` made visible and with Slack's three control characters escaped, for mrkdwn."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def literal(text: str) -> str:
    """`escape`, and formatting characters kept from pairing up: Slack has no escape for those."""
    return re.sub(r"[*_~`]", "\u200b\\g<0>\u200b", escape(text))


def typed(text: str) -> str:
    """Words of a slash command as the person typed them: Slack escapes the three characters there too."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def plain(text: str, limit: int = 3000) -> Block:
    """A `plain_text` object of one line and at most `limit` characters."""
    return {"type": "plain_text", "text": shortened(text, limit), "emoji": False}


def mrkdwn(text: str) -> Block:
    """A `mrkdwn` object of our own words; `verbatim` keeps typed URLs and names from being linked."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def leaf(text: str, *, bold: bool = False, italic: bool = False, lines: bool = False) -> Block:
    """A rich text leaf, shown as it stands."""
    element: Block = {"type": "text", "text": visible(text, lines=lines)}
    style = {name: True for name, wanted in (("bold", bold), ("italic", italic)) if wanted}
    return element | ({"style": style} if style else {})


def rich(*elements: Block) -> Block:
    """A `rich_text` block."""
    return {"type": "rich_text", "elements": list(elements)}


def line(*leaves: Block) -> Block:
    """A `rich_text_section`."""
    return {"type": "rich_text_section", "elements": list(leaves)}


def labelled(label: str, *leaves: Block) -> Block:
    """A `rich_text_section` that opens with our own bold label."""
    return line(leaf(f"{label} ", bold=True), *leaves)


def bullets(lines: Sequence[Block]) -> Block:
    """A list of `rich_text_section`s."""
    return {"type": "rich_text_list", "style": "bullet", "elements": list(lines)}


def quote(text: str) -> Block:
    """Somebody's words, set off by a bar. `text` is visible already."""
    return {"type": "rich_text_quote", "elements": [{"type": "text", "text": text}]}


def preformatted(text: str) -> Block:
    """Text in a fixed-width frame. `text` is visible already."""
    return {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}


def context(*elements: Block) -> Block:
    """A `context` block: small grey print."""
    return {"type": "context", "elements": list(elements)}


def date(moment: datetime) -> str:
    """A date in the viewer's own zone, for mrkdwn; the fallback says UTC."""
    return f"<!date^{int(moment.timestamp())}^{_DATE}|{utc(moment)}>"


def date_leaf(moment: datetime) -> Block:
    """The same as a rich text leaf."""
    return {
        "type": "date",
        "timestamp": int(moment.timestamp()),
        "format": _DATE,
        "fallback": utc(moment),
    }


def utc(moment: datetime) -> str:
    """`2026-11-22 10:15 UTC`, where no viewer's zone is known."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


_DATE = "{date_short_pretty} at {time}"


@dataclass(frozen=True, slots=True)
class Cut:
    """The beginning of a text, made visible, and how much of it is left out."""

    text: str
    lines: int
    characters: int

    @property
    def note(self) -> str | None:
        """`12 more lines (3,456 characters)`; None when the text is whole."""
        if not self.characters:
            return None
        lines = f"{self.lines:,} more line{'' if self.lines == 1 else 's'}"
        return f"{lines} ({self.characters:,} characters)"


def cut(text: str, *, characters: int, lines: int) -> Cut:
    """The beginning of `text` that fits both limits once it is visible.

    A line that is shown in part counts as left out.
    """
    head = "\n".join(text.split("\n", lines)[:lines])
    head = head[: fitting(head, characters, lines=True)]
    shown = visible(head, lines=True)
    if head == text:
        return Cut(shown, 0, 0)
    whole = head.count("\n") + (text[len(head)] == "\n")
    return Cut(shown, text.count("\n") + 1 - whole, len(text) - len(head))


def shortened(text: str, limit: int) -> str:
    """`text` on one line, made visible, with an ellipsis when it is longer than `limit`."""
    shown = visible(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
