"""Programs that run another program: what they run is read in their place."""

import re
from dataclasses import dataclass

from bot.core.risk.facts import Access, Signal
from bot.core.risk.options import Options, read
from bot.core.risk.programs import cloud, packages
from bot.core.risk.programs.interpreters import SHELLS, interpreter, read_input
from bot.core.risk.reading import Call, Handler, program_name
from bot.core.risk.tables import names
from bot.core.risk.words import Word


@dataclass(frozen=True, slots=True)
class Wrapper:
    """How a wrapper's own arguments end: flags that take a value, and operands before the program."""

    valued: str = ""
    operands: int = 0
    privilege: bool = False
    shell: str = ""
    """Flags whose value is shell text."""
    written: str = ""
    """Flags whose value is a file that the wrapper writes."""
    joined: bool = False
    """Its operands are put together and handed to a shell."""
    places: bool = False
    """Its operands name the account or environment that the program works in."""


_WRAPPERS = {
    "sudo": Wrapper("u g p C D h R r T t U user group prompt chdir host role type chroot", privilege=True),
    "doas": Wrapper("u C", privilege=True),
    "pkexec": Wrapper("user", privilege=True),
    "gsudo": Wrapper("u", privilege=True),
    "run0": Wrapper("u user", privilege=True),
    "su": Wrapper("s g G w shell group", 1, privilege=True, shell="c command session-command"),
    "runuser": Wrapper("u g s", 0, privilege=True, shell="c command"),
    "sg": Wrapper("", 1, privilege=True, shell="c command"),
    "newgrp": Wrapper("", 1, privilege=True),
    "gosu": Wrapper("", 1, privilege=True),
    "su-exec": Wrapper("", 1, privilege=True),
    "setpriv": Wrapper("reuid regid groups bounding-set inh-caps", privilege=True),
    "nsenter": Wrapper("t target S G", privilege=True),
    "chroot": Wrapper("userspec groups", 1, privilege=True),
    "unshare": Wrapper("S G R w"),
    "nohup": Wrapper(),
    "setsid": Wrapper(),
    "nice": Wrapper("n adjustment"),
    "ionice": Wrapper("c n p class classdata"),
    "chrt": Wrapper("T P D p", 1),
    "taskset": Wrapper("", 1),
    "cgexec": Wrapper("g"),
    "sshpass": Wrapper("f d p P e"),
    "numactl": Wrapper("m N C i p"),
    "timeout": Wrapper("k s kill-after signal", 1),
    "stdbuf": Wrapper("i o e"),
    "time": Wrapper("f format", written="o output"),
    "gtime": Wrapper("f format", written="o output"),
    "command": Wrapper(),
    "builtin": Wrapper(),
    "exec": Wrapper("a"),
    "coproc": Wrapper(),
    "!": Wrapper(),
    "{": Wrapper(),
    "catchsegv": Wrapper(),
    "strace": Wrapper("e p s u P E a O S I", written="o output"),
    "ltrace": Wrapper("e p s u n l", written="o output"),
    "valgrind": Wrapper(),
    "perf": Wrapper("e p", 1, written="o output"),
    "caffeinate": Wrapper("t w"),
    "watch": Wrapper("n interval", joined=True),
    "unbuffer": Wrapper(),
    "rlwrap": Wrapper("H f"),
    "script": Wrapper("", 0, shell="c command"),
    "flock": Wrapper("w E timeout", 1, shell="c command"),
    "lockf": Wrapper("t", 1),
    "chpst": Wrapper("u U e m d / n"),
    "dbus-run-session": Wrapper(),
    "xvfb-run": Wrapper("n s e f p w"),
    "systemd-run": Wrapper("p unit u E M H property slice"),
    "firejail": Wrapper(),
    "proxychains": Wrapper("f"),
    "proxychains4": Wrapper("f"),
    "torsocks": Wrapper(),
    "torify": Wrapper(),
    "busybox": Wrapper(),
    "toybox": Wrapper(),
    "cpulimit": Wrapper("l p e"),
    "faketime": Wrapper("", 1),
    "fakeroot": Wrapper(),
    "proot": Wrapper("r b w"),
    "prlimit": Wrapper("p"),
    "setarch": Wrapper("", 1),
    "dotenv": Wrapper("e f c"),
    "dotenvx": Wrapper("f e", 1),
    "direnv": Wrapper("", 2),
    "op": Wrapper("env-file account", 1),
    "aws-vault": Wrapper("d duration region", 2, places=True),
    "sops": Wrapper("", 2, joined=True),
    "envdir": Wrapper("", 1),
    "envchain": Wrapper("", 1),
    "doppler": Wrapper("p c project config", 1),
    "chamber": Wrapper("", 2, places=True),
    "infisical": Wrapper("env path", 1),
    "mise": Wrapper("C", 1),
    "asdf": Wrapper("", 1),
    "ssh-agent": Wrapper("a t"),
    "winpty": Wrapper(),
    "start": Wrapper(),
    "wsl": Wrapper("d u"),
    "entr": Wrapper(joined=True),
    "nodemon": Wrapper("w watch e ext i ignore", shell="x exec"),
    "cross-env": Wrapper(),
    "dumb-init": Wrapper(),
    "tini": Wrapper(),
    "noglob": Wrapper(),
    "nocorrect": Wrapper(),
    "sem": Wrapper("j"),
    "nix-shell": Wrapper("p I A", 0, shell="run command"),
    "screen": Wrapper("S t c p X"),
}

_RUNS_AFTER = {
    "poetry": ("run",),
    "pipenv": ("run",),
    "uv": ("run",),
    "pdm": ("run",),
    "hatch": ("run",),
    "rye": ("run",),
    "bundle": ("exec",),
    "npm": ("exec", "x"),
    "pnpm": ("exec", "dlx"),
    "yarn": ("exec", "dlx"),
    "conda": ("run",),
    "mamba": ("run",),
    "bun": ("x",),
    "pipx": ("run",),
    "lxc": ("exec",),
    "multipass": ("exec",),
    "apptainer": ("exec",),
    "singularity": ("exec",),
    "devcontainer": ("exec",),
    "crictl": ("exec",),
    "distrobox": ("enter",),
    "heroku": ("run",),
    "nix": ("develop", "shell", "run"),
}


def wrap(call: Call) -> None:
    """Run what follows the wrapper's own options; where an unknown option may take a value, both ways."""
    spec = _WRAPPERS[call.name]
    if spec.privilege:
        call.signal(Signal.PRIVILEGE, f"{call.name} runs as another user")
    options = call.options(f"{spec.valued} {spec.shell} {spec.written}", stop=True)
    if call.name == "command" and options.has("v", "V"):
        return  # it only says what a name means
    call.touch(options.all(*spec.written.split()), Access.WRITE)
    texts = options.all(*spec.shell.split()) if spec.shell else []
    rest = options.operands
    if call.name == "su":
        rest = [word for word in rest if word.text != "-"]  # it only asks for a login shell
    if call.name in ("su", "runuser", "sg", "flock", "script") and not texts:
        texts = _later_text(spec, rest)
    for text in texts:
        call.shell(text.text)
    if call.name == "sudo":
        for directory in options.all("chdir", "D"):
            call.simple.cwd, call.simple.cwd_known = directory.text, directory.known
    for place in rest[: spec.operands] if spec.places else []:
        call.facts.name(place.text)
    if spec.joined and len(rest) == spec.operands + 1:
        call.shell(rest[-1].text)
    else:
        _run(call, spec, options, rest)
    if len(rest) <= spec.operands and not texts and (spec.privilege or call.name == "unshare"):
        read_input(call)  # it starts a shell


def _later_text(spec: Wrapper, rest: list[Word]) -> list[Word]:
    """`su USER -c TEXT`: options may follow the operand."""
    flags = {("-" if len(name) == 1 else "--") + name for name in spec.shell.split()}
    return [rest[at + 1] for at, word in enumerate(rest[:-1]) if word.text in flags]


def _run(call: Call, spec: Wrapper, options: Options, rest: list[Word]) -> None:
    inner = _without_assignments(call, rest)[spec.operands :]
    inner = _without_assignments(call, inner)
    if not inner or inner[0].text.startswith("-"):
        if inner and inner[0].text == "--":
            call.inner(inner[1:])
        return
    call.inner(inner)
    known = set(f"{spec.valued} {spec.shell} {spec.written}".split())
    if len(inner) > 1 and options.flags - known - _PLAIN_FLAGS:
        call.inner(inner[1:])


_PLAIN_FLAGS = frozenset(
    names(
        "n E H S b i k l s A B K P V v p f q x c d preserve-env non-interactive login stdin "
        "foreground preserve-status fork wait verbose close pty scope quiet help version user"
    )
)
"""Flags of wrappers that take no value."""


def _without_assignments(call: Call, words: list[Word]) -> list[Word]:
    at = 0
    while at < len(words) and re.match(r"[A-Za-z_]\w*=", words[at].text):
        name, _, value = words[at].text.partition("=")
        call.reading.assign(name, Word(value, words[at].known), alone=False)
        at += 1
    return words[at:]


def environment(call: Call) -> None:
    """`env [-u NAME] [-C DIR] [-S TEXT] [NAME=VALUE…] PROGRAM …`."""
    options = call.options("u C unset chdir S split-string block-signal", stop=True)
    for directory in options.all("C", "chdir"):
        call.simple.cwd, call.simple.cwd_known = directory.text, directory.known
    inner = _without_assignments(call, options.operands)
    for text in options.all("S", "split-string"):
        call.shell(" ".join([text.text, *(w.text for w in inner)]))
    if inner and not options.has("S", "split-string"):
        call.inner(inner)


def from_input(call: Call) -> None:
    """`xargs PROGRAM …`, `parallel PROGRAM … ::: …`: more arguments come at run time."""
    options = call.options(_XARGS_VALUED, stop=True)
    words = list(options.operands)
    marker = next((n for n, word in enumerate(words) if word.text.startswith(":::")), len(words))
    given = words[marker + 1 :] or [Word("$INPUT", known=False)]
    words = words[:marker]
    if not words:
        if call.name == "parallel":
            call.opaque("parallel runs commands read from its input")
        return
    if program_name(words[0].text) in SHELLS and not any("c" in w.text for w in words[1:2]):
        call.opaque(f"{call.name} hands a shell what to run")
    if program_name(words[0].text) in ("rm", "unlink", "shred", "rmdir", "del"):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes whatever it is given")
    placeholder = next(iter([w.text for w in options.all("I", "replace")]), "{}")
    inner = [Word(w.text, known=False) if placeholder in w.text else w for w in words]
    if call.name == "parallel" and len(words) == 1:
        call.shell(words[0].text)
    call.inner_many([*inner, *given])


_XARGS_VALUED = "I n L P s E d a j S N max-args max-procs delimiter arg-file max-lines jobs colsep delay"


def terminal(call: Call) -> None:
    """`tmux new-session … 'TEXT'`, `tmux send-keys 'TEXT'`."""
    options = call.options("t s n c L S f x y e F")
    for word in options.operands[1:]:
        call.shell(word.text)


def on_device(call: Call) -> None:
    """`adb shell TEXT`, `vagrant ssh -c TEXT`."""
    options = call.options("s t c command")
    for text in options.all("c", "command"):
        call.shell(text.text)
    if call.name == "adb" and options.texts[:1] == ["shell"]:
        call.shell(" ".join(options.texts[1:]))
    cloud.machines(call)


def tool_runner(call: Call) -> None:
    """`poetry run PROGRAM …` and its kin; anything else the tool does is read as its own."""
    texts = [word.text for word in call.args]
    verbs = _RUNS_AFTER[call.name]
    at = next((n for n, text in enumerate(texts) if text in verbs or not text.startswith("-")), None)
    if at is None or texts[at] not in verbs:
        if own := _BASE.get(call.name):
            own(call)
        return
    place = 1 if call.name in ("lxc", "multipass", "apptainer", "singularity", "crictl") else 0
    after = call.args[at + 1 + place :]
    if call.name in ("npm", "pnpm", "bun", "yarn", "pipx"):
        packages.run_package(Call(call.reading, [call.words[0], *after], call.simple, call.name))
    else:
        rest = read(after, _TOOL_VALUED.split(), stop=True).operands
        if rest and re.match(r"(https?|ftp):", rest[0].text):
            call.opaque(f"{call.name} runs a program from the network")
        if len(rest) == 1 or call.name == "heroku":  # some take a whole line as one word
            call.shell(" ".join(word.text for word in rest))
        else:
            call.inner(rest)


def texts(call: Call) -> None:
    """`hyperfine 'TEXT' 'TEXT'`, `concurrently 'TEXT' …`: every operand is shell text."""
    for word in call.options("w r m M S N n c p P prepare cleanup setup warmup runs shell names").operands:
        call.shell(word.text)


def with_capabilities(call: Call) -> None:
    """`capsh … -- ARGUMENTS`: a shell with those arguments, and other rights."""
    call.signal(Signal.PRIVILEGE, "capsh changes what a program may do")
    marks = [at for at, word in enumerate(call.args) if word.text in ("--", "==")]
    if marks:
        call.inner([Word("bash"), *call.args[marks[0] + 1 :]])


def bun(call: Call) -> None:
    """`bun -e CODE` and `bun FILE` run code; its other verbs are those of a package manager."""
    first = call.args[0].text if call.args else ""
    (interpreter if re.match(r"-|.*\.\w+$", first) else packages.manager)(call)


_TOOL_VALUED = "n p e C name with from package env-file python"


_BASE: dict[str, Handler] = {}


def _with_base() -> dict[str, Handler]:
    for name in _RUNS_AFTER:
        if name in packages.HANDLERS:
            _BASE[name] = packages.HANDLERS[name]
        elif name in cloud.HANDLERS:
            _BASE[name] = cloud.HANDLERS[name]
    _BASE["bun"] = bun
    return dict.fromkeys(_RUNS_AFTER, tool_runner)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_WRAPPERS, wrap),
    **_with_base(),
    "env": environment,
    "xargs": from_input,
    "parallel": from_input,
    "hyperfine": texts,
    "concurrently": texts,
    "capsh": with_capabilities,
    "tmux": terminal,
    "adb": on_device,
    "vagrant": on_device,
}
