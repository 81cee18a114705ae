"""command_undo, config_restore and custom, on real processes and files."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

from keyturn.rollback import MISSING, Preview, Resources, UndoConflict, UndoFailed, places
from keyturn.rollback.commands import CommandUndo
from keyturn.rollback.configs import ConfigRestore, FileStore
from keyturn.rollback.formats import JsonFormat, format_of
from keyturn.rollback.handlers import Custom

PYTHON = sys.executable


def run(code, *args, **more):
    return {"type": "command_undo", "argv": [PYTHON, "-c", code, *args], **more}


def test_a_command_runs_without_a_shell_in_its_directory_and_its_output_is_kept(tmp_path):
    step = run("import sys, pathlib; pathlib.Path('it').write_text(sys.argv[1]); print('said')", "$(id) ; x",
               cwd=str(tmp_path))  # fmt: skip
    assert "cannot be checked" in CommandUndo().preview(step).summary
    assert not (tmp_path / "it").exists()
    assert "Its output: said" in CommandUndo().apply(step, force=False)
    assert (tmp_path / "it").read_text() == "$(id) ; x"


def test_a_command_that_fails_says_how():
    with pytest.raises(UndoFailed, match=r"exit code 3.*no such"):
        CommandUndo().apply(run("import sys; print('no such'); sys.exit(3)"), force=False)
    with pytest.raises(UndoFailed, match="could not be started"):
        CommandUndo().apply({"type": "command_undo", "argv": ["/no/such/program"]}, force=False)


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path, monkeypatch):
    code = (
        "import fcntl, subprocess, sys; held = open(sys.argv[1], 'w'); fcntl.flock(held, fcntl.LOCK_EX);"
        "child = [sys.executable, '-c', 'import time; time.sleep(600)'];"
        "running = subprocess.Popen(child, pass_fds=[held.fileno()]);"
        "print('begun', flush=True); open(sys.argv[2], 'w').close(); running.wait()"
    )
    begun, wait = tmp_path / "begun", subprocess.Popen.wait
    os.mkfifo(begun)

    def wait_once_begun(process, timeout=None):
        if timeout is not None:
            begun.open().close()  # an interpreter may take longer to start than the limit is
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_once_begun)
    with pytest.raises(UndoFailed, match=r"stopped after 1 s.*begun"):
        CommandUndo(1.0).apply(run(code, str(tmp_path / "lock"), str(begun)), force=False)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as soon as nobody holds it, which is when the child is gone too


def test_what_a_command_leaves_running_does_not_make_it_late(tmp_path):
    code = (
        "import subprocess, sys; print('started');"
        "child = [sys.executable, '-c', 'import time; time.sleep(600)'];"
        "print('pid', subprocess.Popen(child, start_new_session=True).pid)"
    )
    said = CommandUndo(60.0).apply(run(code), force=False)
    os.kill(int(said.split()[-1]), signal.SIGKILL)
    assert "Its output: started" in said


def test_a_command_whose_directory_is_gone_says_so(tmp_path):
    with pytest.raises(UndoFailed, match=f"No such file or directory: {tmp_path}/gone"):
        CommandUndo().apply(run("print(1)", cwd=f"{tmp_path}/gone"), force=False)


def test_a_command_does_not_get_the_agents_token(monkeypatch):
    monkeypatch.setenv("KEYTURN_TOKEN", "kt_secret")
    said = CommandUndo().apply(run("import os; print(os.environ.get('KEYTURN_TOKEN'))"), force=False)
    assert "None" in said


FILES = {
    "a.json": (
        '{\n  "limit": 500,\n  "price": 2500.00,\n  "db": {"pool.size": 5, "hosts": ["a", "b"]}\n}\n',
        '{\n  "limit": 100,\n  "price": 2500.00,\n  "db": {"pool.size": 5, "hosts": ["a", "b"]}\n}\n',
    ),
    "a.yaml": (
        "# Who may connect\nlimit: 500  # not more\ndb:\n  hosts: [a, b]\n",
        "# Who may connect\nlimit: 100  # not more\ndb:\n  hosts: [a, b]\n",
    ),
    "a.toml": (
        "# Who\nlimit = 500 # not more\n\n[db]\nsize = 5\n",
        "# Who\nlimit = 100 # not more\n\n[db]\nsize = 5\n",
    ),
}


def restoring(path, key="limit", old=100, expected=500, **changes):
    step = {"type": "config_restore", "store": str(path), "key": key, "had_value": True, "old_value": old}
    return {**step, "expected": expected, **changes}


@pytest.mark.parametrize("name", FILES)
def test_one_setting_comes_back_and_everything_else_stays_as_it_was_written(tmp_path, name):
    file, (now, then) = tmp_path.resolve() / name, FILES[name]
    file.write_text(now)
    step = restoring(file)
    shown = ConfigRestore().preview(step)
    assert shown.diff.endswith("-limit = 500\n+limit = 100")
    ConfigRestore().apply(step, force=False)
    assert file.read_text() == then
    assert ConfigRestore().in_place(step)


def test_an_env_file(tmp_path):
    file = tmp_path.resolve() / ".env"
    file.write_text("# shop\nexport LIMIT=500 # most\nNAME='two words'\n")
    ConfigRestore().apply(restoring(file, "LIMIT", "100", "500"), force=False)
    ConfigRestore().apply(restoring(file, "NAME", 'it\'s a "b"', "two words"), force=False)
    assert file.read_text() == '# shop\nexport LIMIT=100 # most\nNAME="it\'s a \\"b\\""\n'
    assert format_of(".env").value(file.read_text(), "NAME") == 'it\'s a "b"'


@pytest.mark.parametrize(
    ("text", "key", "value", "expected"),
    [
        ('{"a": 1}', "b", 2, '{"a": 1, "b": 2}'),
        ('{"a":1}', "b", 2, '{"a":1,"b":2}'),
        ('{"a": {"b":1,\n  "c":2}}', "a", {"b": 1, "c": 3}, '{"a": {"b":1,\n  "c":3}}'),
        ('{\n  "a": 1,\n  "c": 3\n}\n', "b", [1], '{\n  "a": 1,\n  "c": 3,\n  "b": [1]\n}\n'),
        ("{}", "b", None, '{"b": null}'),
        ('{"a": 1, "b": 2}', "b", MISSING, '{"a": 1}'),
        ('{"a": 1, "b": 2}', "a", MISSING, '{"b": 2}'),
        ('{ "a": 1 }', "a", MISSING, "{ }"),
        ('{"a": {"b": [1, 2]}}', "/a/b/1", 3, '{"a": {"b": [1, 3]}}'),
        ('{"a": {"b": 1}}', "a.b", Decimal("2.50"), '{"a": {"b": 2.50}}'),
        ('{"a.b": 1, "a": {"b": 7}}', "a.b", 2, '{"a.b": 2, "a": {"b": 7}}'),
        ('{"é\\"": "x"}', 'é"', "ü", '{"é\\"": "ü"}'),
    ],
)
def test_json_is_edited_in_its_text(text, key, value, expected):
    fresh = format_of("x.json").changed(text, key, value)
    assert fresh.replace("{ }", "{ }") == expected
    assert json.loads(fresh) is not None


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.toml"])
def test_a_setting_that_was_not_there_is_taken_out(tmp_path, name):
    file = tmp_path.resolve() / name
    file.write_text(FILES[name][0])
    ConfigRestore().apply(restoring(file, had_value=False, old_value=None), force=False)
    assert "limit:" not in file.read_text()
    assert '"limit"' not in file.read_text()
    assert "limit =" not in file.read_text()


def test_a_setting_that_somebody_changed_since_stops_it_unless_forced(tmp_path):
    file = tmp_path.resolve() / "a.json"
    file.write_text('{"limit": 300}')
    with pytest.raises(UndoConflict, match="it left 500, there is 300 now"):
        ConfigRestore().apply(restoring(file), force=False)
    assert file.read_text() == '{"limit": 300}'
    shown = ConfigRestore().preview(restoring(file)).state
    ConfigRestore().apply(restoring(file), force=True, shown=shown)
    assert file.read_text() == '{"limit": 100}'


def test_a_setting_that_the_action_took_out_comes_back(tmp_path):
    file = tmp_path.resolve() / "a.json"
    file.write_text('{"other": 1}')
    ConfigRestore().apply(restoring(file, expected=None), force=False)
    assert json.loads(file.read_text()) == {"other": 1, "limit": 100}


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("flags", "No store 'flags' is registered"),
        ("/no/such.json", "is gone"),
        ("/a/b.ini", "settings are known in"),
    ],
)
def test_a_store_that_nobody_knows_is_named(store, said):
    with pytest.raises(UndoFailed, match=said):
        ConfigRestore().preview(restoring(store))


def test_a_file_that_cannot_be_read_as_settings_is_left_alone(tmp_path):
    file = tmp_path.resolve() / "a.json"
    file.write_text("{broken")
    with pytest.raises(UndoFailed, match="cannot be read as settings"):
        ConfigRestore().apply(restoring(file), force=True)
    assert file.read_text() == "{broken"


class Flags:
    """A store of settings with compare and set."""

    def __init__(self, **values):
        self.values = values
        self.races = 0

    def get(self, key):
        return self.values.get(key, MISSING)

    def compare_and_set(self, key, expected, value):
        if self.races or self.get(key) != expected:
            return False
        self.values[key] = value
        return True


def test_a_registered_store_is_compared_and_set():
    resources, flags = Resources(), Flags(dark=True)
    resources.store("flags", flags)
    step = restoring("flags", "dark", False, True)
    assert resources.preview(step).conflict is None
    resources.kind(step).apply(step, force=False)
    assert flags.values == {"dark": False}
    flags.values["dark"], flags.races = True, 1
    with pytest.raises(UndoConflict, match="at this very moment"):
        resources.kind(step).apply(step, force=False)


def test_a_setting_that_was_changed_three_times_is_previewed_through_each_of_them():
    resources, flags = Resources(), Flags(level=4)
    resources.store("flags", flags)
    data = [restoring("flags", "level", old, old + 1) for old in (1, 2, 3)]
    assert resources.preview(data).conflict is None
    flags.values["dark"] = True
    assert resources.preview([*data, restoring("flags", "dark", False, True)]).conflict is None
    assert resources.preview([restoring("flags", "dark", False, True), *data]).conflict is None
    flags.values["level"] = 9
    assert "it left 4, there is 9 now" in resources.preview(data).conflict


def test_a_file_of_settings_is_compared_before_it_is_set(tmp_path):
    file = tmp_path.resolve() / "a.json"
    file.write_text('{"limit": 300}')
    assert not FileStore(str(file)).compare_and_set("limit", 500, 100)
    assert file.read_text() == '{"limit": 300}'


def test_a_file_that_has_grown_too_long_for_settings_is_not_cut_off(tmp_path):
    file = tmp_path.resolve() / ".env"
    file.write_text("limit=500\n")
    os.truncate(file, places.LONGEST + 1)
    with pytest.raises(UndoFailed, match=r"too many for settings\. Nothing was changed"):
        ConfigRestore().apply(restoring(file, expected="500", old="100"), force=False)
    assert file.stat().st_size == places.LONGEST + 1


def test_a_value_that_would_not_be_read_back_as_it_is_changes_nothing(tmp_path, monkeypatch):
    file = tmp_path.resolve() / "a.json"
    file.write_text('{"limit": 500}')
    monkeypatch.setattr(JsonFormat, "changed", lambda self, text, key, value: '{"limit": 99}')
    with pytest.raises(UndoFailed, match="could not be set exactly; set it by hand"):
        ConfigRestore().apply(restoring(file), force=False)
    assert file.read_text() == '{"limit": 500}'


def test_custom_handlers_are_called_by_name():
    kinds, seen = Custom(), []
    kinds.register("rebuild", seen.append, lambda data: Preview(f"Rebuild {data}."))
    kinds.register("plain", lambda data: f"did {data}")
    assert kinds.preview({"type": "custom", "handler": "rebuild", "data": 1}).summary == "Rebuild 1."
    assert "cannot be checked" in kinds.preview({"type": "custom", "handler": "plain"}).summary
    assert seen == []
    assert kinds.apply({"type": "custom", "handler": "plain", "data": 2}, force=False) == "did 2"
    kinds.apply({"type": "custom", "handler": "rebuild", "data": 3}, force=False)
    assert seen == [3]


def test_a_handler_that_is_missing_or_fails_is_a_failed_undo():
    kinds = Custom()
    kinds.register("bad", lambda data: data["no"])
    with pytest.raises(UndoFailed, match="known: bad"):
        kinds.preview({"type": "custom", "handler": "good"})
    with pytest.raises(UndoFailed, match=r"KeyError.*a part of its work"):
        kinds.apply({"type": "custom", "handler": "bad", "data": {}}, force=False)


def test_a_kind_of_a_newer_server_is_refused():
    with pytest.raises(UndoFailed, match="cannot undo 'snapshot_restore'"):
        Resources().preview({"type": "snapshot_restore"})


@pytest.mark.parametrize("key", ["DB_PASSWORD", "api-key", "stripe.token"])
def test_no_sentence_says_the_value_of_a_secret_setting(key):
    store = Flags(**{key: "hunter2-new"})
    resources = Resources()
    resources.store("settings", store)
    step = restoring("settings", key, "hunter2-old", "hunter2-new")
    shown = resources.preview(step)
    assert shown.summary == f"Set {key} of settings back to a secret of 11 characters."
    with pytest.raises(UndoConflict) as stopped:
        resources.kind(step).apply({**step, "expected": "hunter2-mine"}, force=False)
    said = resources.kind(step).apply(step, force=False)
    assert "hunter2" not in f"{shown}{stopped.value}{stopped.value.diff}{said}"
    assert store.values[key] == "hunter2-old"


def test_a_command_that_is_killed_has_failed():
    with pytest.raises(UndoFailed, match="exit code -9"):
        CommandUndo().apply(run("import os; os.kill(os.getpid(), 9)"), force=False)


def test_of_several_lines_of_one_variable_the_last_is_set():
    fresh = format_of(".env").changed("LIMIT=1\nLIMIT=2\n", "LIMIT", "3")
    assert fresh == "LIMIT=1\nLIMIT=3\n"
    assert format_of(".env").value(fresh, "LIMIT") == "3"
