"""Programs of Windows and commands of PowerShell, whose flags start with a slash or are words."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.names import host_of
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names


def remove_windows(call: Call) -> None:
    """`del`, `erase`, `rd` and `Remove-Item`, whose flags start with a slash or are words."""
    if call.in_bulk or (call.piped and call.name in ("remove-item", "ri")):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes whatever it is given")
    flags = {word.text.lower() for word in call.args if re.fullmatch(r"/[a-zA-Z]|-[a-zA-Z]+", word.text)}
    operands = [word for word in call.args if word.text.lower() not in flags]
    recursive = bool(flags & {"/s", "-r", "-recurse", "-recursive"})
    if recursive or any(word.glob for word in operands):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes many files")
    call.touch(operands, Access.DELETE, recursive=recursive)


def change_list_windows(call: Call) -> None:
    """`icacls PATH /grant WHO:RIGHTS`."""
    operands = [word for word in call.args if not word.text.startswith("/")]
    if any(re.match(r"(?i)(everyone|\*s-1-1-0):.*[fmw]", word.text) for word in operands[1:]):
        call.signal(Signal.PRIVILEGE, "icacls opens files to everybody")
    if any(word.text.lower() == "/t" for word in call.args):
        call.signal(Signal.DESTRUCTIVE, "icacls changes whole directories")
    call.touch(operands[:1], Access.WRITE)


def clear(call: Call) -> None:
    """PowerShell's `Clear-Content`."""
    operands = [word for word in call.args if not word.text.startswith("-")]
    call.touch(operands, Access.WRITE)
    call.empty(operands)


def mirror_windows(call: Call) -> None:
    """`robocopy SOURCE DESTINATION`, whose flags start with a slash."""
    flags = {word.text.lower() for word in call.args if word.text.startswith("/")}
    operands = [word for word in call.args if word.text.lower() not in flags]
    moves = bool(flags & {"/mov", "/move"})
    if flags & {"/mir", "/purge"}:
        call.signal(Signal.DESTRUCTIVE, "robocopy deletes what the source does not have")
    call.touch(operands[:1], Access.DELETE if moves else Access.READ, recursive=True)
    call.touch(operands[1:2], Access.WRITE, recursive=True)


def windows_admin(call: Call) -> None:
    """`format`, `diskpart`, `vssadmin delete`, `reg delete`, `bcdedit`."""
    text = " ".join(word.text.lower() for word in call.args)
    stops = names("format diskpart stop-computer restart-computer clear-disk format-volume initialize-disk")
    if call.name in stops or "delete" in text or (call.name == "cipher" and "/w" in text):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} loses data or stops the machine")


def stop_process(call: Call) -> None:
    """`Stop-Process -Id N` ends one; by name or from a pipe it ends every one."""
    if call.piped or any(re.match(r"(?i)-n(a(me?)?)?$|.*\*", word.text) for word in call.args):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} ends every process of that name")


def each(call: Call) -> None:
    """`ForEach-Object { … }`: what stands in the braces runs for everything that comes in."""
    words = [word for word in call.args if word.text not in ("{", "}", "-Process")]
    if len(words) != 1 or not re.fullmatch(r"\$_(\.\w+)*", words[0].text):  # it only shows a part of them
        call.inner_many(words)


def service(call: Call) -> None:
    """`Stop-Service` and `Restart-Service`."""
    call.signal(Signal.REMOTE, f"{call.name} stops or restarts a service")


def guard(call: Call) -> None:
    """`Set-ExecutionPolicy` and `Set-MpPreference` say what may run on the machine."""
    call.signal(Signal.PRIVILEGE, f"{call.name} changes what may run on the machine")


def download(call: Call) -> None:
    """`certutil -urlcache -f URL FILE`, `bitsadmin /transfer N URL FILE`, `iwr URL -OutFile FILE`."""
    operands = [word for word in call.args if not re.match(r"[-/]\w+$", word.text)]
    if any("://" in word.text for word in operands[:-1]):
        call.make(operands[-1:])
    for word in operands:
        if "://" in word.text:
            call.reading.host(host_of(word.text))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(names("del erase rd remove-item ri"), remove_windows),
    "clear-content": clear,
    "robocopy": mirror_windows,
    "icacls": change_list_windows,
    "stop-process": stop_process,
    **dict.fromkeys(names("foreach-object foreach %"), each),
    **dict.fromkeys(names("stop-service restart-service suspend-service"), service),
    **dict.fromkeys(names("set-executionpolicy set-mppreference add-mppreference"), guard),
    **dict.fromkeys(names("certutil bitsadmin iwr invoke-webrequest start-bitstransfer"), download),
    **dict.fromkeys(
        names(
            "format diskpart vssadmin reg bcdedit stop-computer restart-computer clear-disk format-volume "
            "initialize-disk wbadmin wmic cipher schtasks sc net"
        ),
        windows_admin,
    ),
}
