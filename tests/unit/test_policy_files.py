"""Policy files: what is refused, with which words, and what stays in force."""

import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bot.core.policy import PolicyError, PolicyFile, WorkspaceFile
from bot.core.policy.format import Rule
from bot.core.policy.wording import example, keys_at
from bot.services.policies import Policies, load, parse
from bot.services.policy_tests import CaseFile
from tests.policies import HEAD, WORKSPACE, faults, policy_set


@pytest.mark.parametrize(
    ("body", "location", "said"),
    [
        ("auto_aprove_threshold: low", "auto_aprove_threshold", "did you mean auto_approve_threshold?"),
        ("auto_approve_threshold: critical", "auto_approve_threshold",
        "write one of 'never', 'none', 'low', 'medium' or 'high'"),
        ("auto_approve_threshold: high\nauto_reject_threshold: high", "auto_approve_threshold",
        "overlaps auto_reject_threshold high"),
        ("auto_approve_threshold: medium\nauto_reject_threshold: low", "auto_approve_threshold", "overlaps"),
        ("default_timeout: 5", "default_timeout", "90s, 5m, 2h or 1d"),
        ("default_timeout: 0m", "default_timeout", "90s, 5m, 2h or 1d"),
        ("channel: approvals", "channel", "a channel id"),
        ("block: [{name: b, action_typ: x}]", "block.0.action_typ", "did you mean action_type?"),
        ("block: [{action_type: x}]", "block.0.name", "name is missing"),
        ("block: [{name: B!, action_type: x}]", "block.0.name", "does not look right"),
        ("block: [{name: b}]", "block.0", "would match every action"),
        ("block: [{name: b, action_type: []}]", "block.0.action_type", "empty list"),
        ("block: [{name: b, path_pattern: ''}]", "block.0.path_pattern", "empty pattern"),
        ("block: [{name: b, path_pattern: ['/a', 5]}]", "block.0.path_pattern", "put it in quotes"),
        ("block: [{name: b, path_pattern: '/tmp/'}]", "block.0.path_pattern", "write /tmp/**"),
        ("block: [{name: b, path_pattern: '/a/../b'}]", "block.0.path_pattern", "normal form"),
        ("block: [{name: b, path_pattern: '/a//b'}]", "block.0.path_pattern", "normal form"),
        ("block: [{name: b, path_pattern: '/a**'}]", "block.0.path_pattern", "must stand alone"),
        ("block: [{name: b, path_pattern: '/*a*a*a*a*a'}]", "block.0.path_pattern", "more than 4 wildcards"),
        ("block: [{name: b, path_pattern: '$HOME/x'}]", "block.0.path_pattern", "write ~/x"),
        ("block: [{name: b, command_pattern: '('}]", "block.0.command_pattern", "escape what"),
        ("block: [{name: b, command_pattern: '(?=x)'}]", "block.0.command_pattern", "look-around"),
        ("block: [{name: b, command_pattern: '(a)\\1'}]", "block.0.command_pattern", "linear time"),
        ("block: [{name: b, access: write, action_type: x}]", "block.0.access", "there is none"),
        ("block: [{name: b, access: execute, path_pattern: '/x'}]", "block.0.access",
        "read, write or delete"),
        ("block: [{name: b, min_risk: high, max_risk: low}]", "block.0.min_risk", "above max_risk low"),
        ("block: [{name: b, action_type: deployment, path_pattern: '/x'}]", "block.0.path_pattern",
        "have no path"),
        ("block: [{name: b, action_type: file_write, command_pattern: 'x'}]", "block.0.command_pattern",
        "only command_execute"),
        ("allow: [{name: a, action_type: command_execute, path_pattern: '/x'}]", "allow.0.path_pattern",
        "never allows a command"),
        ("allow: [{name: a, action_type: x, min_risk: high}]", "allow.0.min_risk", "above max_risk medium"),
        ("allow: [{name: a, action_type: x, min_risk: critical, max_risk: critical}]", "allow.0.min_risk",
        "rejected before"),
        ("allow: [{name: default, action_type: x}]", "allow.0.name", "Keyturn gives itself"),
        ("block: [{name: r, action_type: x}]\nallow: [{name: r, action_type: x}]", "allow.0.name",
        "taken by a block rule"),
        ("block: [{name: b, where: {amount: 5}}]", "block.0.where", "write {eq: …}"),
        ("block: [{name: b, where: {amount: {more: 5}}}]", "block.0.where", "eq, ne, gt"),
        ("block: [{name: b, where: {amount: {gt: lots}}}]", "block.0.where", "compares with a number"),
        ("block: [{name: b, where: {amount: {in: []}}}]", "block.0.where", "not empty"),
        ("block: [{name: b, where: {}}]", "block.0.where", "takes params"),
        ("allowPatterns: []", "allowPatterns", "did you mean allow?"),
        ("block: [{name: b, action_type: fileWrite}]", "block.0.action_type", "write file_write"),
        ("block: [{name: b, action_type: [x, 'File *']}]", "block.0.action_type", "write file_*"),
        ("applies_to: {action_types: [Deployment]}", "applies_to.action_types", "write deployment"),
        ("applies_to: {agents: ['My agent']}", "applies_to.agents", "write my-agent"),
        ("block: [{name: b, agent: CI}]", "block.0.agent", "write ci"),
        ("block: [{name: b, path_pattern: '/a%20b/**'}]", "block.0.path_pattern", "write /a b/**"),
        ("block: [{name: b, path_pattern: '$X/**'}]", "block.0.path_pattern", "variables"),
        ("block: [{name: b, where: {x: {gt: 10, lt: 5}}}]", "block.0.where", "no value meets all"),
        ("block: [{name: b, where: {x: {gte: 5, lt: 5}}}]", "block.0.where", "no value meets all"),
        ("block: [{name: b, where: {x: {eq: a, in: [b]}}}]", "block.0.where", "no value meets all"),
        ("block: [{name: b, where: {x: {eq: 3, gt: 5}}}]", "block.0.where", "no value meets all"),
        ("block: [{name: b, actionType: x}]", "block.0.actionType", "did you mean action_type?"),
        ("block: [{name: b, path: /x}]", "block.0.path", "did you mean path_pattern?"),
        ("block: [{name: Block it, action_type: x}]", "block.0.name", "hyphens: block-it"),
        ("block: {name: b, action_type: x}", "block", "is not a list; write a list of rules"),
        ("block:", "block", "has no value; remove the key, or write a list of rules"),
        ("applies_to: billing", "applies_to", "is not a mapping of keys; write applies_to: {agents"),
        ("allow: [{name: a, action_type: x, max_risk: 50}]", "allow.0.max_risk",
        "write one of 'none', 'low', 'medium', 'high' or 'critical'"),
        ("require: [{name: r, approvers: {quorum: two, users: [U0AAAAAA1]}}]", "require.0.approvers.quorum",
        "is not a whole number; write a whole number from 1 on"),
        ("require: [{name: r, approvers: {groups: oncall}}]", "require.0.approvers.groups", "is not a list"),
        ("require: [{name: r, approvers: {users: ['@dana']}}]", "require.0.approvers.users.0",
        "write a Slack id (U…) or an e-mail address"),
        ("money: {tiers: [1000, 20]}", "money.tiers.0", "a pair of least amount and points"),
        ("money: {rates: {EUR: -1}}", "money.rates.EUR", "is not greater than 0; write what one unit"),
        ("limits: [{name: l, per: 1d, sum_of: amount, max: 10,000}]", "limits.0.000", "write 10000"),
        ("block: [{name: b, command_pattern: '*rm*'}]", "block.0.command_pattern", "write .* for any text"),
        ("require: [{name: r, approvers: {quorum: 3, groups: [sre]}}]", "require.0.approvers.quorum",
        "these are only 2"),
        ("require: [{name: r, approvers: {groups: [sre], one_from_each: true, quorum: 5}}]",
        "require.0.approvers.quorum", "only 2"),
        ("require: [{name: r, approvers: {groups: [sres]}}]", "require.0.approvers.groups.0",
        "did you mean sre?"),
        ("require: [{name: r, approvers: {quorum: 1}}]", "require.0.approvers", "names nobody"),
        ("require: [{name: r, approvers: {users: [dana]}}]", "require.0.approvers.users.0",
        "does not look right"),
        ("agent_may_escalate_to: [nobody]", "agent_may_escalate_to.0", "there is no group nobody"),
        ("escalation_rules: [{name: e, trigger: {}, escalate_to: sre}]",
         "escalation_rules.0.trigger", "never acts"),
        ("escalation_rules: [{name: e, trigger: {risk_at_least: high}, escalate_to: sre, wait: 5m}]",
         "escalation_rules.0.wait", "acts at once"),
        ("escalation_rules: [{name: e, trigger: {after: 5m}, escalate_to: sre, during: office}]",
         "escalation_rules.0.during", "no business hours office"),
        ("escalation_rules: [{name: e, trigger: {after: 5m}, escalate_to: sre, outside: hold}]",
         "escalation_rules.0.outside", "add during"),
        ("remind: {every: 10m, times: 0}", "remind.times", "a whole number"),
        ("ack_for: soon", "ack_for", "not a duration"),
        ("escalation_rules: [{name: e, trigger: {after: 5m}, escalate_to: nobody}]",
        "escalation_rules.0.escalate_to", "no group"),
        ("escalation_rules: [{name: e, trigger: {after: 5m}, escalate_to: sre, notify: [{slack_dm: x}]}]",
         "escalation_rules.0.notify.0", "no group x"),
        ("escalation_rules: [{name: e, trigger: {after: 5m}, escalate_to: sre, notify: [{pager: x}]}]",
         "escalation_rules.0.notify.0", "not a kind of target"),
        ("weights: {file_writes: 5}", "weights.file_writes", "write one of"),
        ("weights: {temporary_path: 5}", "weights.temporary_path", "wrong sign"),
        ("weights: {file_write: -5}", "weights.file_write", "wrong sign"),
        ("money: {rates: {USD: 1}}", "money.rates.USD", "base currency"),
        ("money: {tiers: [[10000, 40], [1000, 20]]}", "money.tiers", "do not rise"),
        ("money: {rates: {EUR: 0}}", "money.rates.EUR", "greater than 0"),
        ("applies_to: {}", "applies_to", "says nothing"),
        ("allow: [{name: a, environment: }]", "allow.0.environment",
         "has no value; remove the key, or write environment: production"),
        ("block: [{name: b, agent: '!'}]", "block.0.agent", "write !ci-*"),
        ("limits: [{name: l, per: 1d, sum_of: amount, max: '10,000'}]", "limits.0.max",
         "numbers have no commas between their digits, write 10000"),
        ("limits: [{name: l, per: 1d, sum_of: amount, max: '10000'}]", "limits.0.max",
         "write 10000 without quotes"),
        ("weights: {production: lots}", "weights.production", "write digits, as in 1000 or 0.5"),
        ("block: [{name: b, where: {x: {gt: 10,000}}}]", "block.0.where", "no commas"),
        ("block: [{name: b, where: {x: {glob: 5}}}]", "block.0.where", "write for example {glob: "),
        ("block: [{name: b, where: {x: {exists: 'no'}}}]", "block.0.where", "write {exists: true} or"),
        ("block: [{name: b, where: {x: {ne: }}}]", "block.0.where", "ne has no value; write one"),
        ("require: [{name: r, approvers: {groups: []}}]", "require.0.approvers.groups", "has too few items"),
        ("money: {tiers: [[1, 2, 3]]}", "money.tiers.0", "has too many; write a pair"),
        ("escalation_rules: [{name: e, trigger: {repeated_rejections: 3}, escalate_to: sre}]",
         "escalation_rules.0.trigger.repeated_rejections", "write repeated_rejections: {count: 3"),
    ],
)  # fmt: skip
def test_a_fault_names_its_key_and_what_to_write(body: str, location: str, said: str) -> None:
    found = faults(HEAD + body)
    assert any(fault.startswith(f"{location}: ") and said in fault for fault in found), found


@pytest.mark.parametrize("key", [key for key in Rule.model_fields if key != "name"])
def test_a_condition_without_a_value_is_refused_and_not_read_as_none(key: str) -> None:
    """`environment: # staging` would otherwise allow every environment."""
    (fault,) = faults(f"{HEAD}allow:\n  - name: a\n    {key}: # staging\n")
    assert fault.startswith(f"allow.0.{key}: has no value; remove the key, or write {key}: ")


@pytest.mark.parametrize("model", [PolicyFile, WorkspaceFile, CaseFile])
def test_every_key_has_an_example_of_its_own(model: type[BaseModel]) -> None:
    """The one of the list that a rule stands in says nothing about a key of the rule."""
    keys = {key for part in _parts(model) for key in keys_at(part, ())}
    examples = {key: example(("elsewhere", key)) for key in keys}
    assert [key for key, text in examples.items() if text == example(("elsewhere", "nothing"))] == []


def _parts(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model and those below it."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        part = waiting.pop()
        if isinstance(part, type) and issubclass(part, BaseModel) and part not in found:
            found.add(part)
            waiting += [field.annotation for field in part.model_fields.values()]
        waiting += typing.get_args(part)
    return found


@pytest.mark.parametrize(
    "rule",
    [
        "action_type: ['file_*', 'a.b:c-d']", "action_type: '[a-c]*'", "agent: ['!ci-*', 'a.b_c']",
        "path_pattern: '/a$/b'", "path_pattern: '/100%/b'", "path_pattern: '/a b/**'",
        "where: {x: {gte: 5, lte: 5}}", "where: {x: {eq: '5', gt: 4}}", "where: {x: {in: [a, b], ne: a}}",
    ],
)  # fmt: skip
def test_what_can_match_is_accepted(rule: str) -> None:
    assert policy_set(HEAD + f"block: [{{name: b, {rule}}}]").policies[0].block.all


def test_the_same_holds_for_the_workspace() -> None:
    found = faults(HEAD, workspace=WORKSPACE + 'business_hours: {office: {days: [Mo], from: "9"}}')
    assert [fault.split(":")[0] for fault in found] == [
        "business_hours.office.0.days",
        "business_hours.office.0.from",
    ]


def test_a_group_is_one_kind_of_people() -> None:
    both = WORKSPACE + "  odd: {users: [U0DANA001], slack_usergroup: S0614TZR7}\n  none: {}\n"
    found = faults(HEAD, workspace=both)
    assert [fault.split(":")[0] for fault in found] == ["groups.odd", "groups.none"]


def test_people_of_several_groups_cannot_be_one_from_each_of_them() -> None:
    workspace = WORKSPACE + "  boss: {users: [Dana@example.com]}\n"
    body = (
        "require: [{name: r, action_type: x, approvers: {groups: [manager, boss, sre], one_from_each: true}}]"
    )
    [fault] = faults(HEAD + body, workspace=workspace)
    assert fault.startswith("require.0.approvers.one_from_each: one person stands for one group")
    policy_set(HEAD + body.replace("boss, ", ""), workspace=workspace)


def test_a_rotation_gives_one_approver_at_a_time() -> None:
    layer = '{rotation: weekly, handover: "Mon 09:00", zone: Europe/Berlin, users: [U0AAAAAA1, U0AAAAAA2]}'
    shared = f"{WORKSPACE}  duty: {{schedule: primary}}\nschedules: {{primary: {{layers: [{layer}]}}}}\n"
    rule = "require: [{{name: r, action_type: x, approvers: {{quorum: {}, groups: [duty]}}}}]"
    (fault,) = faults(HEAD + rule.format(2), workspace=shared)
    assert "2 people must approve and these are only 1" in fault
    policy_set(HEAD + rule.format(1), workspace=shared)


def test_two_defaults_and_two_of_a_name_are_refused() -> None:
    found = faults(HEAD, HEAD)
    assert any("has no applies_to" in fault for fault in found)
    assert any("the name test is taken" in fault for fault in found)


def _write(directory: Path, **files: str) -> Path:
    (directory / "workspace.yaml").write_text(WORKSPACE)
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory


def test_every_problem_has_file_line_and_column(tmp_path: Path) -> None:
    _write(
        tmp_path,
        a=HEAD + "block:\n  - name: b\n    path_patern: /x\n",
        b="name: b\napprovers: {groups: [nobody]}\n",
    )
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    first, *_ = caught.value.problems
    assert (first.file, first.line, first.column, first.key) == ("a.yaml", 5, 5, "block[0].path_patern")
    assert str(caught.value).startswith("a.yaml:5:5: block[0].path_patern: ")


def test_undefined_groups_are_told_with_their_place(tmp_path: Path) -> None:
    _write(tmp_path, b="name: b\napprovers:\n  groups: [sre, nobody]\n")
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("b.yaml", 3, 17)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("name: a\nname: b\n", 2, "there twice"), ("a: [1\n", 2, "not YAML"), ("- a\n", 1, "not a mapping"),
        ("a: !!python/name:os.x\n", 1, "tag"),
        ("a: .nan\n", 1, "not a decimal number"), ("a: *x\n", 1, "not YAML"),
        ("? [a]\n: b\n", 1, "plain text"), ("a: 0x10\n", 1, "decimal"),
        ("x: &x {a: 1}\ny: {<<: *x}\n", 2, "plain text"), ("a: b\n---\nc: d\n", 2, "not YAML"),
        ("\t\n", 1, "not YAML"), ("a: 1e999999999\n", 1, "of a usual size"),
        (f"a: {'9' * 5000}\n", 1, "of a usual size"), ('a: "\\ud800"\n', 1, "half a character"),
        ('"\\udfff": a\n', 1, "half a character"),
    ],
)  # fmt: skip
def test_yaml_that_readers_disagree_about_is_refused(tmp_path: Path, text: str, line: int, said: str) -> None:
    _write(tmp_path, a=text)
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    assert any(p.file == "a.yaml" and said in p.wrong and p.line == line for p in caught.value.problems), (
        caught.value
    )


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("a:\n\tb: c\n", "spaces instead of tabs"), ("a: *.txt\n", "in quotes"), ("a: *\n", "in quotes"),
        ('a: "\\s"\n', "single quotes"), ("a: {b: c\nd: e\n", "close the bracket"),
        ("a: b: c\n", "a colon in quotes"), ("a:b\nc: d\n", "a space after its colon"),
        ("a:\n  b: 1\n c: 2\n", "in line with the other keys"), ("a: @x\n", "starts with it in quotes"),
        ("a: 1\n---\nb: 2\n", "one document"), ('a: "b" c\n', "the whole text in quotes"),
        ("a: 1\nb\nc: 2\n", "a colon and a space after the key"),
    ],
)  # fmt: skip
def test_slips_of_yaml_are_told_with_how_to_mend_them(tmp_path: Path, text: str, instead: str) -> None:
    _write(tmp_path, a=text)
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    assert any(p.file == "a.yaml" and instead in p.instead for p in caught.value.problems), caught.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'a: 1\nb: "c\nd: e\n', "a.yaml:2:4: is not YAML: the quote is never closed; close it"),
        (b"a: 1\nb: \0\n", "a.yaml:2:4: is not YAML: holds the character U+0000; remove it"),
        (
            "a:\n  - b: 1\n\u00a0   c: 2\n    d: 3\n".encode(),
            "a.yaml:3:1: is not YAML: the line is indented with U+00A0, which is no plain space; "
            "type the spaces anew",
        ),
        (b"a: 1\n# caf\xe9\n", "a.yaml:2:6: is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_what_is_hard_to_see_is_told_with_its_place(content: bytes, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse("a.yaml", content)
    assert [str(problem) for problem in caught.value.problems] == [said]


def test_a_character_that_json_escapes_in_two_halves_is_one() -> None:
    assert parse("a.yaml", b'{"a": "\\ud83d\\ude00"}').value == {"a": "\U0001f600"}


def test_a_file_of_yaml_1_1_means_what_it_says() -> None:
    found = parse("p.yaml", b"%YAML 1.1\n---\n{a: yes, b: no, c: on, d: off, e: y, f: true}\n")
    assert found.value == {"a": True, "b": False, "c": True, "d": False, "e": True, "f": True}


def test_aliases_cannot_grow_without_bound(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(PolicyError, match="too large"):
        load(_write(tmp_path, a=bomb))


def test_only_files_directly_in_the_directory_are_policies(tmp_path: Path) -> None:
    _write(tmp_path, default=HEAD)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "broken.yaml").write_text("][")
    (tmp_path / "notes.txt").write_text("][")
    assert [policy.name for policy in load(tmp_path).policies] == ["test"]


def test_no_file_that_looks_like_a_policy_is_left_out_without_a_word(tmp_path: Path) -> None:
    _write(tmp_path, default=HEAD)
    (tmp_path / "Billing.YML").write_text(
        "name: b\napplies_to: {agents: [b]}\napprovers: {groups: [oncall]}\n"
    )
    assert [policy.name for policy in load(tmp_path).policies] == ["b", "test"]
    (tmp_path / "Workspace.yml").write_text(WORKSPACE)
    with pytest.raises(PolicyError, match=r"Workspace\.yml.*rename it to workspace\.yaml"):
        load(tmp_path)


def test_a_directory_without_a_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="holds no policy"):
        load(_write(tmp_path))
    with pytest.raises(PolicyError, match="not a directory"):
        load(tmp_path / "nowhere")


def test_a_broken_set_refuses_to_start_and_one_that_breaks_later_changes_nothing(tmp_path: Path) -> None:
    _write(tmp_path, default="][")
    with pytest.raises(PolicyError):
        Policies(tmp_path)
    _write(tmp_path, default=HEAD)
    policies = Policies(tmp_path)
    before = policies.current
    _write(tmp_path, default="][")
    found = policies.read()
    assert (found.policies, policies.current) == (None, before)
    assert found.problems
    _write(tmp_path, default=HEAD + "channel: C0APPROVE\n")
    fresh = policies.read().policies
    assert fresh is not None
    policies.adopt(fresh)
    assert policies.current.version != before.version


def test_what_nobody_foresaw_in_a_file_changes_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, a=HEAD)
    policies = Policies(tmp_path)
    before = policies.current
    monkeypatch.setattr("bot.services.policies.build", lambda *_, **__: 1 / 0)
    found = policies.read()
    assert found.policies is None
    assert "ZeroDivisionError" in found.problems[0].wrong
    assert policies.current is before


def test_the_policies_that_come_with_keyturn_are_good() -> None:
    policies = load(Path(__file__).parents[2] / "policies")
    assert policies.workspace.admin_channel == "C0ADMIN01"
    assert policies.policies[-1].is_default
