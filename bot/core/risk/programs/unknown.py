"""Programs that nobody knows: what they are given counts as used in any way."""

import re
from collections.abc import Sequence

from bot.core.risk.facts import Access, Signal
from bot.core.risk.reading import Call, program_name
from bot.core.risk.tables import names
from bot.core.risk.words import Word


def unknown_program(call: Call) -> None:
    """A program nobody knows: its arguments that look like paths are used in an unknown way."""
    name_of_script(call, call.words[0].text, [word.text for word in call.args])
    if _CMDLET.fullmatch(call.name):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes by its name")
    for word in call.args:
        text = word.text
        flag, equals, value = text.partition("=")
        if text.startswith("-"):
            text = value if equals else _attached(text)
        elif equals and re.fullmatch(r"[\w.-]+", flag):
            text = value
        if looks_like_path(text):
            call.touch([Word(text, word.known, word.glob)], Access.UNKNOWN)
        elif not word.known and not text.startswith("-"):
            call.facts.unreadable_paths = True
    _another_program(call)


_TELLING = frozenset(names("rm dd mkfs shred sudo doas ssh sh bash dash zsh ksh"))
"""Programs whose name among the arguments of an unknown one means that it runs them."""


def _another_program(call: Call) -> None:
    """Read what an unknown program runs for another: `some-wrapper -g x rm -rf data`."""
    starts = (at for at, word in enumerate(call.args[:-1]) if program_name(word.text) in _TELLING)
    at = next(starts, None)
    if at is not None:
        call.inner(call.args[at:])


_CMDLET = re.compile(
    r"(remove|uninstall)-(?!(variable|module|job|alias|psdrive|psbreakpoint|pssession|typedata|event)$)[a-z]\w*"
)
"""Commands of PowerShell and its modules that delete what their second word says."""

_DEPLOYS = re.compile(r"(.*[_.-])?(deploy|release|publish|rollback|promote)([_.-].*)?", re.IGNORECASE)


def name_of_script(call: Call, script: str, arguments: Sequence[str]) -> None:
    """Note a script whose name says that it deploys, and the places among its arguments."""
    if _DEPLOYS.fullmatch(program_name(script)):
        call.signal(Signal.REMOTE, f"{script[:60]} deploys or publishes by its name")
        for argument in arguments:
            call.facts.name(argument.rpartition("=")[2])


_FILE_NAME = re.compile(r"[^\s=:]+\.[A-Za-z][A-Za-z0-9]{0,4}")


def looks_like_path(text: str) -> bool:
    """Whether an argument of an unknown program is likely a path."""
    if "://" in text and not text.lower().startswith("file://"):
        return False
    if "\n" in text or len(text) > 4096:
        return False
    return (
        text.startswith(("~", ".")) or "/" in text or "\\" in text or _FILE_NAME.fullmatch(text) is not None
    )


def _attached(option: str) -> str:
    """The value of a short option written without a space, `-o/etc/x`."""
    found = re.fullmatch(r"-[A-Za-z]([/~].*)", option, re.DOTALL)
    return found[1] if found else ""
