"""What may run, who must agree, and why.

`build` turns parsed policy files into an immutable `PolicySet`; `PolicySet.judge` rules on an
action. Reading files is `bot.services.policies`' work.
"""

from bot.core.policy.building import Fault, build
from bot.core.policy.format import PolicyFile, json_schema
from bot.core.policy.judging import Judgement, Policy, PolicySet, Workspace
from bot.core.policy.limits import NO_HISTORY, History, Wants
from bot.core.policy.problems import PolicyError, Problem, dotted
from bot.core.policy.workspace import WORKSPACE, WorkspaceFile

__all__ = [
    "NO_HISTORY",
    "WORKSPACE",
    "Fault",
    "History",
    "Judgement",
    "Policy",
    "PolicyError",
    "PolicyFile",
    "PolicySet",
    "Problem",
    "Wants",
    "Workspace",
    "WorkspaceFile",
    "build",
    "dotted",
    "json_schema",
]
