"""Shells and language interpreters: what they are given to run."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.options import read
from bot.core.risk.programs import packages
from bot.core.risk.programs.unknown import name_of_script, unknown_program
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word

SHELLS = frozenset(names("sh bash dash zsh ksh mksh ash fish csh tcsh rbash"))

_INLINE = {
    "python": "c", "pypy": "c", "ipython": "c", "perl": "e E", "ruby": "e", "node": "e p eval print",
    "nodejs": "e p eval",
    "php": "r B R E", "lua": "e", "luajit": "e", "rscript": "e", "r": "e", "julia": "e E", "groovy": "e",
    "scala": "e",
    "osascript": "e", "tclsh": "c", "expect": "c", "elixir": "e", "erl": "eval", "ghc": "e",
    "bun": "e p eval",
    "irb": "e", "pry": "e",
    "swift": "e", "guile": "c", "sbcl": "eval", "emacs": "eval f", "gdb": "ex eval-command x", "jshell": "",
}  # fmt: skip
"""Interpreters, and the flags that take code."""


_INPUT = re.compile(r"-|/dev/(stdin|fd/0)|/proc/self/fd/0")
"""Names of a program's own input."""


def shell(call: Call) -> None:
    """`sh`: the text after `-c`, a script, or what comes in."""
    options = read([_dashed(word) for word in call.args], names("o O rcfile init-file command"), stop=True)
    if options.has("c", "command"):
        # `-c` takes no value: the text is the first operand, behind whatever options follow.
        texts = [*options.all("command"), *options.operands] or [Word("", known=False)]
        _shell_text(call, texts[0], texts[1:])
    elif options.has("s") or not options.operands or _INPUT.fullmatch(options.texts[0]):
        read_input(call)
        if not call.has_input:
            call.opaque(f"{call.name} runs what it is told once it runs")
    else:
        _script(call, options.operands)
    for start_file in options.all("rcfile", "init-file"):
        call.touch([start_file], Access.READ)
        call.opaque("it starts a shell with start-up code of its own")


def _dashed(word: Word) -> Word:
    """A shell's option that is switched off, `+x`, written like any other."""
    return Word("-" + word.text[1:]) if re.fullmatch(r"\+[abd-zA-Z]+", word.text) else word


def _shell_text(call: Call, text: Word, operands: list[Word]) -> None:
    """Text after `-c`; the words behind it are `$0`, `$1` and so on."""
    if not text.known:
        call.opaque("the text a shell runs is only known when it runs")
    given = {str(at): word.text for at, word in enumerate(operands)}
    every = " ".join(word.text for word in operands[1:])
    call.reading.shell(text.text, call.simple, {**given, "@": every, "*": every} if operands else None)


def read_input(call: Call) -> None:
    """A shell that runs what comes in."""
    text = call.input_text
    if text is not None:
        call.shell(text)
        if call.simple.stdin is None:
            call.opaque("a shell runs what another command writes")
    elif call.piped or call.input_redirected:
        call.opaque(f"{call.name} runs a program read from its input")


def interpreter(call: Call) -> None:
    """python, perl, node and the like: inline code is opaque, a script and its arguments are read."""
    inline = _INLINE.get(call.name, "")
    options = call.options(f"{inline} W X I M m require r import loader", stop=True)
    letters = [flag for flag in inline.split() if flag in options.flags or _clustered(call, flag)]
    if letters:
        call.opaque(f"{call.name} runs code given on the command line")
        _look_into(call, " ".join(word.text for word in call.args))
        return
    if call.name in ("deno", "bun") and options.texts[:1] == ["run"]:
        options.operands = [word for word in options.operands[1:] if not word.text.startswith("-")]
    if call.name == "deno" and options.texts[:1] == ["eval"]:
        call.opaque("deno runs code given on the command line")
    for loaded in options.all("r", "require", "import", "loader"):
        call.reading.run_file(loaded, call.simple)
    if call.name == "gdb" and options.has("args"):
        call.inner(options.operands)
        return
    module = options.all("m") if call.name in ("python", "pypy") else []
    if module:
        call.reading.run([module[0], *options.operands], call.simple) if module[0].text in _MODULES else None
        call.touch(options.operands, Access.READ)
    elif options.operands and not _INPUT.fullmatch(options.texts[0]):
        _script(call, options.operands)
    elif call.has_input or options.operands or options.flags <= _INTERACTIVE:
        call.opaque(f"{call.name} runs a program read from its input")
        _look_into(call, call.input_text or "")


_INTERACTIVE = frozenset("iuqBEsS")
"""Flags that leave an interpreter to what it is told once it runs."""

_MODULES = frozenset({"pip", "twine", "pipx", "build", "awscli", "poetry", "uv", "ansible"})
"""Python modules that are programs known by the same name."""


def _clustered(call: Call, flag: str) -> bool:
    return len(flag) == 1 and any(
        re.match(rf"-[a-zA-Z0]*{flag}", word.text)
        for word in call.args[:3]
        if word.text[:2] not in ("--", "-m", "-r")
    )


def _script(call: Call, operands: list[Word]) -> None:
    script = operands[0]
    if script.substituted:
        call.opaque(f"{call.name} runs what another command writes")
    if not script.known:
        call.opaque("which script runs is only known when it runs")
    if re.match(r"(https?|ftp|data):", script.text):
        call.opaque(f"{call.name} runs a program from the network")
    call.reading.run_file(script, call.simple)
    name_of_script(call, script.text, [word.text for word in operands[1:]])
    if script.text.rsplit("/", 1)[-1] in ("artisan", "manage.py", "console", "rails", "rake", "ace", "craft"):
        packages.tasks(call, [word.text for word in operands[1:]])
    call.touch([w for w in operands if not w.text.startswith("-") and "://" not in w.text], Access.READ)


_DESTROYS = re.compile(
    r"rmtree|shutil\.move|os\.(remove|unlink|rmdir|removedirs)|\bunlink\b|rimraf|rmSync|rmdirSync|File\.delete|"
    r"FileUtils\.rm|remove_tree|rm\s+-\w*r|fs\.rm\b|DROP\s+(TABLE|DATABASE|SCHEMA)|mkfs|dropDatabase",
    re.IGNORECASE,
)


def _look_into(call: Call, code: str) -> None:
    """Opaque code stays opaque; what it says plainly is counted all the same."""
    if _DESTROYS.search(code):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} runs code that deletes")
    for quoted in re.findall(r"[\"'`]((?:/|~/|[A-Za-z]:\\)[^\"'`\n]{0,300})[\"'`]", code):
        call.touch([Word(quoted)], Access.UNKNOWN)


def evaluate(call: Call) -> None:
    """`eval`."""
    call.opaque("eval runs text as a command")
    call.shell(" ".join(word.text for word in call.args))


def source(call: Call) -> None:
    """`source` and `.` run a file, or what comes in, in this shell."""
    if call.args and _INPUT.fullmatch(call.args[0].text):
        read_input(call)
    elif call.args:
        _script(call, list(call.args))


def callback(call: Call) -> None:
    """`mapfile -C TEXT`: shell text that runs for every so many lines."""
    for text in call.options("C c d n O s t u").all("C"):
        call.shell(text.text)


def later(call: Call) -> None:
    """`trap 'text' SIGNAL` and `alias name='text'`: shell text that runs later."""
    for word in call.args:
        _, equals, value = word.text.partition("=")
        text = value if equals and call.name == "alias" else word.text
        if call.name == "trap" and word is not call.args[0]:
            break
        if not text.startswith("-"):
            call.shell(text)


def powershell(call: Call) -> None:
    """`powershell -Command text`: read as shell text as far as that goes, and opaque when encoded."""
    texts = [word.text for word in call.args]
    for at, text in enumerate(texts):
        lowered = text.lower()
        if re.match(r"-e(nc|ncodedcommand|c)?$", lowered):
            call.opaque("powershell runs an encoded command")
            return
        if re.match(r"-c(ommand)?$", lowered):
            call.opaque("powershell runs code given on the command line")
            call.shell(" ".join(texts[at + 1 :]))
            return
        if re.match(r"-f(ile)?$", lowered):
            _script(call, list(call.args[at + 1 :]))
            return
        if not text.startswith("-"):
            call.shell(" ".join(texts[at:]))
            return
    if call.piped or call.simple.stdin is not None:
        call.opaque("powershell runs a program read from its input")


def windows_shell(call: Call) -> None:
    """`cmd /c text`."""
    texts = [word.text for word in call.args]
    for at, text in enumerate(texts):
        if text.lower() in ("/c", "/k"):
            call.shell(" ".join(texts[at + 1 :]))
            return


def script_host(call: Call) -> None:
    """`mshta`, `regsvr32`, `rundll32`: system programs of Windows that also run scripts from a URL."""
    text = " ".join(word.text for word in call.args)
    if call.name == "mshta" or re.search(r"(?i)https?:|javascript:|vbscript:", text):
        call.opaque(f"{call.name} runs a program that cannot be read here")
    unknown_program(call)


def invoke_expression(call: Call) -> None:
    """PowerShell's `iex`."""
    call.opaque("Invoke-Expression runs text as a command")


def editor(call: Call) -> None:
    """vi, ed, emacs: files are written; commands after `!` run."""
    silent = call.name == "ex" or any(word.text.startswith(("-es", "-Es")) for word in call.args)
    script = "" if silent else "s"  # in ex mode it says nothing and takes no value
    options = call.options(f"c S u W cmd eval l load {script}")
    call.touch([w for w in options.operands if not w.text.startswith("+")], Access.WRITE)
    commands = [*options.all("c", "cmd", "eval"), *(w for w in options.operands if w.text.startswith("+"))]
    if any("!" in w.text or "system(" in w.text or call.name == "emacs" for w in commands):
        call.opaque(f"{call.name} runs commands")
    if call.piped or call.simple.stdin is not None:
        call.opaque(f"{call.name} is driven by its input")


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(SHELLS, shell),
    **dict.fromkeys(_INLINE, interpreter),
    **dict.fromkeys(names("vi vim nvim ex ed emacs nano pico view"), editor),
    **dict.fromkeys(names("java deno ts-node tsx"), interpreter),
    "eval": evaluate,
    "source": source,
    ".": source,
    "trap": later,
    "alias": later,
    "mapfile": callback,
    "readarray": callback,
    "powershell": powershell,
    "pwsh": powershell,
    "cmd": windows_shell,
    # Names are looked up without the number at their end.
    **dict.fromkeys(names("mshta regsvr rundll wscript cscript"), script_host),
    "iex": invoke_expression,
    "invoke-expression": invoke_expression,
}
