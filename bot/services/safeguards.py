"""Requests by the id that a Safeguards client made up.

The client's id is its idempotency key, apart from the keys of ordinary requests.
"""

from bot.core.errors import NotFound
from bot.core.models import Agent, ApprovalRequest, Submission
from bot.services.approvals import Approvals
from bot.store import Store

_SCOPE = "request"


class SafeguardsRequests:
    """Asks and finds by the client's id."""

    def __init__(self, approvals: Approvals, store: Store) -> None:
        self._approvals = approvals
        self._store = store

    async def submit(
        self, agent: Agent, submission: Submission, *, client_id: str, body: bytes
    ) -> ApprovalRequest:
        """The request of this id, made when there is none.

        Raises:
            IdempotencyConflict, Unavailable.
        """
        request, _ = await self._approvals.submit(agent, submission, key=_key(client_id), body=body)
        return request

    async def get(self, agent: Agent, client_id: str) -> ApprovalRequest:
        """The request of this agent with this id.

        Raises:
            NotFound: there is none.
        """
        kept = await self._store.reads.idempotent(agent.name, _SCOPE, _key(client_id))
        if kept is None:
            raise NotFound(f"There is no request {client_id}, or it is not yours.")
        return await self._approvals.get(agent, kept.request_id)


def _key(client_id: str) -> str:
    # No Idempotency-Key that came over HTTP holds a line break, so the two never meet.
    return f"safeguards\n{client_id}"
