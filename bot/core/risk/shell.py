"""Shell text as simple commands.

tree-sitter's bash grammar does the parsing; this module resolves quoting, escapes, braces,
home and known variables, and follows functions, loops, subshells, substitutions and
here-documents, because whatever stands in them runs. What cannot be known is marked so.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import bracex
import tree_sitter_bash
from tree_sitter import Language, Node, Parser

LONGEST = 65_536
"""Bytes of shell text that are read; more is unreadable."""

MOST_COMMANDS = 1_000
"""Simple commands that are read of one text; more is unreadable."""

_DEEPEST = 60
"""Nested statements and substitutions that are followed."""

_PARSER = Parser(Language(tree_sitter_bash.language()))
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,-]+(?: +[A-Za-z0-9_./:@%+,=-]+)*")
"""Words without anything a shell would interpret."""

_RESERVED = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "in",
        "select",
        "function",
        "coproc",
    ]
)
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
_IFS = re.compile(r"\$(?:IFS\b|\{IFS[^}]*\})(?:\$\d)?")
_DRIVE_PATH = re.compile(r"""(?<![\w\\])[A-Za-z]:\\[^\s"';|&<>]*""")
_SPLIT = "\ue000"
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


@dataclass(slots=True)
class Script:
    """What a shell text runs. `faults` says, for people, why parts of it could not be read."""

    commands: list[Simple] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    fork_bomb: bool = False


def is_plain(text: str) -> bool:
    """Whether text has nothing in it that a shell would interpret."""
    return _PLAIN.fullmatch(text) is not None


def parse(text: str) -> Script:
    """Read shell text; never raises."""
    if _PLAIN.fullmatch(text) and not _special(words := text.split()):
        return Script([Simple([Word(word) for word in words])])
    # The grammar loses its way after `$IFS` inside a word; all it ever means is a space.
    # A Windows path's backslashes would be taken for escapes.
    plain = _DRIVE_PATH.sub(lambda found: found[0].replace("\\", "/"), _IFS.sub(" ", text))
    source = plain.encode("utf-8", "surrogatepass")
    if len(source) > LONGEST:
        return Script(faults=["it is too long to be read"])
    reader = _Reader(source)
    root = _PARSER.parse(source).root_node
    if root.has_error:
        reader.script.faults.append("it is not valid shell")
    reader.statement(root, 0)
    if root.has_error:
        reader.script.commands.extend(_guessed(plain))
    return reader.script


_SEPARATORS = re.compile(r"[;&|(){}`\n]|\$\(|\b(?:then|do|else|if|while)\b")


def _guessed(text: str) -> Iterator[Simple]:
    """What text that is no shell might run all the same: whatever stands between operators."""
    for part in _SEPARATORS.split(text)[:MOST_COMMANDS]:
        words = re.sub(r"[\"'\\]", "", part).split()
        if words:
            yield Simple([Word(word, glob=_is_glob(word)) for word in words])


def _special(words: list[str]) -> bool:
    return words[0] in _RESERVED or words[0] in ("cd", "pushd") or "=" in words[0]


_LITERALS = frozenset(
    "word number regex extglob_pattern brace_expression test_operator string_content variable_name "
    "special_variable_name heredoc_content file_descriptor".split()
)
"""Nodes of the grammar that stand for their own text."""


class _Reader:
    def __init__(self, source: bytes) -> None:
        self.source = source
        self.script = Script()
        self.variables: dict[str, str] = {}
        self.cwd: str | None = None
        self.cwd_known = True
        self.loops = 0

    # -- statements ---------------------------------------------------------------------

    def statement(self, node: Node, depth: int, upstream: Simple | None = None) -> Simple | None:
        """Read a statement and return its last simple command."""
        if depth > _DEEPEST or len(self.script.commands) > MOST_COMMANDS:
            self._fault("it is nested too deeply or has too many commands")
            return None
        match node.type:
            case "command" | "declaration_command" | "unset_command":
                return self._command(node, depth, upstream)
            case "redirected_statement":
                return self._redirected(node, depth, upstream)
            case "pipeline":
                return self._pipeline(node, depth, upstream)
            case "variable_assignment":
                return self._bare_assignment(node, depth)
            case "for_statement" | "while_statement" | "c_style_for_statement":
                self.loops += 1
                last = (self._for if node.type == "for_statement" else self._children)(node, depth, upstream)
                self.loops -= 1
                return last
            case "function_definition":
                self._function(node, depth)
                return None
            case "subshell" | "command_substitution" | "process_substitution":
                return self._scoped(node, depth, upstream)
            case (
                "word"
                | "string"
                | "raw_string"
                | "concatenation"
                | "simple_expansion"
                | "expansion"
                | "ERROR"
            ):
                self._substitutions(node, depth)
                return None
        return self._children(node, depth, upstream)

    def _children(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
        last = None
        for child in node.named_children:
            last = self.statement(child, depth + 1, upstream) or last
        return last

    def _scoped(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
        before = self.cwd, self.cwd_known
        last = self._children(node, depth, upstream)
        self.cwd, self.cwd_known = before
        return last

    def _pipeline(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
        before = self.cwd, self.cwd_known
        for child in node.named_children:
            upstream = self.statement(child, depth + 1, upstream) or upstream
        self.cwd, self.cwd_known = before
        return upstream

    def _for(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
        variable = node.child_by_field_name("variable")
        body = node.child_by_field_name("body")
        values = [w for v in node.children_by_field_name("value") for w in self.words(v, depth)]
        if body is None or variable is None:
            return None
        last = None
        for value in values[:8] or [Word("", known=False)]:
            self._assign(self._text(variable), value)
            last = self.statement(body, depth + 1, upstream)
        return last

    def _function(self, node: Node, depth: int) -> None:
        body = node.child_by_field_name("body")
        name = node.child_by_field_name("name")
        if body is None or name is None:
            return
        called = self._text(name)
        before = len(self.script.commands)
        self.statement(body, depth + 1)
        inside = self.script.commands[before:]
        if any(c.words and c.words[0].text == called for c in inside) and b"&" in self.source:
            self.script.fork_bomb = True

    def _bare_assignment(self, node: Node, depth: int) -> Simple:
        command = self._new()
        command.assignments.append(self._assignment(node, depth))
        return command

    def _redirected(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
        body = node.child_by_field_name("body")
        before = len(self.script.commands)
        last = self.statement(body, depth + 1, upstream) if body is not None else self._new()
        carrier = last or self._new()
        targets = self.script.commands[before:] or [carrier]
        for redirect in node.children_by_field_name("redirect"):
            last = self._redirect(redirect, carrier, targets, depth) or last
        return last

    def _redirect(self, node: Node, carrier: Simple, inside: list[Simple], depth: int) -> Simple | None:
        """Attach a redirection to its command; return the command that a here-document's line pipes into."""
        if node.type == "file_redirect":
            operator = next((self._text(c) for c in node.children if not c.is_named), ">")
            for target in node.children_by_field_name("destination"):
                carrier.redirects.extend(Redirect(operator, word) for word in self.words(target, depth))
            return None
        if node.type == "herestring_redirect":
            for child in node.named_children:
                for word in self.words(child, depth):
                    _feed(inside, word.text)
            return None
        return self._here_document(node, carrier, inside, depth)

    def _here_document(self, node: Node, carrier: Simple, inside: list[Simple], depth: int) -> Simple | None:
        last: Simple | None = None
        for child in node.named_children:
            if child.type == "heredoc_body":
                _feed(inside, self._text(child))
                self._substitutions(child, depth)
            elif child.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
                self._redirect(child, carrier, inside, depth)
            elif child.type in ("heredoc_start", "heredoc_end", "file_descriptor"):
                continue
            elif child.type in ("command", "pipeline", "list", "redirected_statement", "subshell"):
                last = self.statement(child, depth + 1, carrier)
            else:
                carrier.words.extend(self.words(child, depth))
        return last

    def _command(self, node: Node, depth: int, upstream: Simple | None) -> Simple:
        command = self._new(upstream, listed=False)
        if node.type != "command":
            command.words.append(Word(self._text(node.children[0])))
        end = -1
        for child in node.named_children:
            if (
                child.start_byte == end
                and child.type != "variable_assignment"
                and "redirect" not in child.type
            ):
                self._fault("its words cannot be told apart")
            end = child.end_byte
            self._part(child, command, depth)
        self.script.commands.append(command)
        self._change_directory(command)
        return command

    def _part(self, node: Node, command: Simple, depth: int) -> None:
        if node.type == "variable_assignment":
            command.assignments.append(self._assignment(node, depth))
        elif node.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
            self._redirect(node, command, [command], depth)
        elif node.type == "command_name":
            for child in node.children or [node]:
                command.words.extend(self.words(child, depth))
        elif node.type != "comment":
            command.words.extend(self.words(node, depth))

    def _new(self, upstream: Simple | None = None, *, listed: bool = True) -> Simple:
        command = Simple(upstream=upstream, cwd=self.cwd, cwd_known=self.cwd_known, looped=self.loops > 0)
        if listed:
            self.script.commands.append(command)
        return command

    def _assignment(self, node: Node, depth: int) -> tuple[str, Word]:
        name = self._text(node.children[0])
        value = node.child_by_field_name("value")
        words = list(self.words(value, depth)) if value is not None else []
        word = Word(" ".join(w.text for w in words), all(w.known for w in words))
        self._assign(name, word)
        return name, word

    def _assign(self, name: str, value: Word) -> None:
        if value.known:
            self.variables[name] = value.text
        else:
            self.variables.pop(name, None)

    def _change_directory(self, command: Simple) -> None:
        names = [word.text for word in command.words]
        if not names or names[0] not in ("cd", "pushd"):
            return
        targets = [word for word in command.words[1:] if not word.text.startswith("-") or word.text == "-"]
        target = targets[0] if targets else Word("~")
        self.cwd_known = self.cwd_known and target.known and not target.glob and target.text != "-"
        anchored = target.text.startswith(("/", "~"))
        self.cwd_known = self.cwd_known or (anchored and target.known and not target.glob)
        self.cwd = target.text if anchored or self.cwd is None else f"{self.cwd}/{target.text}"

    def _fault(self, fault: str) -> None:
        if fault not in self.script.faults:
            self.script.faults.append(fault)

    # -- words --------------------------------------------------------------------------

    def words(self, node: Node, depth: int) -> Iterator[Word]:
        """The words an argument expands to: quoted characters literal, braces expanded, `$IFS` splitting."""
        piece = _Piece()
        self._evaluate(node, piece, depth)
        for template in _braces(piece.template):
            for part in template.split(_SPLIT):
                if part or _SPLIT not in template:
                    yield Word(_unescape(part), piece.known, _is_glob(part), piece.substituted)

    def _evaluate(self, node: Node, piece: "_Piece", depth: int) -> None:
        match node.type:
            case "raw_string":
                piece.quoted(self._text(node)[1:-1])
            case "ansi_c_string":
                piece.quoted(_ansi(self._text(node)[2:-1]))
            case "string":
                self._string(node, piece, depth)
            case "translated_string" | "concatenation" | "array":
                self._concatenation(node, piece, depth)
            case "simple_expansion" | "expansion":
                self._expansion(node, piece, depth)
            case "command_substitution" | "arithmetic_expansion":
                self._substitutions(node, depth)
                piece.unknown(self._text(node))
            case "process_substitution":
                self._scoped(node, depth + 1, None)
                piece.substituted = True
                piece.quoted("/dev/fd/63")
            case _:
                if node.is_named and node.type not in _LITERALS:
                    self._fault("something stands among its arguments that is no argument")
                    self.statement(node, depth + 1)
                piece.plain(self._text(node))

    def _string(self, node: Node, piece: "_Piece", depth: int) -> None:
        # The grammar leaves white space at the start of a string out of its children.
        at = node.start_byte + 1
        for child in node.named_children:
            if child.type == "string_content":
                continue
            piece.quoted(_double_quoted(self._between(at, child.start_byte)))
            self._evaluate(child, piece, depth)
            at = child.end_byte
        piece.quoted(_double_quoted(self._between(at, node.end_byte - 1)))

    def _concatenation(self, node: Node, piece: "_Piece", depth: int) -> None:
        at = node.start_byte
        for child in node.children:
            if child.start_byte > at:
                piece.plain(self._between(at, child.start_byte))
            if child.type not in ("$", "(", ")"):
                self._evaluate(child, piece, depth)
            at = child.end_byte

    def _expansion(self, node: Node, piece: "_Piece", depth: int) -> None:
        names = [self._text(c) for c in node.named_children if "variable_name" in c.type]
        name = names[0] if names else ""
        simple = node.type == "simple_expansion" or len(node.named_children) == 1
        if name == "HOME" and simple and not piece.template:
            piece.plain("~")
        elif simple and name in self.variables:
            piece.guess(self.variables[name])
        else:
            self._substitutions(node, depth)
            piece.unknown(self._text(node))

    def _substitutions(self, node: Node, depth: int) -> None:
        """Read every command that stands inside an expansion."""
        for child in node.named_children:
            if child.type in ("command_substitution", "process_substitution"):
                self.statement(child, depth + 1)
            elif depth < _DEEPEST:
                if child.type in ("command", "pipeline", "list", "redirected_statement", "subshell"):
                    self.statement(child, depth + 1)
                else:
                    self._substitutions(child, depth + 1)

    def _text(self, node: Node) -> str:
        return self._between(node.start_byte, node.end_byte)

    def _between(self, start: int, end: int) -> str:
        return self.source[start:end].decode("utf-8", "replace")


@dataclass(slots=True)
class _Piece:
    """A word being put together. In the template a backslash protects a character from meaning anything."""

    template: str = ""
    known: bool = True
    substituted: bool = False

    def plain(self, text: str) -> None:
        """Unquoted text: its own backslashes protect, a line continuation vanishes."""
        self.template += text.replace("\\\n", "")

    def quoted(self, text: str) -> None:
        self.template += re.sub(r"([\\*?\[\]{},.~$!(|)])", r"\\\1", text)

    def guess(self, text: str) -> None:
        """A variable's value as far as it is known."""
        self.template += text.replace(" ", _SPLIT)
        self.known = False

    def unknown(self, source: str) -> None:
        self.quoted(source)
        self.known = False


def _feed(commands: Iterable[Simple], text: str) -> None:
    for command in commands:
        if command.stdin is None and command.upstream is None:
            command.stdin = text


def _braces(template: str) -> list[str]:
    if "{" not in template:
        return [template]
    try:
        return list(bracex.iexpand(template, keep_escapes=True, limit=200))
    except (bracex.ExpansionLimitException, ValueError):
        return [template.replace("{", "\\{"), "*"]


def _unescape(template: str) -> str:
    return re.sub(r"\\(.)", r"\1", template, flags=re.DOTALL) if "\\" in template else template


def _is_glob(template: str) -> bool:
    return re.search(r"[*?\[]|[@!+]\(", re.sub(r"\\.", "", template, flags=re.DOTALL)) is not None


def _double_quoted(text: str) -> str:
    return re.sub(r"\\([\\\"$`\n])", lambda m: "" if m[1] == "\n" else m[1], text)


def _ansi(text: str) -> str:
    return _ANSI.sub(_ansi_character, text)


def _ansi_character(found: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if found[group]:
            code = int(found[group], base)
            return chr(code) if code < 0x110000 else "\ufffd"
    if found[5]:
        return chr(ord(found[5]) & 31)
    return _ANSI_LETTERS.get(found[6], found[6])
