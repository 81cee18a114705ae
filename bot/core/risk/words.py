"""Words of a shell command: what quoting, escapes and braces make of their text."""

import re
from dataclasses import dataclass, field

import bracex

_ANSI = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|c(.)|(.))", re.DOTALL
)
_ANSI_LETTERS = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_MOST_BRACES = 16
"""Braces in one word that are expanded; the library recurses into them."""

_MEANING = re.compile(r"([\\*?\[\]{},.~$!(|)])")
"""What means something to a shell outside of quotes."""

_PROTECTED = re.compile(r"\\(.)", re.DOTALL)
_GLOB = re.compile(r"[*?\[]|[@!+]\(")

SPLIT = "\ue000"
"""Stands for a space of a variable's value until words are split; shells give it no meaning."""


@dataclass(frozen=True, slots=True)
class Word:
    """One argument after expansion. `known` is false when a part of it is decided at run time."""

    text: str
    known: bool = True
    glob: bool = False
    substituted: bool = False
    """True when it names the output or input of another process, `<(…)`."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection: its operator (`>`, `>>`, `<`, …) and the file."""

    operator: str
    target: Word


@dataclass(slots=True)
class Simple:
    """A simple command: its words, redirections and assignments, and where its input comes from."""

    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    upstream: "Simple | None" = None
    """The command before it in a pipeline."""
    stdin: str | None = None
    """The text of its here-document or here-string."""
    cwd: str | None = None
    """The directory that `cd` led to, joined to the one before; None: where the script started."""
    cwd_known: bool = True
    looped: bool = False
    """True in the body of a loop."""

    @property
    def written(self) -> str | None:
        """What it writes, when its words tell: echo, printf, cat of a here-document."""
        command = self
        while [word.text for word in command.words] in (["cat"], ["cat", "-"]):
            if command.stdin is not None:
                return command.stdin
            if command.upstream is None:
                return None
            command = command.upstream
        name, *words = [word.text for word in command.words] or [""]
        if name.rsplit("/", 1)[-1] not in ("echo", "printf"):
            return None
        plain = [text for text in words if text not in ("-n", "-e", "-E", "-ne", "-en")]
        return " ".join(plain).replace("\\n", "\n")


@dataclass(slots=True)
class Script:
    """What a shell text runs. `faults` says, for people, why parts of it could not be read."""

    commands: list[Simple] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    fork_bomb: bool = False


@dataclass(slots=True)
class Piece:
    """A word being put together. In the template a backslash protects a character from meaning anything."""

    template: str = ""
    known: bool = True
    substituted: bool = False

    def plain(self, text: str) -> None:
        """Unquoted text: its own backslashes protect, a line continuation vanishes."""
        self.template += text.replace("\\\n", "")

    def quoted(self, text: str) -> None:
        """Text that means nothing but itself."""
        self.template += _MEANING.sub(r"\\\1", text)

    def guess(self, text: str, *, quoted: bool) -> None:
        """A value as far as it is known; outside of quotes it splits into words."""
        if quoted:
            self.quoted(text)
        else:
            self.template += text.replace(" ", SPLIT)
        self.known = False

    def unknown(self, source: str) -> None:
        """Something decided at run time, shown as it is written."""
        self.quoted(source[:100])
        self.known = False


def braces(template: str) -> list[str]:
    """The words that braces make of a template; a pattern for everything when they are too many."""
    if "{" not in template:
        return [template]
    if template.count("{") > _MOST_BRACES:
        return [template.replace("{", "\\{"), "*"]
    try:
        return list(bracex.iexpand(template, keep_escapes=True, limit=200))
    except (bracex.ExpansionLimitException, ValueError):
        return [template.replace("{", "\\{"), "*"]


def unescape(template: str) -> str:
    """A template's text: the backslashes that protect are gone."""
    return _PROTECTED.sub(r"\1", template) if "\\" in template else template


def is_glob(template: str) -> bool:
    """Whether an unprotected character makes the shell expand a template."""
    if not _GLOB.search(template):
        return False
    return "\\" not in template or _GLOB.search(_PROTECTED.sub("", template)) is not None


def double_quoted(text: str) -> str:
    """What double quotes leave of escapes."""
    return re.sub(r"\\([\\\"$`\n])", lambda m: "" if m[1] == "\n" else m[1], text)


def ansi(text: str) -> str:
    """The text of `$'…'`."""
    return _ANSI.sub(_ansi_character, text)


def _ansi_character(found: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if found[group]:
            code = int(found[group], base)
            return chr(code) if code < 0x110000 else "\ufffd"
    if found[5]:
        return chr(ord(found[5]) & 31)
    return _ANSI_LETTERS.get(found[6], found[6])
