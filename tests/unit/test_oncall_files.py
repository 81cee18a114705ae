"""Schedules and targets in policy files: what they become, and what is refused with which words."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from bot.core.models import ApproverSet, Target
from bot.core.oncall import Layer, Window, anchored, on_call
from bot.core.policy import PolicyError, build, json_schema
from bot.core.policy.workspace import WorkspaceFile
from tests.policies import HEAD, WORKSPACE, faults, policy_set

GROUP = "  duty: {schedule: primary}\n"
LAYER = '{rotation: weekly, handover: "Mon 09:00", zone: Europe/Berlin, users: [U0SRE0001, U0SRE0002]}'
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def workspace(schedule: str, group: str = GROUP) -> str:
    return f"{WORKSPACE}{group}schedules:\n  primary: {schedule}\n"


def layer(text: str) -> Layer:
    return (
        policy_set(HEAD, workspace=workspace(f"{{layers: [{text}]}}"))
        .workspace.schedules["primary"]
        .layers[0]
    )


def wrong(text: str) -> list[str]:
    return faults(HEAD, workspace=workspace(f"{{layers: [{text}]}}"))


def changed(**changes: str) -> str:
    keys = {"rotation": "weekly", "handover": '"Mon 09:00"', "zone": "Europe/Berlin", "users": "[U0SRE0001]"}
    return "{" + ", ".join(f"{key}: {value}" for key, value in {**keys, **changes}.items()) + "}"


def test_a_schedule_becomes_its_layers_and_a_group_its_source() -> None:
    found = policy_set(HEAD, workspace=workspace(f"{{layers: [{LAYER}]}}")).workspace
    assert found.groups["duty"] == ApproverSet("duty", "schedule:primary", None)
    [made] = found.schedules["primary"].layers
    assert made.users == ("U0SRE0001", "U0SRE0002")
    assert (str(made.zone), made.length, made.since_anchor) == ("Europe/Berlin", timedelta(days=7), False)
    assert made.anchor == datetime(1970, 1, 5, 9)


def test_every_key_of_a_layer_is_heeded() -> None:
    assert layer(changed(rotation="daily", handover='"08:30"')).length == timedelta(days=1)
    assert layer(changed(handover='"Wed 08:30"')).anchor == anchored(date(1970, 1, 5), time(8, 30), 2)
    assert str(layer(changed(zone="America/New_York")).zone) == "America/New_York"
    begun = layer(changed(start="2026-11-24"))
    assert (begun.anchor, begun.since_anchor) == (datetime(2026, 11, 30, 9), True)
    assert layer(changed(rotation="custom", shift="12h", handover='"09:00"')).length == timedelta(hours=12)
    hours = layer(changed(restrict='[{days: [Mon-Fri], from: "18:00", to: "08:00"}, {days: Sun}]'))
    assert hours.windows == (
        Window(frozenset(range(5)), timedelta(hours=18), timedelta(hours=32)),
        Window(frozenset({6}), timedelta(0), timedelta(days=1)),
    )


def test_a_range_of_weekdays_may_go_over_the_week_s_end() -> None:
    [window] = layer(changed(restrict="[{days: [Sat-Mon]}]")).windows
    assert window.days == {5, 6, 0}


def test_a_user_group_may_be_the_schedule() -> None:
    found = policy_set(HEAD, workspace=workspace("{slack_usergroup: S0614TZR7}")).workspace
    assert found.schedules["primary"].usergroup == "S0614TZR7"
    assert on_call(found.schedules["primary"], [], NOON) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed(zone="Europe/Berlim"), "is not a time zone"),
        (changed(zone="EST"), "is not a time zone"),
        (changed(users="[]"), "users"),
        (changed(handover='"09:00"'), "a weekly rotation needs the day"),
        (changed(rotation="daily"), "a daily rotation has no weekday"),
        (changed(handover="noon"), "is not a hand-over"),
        (changed(rotation="custom"), "needs the length of its shifts"),
        (changed(rotation="custom", shift="30s"), "less than a minute"),
        (changed(shift="12h"), "has its own length"),
        (changed(start="2026-13-01"), "is not a date"),
        (changed(restrict='[{from: "09:00", to: "12:00"}, {days: Mon, from: "11:00"}]'), "hours overlap"),
        (changed(restrict="[{days: [Mon, Mon-Tue]}]"), "one twice"),
        (changed(restrict="[{days: Monday}]"), "is not a weekday"),
        (changed(restrict='[{from: "25:00"}]'), "is not a time of day"),
        (changed(restrict='[{form: "09:00"}]'), "did you mean from?"),
        (changed(rotation="monthly"), "is not known"),
        (f"{LAYER}, {LAYER}", "is never reached: layer 1 always names somebody"),
    ],
)  # fmt: skip
def test_a_faulty_layer_is_refused_with_what_to_write(text: str, said: str) -> None:
    found = wrong(text)
    assert len(found) == 1, found
    assert found[0].startswith("schedules.primary.layers")
    assert said in found[0]


@pytest.mark.parametrize("schedule", ["{}", f"{{layers: [{LAYER}], slack_usergroup: S0614TZR7}}"])
def test_a_schedule_is_layers_or_a_user_group(schedule: str) -> None:
    [found] = faults(HEAD, workspace=workspace(schedule))
    assert found.startswith("schedules.primary: names people in no way or in two")


def test_a_schedule_that_is_not_there_is_named_with_a_guess() -> None:
    [found] = faults(HEAD, workspace=workspace(f"{{layers: [{LAYER}]}}", "  duty: {schedule: primry}\n"))
    assert found.startswith("groups.duty.schedule: there is no schedule primry; did you mean primary?")


def test_a_rotation_can_give_one_approver_at_a_time() -> None:
    file = workspace(f"{{layers: [{LAYER}]}}")
    [found] = faults("approvers: {quorum: 2, groups: [duty]}", workspace=file)
    assert "2 people must approve and these are only 1" in found
    policy_set("approvers: {quorum: 2, groups: [duty, manager]}", workspace=file)


def rule(target: str) -> str:
    return (
        HEAD
        + f"escalation_rules: [{{name: e, trigger: {{after: 5m}}, escalate_to: sre, notify: [{target}]}}]"
    )


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("slack", "C0123456"), ("slack_dm", "sre"), ("slack_usergroup", "S0614TZR7"), ("oncall", "primary"),
        ("email", "manager@example.com"), ("webhook", "https://hooks.example.com/k?t=1"), ("log", "warning"),
    ],
)  # fmt: skip
def test_every_kind_of_target_is_taken_as_written(kind: str, address: str) -> None:
    found = policy_set(rule(f"{{{kind}: '{address}'}}"), workspace=workspace(f"{{layers: [{LAYER}]}}"))
    assert found.policies[0].escalations[0].rung.notify == (Target(kind, address),)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{pager: '555'}", "is not a kind of target; write one of slack, slack_dm"),
        ("{slack_usergroup: sre}", "is not a user group"),
        ("{oncall: secondary}", "there is no schedule secondary"),
        ("{email: manager}", "is not an e-mail address"),
        ("{webhook: ftp://hooks.example.com}", "is not a URL"),
        ("{webhook: 'https://me:secret@hooks.example.com'}", "is not a URL"),
        ("{webhook: 'https://hooks.example.com:0/'}", "is not a URL"),
        ("{log: loud}", "is not a log level"),
        ("{email: 5}", "takes an address as text"),
    ],
)
def test_a_faulty_target_is_refused_with_what_to_write(target: str, said: str) -> None:
    found = faults(rule(target))
    assert any("escalation_rules.0.notify.0" in fault and said in fault for fault in found), found


def test_kinds_of_plug_ins_are_taken_once_they_are_installed() -> None:
    files = {"default.yaml": {"approvers": {"users": ["U0SRE0001"]}, "escalation_rules": [
        {"name": "e", "trigger": {"after": "5m"}, "escalate_to": "sre", "notify": [{"pager": "555"}]}
    ]}, "workspace.yaml": {"groups": {"sre": {"users": ["U0SRE0001"]}}}}  # fmt: skip
    assert isinstance(build(files), list)
    assert not isinstance(build(files, kinds={"pager"}), list | PolicyError)


def test_editors_get_a_schema_of_the_workspace_file() -> None:
    schema = json_schema(WorkspaceFile)
    assert set(schema["$defs"]["Hours"]["properties"]) == {"days", "from", "to"}
