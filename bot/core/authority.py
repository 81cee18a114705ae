"""Who may decide, from immutable Slack ids alone.

Asked at the click and again at a modal's submit, never from a name, a button's value or what
a card showed. A set of approvers that is empty means nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.core import escalation
from bot.core.errors import ActsForYou, NotAnApprover, NotAPerson, OtherWorkspace, OwnRequest
from bot.core.models import ApprovalRequest, ApproverSet, Person, Requirement, SlackId
from bot.core.quorum import seats_fillable

Membership = Mapping[str, frozenset[SlackId]]
"""Who belongs to each looked-up source (`slack_usergroup:S…`)."""


def entitled_sets(request: ApprovalRequest) -> tuple[ApproverSet, ...]:
    """Everybody who may decide now: the requirement's people and those the escalation added."""
    requirement = request.current_requirement
    own = () if requirement is None else requirement.approvers
    return (*own, *escalation.entitled_by(request.plan, request.level))


def sources(request: ApprovalRequest) -> frozenset[str]:
    """Sources whose membership must be looked up before anybody can be authorised."""
    return frozenset(entry.source for entry in entitled_sets(request) if entry.users is None)


def authorise(
    request: ApprovalRequest, person: Person, *, home_team: str, members: Membership
) -> tuple[str, ...]:
    """The groups whose seat this person may fill; empty for one who counts for the quorum only.

    Raises:
        OtherWorkspace, NotAPerson, OwnRequest, ActsForYou, NotAnApprover.
    """
    if person.team_id != home_team:
        raise OtherWorkspace()
    if not person.may_decide:
        raise NotAPerson()
    if person.id == request.owner:
        raise OwnRequest()
    principal = request.submission.on_behalf_of
    if principal is not None and person.is_named(principal):
        raise ActsForYou()
    mine = [entry for entry in entitled_sets(request) if belongs(person, entry, members)]
    if not mine:
        raise NotAnApprover()
    return tuple(entry.group for entry in mine if entry.group is not None and entry.seat)


@dataclass(frozen=True, slots=True)
class Candidates:
    """People as far as they are known: the sets they come from, and who is shut out."""

    sets: tuple[ApproverSet, ...]
    members: Membership
    excluded: frozenset[str]
    """Slack ids and e-mail addresses of the owner and of the human the agent acts for."""
    covers: Mapping[SlackId, SlackId] = field(default_factory=dict)
    """Who covers whose on-call shift: the two are one person."""


def fillable(requirement: Requirement, candidates: Candidates) -> bool:
    """Whether the people who are left could meet the requirement.

    A source that was not looked up could hold anybody, so it never makes a requirement unfillable.
    """
    known = candidates.members
    if any(entry.users is None and entry.source not in known for entry in candidates.sets):
        return True
    people: dict[SlackId, frozenset[str]] = {}
    for entry in candidates.sets:
        ids = entry.users if entry.users is not None else known[entry.source]
        seat = frozenset({entry.group} if entry.group is not None and entry.seat else ())
        for person in ids:
            if person not in candidates.excluded:
                key = candidates.covers.get(SlackId(person), SlackId(person))
                people[key] = people.get(key, frozenset()) | seat
    return len(people) >= requirement.needed and seats_fillable(requirement.mandatory, people)


def belongs(person: Person, entry: ApproverSet, members: Membership) -> bool:
    """Whether a person is in a set. `members` knows those that are looked up."""
    if entry.users is None:
        return person.id in members.get(entry.source, frozenset())
    return any(person.is_named(name) for name in entry.users)
