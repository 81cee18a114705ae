"""Policies for tests: written as people write them, compiled as the server does."""

import functools
import textwrap
from typing import Any

from bot.core.models import Action
from bot.core.policy import Judgement, PolicySet, build
from bot.services.policies import parse

WORKSPACE = """
admin_channel: C0ADMIN01
operators: {slack_usergroup: S0OPS0001}
auditors: {users: [U0AUDIT01]}
groups:
  security: {slack_usergroup: S0614TZR7}
  release: {users: [U0REL0001, U0REL0002]}
  sre: {users: [U0SRE0001, U0SRE0002]}
  oncall: {users: [U0SRE0001, U0SRE0002]}
  manager: {users: [dana@example.com]}
"""

HEAD = "name: test\napprovers: {quorum: 1, groups: [oncall]}\n"


@functools.lru_cache(maxsize=256)
def policy_set(*policies: str, workspace: str = WORKSPACE) -> PolicySet:
    """Compile policies given as YAML, in order; faults fail the test."""
    texts = {f"{at:02}.yaml": text for at, text in enumerate(policies)}
    files = {"workspace.yaml": workspace, **texts}
    built = build({name: parse(name, textwrap.dedent(text).encode()).value for name, text in files.items()})
    assert isinstance(built, PolicySet), built
    return built


def faults(*policies: str, workspace: str = WORKSPACE) -> list[str]:
    """What is wrong with policies given as YAML: `location: wrong; instead`."""
    texts = {f"{at:02}.yaml": text for at, text in enumerate(policies)}
    files = {"workspace.yaml": workspace, **texts}
    built = build({name: parse(name, textwrap.dedent(text).encode()).value for name, text in files.items()})
    assert isinstance(built, list), "the policies are accepted"
    return [f"{'.'.join(map(str, f.location))}: {f.wrong}; {f.instead}" for f in built]


def judge(body: str, kind: str, agent: str = "deployer", **params: Any) -> Judgement:
    """Judge an action by a policy of which only the interesting part is given."""
    return policy_set(HEAD + textwrap.dedent(body)).judge(Action(kind, params), agent=agent)


def command(body: str, line: str, **params: Any) -> Judgement:
    """Judge a shell line."""
    return judge(body, "command_execute", command=line, **params)


def verdict(judgement: Judgement) -> tuple[str, str]:
    """Effect and rule."""
    return judgement.ruling.policy.effect.value, judgement.ruling.policy.rule
