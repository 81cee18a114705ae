"""Programs that pack and unpack."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.programs.unknown import unknown_program
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Simple, Word

FILE_TOOLS = frozenset(names("tar gtar bsdtar unzip zip gzip gunzip bzip2 bunzip2 xz unxz zstd unzstd cpio"))


def tar(call: Call) -> None:
    """`tar`: `-x` writes below `-C` or the working directory, `-c` reads its operands."""
    args = list(call.args)
    if args and re.fullmatch(r"[a-zA-Z]+", args[0].text):  # `tar xzf` needs no dash
        args[0] = Word("-" + args[0].text)
    bundle = Call(call.reading, [call.words[0], *args], call.simple, call.name)
    options = bundle.options(
        "f C b I T X K N V file directory exclude use-compress-program to-command checkpoint-action "
        "transform strip-components files-from exclude-from owner group mode"
    )
    _runs(call, [*options.all("I", "use-compress-program", "to-command")], options.all("checkpoint-action"))
    into = options.all("C", "directory")
    archives = [word for word in options.all("f", "file") if word.text != "-"]
    if options.has("x", "extract", "get"):
        call.touch(archives, Access.READ)
        call.touch(into or [Word(".")], Access.WRITE, recursive=True)
        if options.has("P", "absolute-names"):
            call.opaque("the archive decides which paths are written")
        return
    if into:
        call.base = into[0].text
    if options.has("t", "list"):
        call.touch(archives, Access.READ)
        return
    call.touch(archives, Access.WRITE)
    removes = options.has("remove-files")
    if removes:
        call.signal(Signal.DESTRUCTIVE, "tar --remove-files deletes what it packs")
    call.touch(options.operands, Access.DELETE if removes else Access.READ, recursive=True)


def unzip(call: Call) -> None:
    """`unzip`, `7z x`, `unrar`: writes below `-d` or the working directory."""
    options = call.options("d x P o")
    call.touch(options.operands[:1], Access.READ)
    if not options.has("l", "t", "p", "Z", "v"):
        call.touch(options.all("d") or [Word(".")], Access.WRITE, recursive=True)


def zip_files(call: Call) -> None:
    """`zip archive files…`; `-m` deletes them, `-TT` runs a program."""
    options = call.options("x i b t n P unzip-command TT")
    archive, *members = options.operands or [Word("")]
    moves = options.has("m", "move")
    if moves and options.has("r", "recurse-paths"):
        call.signal(Signal.DESTRUCTIVE, "zip -m deletes what it packs")
    call.touch([archive], Access.WRITE)
    call.touch(members, Access.DELETE if moves else Access.READ, recursive=True)
    _runs(call, options.all("TT", "unzip-command"), [])


def compress(call: Call) -> None:
    """`gzip` and its kin replace the file they are given."""
    options = call.options("S o D T")
    keeps = options.has("c", "k", "stdout", "keep", "l", "list", "t", "test")
    call.touch(options.operands, Access.READ if keeps else Access.WRITE)
    call.touch(options.all("o"), Access.WRITE)


def seven_zip(call: Call) -> None:
    """`7z x archive -oDIR`, `7z a archive files`, `7z l archive`."""
    operands = [word for word in call.args if not word.text.startswith("-")]
    into = [Word(word.text[2:], word.known) for word in call.args if word.text.startswith("-o")]
    verb = operands[0].text if operands else "l"
    if verb in ("x", "e"):
        call.touch(operands[1:2], Access.READ)
        call.touch(into or [Word(".")], Access.WRITE, recursive=True)
    else:
        moves = any(word.text == "-sdel" for word in call.args)
        if moves:
            call.signal(Signal.DESTRUCTIVE, f"{call.name} -sdel deletes what it packs")
        call.touch(operands[1:2], Access.READ if verb in ("l", "t") else Access.WRITE)
        call.touch(operands[2:], Access.DELETE if moves else Access.READ, recursive=moves)


def cpio(call: Call) -> None:
    """`cpio -i` unpacks into the working directory, `-p DIR` copies there."""
    options = call.options("F O I E D H")
    if options.has("i", "extract"):
        call.touch(options.all("D") or [Word(".")], Access.WRITE, recursive=True)
    elif options.has("p", "pass-through"):
        call.touch(options.operands, Access.WRITE, recursive=True)


def _runs(call: Call, programs: list[Word], actions: list[Word]) -> None:
    # They get what is in the archive as their input.
    fed = Simple(
        upstream=Simple([Word("", known=False)]), cwd=call.simple.cwd, cwd_known=call.simple.cwd_known
    )
    for program in programs:
        call.reading.shell(program.text, fed)
    for action in actions:
        if action.text.startswith("exec"):
            call.opaque("tar runs a command at its checkpoints")
            call.shell(action.text.partition("=")[2])


def backups(call: Call) -> None:
    """`restic forget`, `borg delete`, `kopia snapshot delete`: nothing is restored from them any more."""
    texts = {word.text for word in call.args}
    lost = texts & {"forget", "prune", "delete", "purge", "remove", "expire", "wipe"}
    if lost and not texts & {"-n", "--dry-run"}:
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {min(lost)} deletes backups")
    unknown_program(call)


HANDLERS: dict[str, Handler] = {
    "tar": tar,
    "gtar": tar,
    "bsdtar": tar,
    "unzip": unzip,
    "unrar": unzip,
    "zip": zip_files,
    **dict.fromkeys(
        names("gzip gunzip bzip2 bunzip2 xz unxz lzma unlzma zstd unzstd lz4 brotli pigz"), compress
    ),
    **dict.fromkeys(["7z", "7za", "7zr"], seven_zip),
    "cpio": cpio,
    **dict.fromkeys(names("restic borg kopia duplicity duplicacy tarsnap"), backups),
}
