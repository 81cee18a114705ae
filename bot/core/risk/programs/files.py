"""Programs that make, change, move and remove files."""

import re

from bot.core.risk import paths
from bot.core.risk.facts import Access, Signal
from bot.core.risk.options import Options
from bot.core.risk.programs.windows import remove_windows
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word

DANGEROUS = frozenset(
    names(
        "rm rmdir unlink shred srm wipe dd chmod chown chgrp chattr setfacl truncate "
        "del erase rd ri remove-item"
    )
)
FILE_TOOLS = frozenset(
    names(
        "rm rmdir unlink shred cp mv ln install mkdir touch mktemp tee truncate chmod chown chgrp dd "
        "echo printf sed rsync cd pushd popd true false : mkfifo split"
    )
)


def remove(call: Call) -> None:
    """`rm` and its kin."""
    options = call.options()
    recursive = options.has("r", "R", "recursive", "recurse") or call.name == "rimraf"
    if call.in_bulk and not all(word.known for word in options.operands):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes whatever it is given")
    if recursive:
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes whole directories")
    elif any(word.glob for word in options.operands):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes every file that matches a pattern")
    call.touch(options.operands, Access.DELETE, recursive=recursive)


def shred(call: Call) -> None:
    """`shred`: the content is gone even when the file stays."""
    call.signal(Signal.DESTRUCTIVE, f"{call.name} destroys the content of files")
    call.touch(call.options("n s").operands, Access.DELETE)


def copy(call: Call) -> None:
    """`cp` and `install`: sources are read, the destination is written."""
    options = call.options("t S target-directory suffix m o g mode owner group")
    sources, target = _ends(options)
    recursive = options.has("r", "R", "a", "recursive", "archive")
    if call.name == "install":
        _rights(call, options)
    call.touch(sources, Access.READ)
    call.touch(target, Access.WRITE, recursive=recursive)
    if any(word.text == "/dev/null" for word in sources):
        call.empty(target)


def _rights(call: Call, options: Options) -> None:
    """Mode and owner of what `install`, `mkdir` and their kin make."""
    for word in options.all("m", "mode"):
        if _opens(word.text):
            detail = f"{call.name} -m {word.text} opens files or runs them as their owner"
            call.signal(Signal.PRIVILEGE, detail)
    if any(word.text in ("root", "0") for word in options.all("o", "owner")):
        call.signal(Signal.PRIVILEGE, "install gives files to root")


def move(call: Call) -> None:
    """`mv`: sources are deleted, the destination is written."""
    sources, target = _ends(call.options("t S target-directory suffix"))
    call.touch(sources, Access.DELETE, recursive=True)
    call.touch(target, Access.WRITE, recursive=True)
    if any(paths.normalise(word.text).startswith("/dev/") for word in target):
        call.signal(Signal.DESTRUCTIVE, "it moves a file onto a device")


def link(call: Call) -> None:
    """`ln`: writing through a link writes its target, so both count as written."""
    # A link to a directory reaches all that is below it.
    call.touch(call.options("t S target-directory suffix").operands, Access.WRITE, recursive=True)


def touch(call: Call) -> None:
    """`touch`: every operand is written."""
    call.touch(call.options("d r t date reference time").operands, Access.WRITE)


def make(call: Call) -> None:
    """`mkdir`, `mkfifo` and `mknod` make what they name, with a mode of its own."""
    options = call.options("m mode")
    _rights(call, options)
    call.touch(options.operands, Access.WRITE)


def mask(call: Call) -> None:
    """`umask`: what is made from now on has every right that it does not take away."""
    for word in call.options().operands:
        digits = re.fullmatch(r"[0-7]{1,4}", word.text)
        if not int(word.text, 8) & 2 if digits else _opens(word.text):
            call.signal(Signal.PRIVILEGE, f"umask {word.text} opens new files to everybody")


def tee(call: Call) -> None:
    """`tee` and `sponge` write their input into files."""
    targets = [word for word in call.options().operands if word.text != "-"]
    call.make(targets)
    if call.input_is_empty and not call.options().has("a", "append"):
        call.empty(targets)


def truncate(call: Call) -> None:
    """`truncate` cuts content off."""
    call.signal(Signal.DESTRUCTIVE, "truncate cuts the content of files off")
    call.touch(call.options("s size r reference").operands, Access.WRITE)


def remove_empty(call: Call) -> None:
    """`rmdir` and `unlink`; on Windows `rmdir /s` deletes all below."""
    if any(word.text.lower() in ("/s", "/q") for word in call.args):
        remove_windows(call)
        return
    operands = call.options().operands
    if call.in_bulk and call.name == "unlink" and not all(word.known for word in operands):
        call.signal(Signal.DESTRUCTIVE, "unlink deletes whatever it is given")
    call.touch(operands, Access.DELETE)


def change_mode(call: Call) -> None:
    """`chmod`."""
    modes = [
        word
        for word in call.args
        if re.fullmatch(r"[-+=ugoarwxXst,]*[-+=][ugorwxXst,]*|[0-7]{3,5}", word.text)
    ]
    options = call.options("reference")
    mode = modes[0].text if modes else ""
    if _opens(mode):
        call.signal(Signal.PRIVILEGE, f"chmod {mode} opens files to everybody or runs them as their owner")
    _change(call, options, [word for word in options.operands if word not in modes[:1]])


def change_owner(call: Call) -> None:
    """`chown` and `chgrp`."""
    options = call.options("reference from")
    owner, *operands = options.operands or [Word("")]
    if re.fullmatch(r"(root|0)?(:(root|0|wheel)?)?", owner.text) and owner.text.strip(":"):
        call.signal(Signal.PRIVILEGE, f"{call.name} gives files to {owner.text}")
    _change(call, options, operands)


def change_list(call: Call) -> None:
    """`setfacl`: entries for everybody open files as a mode does."""
    options = call.options("m M x X modify modify-file remove remove-file set set-file restore")
    for entry in options.all("m", "modify", "set"):
        if re.search(r"(^|[,:])o(ther)?:[^,]*w", entry.text):
            call.signal(Signal.PRIVILEGE, f"setfacl {entry.text[:40]} opens files to everybody")
    _change(call, options, options.operands)


def copy_blocks(call: Call) -> None:
    """`dd`: `if=` is read, `of=` is written; a device as `of=` loses all it holds."""
    nothing_in = any(word.text == "if=/dev/null" for word in call.args)
    for word in call.args:
        key, _, value = word.text.partition("=")
        if key == "if":
            call.touch([Word(value, word.known)], Access.READ)
        elif key == "of" and value not in paths.NOT_FILES:
            call.touch([Word(value, word.known)], Access.WRITE)
            if paths.normalise(value).startswith("/dev/"):
                call.signal(Signal.DESTRUCTIVE, f"dd writes over the device {value}")
            if nothing_in:
                call.empty([Word(value)])


def edit_stream(call: Call) -> None:
    """`sed`: reads its files, writes them with `-i`; its `e` and `w` run and write."""
    options = call.options("e f l expression file")
    scripts = options.all("e", "expression")
    operands = list(options.operands)
    if not scripts and not options.has("f", "file") and operands:
        scripts = [operands.pop(0)]
    for file in options.all("f", "file"):
        call.reading.run_file(file, call.simple)
        call.touch([file], Access.READ)
    in_place = any(f == "i" or f.startswith("in-place") for f in options.flags)
    call.touch(operands, Access.WRITE if in_place else Access.READ)
    for script in scripts:
        if re.search(r"(^|[;{}\n]|\d|\$)\s*e(\s|$)|/[a-zA-Z0-9]*e[a-zA-Z0-9]*\s*($|[;}])", script.text):
            call.opaque("sed runs part of its input as commands")
        for target in re.findall(r"(?:^|[;{}/\d\s])[wW]\s+([^;}\n]+)", script.text):
            call.touch([Word(target.strip())], Access.WRITE)


def nothing(call: Call) -> None:
    """Programs that touch no file by their arguments; other programs' output may stand among them."""


def change_directory(call: Call) -> None:
    """`cd`: the shell reader follows it."""


def _ends(options: Options) -> tuple[list[Word], list[Word]]:
    """Sources and destination of cp, mv and install."""
    into = options.all("t", "target-directory")
    if into or len(options.operands) < 2:
        return list(options.operands), into or [Word(".")]
    *sources, target = options.operands
    return sources, [target]


def _change(call: Call, options: Options, operands: list[Word]) -> None:
    recursive = options.has("R", "recursive")
    if recursive:
        call.signal(Signal.DESTRUCTIVE, f"{call.name} changes whole directories")
    call.touch(operands, Access.WRITE, recursive=recursive)


def _opens(mode: str) -> bool:
    if re.fullmatch(r"[0-7]{3,5}", mode):
        special = int(mode[:-3] or "0", 8)
        return bool(int(mode[-1]) & 2) or bool(special & 6)
    return any(
        re.match(r"[ugoa]*[+=]\w*s", part) or re.match(r"[ugoa]*[oa][ugoa]*[+=]\w*w", part)
        for part in mode.split(",")
        if part
    )


HANDLERS: dict[str, Handler] = {
    "rm": remove,
    "srm": remove,
    "rimraf": remove,
    "trash": remove,
    "del-cli": remove,
    "shred": shred,
    "wipe": shred,
    "cp": copy,
    "install": copy,
    "copy": copy,
    "mv": move,
    "move": move,
    "ln": link,
    "mkdir": make,
    "touch": touch,
    "tee": tee,
    "mkfifo": make,
    "mknod": make,
    "umask": mask,
    "setfacl": change_list,
    "sponge": tee,
    "truncate": truncate,
    "rmdir": remove_empty,
    "unlink": remove_empty,
    "chmod": change_mode,
    "chown": change_owner,
    "chgrp": change_owner,
    "chattr": change_mode,
    "dd": copy_blocks,
    "sed": edit_stream,
    "cd": change_directory,
    "pushd": change_directory,
    "popd": nothing,
}
for _name in names(
        "echo printf true false : mktemp pwd date whoami id hostname uname uptime sleep seq yes expr "
        "exit return break continue shift read wait jobs fg bg set unset export declare typeset local "
        "readonly let ulimit type hash getopts clear tput stty tty nproc free lscpu lsblk lsusb "
        "lspci ps pgrep top htop w who last groups arch history logger help info ss netstat "
        "ifconfig lsmod dmesg printenv locale getent times caller shopt complete bind enable"
    ):  # fmt: skip
    HANDLERS[_name] = nothing
