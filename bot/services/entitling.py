"""Who may decide a request, by Slack and the schedules as they are at this moment.

A source that is gone (a schedule no file has any more, a deleted user group) holds nobody, and takes
nothing from those who may decide without it. One that cannot be looked up just now could hold
anybody: then nobody is told yes or no.
"""

from collections.abc import Iterable

from bot.core.authority import authorise, belongs, sources
from bot.core.errors import NotAnApprover, SourceGone
from bot.core.models import ApprovalRequest, ApproverSet, Person, SlackId
from bot.services.directory import Directory


async def entitle(directory: Directory, request: ApprovalRequest, person: Person) -> tuple[str, ...]:
    """The groups whose seat this person may fill; empty for one who counts for the quorum only.

    Raises:
        OtherWorkspace, NotAPerson, OwnRequest, ActsForYou, NotAnApprover.
        SourceGone: nobody named them, and a source that might have is gone.
        CannotVerify: a source could not be looked up.
    """
    members, gone = await members_of(directory, sources(request))
    try:
        return authorise(request, person, home_team=await directory.home_team(), members=members)
    except NotAnApprover:
        if gone is not None:
            raise gone from None
        raise


async def is_in(directory: Directory, person: Person, people: ApproverSet) -> bool:
    """Whether a person is in a set of people.

    Raises:
        CannotVerify: its members could not be looked up.
    """
    members = {} if people.users is not None else {people.source: await directory.members(people.source)}
    return belongs(person, people, members)


async def members_of(
    directory: Directory, names: Iterable[str]
) -> tuple[dict[str, frozenset[SlackId]], SourceGone | None]:
    """Who belongs to each source, and what says of the first that is gone that it is.

    Raises:
        CannotVerify: one could not be looked up.
    """
    found: dict[str, frozenset[SlackId]] = {}
    gone: SourceGone | None = None
    for name in sorted(names):
        try:
            found[name] = await directory.members(name)
        except SourceGone as lost:
            found[name], gone = frozenset(), gone or lost
    return found, gone
