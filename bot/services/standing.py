"""Whether grants, pauses, credentials, covers and rollbacks are as the audit says.

The audit is believed: it was verified before. What changes meanwhile may seem wrong once; only what
stays the same, and stays wrong, is a problem.
"""

import asyncio
from collections.abc import Iterable, Mapping

from bot.core.chain import Problem
from bot.core.replay import Story
from bot.core.standing import Kind, Thing, lost, told, unlike
from bot.store.reads import Reads
from bot.store.standing import SOURCES, Source

_Doubt = tuple[Problem, Thing | None]


async def unlike_the_log(reads: Reads, *, end: int, kept_since: int) -> Problem | None:
    """The first row of the audit that such a thing contradicts; None when all are as it says.

    Args:
        end: The place of the last row; what no row says is missing behind it.
        kept_since: The time of the first row, in microseconds since 1970, if any were removed before it.
    """
    found: list[Problem] = []
    for source in SOURCES:
        doubts = await _look(reads, source, end, kept_since)
        again = await _look(reads, source, end, kept_since) if doubts else {}
        found += [doubt[0] for id, doubt in doubts.items() if again.get(id) == doubt]
    return min(found, key=lambda problem: problem.seq, default=None)


async def _look(reads: Reads, source: Source, end: int, kept_since: int) -> Mapping[str, _Doubt]:
    kind, doubts = source.kind, dict[str, _Doubt]()
    stories = await _stories(reads, kind)
    after = ""
    while rows := await reads.standing(source, after):
        for thing in (thing for row in rows for thing in source.things(row)):
            problem = unlike(kind, thing, stories.pop(thing.id, None), kept_since=kept_since, end=end)
            if problem is not None:
                doubts[thing.id] = problem, thing
        after = rows[-1]["id"]
    missing = ((id, lost(kind, id, story)) for id, story in stories.items())
    return doubts | {id: (problem, None) for id, problem in missing if problem is not None}


async def _stories(reads: Reads, kind: Kind) -> dict[str, Story]:
    stories: dict[str, Story] = {}
    after = 0
    while rows := await reads.told(kind.events, after):
        await asyncio.to_thread(_tell, kind, rows, stories)
        after = rows[-1][0]
    return stories


def _tell(kind: Kind, rows: Iterable[tuple[int, bytes]], stories: dict[str, Story]) -> None:
    for seq, canonical in rows:
        if (said := told(kind, canonical)) is not None:
            id, fields = said
            stories.setdefault(id, Story()).tell(seq, fields)
