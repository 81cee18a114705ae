"""Whether the requests are as the audit says: the table against what its events tell, page by page.

The audit is believed: it was verified before. Requests go on changing meanwhile, so whatever seems wrong
is read again until it stands still.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from bot.core.chain import Problem
from bot.core.replay import Story, contradicted
from bot.core.verifying import body_of
from bot.store.dialect import Row
from bot.store.reads import Reads
from bot.store.stating import Stated, stated_of

_AFTER = b'"after":{'
_TRIES = 5


async def contradiction(reads: Reads, *, end: int, kept_since: int) -> Problem | None:
    """The first row of the audit that a request contradicts; None when all requests are as it says.

    Args:
        end: The place of the last row; what no row says is missing behind it.
        kept_since: The time of the first row, in microseconds since 1970, if any were removed before it.
            What is older than that may have no events left.
    """
    found: list[Problem] = []
    after = ""
    while page := await reads.stated(after):
        changes = await reads.changes(after, page[-1]["id"])
        for id in await asyncio.to_thread(_doubtful, page, changes):
            found += filter(None, [await _settled(reads, id, end, kept_since)])
        after = page[-1]["id"]
    if (orphan := await reads.orphan()) is not None:
        id, seq = orphan
        found.append(Problem(seq, "contradicted", f"it asks for {id}, and there is no such request"))
    return min(found, key=lambda problem: problem.seq, default=None)


def _doubtful(page: Sequence[Row], changes: Iterable[tuple[str, int, bytes]]) -> list[str]:
    """The ids of the requests that have to be looked at alone."""
    stories = _told(changes)
    found = ((request, stories.get(request.id)) for request in map(stated_of, page))
    return [request.id for request, story in found if story is None or _wrong(request, story)]


async def _settled(reads: Reads, id: str, end: int, kept_since: int) -> Problem | None:
    """The problem of one request, looked at while it did not change."""
    for _ in range(_TRIES):
        before = await _stated(reads, id)
        stories = _told(await reads.changes_of(id))
        if before is not None and await _stated(reads, id) == before:
            if id in stories and stories[id].state:
                return _wrong(before, stories[id])
            if before.created_at <= kept_since:
                return None
            return Problem(end + 1, "contradicted", f"no row asks for {id}, and it is stored")
    return None  # it changes all the time; the next look will find it still


async def _stated(reads: Reads, id: str) -> Stated | None:
    row = await reads.stated_one(id)
    return None if row is None else stated_of(row)


def _told(changes: Iterable[tuple[str, int, bytes]]) -> Mapping[str, Story]:
    stories: dict[str, Story] = {}
    for id, seq, canonical in changes:
        story = stories.setdefault(id, Story())
        story.last = seq
        if _AFTER in canonical:
            after = body_of(canonical).get("after")
            story.tell(seq, after if isinstance(after, dict) else {})
    return stories


def _wrong(request: Stated, story: Story) -> Problem | None:
    if not request.state:
        return Problem(story.last, "contradicted", f"{request.id} cannot be read")
    name = contradicted(story.state, request.state)
    if name is not None:
        return Problem(story.places[name], "contradicted", f"{request.id} has another {name} than it says")
    if request.odd is not None:
        detail = f"the column {request.odd} of {request.id} does not say what the rest of it says"
        return Problem(story.last, "contradicted", detail)
    return None
