"""The people of the sandbox, played through its API: what a reviewer sees, clicks, and fills in.

It acts on what is on the screen and nothing else: a card that is there, a button it shows, a form that
opened. What does not appear in time is a difference, and says what was there instead.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from bot.demo.children import DemoError

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long a person looks for something before giving up."""

_LOOK_SECONDS = 0.1
_CHANNEL = "C0APPROVE"

DANA = "U0DANA001"
RAFAEL = "U0REL0001"
SUKI = "U0SRE0002"
SAM = "U0SRE0001"
PRIYA = "U0SEC0001"
OLGA = "U0OWN0001"


@dataclass(frozen=True, slots=True)
class Card:
    """A card in #approvals."""

    ts: str
    text: str
    blocks: tuple[dict[str, Any], ...]

    @property
    def words(self) -> str:
        """Everything written on it."""
        return f"{self.text}\n{json.dumps(self.blocks, ensure_ascii=False)}"

    @property
    def undecided(self) -> bool:
        """Whether it shows a button to approve with."""
        return any(
            element.get("action_id") == "request.approve"
            for block in self.blocks
            if block["type"] == "actions"
            for element in block["elements"]
        )


class Reviewer:
    """Everybody in the workspace."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def card(self, saying: str) -> Card:
        """The newest undecided card whose text holds `saying`, as soon as there is one."""

        def look(state: dict[str, Any]) -> Card | None:
            found = [card for card in _cards(state) if saying in card.text and card.undecided]
            return found[-1] if found else None

        return await self._until(look, f"an undecided card saying {saying!r}")

    async def decided(self, card: Card) -> Card:
        """The card once it shows no buttons any more."""

        def look(state: dict[str, Any]) -> Card | None:
            now = [seen for seen in _cards(state) if seen.ts == card.ts and not seen.undecided]
            return now[0] if now else None

        return await self._until(look, f"the decision on the card {card.text!r}")

    async def saying(self, card: Card, words: str) -> Card:
        """The card once `words` stand on it."""

        def look(state: dict[str, Any]) -> Card | None:
            now = [seen for seen in _cards(state) if seen.ts == card.ts and words in seen.words]
            return now[0] if now else None

        return await self._until(look, f"{words!r} on the card {card.text!r}")

    async def click(self, user: str, card: Card, action_id: str) -> None:
        """Press a button of a card."""
        await self._act(
            "click",
            f"{user} pressed {action_id}",
            user=user, channel=_CHANNEL, message_ts=card.ts, action_id=action_id,
        )  # fmt: skip

    async def command(self, user: str, command: str, text: str) -> None:
        """Type a slash command in #approvals."""
        what = f"{user} typed {command} {text}"
        await self._act("command", what, user=user, channel=_CHANNEL, command=command, text=text)

    async def told(self, user: str) -> str:
        """What Keyturn said to this person alone in #approvals."""

        def look(state: dict[str, Any]) -> str | None:
            found = [m["text"] for m in _messages(state) if m["ephemeral_to"] == user]
            return str(found[-1]) if found else None

        return await self._until(look, f"a private answer to {user}")

    async def fill_in(self, user: str, callback_id: str, **values: str) -> None:
        """Fill in the form that this person has open, and send it; `values` by block id, texts only.

        Raises:
            DemoError: the form did not open, or was not accepted.
        """

        def look(state: dict[str, Any]) -> dict[str, Any] | None:
            for modal in state["modals"].get(user, ()):
                blocks = {block["block_id"] for block in modal["view"]["blocks"]}
                # A form opens empty, and is filled when the request has been read.
                if modal["view"].get("callback_id") == callback_id and set(values) <= blocks:
                    return dict(modal)
            return None

        modal = await self._until(look, f"the form {callback_id} of {user} with {', '.join(values)}")
        answer = await self._act(
            "submit",
            f"{user} sent the form {callback_id}",
            user=user,
            view_id=modal["id"],
            values={block_id: {"value": {"value": value}} for block_id, value in values.items()},
        )
        if answer.get("response_action") != "close":
            raise DemoError(f"The form {callback_id} of {user} was not accepted: {answer}")

    async def _act(self, route: str, what: str, **given: Any) -> dict[str, Any]:
        answer = dict((await self._http.post(f"/sandbox/{route}", json=given)).json())
        if not answer.get("ok"):
            raise DemoError(f"When {what}, Slack said: {answer.get('message') or answer}")
        return answer

    async def _until(self, look: Callable[[dict[str, Any]], T | None], what: str) -> T:
        state: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    state = (await self._http.get("/sandbox/state")).json()
                    if (found := look(state)) is not None:
                        return found
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise DemoError(f"Did not see {what} within {PATIENCE_SECONDS:.0f} s. {_shown(state)}") from None


def _messages(state: dict[str, Any]) -> list[dict[str, Any]]:
    return next((c["messages"] for c in state.get("channels", ()) if c["id"] == _CHANNEL), [])


def _cards(state: dict[str, Any]) -> list[Card]:
    shown = [m for m in _messages(state) if m["ephemeral_to"] is None and not m["thread_ts"]]
    return [Card(m["ts"], m["text"], tuple(m["blocks"] or ())) for m in shown]


def _shown(state: dict[str, Any]) -> str:
    lines = [f"\n  | {message['text'][:150]}" for message in _messages(state)]
    return "#approvals shows:" + "".join(lines) if lines else "#approvals is empty."
