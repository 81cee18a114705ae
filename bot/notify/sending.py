"""The outbox's way to every recipient outside Slack: one sender for all channels.

Each try is audited with its recipient and outcome. Nobody is told of a request that has been
decided meanwhile. A channel that breaks harms only its own notices.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint

from bot.core.clock import Clock
from bot.core.models import Actor, ApprovalRequest, Event, RequestId, Status, Via
from bot.core.notifying import NOTIFY
from bot.notify.channel import Channel, NotDelivered, TryLater, outcome
from bot.notify.notices import notice
from bot.services.outbox import Delivery, Sent
from bot.store import Store
from bot.store.outbox import OutboxItem

log = logging.getLogger(__name__)

LinkTo = Callable[[ApprovalRequest], Awaitable[str | None]]


class Notifications:
    """Sends outbox rows of the kinds `notify.…`, each through its channel.

    Args:
        link_to: The address of a request's card in Slack.
    """

    def __init__(self, channels: Mapping[str, Channel], store: Store, clock: Clock, link_to: LinkTo) -> None:
        self._channels = {NOTIFY + kind: channel for kind, channel in channels.items()}
        self._store = store
        self._clock = clock
        self._link_to = link_to

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it sends."""
        return frozenset(self._channels)

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once."""
        assert item.request_id is not None, "every notice is about a request"
        request = await self._store.reads.request(RequestId(item.request_id))
        assert request is not None, "work for a request is stored with it"
        if request.status is not Status.PENDING:
            return Sent()
        about = notice(item, request, await self._link_to(request))
        try:
            await self._channels[item.kind].send_notification(about)
        except NotDelivered as trouble:
            return self._failed(item, trouble)
        except Exception as broken:
            log.exception("channel of %s broke", item.kind, extra={"event": "channel_broke"})
            return self._failed(item, TryLater("channel_broke", str(broken)))
        return Sent(events=(_sent(item, request),))

    def _failed(self, item: OutboxItem, trouble: NotDelivered) -> Delivery:
        """What becomes of it; the outbox records the try."""
        log.info("%s not delivered: %s", item.kind, trouble, extra={"event": "notification_failed"})
        return outcome(item.attempts, trouble)


@asynccontextmanager
async def opened(
    built_in: Mapping[str, Channel], plugins: Mapping[str, EntryPoint], settings: Mapping[str, str]
) -> AsyncIterator[Mapping[str, Channel]]:
    """Every channel by its kind, initialised; shut down at the end, in reverse.

    Args:
        settings: Environment variables of plug-ins, `KEYTURN_NOTIFY_<KIND>_<NAME>`.

    Raises:
        ValueError: a plug-in cannot be loaded or refuses its settings.
    """
    channels: dict[str, Channel] = dict(built_in)
    async with AsyncExitStack() as stack:
        for kind, entry in plugins.items():
            if kind in built_in:
                raise ValueError(f"{entry.value} brings the kind {kind}, which is Keyturn's own; remove it")
            try:
                channels[kind] = entry.load()()
            except Exception as broken:
                raise ValueError(f"the plug-in {entry.value} cannot be loaded: {broken}") from broken
        for kind, channel in channels.items():
            await channel.initialize(_settings_of(kind, settings))
            stack.push_async_callback(_shut, kind, channel)
        yield channels


async def _shut(kind: str, channel: Channel) -> None:
    """Close a channel; one that breaks at its end keeps no other from closing."""
    try:
        await channel.shutdown()
    except Exception:
        log.exception("channel of %s did not shut down", kind, extra={"event": "channel_broke"})


def _settings_of(kind: str, settings: Mapping[str, str]) -> dict[str, str]:
    prefix = f"KEYTURN_NOTIFY_{kind.upper()}_"
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in settings.items()
        if name.startswith(prefix)
    }


def _sent(item: OutboxItem, request: ApprovalRequest) -> Event:
    return Event(
        name="notification_sent",
        actor=Actor.system("notifications"),
        via=Via.SCHEDULER,
        body={
            "kind": item.kind,
            "to": str(item.payload["address"]),
            "level": item.payload["level"],
            "attempts": item.attempts,
        },
        agent=request.agent,
        request_id=request.id,
        session_id=request.submission.session_id,
    )
