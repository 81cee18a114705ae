"""Grants: what a reviewer approved once, approved in advance for what is like it.

A grant covers one agent, one type, one rule of one version of the policies, and params that are equal
but for a path below the directory that was shown. It never covers more risk than was approved, never
what is blocked or takes several people, ends by itself, and can be revoked. Nothing here reads a
clock or a database, and nothing here knows whether its giver may still decide: the caller asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.core import jsontext
from bot.core.models import (
    Action,
    ApprovalRequest,
    Cause,
    JsonObject,
    Reviewer,
    RiskAssessment,
    RiskLevel,
    Ruling,
    Status,
)
from bot.core.risk import paths

LONGEST = timedelta(hours=8)
USES = 20
MOST_USES = 1000

_PATH = "path"
_WITH_DIRECTORY = frozenset({"file_write", "file_delete"})
"""Types whose `path` may differ below the directory that was shown."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One standing approval. `used` counts approvals, whatever became of them."""

    id: str
    request_id: str
    """The request whose approval it extends."""
    agent: str
    type: str
    rule: str
    policy: str | None
    policy_version: str
    params: JsonObject
    directory: str | None
    """Paths below it are covered; None: the params are equal altogether."""
    session_id: str | None
    """Only in this session; None: in any."""
    highest: RiskLevel
    giver: Reviewer
    uses: int
    created_at: datetime
    expires_at: datetime
    used: int = 0
    revoked_at: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Whether it may be used at `now`."""
        return self.revoked_at is None and self.used < self.uses and self.created_at <= now < self.expires_at


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a reviewer wants a grant to reach."""

    lasting: timedelta
    uses: int = USES
    session_only: bool = False


def offered(request: ApprovalRequest) -> bool:
    """Whether somebody who approves a pending request may be offered to approve similar ones with it."""
    requirement = request.current_requirement
    one = requirement is not None and requirement.needed == 1
    return one and request.proposal is None and request.policy.grantable_up_to is not None


def refusal(request: ApprovalRequest, ruling: Ruling, giver: Reviewer, extent: Extent) -> str | None:
    """Why no grant may be given, in a sentence; None when it may.

    Args:
        ruling: On the approved action, by the policies in force.
    """
    decision = request.decision
    if request.status is not Status.APPROVED or request.cause is not Cause.HUMAN or decision is None:
        return "Only what people approved as it was asked can be approved in advance."
    if giver.id not in {reviewer.id for reviewer in decision.by}:
        return "Only somebody who approved it can approve similar ones in advance."
    return unfit(request, ruling, extent)


def unfit(request: ApprovalRequest, ruling: Ruling, extent: Extent) -> str | None:
    """Why neither policy nor extent allows a grant for this request, decided or not; None when they do."""
    if request.proposal is not None:
        return "Only what people approve as it was asked can be approved in advance."
    if not ruling.grantable or _same_rule(request) != _ruled(ruling):
        return "The policy does not allow approving such actions in advance."
    if extent.session_only and request.submission.session_id is None:
        return "The request belongs to no session."
    if not timedelta(0) < extent.lasting <= LONGEST:
        return f"A grant lasts {LONGEST // timedelta(hours=1)} hours at most."
    if not 1 <= extent.uses <= MOST_USES:
        return f"A grant has 1 to {MOST_USES} uses."
    return None


def give(
    request: ApprovalRequest, ruling: Ruling, giver: Reviewer, extent: Extent, *, id: str, now: datetime
) -> Grant:
    """The grant that `refusal` has nothing against."""
    return Grant(
        id=id,
        request_id=request.id,
        agent=request.agent,
        type=request.action.type,
        rule=request.policy.rule,
        policy=request.policy.name,
        policy_version=request.policy.version,
        params=request.action.params,
        directory=directory_of(request.action),
        session_id=request.submission.session_id if extent.session_only else None,
        highest=highest(request, ruling.terms.grant_max_risk),
        giver=giver,
        uses=extent.uses,
        created_at=now,
        expires_at=now + extent.lasting,
    )


def highest(request: ApprovalRequest, cap: RiskLevel | None) -> RiskLevel:
    """The highest risk that a grant for this request covers: neither above its own nor above the policy's."""
    return min(cap or RiskLevel.NONE, request.risk.level, key=lambda level: level.rank)


def covers(
    grant: Grant,
    action: Action,
    risk: RiskAssessment,
    ruling: Ruling,
    *,
    agent: str,
    session_id: str | None,
    now: datetime,
) -> bool:
    """Whether `grant` approves an action that `ruling` would put before people."""
    return (
        grant.live(now)
        and ruling.grantable
        and (grant.rule, grant.policy, grant.policy_version) == _ruled(ruling)
        and (grant.agent, grant.type) == (agent, action.type)
        and (grant.session_id is None or grant.session_id == session_id)
        and risk.level <= grant.highest
        and _like(grant, action)
    )


def directory_of(action: Action) -> str | None:
    """The directory below which other paths are alike, as the reviewer is shown it."""
    path = _plain_path(action)
    if path is None:
        return None
    directory = path.rpartition("/")[0]
    return directory or None


def _like(grant: Grant, action: Action) -> bool:
    if _bytes(grant.params) == _bytes(action.params):
        return True
    path = _plain_path(action)
    if grant.directory is None or path is None or not path.startswith(f"{grant.directory}/"):
        return False
    return _bytes(_without_path(grant.params)) == _bytes(_without_path(action.params))


def _plain_path(action: Action) -> str | None:
    """The action's one path in normal form, absolute, when nothing about it is open."""
    path, cwd = action.params.get(_PATH), action.params.get("cwd")
    if action.type not in _WITH_DIRECTORY or not isinstance(path, str) or not path:
        return None
    place = paths.resolve(path, cwd if isinstance(cwd, str) else None)
    plain = place.readable and not place.also and place.path.startswith("/") and not paths.is_glob(place.path)
    return place.path if plain else None


def _without_path(params: JsonObject) -> Mapping[str, object]:
    return {key: value for key, value in params.items() if key != _PATH}


def _bytes(params: Mapping[str, object]) -> bytes:
    """Params as bytes that differ whenever they do; numbers keep their digits."""
    return jsontext.dumps({key: params[key] for key in sorted(params)})


def _same_rule(request: ApprovalRequest) -> tuple[str, str | None, str]:
    return request.policy.rule, request.policy.name, request.policy.version


def _ruled(ruling: Ruling) -> tuple[str, str | None, str]:
    return ruling.policy.rule, ruling.policy.name, ruling.policy.version
