"""What each key of the policy files means, in the words that editors show beside it."""

from collections.abc import Mapping
from types import MappingProxyType

_RULE = {
    "name": "Shown in answers, on cards and in the audit. Small letters, digits, hyphens.",
    "action_type": "Types it is for: exact names or globs such as file_*.",
    "path_pattern": "Globs of paths: * stays inside one directory, ** crosses, /x/** is all below /x. "
    "Block and require match when any touched path does, allow when all do.",
    "access": "Only paths that are accessed so: read, write, delete.",
    "command_pattern": "Regular expression (RE2). Block and require search each simple command, "
    "allow must match every one from end to end.",
    "environment": "Environments, databases, clusters or hosts that are named; production also means live.",
    "agent": "Names or globs of agents; with ! in front, all but these.",
    "min_risk": "Only from this risk level on.",
    "max_risk": "Only up to this risk level. In allow rules it is medium unless you say otherwise.",
    "where": "Comparisons of params: {amount: {gt: 1000}}. A param that is absent never matches.",
}
_APPROVERS = {
    "quorum": "How many different people must approve.",
    "groups": "Groups of workspace.yaml whose members may approve.",
    "users": "Slack ids (U…) or e-mail addresses of people who may approve.",
    "one_from_each": "Each group must give one approver.",
}

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "PolicyFile": {
            "name": "Shown in answers and the audit; the file's name unless you say otherwise.",
            "applies_to": "Which agents and types it is for. One policy has none and takes all others.",
            "auto_approve_threshold": "Up to this risk what no rule is for runs at once, or never.",
            "auto_reject_threshold": "From this risk on what no rule is for is rejected, or never.",
            "default_timeout": "How long each level waits for an answer.",
            "approval_valid_for": "An approval that is not used by then expires.",
            "rollback_until": "How long after it ran an action may be rolled back.",
            "remind": "Ask again while nobody answers.",
            "ack_for": 'How far one "I\'m on it" moves all later times.',
            "channel": 'Slack channel of the cards: its id, or "#name".',
            "approvers": "Who decides when no rule says otherwise.",
            "grant_max_risk": "The highest risk for which similar ones may be approved in advance.",
            "agent_may_escalate_to": "Groups that a request may name in escalate_to.",
            "block": "Rejected. Tried first; the first rule that matches decides.",
            "require": "People decide, whatever the risk. Tried after block.",
            "allow": "Runs at once. Tried after require.",
            "limits": "How much may run at once in a rolling window; over it people decide.",
            "escalation_rules": "Whom to ask further when nobody answers.",
            "weights": "Other points for factors of the risk: {production: 40}.",
            "money": "Currency, rates and the amounts from which money is large.",
        },
        "AppliesTo": {
            "agents": "Names or globs of agents; with ! in front, all but these.",
            "action_types": "Types: exact names or globs.",
        },
        "Rule": _RULE,
        "RequireRule": {
            **_RULE,
            "approvers": "Who decides; the policy's approvers unless you say otherwise.",
        },
        "LimitRule": {
            **_RULE,
            "per": "Length of the rolling window: 1h, 1d, 30d.",
            "count": "How many approvals the window holds.",
            "sum_of": "The param whose amounts are added up, by money.rates.",
            "max": "The most that they may add up to, in the base currency.",
            "across": "agents: all agents together. Otherwise each agent by itself.",
            "approvers": "Who decides over the limit; the policy's approvers unless you say otherwise.",
        },
        "Approvers": _APPROVERS,
        "EscalationRule": {
            "name": "Shown on cards and in the audit.",
            "trigger": "When it acts.",
            "escalate_to": "The group that is asked, and may decide.",
            "priority": "Lower numbers come first.",
            "wait": "How long this level waits; default_timeout unless you say otherwise.",
            "may_approve": "false: the group is only told.",
            "notify": "Whom to tell: {slack: CHANNEL}, {slack_dm: GROUP or person} …",
            "remind": "Ask again while this level waits.",
            "during": "Only in these business hours of workspace.yaml.",
            "outside": "Outside of them the level is left out (skip) or waits for them (hold).",
        },
        "Trigger": {
            "after": "So long after the request.",
            "risk_at_least": "Only from this risk level on.",
            "action_types": "Only for these types.",
            "where": "Only when these comparisons of params hold.",
            "repeated_rejections": "Only after so many rejections, of the agent or of this very action.",
        },
        "RepeatedRejections": {"count": "How many.", "within": "In what time."},
        "RemindFile": {"every": "How often at first; later ones take longer.", "times": "How often at most."},
        "MoneyFile": {
            "base": "The currency that amounts are compared in.",
            "rates": "What one unit is worth in the base: {EUR: 1.1}. Without a rate: the largest.",
            "tiers": "Least amount and points: [[1000, 20], [10000, 40]].",
        },
        "WorkspaceFile": {
            "admin_channel": "Where trouble is reported: a channel's id.",
            "audit_channel": "Where the audit's signed checkpoints are posted; admin_channel by default.",
            "audit_webhook": "A URL that they are posted to, too, signed as every webhook is.",
            "operators": "Who may pause agents, cancel requests and start rollbacks.",
            "auditors": "Who may read and export the audit.",
            "groups": "People by a name that policies use.",
            "schedules": "Who is on call when.",
            "business_hours": "Hours by a name that escalation rules use.",
        },
        "People": {
            "users": "Slack ids (U…) or e-mail addresses.",
            "slack_usergroup": "Id of a Slack user group (S…), kept up to date in Slack.",
            "schedule": "Name of a schedule: whoever is on call.",
        },
        "ScheduleFile": {
            "layers": "Rotations; a later layer fills what an earlier one leaves open.",
            "slack_usergroup": "A Slack user group that another product keeps current.",
        },
        "LayerFile": {
            "rotation": "daily, weekly or custom.",
            "handover": '"Mon 09:00" weekly, "09:00" daily.',
            "zone": "IANA time zone, such as Europe/Berlin.",
            "users": "Who takes turns, in order.",
            "start": "The day from which shifts are counted.",
            "shift": "Length of a custom shift.",
            "restrict": "Only in these hours.",
        },
        "Hours": {
            "days": "Mon, or a range such as Mon-Fri.",
            "from": "From, as 09:00.",
            "to": "Until, as 17:00.",
        },
        "OfficeHours": {
            "days": "Mon, or a range such as Mon-Fri.",
            "from": "From, as 09:00.",
            "to": "Until, as 17:00.",
            "zone": "For people whose own time zone is not known.",
        },
        "CaseFile": {
            "against": "An example to test instead of the policies in force: examples/strict.yaml.",
            "tests": "The tests.",
        },
        "Case": {
            "name": "What it is about, shown when it fails.",
            "given": "The action, and what happened before.",
            "expect": "What must come of it; what is left out is not compared.",
        },
        "Given": {
            "agent": "Who asks.",
            "type": "Type of the action.",
            "params": "Its params.",
            "used": "How much of each limit is used up before, by the limit's name.",
            "rejections": "How many rejections there were before.",
        },
        "GivenUsed": {"count": "Approvals.", "amount": "Their sum, in the base currency."},
        "Expect": {
            "effect": "approve, review or reject.",
            "level": "Of the risk.",
            "score": "Of the risk, 0 to 100.",
            "policy": "Name of the policy that applies.",
            "rule": "Name of the rule that decides; budget:NAME for a limit.",
            "approvers": "Who is asked.",
        },
        "ExpectedApprovers": _APPROVERS,
    }
)
"""By model and key."""
