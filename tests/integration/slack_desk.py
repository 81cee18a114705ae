"""A whole bot beside a local Slack, on either transport, and hands to use both."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.config import Settings
from bot.core.clock import Clock
from bot.core.models import Action, Agent, ApprovalRequest, RequestId, SlackId, Status, Submission
from bot.sandbox import Sandbox, Workspace, load_workspace, running_sandbox
from bot.sandbox.model import Message, Modal, User
from bot.wiring import Bot, running
from tests.patience import SOON

Json = dict[str, Any]

WORKSPACE = """
admin_channel: C0ADMIN01
operators: {slack_usergroup: S0OPS0001}
auditors: {users: [U0AUDIT01]}
groups:
  security: {slack_usergroup: S0614TZR7}
  release: {users: [U0REL0001, U0REL0002]}
  sre: {users: [U0SRE0001, U0SRE0002]}
  crowd: {users: [%s]}
"""
POLICY = """
name: production-policy
auto_approve_threshold: never
auto_reject_threshold: never
default_timeout: 10m
channel: C0APPROVE
approvers: {quorum: 1, groups: [release, sre, security]}
block:
  - {name: boot, path_pattern: "/boot/**"}
require:
  - name: deployments
    action_type: deployment
    approvers: {quorum: 2, groups: [release, sre], one_from_each: true}
  - {name: secured, action_type: "secured:*", approvers: {quorum: 1, groups: [security]}}
  - {name: crowded, action_type: "crowd:*", approvers: {quorum: 1, groups: [crowd]}}
escalation_rules:
  - name: tell-security
    trigger: {after: 1m}
    escalate_to: security
    wait: 10m
    notify: [{slack: C0SECALRT}, {slack_dm: security}]
"""
CROWD = [f"U0CRWD{number:03d}" for number in range(16)]
RAFAEL, RENEE, SAM, SUKI, PRIYA = "U0REL0001", "U0REL0002", "U0SRE0001", "U0SRE0002", "U0SEC0001"
OLGA, GUS, EVE, ODD, ALEX, DANA = "U0OWN0001", "U0GST0001", "U0EXT0001", "U0OLD0001", "U0AUDIT01", "U0DANA001"

AGENT = "deploy-bot"


class ShiftedClock:
    """The real clock, moved forward by hand."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """The shifted present."""
        return datetime.now(UTC) + self._ahead

    def shift(self, by: timedelta) -> None:
        """Let time pass."""
        self._ahead += by


@dataclass
class Desk:
    """One running bot and its Slack."""

    sandbox: Sandbox
    bot: Bot
    agent: Agent

    async def ask(
        self, type: str = "config_change", params: Mapping[str, Any] | None = None, **said: Any
    ) -> ApprovalRequest:
        """An agent asks; the request as it was answered."""
        chosen = {"key": "log_level", "old_value": "info", "new_value": "debug"} if params is None else params
        submission = Submission(**{"action": Action(type, chosen), "description": "Please.", **said})
        request, created = await self.bot.approvals.submit(self.agent, submission, key=None, body=b"{}")
        assert created
        return request

    async def card(self, request: ApprovalRequest, channel: str = "C0APPROVE") -> Message:
        """The request's card in a channel, as soon as it is there."""
        return await self.sandbox.until(lambda: self.find(request, channel))

    def find(self, request: ApprovalRequest, channel: str = "C0APPROVE") -> Message | None:
        """The request's card in a channel, if it is there."""
        return next(iter(self.cards(request, channel)), None)

    def cards(self, request: ApprovalRequest, channel: str = "C0APPROVE") -> list[Message]:
        """Every copy of the request's card in a channel."""
        found = []
        for message in self.sandbox.messages(channel):
            payload = (message.metadata or {}).get("event_payload", {})
            if payload.get("request_id") == request.id:
                found.append(message)
        return found

    async def click(
        self, user: str, request: ApprovalRequest, action_id: str = "request.approve", **more: Any
    ) -> Json:
        """Press a button of the request's card."""
        card = await self.card(request)
        return await self.sandbox.people.click(user, card.channel, card.ts, action_id, **more)

    async def modal(self, user: str, callback_id: str) -> Modal:
        """The view a person has on top, once it is that one."""

        def look() -> Modal | None:
            top = self.sandbox.modal(user)
            return top if top is not None and top.view.get("callback_id") == callback_id else None

        return await self.sandbox.until(look)

    async def private(self, user: str, containing: str = "", channel: str = "C0APPROVE") -> Message:
        """The first private message to a person that holds these words."""

        def look() -> Message | None:
            told = (m for m in self.sandbox.messages(channel) if m.ephemeral_to == user)
            return next((m for m in told if containing in m.text), None)

        return await self.sandbox.until(look)

    def privates(self, channel: str = "C0APPROVE") -> list[Message]:
        """Every private message in a channel."""
        return [m for m in self.sandbox.messages(channel) if m.ephemeral_to is not None]

    async def now(self, request: ApprovalRequest) -> ApprovalRequest:
        """The request as it stands."""
        found = await self.bot.store.reads.request(request.id)
        assert found is not None
        return found

    async def decided(self, request_id: RequestId) -> ApprovalRequest:
        """The request once it is decided."""
        with self.bot.waiters.waiting(request_id) as changed:
            async with asyncio.timeout(30):
                while True:
                    changed.clear()
                    found = await self.bot.store.reads.request(request_id)
                    assert found is not None
                    if found.status is not Status.PENDING:
                        return found
                    await changed.wait()

    async def painted(self, request: ApprovalRequest, words: str, channel: str = "C0APPROVE") -> Message:
        """The card once its headline holds these words."""

        def look() -> Message | None:
            return next((m for m in self.cards(request, channel) if words in headline(m)), None)

        return await self.sandbox.until(look)

    async def audited(self, request: ApprovalRequest, event: str) -> list[Json]:
        """The request's audit events of one name."""
        events = await self.bot.store.reads.events(request.id)
        return [dict(entry.body) for entry in events if entry.event == event]

    async def until_audited(self, request: ApprovalRequest, event: str) -> list[Json]:
        """The same, as soon as there is one."""
        committed = asyncio.Event()
        self.bot.store.on_commit(lambda _changes: committed.set())
        async with asyncio.timeout(SOON):
            while True:
                committed.clear()
                if found := await self.audited(request, event):
                    return found
                await committed.wait()


def headline(message: Message) -> str:
    """What a card says at its top."""
    text = message.blocks[0].get("text")
    return str(text["text"]) if isinstance(text, dict) else ""


def buttons(message: Message) -> list[str]:
    """The buttons of a card, in order."""
    actions = (block for block in message.blocks if block["type"] == "actions")
    return [element["action_id"] for block in actions for element in block["elements"]]


def text(value: str) -> Json:
    """The state of a text input."""
    return {"value": {"type": "plain_text_input", "value": value}}


def view_words(modal: Modal) -> str:
    """Every text of a view."""
    return "\n".join(_texts(modal.view["blocks"]))


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _texts(item)]
    if not isinstance(value, dict):
        return []
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return own + [found for item in value.values() for found in _texts(item)]


def crowded_workspace() -> Workspace:
    """The default workspace and sixteen more people who may decide what is crowded."""
    workspace = load_workspace()
    for number, user_id in enumerate(CROWD):
        workspace.users[user_id] = User(
            user_id,
            workspace.team["id"],
            f"crowd{number}",
            f"Crowd {number}",
            email=f"crowd{number}@example.com",
        )
        workspace.channel("C0APPROVE").members.add(user_id)
    workspace.channel("C0APPROVE").members.update({OLGA, GUS, EVE, ODD, ALEX, DANA, PRIYA})
    return workspace


def write_policies(directory: Path) -> None:
    """The policies of these tests."""
    directory.mkdir(exist_ok=True)
    (directory / "workspace.yaml").write_text(WORKSPACE % ", ".join(CROWD))
    (directory / "default.yaml").write_text(POLICY)


@asynccontextmanager
async def running_bot(
    sandbox: Sandbox, directory: Path, *, clock: Clock | None = None
) -> AsyncIterator[Desk]:
    """A bot on a database file in `directory`, serving until the context ends."""
    write_policies(directory / "policies")
    environment = {
        "KEYTURN_DATABASE_URL": f"sqlite:///{directory}/keyturn.db",
        "KEYTURN_POLICIES": str(directory / "policies"),
        "KEYTURN_KEY_DIR": str(directory / "keys"),
        "KEYTURN_PORT": "0",
        **sandbox.environment(),
    }
    async with running(Settings.read(environment), clock=clock) as bot:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(bot.run(stop))
            try:
                if sandbox.delivery.transport is sandbox.http:
                    sandbox.deliver_to(f"{bot.url}/slack/events")
                await sandbox.until_connected()
                yield Desk(sandbox, bot, await _agent(bot))
            finally:
                stop.set()
                await asyncio.wait([serving])


async def _agent(bot: Bot) -> Agent:
    known = await bot.store.reads.agent(AGENT)
    if known is not None:
        return known
    token = await bot.agents.add(AGENT, owner=SlackId(OLGA), rate=0)
    return await bot.agents.authenticate(token)


@asynccontextmanager
async def running_desk(directory: Path, transport: str = "socket", **sandbox: Any) -> AsyncIterator[Desk]:
    """A bot and its Slack."""
    async with (
        running_sandbox(workspace=crowded_workspace(), transport=transport, **sandbox) as slack,
        running_bot(slack, directory) as desk,
    ):
        yield desk
