"""The Slack face: Bolt's AsyncApp with our listeners, reachable over both of Slack's transports.

With an app token it opens a socket to Slack and there is no HTTP endpoint; otherwise `http` is the
ASGI application for `/slack/events`. Bolt never sees a body that Slack did not sign, and logs none.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.core.clock import Clock
from bot.services.outbox import Outbox
from bot.services.refusals import Refusals
from bot.services.reviews import Reviews
from bot.services.rollbacks import Rollbacks
from bot.slack import ids
from bot.slack.audit_desk import AuditDesk
from bot.slack.clicks import Clicks
from bot.slack.client import SlackAccess, quiet_logger, web_client
from bot.slack.commands import Commands
from bot.slack.directory import SlackDirectory
from bot.slack.grant_desk import GrantDesk
from bot.slack.homes import Homes
from bot.slack.listeners import ANYTHING, Asked, Listeners, Work
from bot.slack.queue import Queue
from bot.slack.rota import Rota
from bot.slack.signed_http import SignedHttp, Verifier
from bot.slack.switch import Switch
from bot.slack.undo import Undo
from bot.store import Store

__all__ = ["SlackAccess", "SlackFace", "bolt_app", "web_client"]

log = logging.getLogger(__name__)


class SlackFace:
    """Everything that reaches Keyturn from Slack.

    Attributes:
        app: Bolt's application.
        http: The ASGI application for `/slack/events`; None in Socket Mode.

    Args:
        new_reference: Makes the reference that a person is given when something of ours broke.
    """

    def __init__(
        self,
        access: SlackAccess,
        client: AsyncWebClient,
        *,
        reviews: Reviews,
        rollbacks: Rollbacks,
        store: Store,
        directory: SlackDirectory,
        outbox: Outbox,
        refusals: Refusals,
        queue: Queue,
        homes: Homes,
        rota: Rota,
        switch: Switch,
        grants: GrantDesk,
        audit: AuditDesk,
        clock: Clock,
        new_reference: Callable[[], str],
    ) -> None:
        listeners = Listeners(
            Clicks(reviews, store, directory, client),
            Commands(queue, rota, switch, grants, audit),
            homes,
            outbox,
            refusals,
            client,
            new_reference,
        )
        self._access = access
        self._client = client
        private = {
            ids.AUDIT_PAGE: audit.page,
            ids.AGENT_PAUSE: switch.pause,
            ids.AGENT_RESUME: switch.resume,
            ids.GRANT_REVOKE: grants.revoke,
        }
        self.app = bolt_app(access, client, listeners, rota, Undo(rollbacks, client), private)
        self.http: SignedHttp | None = None
        if access.app_token is None:
            self.http = SignedHttp(self.app, Verifier(access.signing_secrets, clock))

    async def run(self, stop: asyncio.Event) -> None:
        """Hold the socket open until `stop`, through any outage of Slack; just wait when there is none."""
        if self._access.app_token is None:
            await stop.wait()
            return
        handler = AsyncSocketModeHandler(
            self.app,
            self._access.app_token,
            logger=quiet_logger("socket"),
            web_client=self._client,
            ping_interval=5,
        )
        async with asyncio.TaskGroup() as tasks:
            socket: Any = handler.client  # slack_sdk leaves these two methods without annotations
            connecting = tasks.create_task(socket.connect())
            try:
                await stop.wait()
            finally:
                connecting.cancel()
                await socket.close()


def bolt_app(
    access: SlackAccess,
    client: AsyncWebClient,
    listeners: Listeners,
    rota: Rota,
    undo: Undo,
    private: Mapping[str, Asked],
) -> AsyncApp:
    """Bolt's application with every listener. Bodies are verified in front of it (`signed_http`).

    Args:
        private: What the buttons of private answers do, by action id.
    """

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        # Bolt would ask auth.test here, so that no click would work while Slack's API does not.
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=access.bot_token)

    app = AsyncApp(
        client=client,
        authorize=authorize,
        logger=quiet_logger("bolt", logging.ERROR),
        request_verification_enabled=False,
    )
    for action_id, asked in private.items():
        app.action(action_id)(listeners.private(asked))
    for pressed, work in _buttons(listeners.clicks, rota, undo):
        app.action(pressed)(listeners.button(work))
    for submitted, work in _forms(listeners.clicks, undo):
        app.view(submitted)(listeners.form(work))
    app.command(ANYTHING, matchers=[undo.wanted])(undo.command)
    app.command(ANYTHING)(listeners.command)
    app.event("app_home_opened")(listeners.home)
    app.event(ANYTHING)(listeners.ignored)
    app.error(_broken)
    return app


def _buttons(clicks: Clicks, rota: Rota, undo: Undo) -> Sequence[tuple[str | re.Pattern[str], Work]]:
    """What each button does, by its `action_id`; Bolt takes the first that fits."""
    return (
        (ids.APPROVE, clicks.approve),
        (ids.REJECT, clicks.reject),
        (ids.MODIFY, clicks.modify),
        (ids.DETAILS, clicks.details),
        (ids.ACKNOWLEDGE, clicks.acknowledge),
        (ids.ESCALATE, clicks.escalate),
        (ids.ASK, clicks.ask),
        (ids.GRANT, clicks.grant),
        (ids.PAGE, clicks.page),
        (ids.ALTERNATIVE, clicks.alternative),
        (ids.ACCEPT_COVER, rota.accept),
        (ids.ROLLBACK, undo.start),
        (ANYTHING, clicks.unknown),
    )


def _forms(clicks: Clicks, undo: Undo) -> Sequence[tuple[str | re.Pattern[str], Work]]:
    """What each submitted form does, by its `callback_id`."""
    return (
        (ids.APPROVE, clicks.submit_approval),
        (ids.REJECT, clicks.submit_rejection),
        (ids.MODIFY, clicks.submit_changes),
        (ids.ASK, clicks.submit_question),
        (ids.GRANT, clicks.submit_grant),
        (ids.ROLLBACK_CONFIRM, undo.confirm),
        (ANYTHING, clicks.unknown),
    )


async def _broken(error: Exception) -> BoltResponse:
    log.error("a listener broke", exc_info=error, extra={"event": "listener_broke"})
    return BoltResponse(status=500, body="")
