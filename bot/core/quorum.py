"""Counting to a quorum: distinct people, one seat each.

A requirement is met when enough distinct people approve the same digest and every
mandatory group is represented by somebody who represents no other. One person in two
groups fills one seat, whichever leaves the others best off. Somebody covering an on-call
shift and the one covered are one person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from bot.core.models import ApproverSet, Digest, Requirement, Review, SlackId, Verdict


@dataclass(frozen=True, slots=True)
class Missing:
    """What an open requirement still lacks."""

    count: int
    groups: tuple[str, ...]


def live_approvals(reviews: Sequence[Review], digest: Digest) -> tuple[Review, ...]:
    """Approvals of `digest` that count, in the order they came."""
    return tuple(
        r
        for r in reviews
        if r.counts and not r.voided and r.digest == digest and r.verdict is not Verdict.REJECT
    )


def missing(requirement: Requirement, reviews: Sequence[Review], digest: Digest) -> Missing:
    """What `requirement` still lacks, given the live approvals of `digest`.

    Seats are filled by the assignment of distinct people to mandatory groups that fills most
    (one person fills one seat), the rest counts towards the quorum.
    """
    people = _people(live_approvals(reviews, digest))
    seats = requirement.mandatory
    filled = _fill_seats(seats, people)
    open_groups = tuple(g for g in seats if g not in filled)
    short = max(requirement.needed - len(people), len(open_groups), 0)
    return Missing(short, open_groups)


def _people(approvals: Sequence[Review]) -> dict[SlackId, frozenset[str]]:
    """Each person by the first of their ids, with the groups of all of them."""
    people: dict[SlackId, frozenset[str]] = {}
    known_as: dict[SlackId, SlackId] = {}
    for review in approvals:
        ids = (review.reviewer.id, *review.stands_for)
        same = {known_as[id] for id in ids if id in known_as}
        person = min(same, default=review.reviewer.id)
        people[person] = frozenset(review.groups).union(*(people.pop(one) for one in same))
        known_as = {id: person if one in same else one for id, one in known_as.items()}
        known_as.update(dict.fromkeys(ids, person))
    return people


def _fill_seats(seats: Sequence[str], people: Mapping[SlackId, frozenset[str]]) -> dict[str, SlackId]:
    """Maximum matching of groups to people, by augmenting paths (Kuhn); a handful of seats at most."""
    holder: dict[str, SlackId] = {}
    if not seats:
        return holder

    def place(person: SlackId, tried: set[str]) -> bool:
        for seat in seats:
            if seat not in people[person] or seat in tried:
                continue
            tried.add(seat)
            if seat not in holder or place(holder[seat], tried):
                holder[seat] = person
                return True
        return False

    for person in people:
        place(person, set())
    return holder


def seats_fillable(seats: Sequence[str], people: Mapping[SlackId, frozenset[str]]) -> bool:
    """Whether distinct `people` (with the groups each belongs to) could fill all `seats`."""
    return len(_fill_seats(seats, people)) == len(seats)


def stricter(first: Requirement, second: Requirement) -> Requirement:
    """The requirement that satisfies both: higher quorum, all mandatory groups.

    Where the two name different approvers and no group of either is mandatory, only those named
    by both may approve. Where they have nothing in common, or groups are mandatory, every group
    of both must give one approver, so that neither policy is decided without its own people.
    """
    quorum = max(first.quorum, second.quorum)
    one_from_each = first.one_from_each or second.one_from_each
    if set(first.approvers) == set(second.approvers):
        return Requirement(quorum, one_from_each, first.approvers)
    common = tuple(a for a in first.approvers if a in second.approvers)
    if common and not one_from_each:
        return Requirement(quorum, False, common)
    return Requirement(quorum, True, _named((*first.approvers, *second.approvers)))


def _named(sets: Sequence[ApproverSet]) -> tuple[ApproverSet, ...]:
    """Distinct sets, each with a group name, since only a named group can be mandatory."""
    named: list[ApproverSet] = []
    for approvers in dict.fromkeys(sets):
        if approvers.group is not None:
            named.append(approvers)
            continue
        taken = {a.group for a in named}
        name = next(n for n in _spare_names() if n not in taken)
        named.append(replace(approvers, group=name))
    return tuple(named)


def _spare_names() -> Iterator[str]:
    yield "named approvers"
    yield from (f"named approvers {n}" for n in count(2))
