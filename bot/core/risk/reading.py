"""Reading a command: from shell text, through wrappers, to what each program does.

A `Reading` fills the `Facts` of one action. Programs are read by the handlers of
`bot.core.risk.programs`; a program nobody knows touches every path among its arguments in an
unknown way.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, islice

from bot.core.risk import paths, shell
from bot.core.risk.expansions import MOST_WORDS
from bot.core.risk.facts import Access, Facts, Line, Signal, Touched
from bot.core.risk.names import address_of, host_of, is_metadata, plain_letters
from bot.core.risk.options import Options, read
from bot.core.risk.tables import names
from bot.core.risk.variables import Meaning, meaning, names_a_place
from bot.core.risk.words import Redirect, Simple, Word

Handler = Callable[["Call"], None]
"""Reads one program's arguments into the facts."""

_DEEPEST = 16
"""Programs run through one another that are followed: `sudo env sh -c …`."""

_MOST_CALLS = 500
"""Programs that are read of one action."""

_MOST_WORDS = 3 * MOST_WORDS
"""Words of programs that are read of one action."""

_NAMING_FLAGS = frozenset(
    names(
        "context kube-context namespace cluster profile host hostname database dbname db env "
        "environment stage project subscription workspace stack target server app inventory limit "
        "account cluster-name cluster-identifier db-instance-identifier db-cluster-identifier "
        "environment-name cache-cluster-id replication-group-id"
    )
)


@dataclass(slots=True)
class Call:
    """A program about to run: its name, its arguments, and the command it stands in."""

    reading: "Reading"
    words: Sequence[Word]
    simple: Simple
    name: str
    """Base name in lower case, without `.exe` and a version."""
    base: str | None = None
    """Directory that relative paths start from, when another than the command's."""

    @property
    def args(self) -> Sequence[Word]:
        """The words after the program."""
        return self.words[1:]

    @property
    def facts(self) -> Facts:
        """What is being filled."""
        return self.reading.facts

    def options(self, valued: str = "", *, stop: bool = False) -> Options:
        """The arguments sorted. `valued`: white-space separated flags that take a value."""
        return read(self.args, valued.split(), stop=stop)

    def signal(self, signal: Signal, detail: str) -> None:
        """Note what the program does."""
        self.facts.signal(signal, detail)

    def touch(self, words: Iterable[Word], access: Access, *, recursive: bool = False) -> None:
        """Note the paths that the program touches."""
        for word in words:
            self.reading.touch(word, access, self.simple, recursive=recursive, base=self.base)

    def touch_directory(self, access: Access) -> None:
        """Note that the working directory is touched, with all below it."""
        self.touch([Word(".")], access, recursive=True)

    def inner_many(self, words: Sequence[Word]) -> None:
        """Read a program that this one runs on whatever it finds or is given."""
        self.reading.bulk += 1
        self.inner(words)
        self.reading.bulk -= 1

    @property
    def in_bulk(self) -> bool:
        """Whether it runs again and again, on things that only turn up then."""
        return self.reading.bulk > 0 or self.simple.looped

    def make(self, words: Iterable[Word]) -> None:
        """Note files whose content this program writes; running one of them later is opaque."""
        for word in words:
            self.reading.made.add(self.reading.place(word, self.simple).path)
            self.reading.touch(word, Access.WRITE, self.simple, base=self.base)

    def empty(self, words: Iterable[Word]) -> None:
        """Note files that this program leaves without content."""
        for word in words:
            self.reading.empty(word, self.simple)

    def inner(self, words: Sequence[Word]) -> None:
        """Read another program that this one runs."""
        self.reading.run(words, self.simple)

    def shell(self, text: str) -> None:
        """Read shell text that this program runs."""
        self.reading.shell(text, self.simple)

    def opaque(self, detail: str) -> None:
        """Note that this program does what nobody can read here."""
        self.signal(Signal.OPAQUE, detail)
        self.facts.unreadable_paths = True

    @property
    def piped(self) -> bool:
        """Whether its input comes from a command before it."""
        return self.simple.upstream is not None

    @property
    def input_text(self) -> str | None:
        """Its input when that is written out: a here-document, or an echo before it."""
        if self.simple.stdin is not None:
            return self.simple.stdin
        upstream = self.simple.upstream
        return upstream.written if upstream is not None else None

    @property
    def input_is_empty(self) -> bool:
        """Whether nothing comes in: `< /dev/null`, or `: |` before it."""
        if any(r.operator == "<" and r.target.text == "/dev/null" for r in self.simple.redirects):
            return True
        return self.simple.upstream is not None and _empties(self.simple.upstream)

    @property
    def input_redirected(self) -> bool:
        """Whether its input is a file."""
        return any(r.operator == "<" for r in self.simple.redirects)

    @property
    def has_input(self) -> bool:
        """Whether the action itself says what comes in."""
        return self.simple.stdin is not None or self.piped or self.input_redirected


@dataclass(slots=True)
class Reading:
    """One action's commands being read.

    Args:
        handlers: Programs by name.
        otherwise: Reads a program that is not among them.
        cwd: The directory the action starts in, or None.
    """

    facts: Facts
    handlers: Mapping[str, Handler]
    otherwise: Handler
    file_tools: frozenset[str]
    is_dangerous: Callable[[str, Sequence[Word]], bool]
    cwd: str | None = None
    nested: int = 0
    """How many programs run through one another at this point."""
    calls: int = 0
    words: int = 0
    """How many words all programs so far were given; those of a wrapped program count for each."""
    bulk: int = 0
    """Above 0 while reading a program that is run on whatever turns up."""
    batches: int = 0
    """Batches of SQL that were read so far."""
    made: set[str] = field(default_factory=set)
    """Files whose content the action itself wrote or downloaded."""

    def shell(
        self, text: str, within: Simple | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        """Read shell text, with what is known of its variables."""
        script = shell.parse(text, variables)
        for fault in script.faults:
            self._unreadable(f"the command cannot be read: {fault}")
        if script.fork_bomb:
            self.facts.signal(Signal.DESTRUCTIVE, "a function that starts itself over and over")
        for command in script.commands:
            if within is not None:
                self._inherit(command, within)
            self.simple(command)

    def simple(self, command: Simple) -> None:
        """Read a simple command with its redirections and assignments."""
        for name, value in command.assignments:
            self.assign(name, value, alone=not command.words)
        if not command.words and (command.assignments or command.redirects):
            self._line([], command)
        for redirect in command.redirects:
            self._redirect(redirect, command)
        if command.words:
            self.run(command.words, command)
        elif any(r.operator in (">", ">|", "&>") for r in command.redirects):
            self._emptied(command)

    def run(self, words: Sequence[Word], command: Simple) -> None:
        """Read one program with its arguments."""
        if not words:
            return
        self.calls += 1
        self.words += len(words)
        if self.calls > _MOST_CALLS or self.words > _MOST_WORDS or self.nested >= _DEEPEST:
            self._unreadable("it runs too many programs, or too many through one another")
            return
        self.nested += 1
        self._program(words, command)
        self.nested -= 1

    def _program(self, words: Sequence[Word], command: Simple) -> None:
        self._line(words, command)
        name = program_name(words[0].text)
        if len(words) == 2 and words[1].text in ("--help", "--version") and name in self.handlers:
            self.facts.file_tools_only = False
            return  # it only tells about itself
        if not words[0].known or words[0].glob or words[0].substituted:
            self._unreadable(f"the program's name is only known when it runs: {words[0].text[:80]}")
        if not name.isascii() and program_name(plain_letters(name)) in self.handlers:
            self._unreadable(f"the program's name only looks like {plain_letters(name)[:40]}")
        self._program_place(words[0], command)
        if self.is_dangerous(name, words[1:]):
            self.facts.signal(Signal.DANGEROUS, f"{name} changes or removes things on the machine")
        if name not in self.file_tools:
            self.facts.file_tools_only = False
        call = Call(self, words, command, name)
        self.handlers.get(name, self.otherwise)(call)
        self._names(words, command)

    def touch(
        self, word: Word, access: Access, command: Simple, *, recursive: bool = False, base: str | None = None
    ) -> None:
        """Note one touched path, in every form it can have."""
        if not word.text or _is_no_file(word.text, access):
            return
        cwd, cwd_known = self._directory(command, base)
        place = paths.resolve(word.text, cwd)
        readable = word.known and place.readable and (cwd_known or paths.is_anchored(place.path))
        for form in place.forms:
            self.facts.paths.append(
                Touched(form, access, recursive, word.glob and paths.is_glob(form), readable)
            )

    def _directory(self, command: Simple, base: str | None) -> tuple[str | None, bool]:
        moved = base if base is not None else command.cwd
        if moved is None:
            return self.cwd, True
        place = paths.resolve(
            moved, paths.resolve(command.cwd, self.cwd).path if base and command.cwd else self.cwd
        )
        return place.path, command.cwd_known and place.readable

    def _inherit(self, command: Simple, within: Simple) -> None:
        if command.cwd is None:
            command.cwd, command.cwd_known = within.cwd, within.cwd_known
        if command.upstream is None and command.stdin is None:
            command.upstream, command.stdin = within.upstream, within.stdin
            given = [redirect for redirect in within.redirects if redirect.operator == "<"]
            if given and within.upstream is None and within.stdin is None:
                command.upstream = Simple(redirects=given)  # what nobody wrote here comes in all the same

    def _line(self, words: Sequence[Word], command: Simple) -> None:
        texts = [word.text for word in words]
        plain = " ".join(texts)
        whole = plain if shell.is_plain(plain) else " ".join(map(_quoted, texts))
        short = program_name(texts[0]) + plain[len(texts[0]) :] if texts else plain
        readable = all(word.known for word in words) and not (words and words[0].glob)
        also = [plain, short]
        if redirects := command.redirects:
            spelled = _spelled(redirects)
            whole += _spelled([redirect for redirect in redirects if not _leads_nowhere(redirect)])
            also += [plain + spelled, short + spelled]
        if words is command.words or not words:
            # What is set before a program can change what its name means.
            assigned = [f"{name}={value.text}" for name, value in command.assignments]
            whole = " ".join([*assigned, whole]).strip()
        forms = dict.fromkeys([whole, *also])
        writes = any(map(_writes, redirects))
        self.facts.lines.append(Line(whole, tuple(filter(None, forms)), readable, writes))

    def _program_place(self, word: Word, command: Simple) -> None:
        if "/" in word.text or (self.made and self.place(word, command).path in self.made):
            self.run_file(word, command)

    def run_file(self, word: Word, command: Simple) -> None:
        """Note that a file is run: opaque when it is temporary or was only just made."""
        place = self.place(word, command)
        if any(paths.is_temporary(form) for form in place.forms):
            self._unreadable(f"it runs a program below a temporary directory: {place.path[:80]}")
        elif place.path in self.made:
            self._unreadable(f"it runs {place.path[:80]}, which it has just written or downloaded")

    def place(self, word: Word, command: Simple) -> paths.Place:
        """Where a word points from a command's directory."""
        return paths.resolve(word.text, self._directory(command, None)[0])

    def _redirect(self, redirect: Redirect, command: Simple) -> None:
        target = redirect.target.text
        if redirect.operator in _COPIES and (target.isdigit() or target in ("", "-")):
            return
        if target.startswith(("/dev/tcp/", "/dev/udp/")):
            self._unreadable(f"it opens a network connection as a file: {target[:80]}")
            self.host(target.split("/")[3] if target.count("/") > 2 else "")
            return
        access = Access.WRITE if _writes(redirect) else Access.READ
        self.touch(redirect.target, access, command)
        if access is Access.WRITE:
            self.made.add(self.place(redirect.target, command).path)
        if redirect.operator in (">", ">|", "&>") and _empties(command):
            self._emptied(command)

    def _emptied(self, command: Simple) -> None:
        for redirect in command.redirects:
            if _writes(redirect):
                self.empty(redirect.target, command)

    def empty(self, word: Word, command: Simple) -> None:
        """Note that a file is left without content; what is temporary loses nothing."""
        path = self.place(word, command).path
        if path not in paths.NOT_FILES and not paths.is_temporary(path):
            self.facts.signal(Signal.DESTRUCTIVE, f"it empties {path[:80]}")

    def assign(self, name: str, value: Word, *, alone: bool) -> None:
        """Note a variable that is set; `alone` when no program stands behind it."""
        match meaning(name, value.text, alone=alone):
            case Meaning.LOADED:
                self._unreadable(f"{name} makes other programs load or run what it names")
            case Meaning.COMMAND:
                self.shell(value.text)
        if names_a_place(name):
            self.facts.name(value.text)

    def _names(self, words: Sequence[Word], command: Simple) -> None:
        """Note what flags name: contexts, namespaces, profiles, hosts, databases, and files with secrets."""
        for at, word in enumerate(words):
            if not word.text.startswith("--"):
                continue
            flag, equals, value = word.text[2:].partition("=")
            if equals and paths.is_secret(paths.normalise(value)):
                self.touch(Word(value, word.known), Access.READ, command)
            if flag in _NAMING_FLAGS:
                following = words[at + 1].text if at + 1 < len(words) else ""
                self.facts.name(value if equals else following)

    def host(self, host: str) -> None:
        """Note a network address the command talks to."""
        name = host if address_of(host) is not None else host_of(host)
        if is_metadata(name):
            self.facts.signal(Signal.INTERNAL, f"it talks to the metadata or link-local address {name}")

    def _unreadable(self, detail: str) -> None:
        self.facts.signal(Signal.OPAQUE, detail)
        self.facts.unreadable_paths = True


@functools.lru_cache(maxsize=1024)
def program_name(text: str) -> str:
    """A program's base name in lower case, without `.exe` and a trailing version (`python3.11`)."""
    name = text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].lower()
    name = re.sub(r"\.(exe|cmd|bat|com)$", "", name)
    if name.startswith(("mkfs.", "fsck.")):
        return name[:4]
    if name in _GNU:
        return name[1:]
    return re.sub(r"(?<=[a-z])-?\d+(\.\d+)*$", "", name) if name not in _NUMBERED else name


_GNU = frozenset(
    names(
        "grm grmdir gunlink gshred gtruncate gdd gcp gmv gln ginstall gmkdir gtouch gchmod gchown "
        "gchgrp gtee gsed gfind gxargs genv gtimeout gnice gnohup gstdbuf gsplit gsort"
    )
)
"""What Homebrew and the BSDs call GNU's programs."""


_NUMBERED = frozenset(
    names(
        "7z bzip2 sqlite3 s3cmd mke2fs pm2 base64 base32 md5 sha256 b2 lz4 "
        "i3 k3s k9s killall5 ip6tables h2 uudecode"
    )
)
"""Programs whose name ends in a number that is no version."""


def _quoted(text: str) -> str:
    return text if _SAFE.fullmatch(text) else "'" + text.replace("'", "'\"'\"'") + "'"


_SAFE = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
"""What `shlex.quote`, which takes long over thousands of words, leaves as it is."""


def _spelled(redirects: Sequence[Redirect]) -> str:
    return "".join([f" {r.operator} {r.target.text}" for r in redirects])


def _writes(redirect: Redirect) -> bool:
    return ">" in redirect.operator and not _leads_nowhere(redirect)


def _leads_nowhere(redirect: Redirect) -> bool:
    """Whether output goes into no file: `2>&1`, `> /dev/null`."""
    target = redirect.target.text
    if redirect.operator in _COPIES and (target.isdigit() or target in ("", "-")):
        return True
    return ">" in redirect.operator and (target in paths.NOT_FILES or _is_no_file(target, Access.WRITE))


_COPIES = frozenset({">&", "<&", ">&-", "<&-"})
"""Operators that copy or close a descriptor where the target is its number."""


def _is_no_file(text: str, access: Access) -> bool:
    if text.startswith("/dev/") and _STREAM.fullmatch(text):
        return True
    return access is Access.READ and text in paths.NOT_FILES


_STREAM = re.compile(r"/dev/(stdin|stdout|stderr|tty|fd/[0-9]+)")


def _empties(command: Simple) -> bool:
    """Whether a command writes nothing, or nothing but the end of a line."""
    # Asked once for each redirection, so a long command must not be copied.
    words = dropwhile(lambda word: word in ("sudo", "doas", "command"), (word.text for word in command.words))
    if (program := next(words, None)) == "echo":
        return all(word in ("", "-n", "-e") for word in words)
    return [program, *islice(words, 2)] in ([":"], ["true"], ["cat", "/dev/null"], ["printf", ""])
