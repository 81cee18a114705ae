"""What holds for every action and every policy, tried on many."""

import json
import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.models import Action, Effect, RiskLevel
from bot.core.policy import build
from bot.core.policy.globs import BadPattern, compile_path
from bot.core.risk import KNOWN_TYPES, analyse, assess
from bot.core.risk.paths import normalise, resolve
from bot.core.risk.shell import parse
from bot.services.policies import parse as parse_yaml
from tests.policies import HEAD, WORKSPACE, policy_set

TEXTS = st.text(max_size=40)
SHELL_TEXTS = st.lists(
    st.sampled_from(
        ["rm", "-rf", "/", "/*", ";", "|", "||", "&&", "&", "(", ")", "{", "}", "$(", "`", '"', "'", "\\",
        "\n", ">", ">>", "<", "<<", "<<<", "EOF", "$X", "${X}", "$IFS", "~", "*", "?", "[a]", "sudo", "env",
        "xargs", "sh", "-c", "bash", "find", "-exec", "{}", "\\;", "+", "-delete", "eval", "x=1", "for",
        "i", "in", "do", "done", "if", "then", "fi", "while", "case", "esac", "function", "f()", "psql",
        "git", "push", "--force", "cat", "/etc/passwd", ".env", "#", "!", "[[", "]]", "$'\\x72'", "{a,b}",
        "<(", ">(", "coproc", "time", "--", "--", "kubectl", "docker", "run", "-v", "/:/h", "ssh", "h",
        "awk", "sed", "tar", "-x"]
    ),
    max_size=14,
).map(" ".join)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXTS, children, max_size=4),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "path",
        "content",
        "overwrite",
        "recursive",
        "command",
        "args",
        "cwd",
        "url",
        "method",
        "headers",
        "query",
        "params",
        "database",
        "environment",
        "host",
        "amount",
        "currency",
        "data_type",
        "cluster",
        "namespace",
    ]
)
TYPES = st.sampled_from([*sorted(KNOWN_TYPES), "brew_coffee", "file_read"])
ACTIONS = st.builds(Action, TYPES, st.dictionaries(KEYS, JSON | SHELL_TEXTS | TEXTS, max_size=6))
COMMANDS = st.builds(lambda text: Action("command_execute", {"command": text}), SHELL_TEXTS)
PATHS = st.lists(
    st.sampled_from(["/", "//", ".", "..", "a", "etc", "~", "$HOME", "%2e", "%2E%2e", "%25", "\\", "C:",
    "*", "b.txt", " "]), max_size=10
).map("".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(ACTIONS | COMMANDS)
def test_no_action_makes_the_assessment_fail(action: Action) -> None:
    risk = assess(action)
    assert 0 <= risk.score <= 100
    assert risk.score == min(max(sum((f.points for f in risk.factors), Decimal(0)), Decimal(0)), Decimal(100))
    assert all(factor.detail and factor.points for factor in risk.factors)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=string.printable, max_size=60) | st.text(max_size=30))
def test_no_text_makes_the_shell_reader_fail(text: str) -> None:
    parse(text)
    assess(Action("command_execute", {"command": text}))


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "DELETE",
                "FROM",
                "t",
                "WHERE",
                "1",
                "=",
                ";",
                "(",
                ")",
                "'",
                "--",
                "/*",
                "*/",
                "DROP",
                "UPDATE",
                "SET",
                "OR",
                "AND",
            ]
        )
    ).map(" ".join)
)
def test_no_text_makes_the_sql_reader_fail(text: str) -> None:  # fmt: skip
    assess(Action("database_modify", {"query": text}))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "ls" + ")" * 5000, "$(" * 3000 + "ls" + ")" * 3000, "sudo " * 10_000 + "ls",
        "sh -c " * 5000 + "x", "'" * 60_000,
        "$" * 60_000, "`" * 50_000, "curl " + "{a," * 20_000, "rm " + "{a,b}" * 30, "eval " * 5000 + "ls",
        "xargs " * 10_000, "ls;" * 20_000,
        "for a in 1 2 3 4 5 6 7 8; do " * 9 + "ls;" + " done;" * 9, "find . " + "-exec ls {} + " * 4000,
        "ls " + ">a " * 10_000, "{" * 9999, "psql -c 'x y z'; " * 400, "psql " + "-c 'DROP TABLE t' " * 400,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_hostile_command_is_unreadable_rather_than_fatal(text: str) -> None:
    assert assess(Action("command_execute", {"command": text})).factors


@pytest.mark.parametrize(
    "query",
    ["SELECT " + "(" * 5000 + "1" + ")" * 5000, "DELETE FROM t WHERE " + " OR ".join(["a=1"] * 1500),
    "CASE WHEN " * 900, "(" * 19_000, "/*!" * 6_600, "/*" * 9_900, "; /* */" * 2_800 + "DROP TABLE t",
    "SELECT '\\'" * 1_800],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_hostile_statement_is_unreadable_rather_than_fatal(query: str) -> None:
    assert assess(Action("database_modify", {"query": query})).score >= 20


@pytest.mark.parametrize(
    "path", ["../" * 60_000, "%25" * 40_000, "%" + "25" * 60_000 + "2e", "a" * 100_000, "/" * 100_000]
)
def test_a_hostile_path_is_unreadable_rather_than_fatal(path: str) -> None:
    assert not resolve(path).readable


@settings(deadline=None)
@given(PATHS | TEXTS)
def test_normalising_twice_changes_nothing(path: str) -> None:
    once = normalise(path)
    assert normalise(once) == once


@settings(deadline=None)
@given(PATHS, PATHS)
def test_a_normal_path_has_no_detours(path: str, cwd: str) -> None:
    parts = resolve(path, cwd).path.split("/")
    rest = parts[1:] if parts[0] in ("", "~") or parts[0].endswith(":") else parts
    while rest and rest[0] == "..":
        rest = rest[1:]
    assert ".." not in rest
    assert "" not in rest or parts == ["", ""]


@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_an_action_without_any_subject_matches_no_condition(action: Action) -> None:
    facts = analyse(action)
    if facts.paths or facts.lines or facts.environments or facts.signals or facts.unreadable_paths:
        return
    for condition in (
        "path_pattern: '**'",
        "command_pattern: '.*'",
        "environment: '*'",
        "where: {absent: {ne: 1}}",
    ):
        for kind in ("block", "require"):
            judgement = policy_set(HEAD + f"{kind}: [{{name: r, {condition}}}]").judge(action, agent="a")
            assert judgement.ruling.policy.rule != "r"


ALLOW_ALL = "allow: [{name: all, agent: '*', max_risk: critical}]"
BLOCKS = [
    "path_pattern: '/etc/**'",
    "command_pattern: '^rm '",
    "environment: production",
    "min_risk: high",
    "action_type: file_write",
]


@settings(max_examples=250, deadline=None)
@given(ACTIONS | COMMANDS, st.sampled_from(BLOCKS))
def test_an_allow_rule_never_lets_a_blocked_action_run(action: Action, block: str) -> None:
    body = HEAD + f"auto_reject_threshold: never\nblock: [{{name: stop, {block}}}]\n"
    before = policy_set(body).judge(action, agent="a").ruling
    after = policy_set(body + ALLOW_ALL).judge(action, agent="a").ruling
    if before.policy.rule == "stop":
        assert after.policy.rule == "stop"
        assert after.policy.effect is not Effect.APPROVE


@settings(max_examples=250, deadline=None)
@given(ACTIONS | COMMANDS, st.sampled_from(BLOCKS))
def test_adding_a_block_or_require_rule_never_approves_more(action: Action, rule: str) -> None:
    before = policy_set(HEAD + ALLOW_ALL).judge(action, agent="a").ruling.policy.effect
    for kind in ("block", "require"):
        after = (
            policy_set(f"{HEAD}{ALLOW_ALL}\n{kind}: [{{name: r, {rule}}}]")
            .judge(action, agent="a")
            .ruling.policy.effect
        )
        assert before is Effect.APPROVE or after is not Effect.APPROVE


STRICTNESS = {Effect.APPROVE: 0, Effect.REVIEW: 1, Effect.REJECT: 2}
APPROVE = ["never", "none", "low", "medium", "high"]
REJECT = ["low", "medium", "high", "critical", "never"]


@settings(max_examples=150, deadline=None)
@given(ACTIONS | COMMANDS, st.data())
def test_lowering_a_threshold_never_makes_a_policy_more_permissive(
    action: Action, data: st.DataObject
) -> None:
    def effect(approve: str, reject: str) -> int | None:
        ranks = {level.value: level.rank for level in RiskLevel}
        if "never" not in (approve, reject) and ranks[approve] >= ranks[reject]:
            return None
        text = f"{HEAD}auto_approve_threshold: {approve}\nauto_reject_threshold: {reject}\n"
        return STRICTNESS[policy_set(text).judge(action, agent="a").ruling.policy.effect]

    low, high = sorted(data.draw(st.tuples(*[st.integers(0, 4)] * 2)))
    fixed = data.draw(st.sampled_from(REJECT))
    stricter, looser = effect(APPROVE[low], fixed), effect(APPROVE[high], fixed)
    assert stricter is None or looser is None or stricter >= looser
    fixed = data.draw(st.sampled_from(APPROVE))
    stricter, looser = effect(fixed, REJECT[low]), effect(fixed, REJECT[high])
    assert stricter is None or looser is None or stricter >= looser


PROGRAMS = [
    "rm -rf /",
    "rm -rf build",
    "cat /etc/shadow",
    "chmod -R 777 /srv",
    "git push --force",
    "dd if=x of=/dev/sda",
]
SPELLINGS = [
    "{0}", " {0} ", "({0})", "{{ {0}; }}", "true; {0}", "{0}; true", "true && {0}", "if true; then {0}; fi",
    "{0} &", "{0} 2>/dev/null",
    "command {0}", "env A=1 {0}", "nohup {0}", "timeout 5 {0}", "nice {0}", "bash -c '{0}'",
    "sh -c \"{0}\"", "x=$({0})", "echo `{0}`",
    "ssh host '{0}'", "f() {{ {0}; }}; f", "{0} # a comment", "stdbuf -oL {0}", "bash <<< '{0}'",
    "bash <<EOF\n{0}\nEOF", "time {0}",
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_equivalent_spellings_get_the_same_level(program: str) -> None:
    plain = assess(Action("command_execute", {"command": program}))
    for spelling in SPELLINGS:
        other = assess(Action("command_execute", {"command": spelling.format(program)}))
        assert other.level == plain.level, (spelling, other.factors)


SEGMENTS = st.lists(
    st.sampled_from(["etc", "srv", "home", "dana", "tmp", "var", "log", "usr", ".ssh", ".env", "b.txt"]),
    min_size=1,
    max_size=4,
)
DETOURS = st.sampled_from(["/", "//", "/./", "/x/../", "/x/./y/../../"])


def _levels(path: str) -> tuple[RiskLevel, ...]:
    """How risky it is to write, to delete and to have a shell delete one path."""
    actions = (
        Action("file_write", {"path": path, "content": ""}),
        Action("file_delete", {"path": path, "recursive": True}),
        Action("command_execute", {"command": "rm", "args": ["-rf", path]}),
        Action("command_execute", {"command": f"rm -rf '{path}'"}),
    )
    return tuple(assess(action).level for action in actions)


@settings(max_examples=200, deadline=None)
@given(SEGMENTS, st.data())
def test_equivalent_spellings_of_a_path_get_the_same_level(segments: list[str], data: st.DataObject) -> None:
    spelled = "".join(data.draw(DETOURS) + segment for segment in segments)
    spelled += data.draw(st.sampled_from(["", "/", "/.", "/x/.."]))
    assert _levels(spelled) == _levels("/" + "/".join(segments)), spelled


@settings(max_examples=200, deadline=None)
@given(SEGMENTS, st.data())
def test_a_spelling_that_only_some_programs_resolve_never_lowers_the_level(
    segments: list[str], data: st.DataObject
) -> None:
    plain = "/" + "/".join(segments)
    disguised = "".join(
        data.draw(st.sampled_from([character, f"%{ord(character):02x}", f"%25{ord(character):02X}"]))
        for character in plain.replace("/", data.draw(st.sampled_from("/\\")))
    )
    assert all(one >= other for one, other in zip(_levels(disguised), _levels(plain), strict=True)), disguised


PREFIXES = [
    "command {0}",
    "env A=1 {0}",
    "nohup {0}",
    "timeout 5 {0}",
    "nice -n 5 {0}",
    "stdbuf -oL {0}",
    "sudo -E {0}",
    "xargs {0}",
]
COMPOUNDS = [
    "( {0} )",
    "{{ {0}; }}",
    "true; {0}",
    "{0}; true",
    "true && {0}",
    "if true; then {0}; fi",
    "while true; do {0}; done",
]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(PROGRAMS),
    st.lists(st.sampled_from(PREFIXES), max_size=3),
    st.lists(st.sampled_from(COMPOUNDS), max_size=3),
)
def test_wrapping_a_command_never_lowers_its_risk(
    program: str, prefixes: list[str], compounds: list[str]
) -> None:
    text = program
    for spelling in [*prefixes, *compounds]:
        text = spelling.format(text)
    wrapped = assess(Action("command_execute", {"command": text}))
    assert wrapped.score >= assess(Action("command_execute", {"command": program})).score, text


@settings(max_examples=200, deadline=None)
@given(SHELL_TEXTS, SHELL_TEXTS)
def test_adding_a_command_never_lowers_the_risk_of_what_was_there(first: str, second: str) -> None:
    plain = Action("command_execute", {"command": "rm -rf build"})
    for text in (f"rm -rf build; {first}", f"rm -rf build && ls {second.replace('#', '')}"):
        assert assess(Action("command_execute", {"command": text})).score >= min(
            assess(plain).score, Decimal(50)
        ), text


@settings(deadline=None)
@given(st.text(alphabet="/ab*?[]{},.~\\!-^", max_size=24), PATHS)
def test_no_path_pattern_and_no_path_makes_matching_fail(pattern: str, path: str) -> None:
    try:
        globs = compile_path(pattern)
    except BadPattern:
        return
    normal = normalise(path)
    for glob in globs:
        for expanding in (True, False):
            certain = glob.contains(normal, glob=expanding, recursive=True)
            assert not certain or glob.reaches(normal, glob=expanding, recursive=True)


SHARED = parse_yaml("workspace.yaml", WORKSPACE.encode()).value


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([
    "name", "applies_to", "auto_approve_threshold", "default_timeout", "channel", "approvers", "block",
    "require", "allow",
    "escalation_rules", "weights", "money", "grant_max_risk", "agent_may_escalate_to", "limits"]), JSON,
    max_size=6))  # fmt: skip
def test_no_policy_file_makes_the_loader_fail(content: dict[str, Any]) -> None:
    text = json.dumps(content, default=str)
    document = parse_yaml("x.yaml", text.encode())
    build(
        {"workspace.yaml": parse_yaml("workspace.yaml", WORKSPACE.encode()).value, "x.yaml": document.value}
    )
