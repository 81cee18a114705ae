"""The kill switch in Slack: `/keyturn pause`, `resume` and `agents`, and the buttons of the last."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bot.core import pausing
from bot.core.errors import AlreadySettled, InvalidRequest
from bot.core.models import Agent, Reviewer, SlackId, Via
from bot.core.pausing import Pause
from bot.services.pauses import Pauses
from bot.services.refusals import Refusals, Tried
from bot.slack import ids
from bot.slack.interaction import Interaction
from bot.slack.roles import Role
from bot.slack.text import Block, context, date, literal, mrkdwn, plain, shortened, typed
from bot.store import Store

HELP = {
    "pause WHAT [hold | cancel] [why]": "stop an agent, an action type or `all` (operators)",
    "resume WHAT": "let it run again (operators)",
    "agents": "every agent, and what is paused (operators)",
}
"""What can be typed, with what it does."""

WORDS = frozenset(form.split()[0] for form in HELP)

_SHOWN = 40
_TYPES_SHOWN = 5


class Switch:
    """Pausing and resuming by operators."""

    def __init__(self, pauses: Pauses, store: Store, operators: Role, refusals: Refusals) -> None:
        self._pauses = pauses
        self._store = store
        self._operators = operators
        self._refusals = refusals

    async def answer(self, words: Sequence[str], *, user_id: SlackId, team_id: str) -> dict[str, Any]:
        """Arguments of the private answer.

        Raises:
            ReviewRefused: the person is no operator.
        """
        by = await self._operators.require(user_id, team_id)
        command, *rest = words
        if command.casefold() == "agents":
            return await self._listing()
        if not rest:
            return {"text": f"Say what to {literal(command)}: an agent, an action type, or `all`."}
        try:
            if command.casefold() == "resume":
                return await self._resume(" ".join(rest), by)
            return await self._pause(rest, by)
        except InvalidRequest as wrong:
            return {"text": literal(wrong.message)}

    async def pause(self, by: Interaction) -> dict[str, Any]:
        """The button `agent.pause`: hold what is pending."""
        person = await self._operators.require(by.user_id, by.team_id)
        return await self._turned(by, lambda: self._pause([by.value], person))

    async def resume(self, by: Interaction) -> dict[str, Any]:
        """The button `agent.resume`."""
        person = await self._operators.require(by.user_id, by.team_id)
        return await self._turned(by, lambda: self._resume(by.value, person))

    async def _turned(self, by: Interaction, turn: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """The list as it is now, and what came of the click; a click on an old list changes nothing."""
        try:
            said = await turn()
        except InvalidRequest as wrong:
            late = AlreadySettled(wrong.message)
            await self._refusals.record(Tried(by.user_id, by.control, by.value), late)
            said = {"text": literal(late.message)}
        listing = await self._listing()
        note = {"type": "section", "text": mrkdwn(said["text"])}
        return {"text": said["text"], "blocks": [note, *listing["blocks"]]}

    async def _pause(self, rest: Sequence[str], by: Reviewer) -> dict[str, Any]:
        what, *more = rest
        mode = more[0].casefold() if more else ""
        cancel = mode == "cancel"
        reason = typed(" ".join(more[1:] if mode in ("hold", "cancel") else more))
        done = await self._pauses.pause(what, reason=reason, cancel=cancel, by=by, via=Via.SLACK)
        pending = f"{done.cancelled} pending cancelled." if cancel else "What is pending is held."
        undo = f"`/keyturn resume {done.pause.what}`"
        return {"text": f"*{literal(done.pause.sentence)}*. {pending} Undo with {undo}"}

    async def _resume(self, what: str, by: Reviewer) -> dict[str, Any]:
        lifted = await self._pauses.resume(what, by=by, via=Via.SLACK)
        return {"text": f"{literal(pausing.subject(lifted.what).removesuffix(' is'))} runs again."}

    async def rows(self, *, switches: bool, most: int = 20) -> list[Block]:
        """A row for everything, for each paused type and for each agent.

        Args:
            switches: Whether each row has its button, which is for operators.
            most: Agents shown.
        """
        agents, paused = await self._standing()
        blocks = [*_others(paused), *(_agent(agent, paused) for agent in agents[:most])]
        if not switches:
            blocks = [{name: part for name, part in row.items() if name != "accessory"} for row in blocks]
        if len(agents) > most:
            blocks.append(context(plain(f"{len(agents) - most} more; keyturn agents list shows all.")))
        return blocks

    async def _listing(self) -> dict[str, Any]:
        agents, paused = await self._standing()
        said = f"{len(agents)} agent{'' if len(agents) == 1 else 's'}, {len(paused)} paused"
        return {"text": said, "blocks": await self.rows(switches=True, most=_SHOWN)}

    async def _standing(self) -> tuple[list[Agent], dict[str, Pause]]:
        agents = [agent for agent in await self._store.reads.agents() if agent.revoked_at is None]
        return agents, {pause.what: pause for pause in await self._pauses.all()}


def _others(paused: dict[str, Pause]) -> list[Block]:
    """The switch for everything, and the types that are paused."""
    types = [(named, pause) for what, pause in paused.items() if (named := pausing.type_in(what)) is not None]
    return [
        _row("Everything", pausing.ALL, paused.get(pausing.ALL)),
        *(_row(f"Type {literal(named)}", pause.what, pause) for named, pause in types[:_TYPES_SHOWN]),
    ]


def _agent(agent: Agent, paused: dict[str, Pause]) -> Block:
    what = pausing.of_agent(agent.name)
    return _row(f"Agent {literal(agent.name)}", what, paused.get(what))


def _row(name: str, what: str, pause: Pause | None) -> Block:
    words = f"*{name}*  runs"
    if pause is not None:
        words = (
            f"*{name}*  ⏸️ paused by {literal(pause.by.name)}, {date(pause.at)}: {literal(pause.reason[:200])}"
        )
    button: Block = {
        "type": "button",
        "action_id": ids.AGENT_PAUSE if pause is None else ids.AGENT_RESUME,
        "text": plain("Pause" if pause is None else "Resume", 75),
        "value": what,
        "accessibility_label": shortened(f"{'Pause' if pause is None else 'Resume'}: {what}", 75),
        **({"style": "danger"} if pause is None else {}),
    }
    return {"type": "section", "text": mrkdwn(words), "accessory": button}
