"""Who stands behind a target of the ladder, when that could not be said as its level opened.

A level does not wait for Slack longer than seconds: its mails and webhooks go out, and whoever could
not be looked up is looked up again here, and then asked.
"""

from collections.abc import Awaitable, Callable

from bot.core.errors import CannotVerify
from bot.core.models import RequestId, Status, Target
from bot.core.notifying import CHECK, FIND, card, looked_up, missing
from bot.services.asking import Asking
from bot.services.outbox import Delivery, Failed, Later, Sent
from bot.store import Store
from bot.store.outbox import OutboxItem


class Finder:
    """Sends outbox rows of the kinds `ladder.find` and `ladder.check`.

    The first puts a card for each person in the place of the name that stood for them.

    Args:
        check: Whether it could be found out if enough people may approve (`Reviews.checked_fillable`).
    """

    kinds = frozenset({FIND, CHECK})

    def __init__(self, store: Store, asking: Asking, check: Callable[[RequestId], Awaitable[bool]]) -> None:
        self._store = store
        self._asking = asking
        self._check = check

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once; nobody is asked about what has been decided meanwhile."""
        assert item.request_id is not None, "the ladder asks about a request"
        if item.kind == CHECK:
            known = await self._check(RequestId(item.request_id))
            return Sent() if known else Later(CannotVerify.code)
        request = await self._store.reads.request(RequestId(item.request_id))
        assert request is not None, "work for a request is stored with it"
        if request.status is not Status.PENDING:
            return Sent()
        target = Target(str(item.payload["kind"]), str(item.payload["address"]))
        try:
            found = await self._asking.resolve(looked_up([target]))
        except CannotVerify as trouble:
            return Later(trouble.code)
        people = [person for members in found.values() for person in members]
        if not people:
            return Failed(missing(target))
        level = int(item.payload["level"])
        return Sent(outbox=tuple(card(request, person, "dm", level) for person in people))
