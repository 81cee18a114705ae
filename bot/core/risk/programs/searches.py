"""Programs that only read, unless an option says otherwise."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.programs.unknown import looks_like_path
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word

READERS = frozenset(
    names(
        "ls dir cat bat grep egrep fgrep zgrep rg ag ack head tail less more most stat file wc du df "
        "tree nl tac rev cut paste join comm sort uniq diff cmp sdiff colordiff xxd od hexdump hd "
        "strings md5sum md5 sha1sum sha224sum sha256sum sha384sum sha512sum shasum cksum sum b2sum "
        "realpath readlink basename dirname test [ which whereis find fd fdfind locate column fold "
        "fmt expand unexpand tr jq yq xq zcat bzcat xzcat zless namei lsof getfacl getfattr lsattr "
        "ldd nm objdump readelf size exa eza lsd look tsort zdiff type exiftool identify cloc tokei "
        "scc pdftotext xmllint base64 base32 iconv dos2unix view get-content get-childitem"
    )
)


def search(call: Call) -> None:
    """Readers of files: every operand that may be a path is read."""
    call.touch(_operands(call), Access.READ)


def page(call: Call) -> None:
    """`less`, `more`, `man`: they only show, unless they are told to start with a command or through one."""
    options = call.options("P pager html H" if call.name == "man" else "P pager")
    for program in options.all("pager", *(["P", "H", "html"] if call.name == "man" else [])):
        call.shell(program.text)
    if any(re.match(r"\+.*!", word.text) for word in call.args):
        call.opaque(f"{call.name} starts with a command of the shell")
    if call.name != "man":
        call.touch([w for w in options.operands if not w.text.startswith("+")], Access.READ)


def divide(call: Call) -> None:
    """`split` and `csplit`: pieces are written beside, or handed to a program."""
    options = call.options("a b C l n t filter suffix-length bytes lines number f prefix")
    for program in options.all("filter"):
        call.shell(program.text)
    call.touch(options.operands[:1], Access.READ)
    call.touch([*options.operands[1:2], *options.all("f", "prefix")], Access.WRITE)


def grep(call: Call) -> None:
    """grep and its kin: the first operand is a pattern."""
    options = call.options(
        "e f m A B C D d regexp file max-count include exclude exclude-dir color type glob g t T j pre"
    )
    operands = list(options.operands)
    if not options.has("e", "regexp", "f", "file") and operands:
        operands.pop(0)
    for preprocessor in options.all("pre"):
        call.shell(preprocessor.text)
    call.touch([*operands, *options.all("f", "file")], Access.READ)


def filter_json(call: Call) -> None:
    """`jq`, `yq`, `awk`-like filters: the first operand is a program; `yq -i` writes."""
    options = call.options("f from-file arg argjson slurpfile L indent")
    in_place = options.has("i", "inplace", "in-place")
    call.touch(options.operands[1:], Access.WRITE if in_place else Access.READ)


def sort(call: Call) -> None:
    """`sort`: `-o` writes, `--compress-program` runs."""
    options = call.options(
        "o k t S T output key field-separator buffer-size temporary-directory compress-program"
    )
    call.touch(options.operands, Access.READ)
    call.touch(options.all("o", "output"), Access.WRITE)
    for program in options.all("compress-program"):
        call.inner([program])


def xxd(call: Call) -> None:
    """`xxd in out`, `uniq in out`, `iconv -o`: what is second is written."""
    options = call.options("c g l s o output f t")
    call.touch(options.operands[:1], Access.READ)
    call.touch([*options.operands[1:2], *options.all("output")], Access.WRITE)


def in_place(call: Call) -> None:
    """`dos2unix`: its operands are rewritten."""
    call.touch(call.options().operands, Access.WRITE)


def find(call: Call) -> None:
    """`find`: `-delete`, `-exec` and `-fprint` are what it does; else it reads."""
    texts = [word.text for word in call.args]
    ends = [at for at, text in enumerate(texts) if (at and text.startswith("-") and text not in _FIND_FLAGS)
            or text in ("(", "!", ")")]  # fmt: skip
    if texts and texts[0].startswith("-") and texts[0] not in _FIND_FLAGS:
        ends.insert(0, 0)
    first = ends[0] if ends else len(texts)
    roots = [word for word in call.args[:first] if word.text not in _FIND_FLAGS] or [Word(".")]
    call.touch(roots, Access.READ, recursive=True)
    at = first
    while at < len(texts):
        at = _find_action(call, roots, texts, at)


_FIND_FLAGS = frozenset({"-L", "-H", "-P", "-O1", "-O2", "-O3"})


def _find_action(call: Call, roots: list[Word], texts: list[str], at: int) -> int:
    action = texts[at]
    if action == "-delete":
        call.signal(Signal.DESTRUCTIVE, "find -delete deletes everything it finds")
        call.touch(roots, Access.DELETE, recursive=True)
    elif action in ("-fprint", "-fprintf", "-fls", "-fprint0") and at + 1 < len(texts):
        call.touch([call.args[at + 1]], Access.WRITE)
    elif action in ("-exec", "-execdir", "-ok", "-okdir"):
        return _find_runs(call, roots, texts, at + 1)
    return at + 1


def _find_runs(call: Call, roots: list[Word], texts: list[str], start: int) -> int:
    end = next((n for n in range(start, len(texts)) if texts[n] in (";", "+")), len(texts))
    words = call.args[start:end]
    found = [Word(root.text.rstrip("/") + "/*", root.known, glob=True) for root in roots]
    inner: list[Word] = []
    for word in words:
        if word.text == "{}":
            inner.extend(found)
        elif "{}" in word.text:
            inner.append(Word(word.text, known=False))
        else:
            inner.append(word)
    name = inner[0].text.rsplit("/", 1)[-1] if inner else ""
    if name in ("rm", "unlink", "rmdir", "shred"):
        call.signal(Signal.DESTRUCTIVE, "find deletes everything it finds")
        call.touch(roots, Access.DELETE, recursive=True)
    elif name in ("chmod", "chown", "chgrp", "mv", "sed", "truncate", "touch", "tee", "ln"):
        call.touch(roots, Access.WRITE, recursive=True)
    call.inner_many(inner)
    return end + 1


def find_quick(call: Call) -> None:
    """`fd`: `-x` and `-X` run a program on what is found."""
    for at, word in enumerate(call.args):
        if word.text in ("-x", "-X", "--exec", "--exec-batch"):
            call.touch(call.args[1:at], Access.READ, recursive=True)
            rest = call.args[at + 1 :]
            if rest and rest[0].text.rsplit("/", 1)[-1] in ("rm", "unlink", "rmdir", "shred"):
                call.signal(Signal.DESTRUCTIVE, "fd deletes everything it finds")
            call.inner_many([*rest, Word("$FOUND", known=False)])
            return
    call.touch(call.options("e t d E S c j").operands[1:], Access.READ, recursive=True)


def awk(call: Call) -> None:
    """`awk`: its program can run commands and write files."""
    options = call.options("F f v field-separator file assign i include e source")
    operands = list(options.operands)
    programs = options.all("e", "source")
    if not options.has("f", "file") and not programs and operands:
        programs = [operands.pop(0)]
    for program in programs:
        if re.search(
            r"\bsystem\s*\(|\|\s*&?\s*(getline|\"|')|[\"'\w)]\s*\|&?|@load|\|&",
            program.text.replace("||", ""),
        ):
            call.opaque("awk runs commands from its program")
        for target in re.findall(r">>?\s*\"([^\"]+)\"", program.text):
            call.touch([Word(target)], Access.WRITE)
        if not program.known:
            call.facts.unreadable_paths = True
    for script in options.all("f", "file"):
        call.reading.run_file(script, call.simple)
    call.touch([*(w for w in operands if "=" not in w.text), *options.all("f", "file")], Access.READ)


def _operands(call: Call) -> list[Word]:
    found = []
    for word in call.args:
        if not word.text.startswith("-") or word.text == "-":
            if word.text != "-":
                found.append(word)
            continue
        _, equals, value = word.text.partition("=")
        if equals and looks_like_path(value):
            found.append(Word(value, word.known, word.glob))
    return found


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(READERS, search),
    **dict.fromkeys(names("grep egrep fgrep zgrep rg ag ack"), grep),
    **dict.fromkeys(["jq", "yq", "xq"], filter_json),
    **dict.fromkeys(["awk", "gawk", "mawk", "nawk"], awk),
    **dict.fromkeys(["less", "more", "most", "man"], page),
    **dict.fromkeys(["split", "csplit"], divide),
    "sort": sort,
    "xxd": xxd,
    "uniq": xxd,
    "dos2unix": in_place,
    "find": find,
    "fd": find_quick,
    "fdfind": find_quick,
}
