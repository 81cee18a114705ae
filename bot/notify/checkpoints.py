"""Signed checkpoints of the audit to a webhook: one more place where an attacker cannot take them back."""

from collections.abc import Sequence

from bot.core import jsontext
from bot.core.clock import Clock
from bot.notify.channel import NotDelivered, outcome
from bot.notify.posting import Letter, SignedPosts
from bot.services.checkpoints import TO_WEBHOOK
from bot.services.outbox import Delivery, Sent
from bot.store.outbox import OutboxItem


class CheckpointWebhook:
    """Posts `{type: audit.checkpoint, timestamp, data {seq, note, key}}`.

    Args:
        secret: `whsec_…`, with which the receiver verifies.
        allow: Hosts, addresses and networks that may be called though they are not public.
    """

    kinds = frozenset({TO_WEBHOOK})

    def __init__(self, secret: str, clock: Clock, *, allow: Sequence[str] = ()) -> None:
        self._secret = secret
        self._posts = SignedPosts(clock, allow=allow)

    async def send(self, item: OutboxItem) -> Delivery:
        """Try once."""
        said = item.payload
        data = {name: said[name] for name in ("seq", "note", "key")}
        body = {"type": "audit.checkpoint", "timestamp": said["at"], "data": data}
        letter = Letter(f"msg_checkpoint_{said['seq']}", self._secret, jsontext.dumps(body))
        try:
            await self._posts.post(str(said["to"]), letter)
        except NotDelivered as trouble:
            return outcome(item.attempts, trouble)
        return Sent()
