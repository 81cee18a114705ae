"""Shell text as simple commands.

tree-sitter's bash grammar does the parsing; this module follows functions, loops, subshells,
substitutions and here-documents, because whatever stands in them runs. What cannot be read is
said so. `expansions` reads the words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from bot.core.risk.expansions import DEEPEST, Expansions
from bot.core.risk.tables import names
from bot.core.risk.words import Redirect, Script, Simple, Word, braces, is_glob

LONGEST = 65_536
"""Bytes of shell text that are read; more is unreadable."""

MOST_COMMANDS = 500
"""Simple commands that are read of one text; more is unreadable."""

_MOST_REDIRECTS = 200
"""Redirections that are read of one text; more is unreadable."""

_PARSER = Parser(Language(tree_sitter_bash.language()))
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,-]+(?: +[A-Za-z0-9_./:@%+,=-]+)*")
"""Words without anything a shell would interpret."""

_RESERVED = frozenset(
    names("if then else elif fi for while until do done case esac in select function coproc")
)
_MOVING = frozenset({"cd", "pushd"})
_IFS = re.compile(r"\$(?:IFS\b|\{IFS[^}]*\})(?:\$\d)?")
_DRIVE_PATH = re.compile(r"""(?<![\w\\])[A-Za-z]:\\[^\s"';|&<>]*""")


def is_plain(text: str) -> bool:
    """Whether text has nothing in it that a shell would interpret."""
    return _PLAIN.fullmatch(text) is not None


def parse(text: str, variables: Mapping[str, str] | None = None) -> Script:
    """Read shell text; never raises. `variables` are known from outside."""
    if _PLAIN.fullmatch(text) and not _special(words := text.split()):
        return Script([Simple([Word(word) for word in words])])
    # The grammar loses its way after `$IFS` inside a word; all it ever means is a space.
    # A Windows path's backslashes would be taken for escapes.
    plain = _IFS.sub(" ", text) if "IFS" in text else text
    if ":\\" in plain:
        plain = _DRIVE_PATH.sub(lambda found: found[0].replace("\\", "/"), plain)
    source = plain.encode("utf-8", "surrogatepass")
    if len(source) > LONGEST:
        return Script(faults=["it is too long to be read"])
    if _takes_too_long(plain):
        return Script(
            list(islice(_guessed(plain), MOST_COMMANDS)),
            ["it is nested too deeply, or has too many here-documents or pipes"],
        )
    reader = _Reader(source, variables or {})
    root = _PARSER.parse(source).root_node
    if root.has_error and (spelled := _COMMAND_IN_BRACES.sub(_spelled_out, plain)) != plain:
        return parse(spelled, variables)
    if root.has_error:
        reader.script.faults.append("it is not valid shell")
    reader.statement(root, 0)
    if root.has_error:
        found = reader.script.commands
        found.extend(islice(_guessed(plain), max(0, MOST_COMMANDS - len(found))))
    return reader.script


def _takes_too_long(text: str) -> bool:
    """Whether brackets, here-documents or pipes are more than the grammar reads in reasonable time."""
    if text.count("|") > MOST_COMMANDS and any(line.count("|") > MOST_COMMANDS for line in text.split("\n")):
        return True
    if text.count("<<") > DEEPEST and len(_HERE_DOCUMENT.findall(text)) > DEEPEST:
        return True
    if text.count("(") + text.count("{") <= DEEPEST:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(text):
        depth = max(0, depth + (1 if bracket in "({" else -1))
        if depth > DEEPEST:
            return True
    return False


_BRACKETS = re.compile(r"[(){}]")
_HERE_DOCUMENT = re.compile(r"(?<!<)<<(?!<)")

_COMMAND_IN_BRACES = re.compile(r"(^|[;&|(\n])(\s*)(\{[^\s{}\"'`$\\]+,[^\s{}\"'`$\\]*\})")
"""`{rm,-rf,/}` in a command's place, which the grammar takes for a group of commands."""


def _spelled_out(found: re.Match[str]) -> str:
    return found[1] + found[2] + " ".join(braces(found[3]))


_SEPARATORS = re.compile(r"[;&|(){}`\n]|\$\(|\b(?:then|do|else|if|while)\b")


_QUOTES = re.compile(r"[\"'\\]")


def _guessed(text: str) -> Iterator[Simple]:
    """What text that is no shell might run all the same: whatever stands between operators."""
    for part in _SEPARATORS.split(text):
        words = _QUOTES.sub("", part).split()
        if words:
            yield Simple([Word(word, glob=is_glob(word)) for word in words])


def _special(words: list[str]) -> bool:
    return words[0] in _RESERVED or words[0] in _MOVING or "=" in words[0]


class _Reader(Expansions):
    def __init__(self, source: bytes, variables: Mapping[str, str]) -> None:
        super().__init__(source, variables)
        self.cwd: str | None = None
        self.cwd_known = True
        self.loops = 0
        self.redirects = 0

    def statement(self, node: Node, depth: int, upstream: Simple | None = None) -> Simple | None:
        """Read a statement and return its last simple command."""
        if depth > DEEPEST or len(self.script.commands) > MOST_COMMANDS:
            self.fault("it is nested too deeply or has too many commands")
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
                return self.scoped(node, depth, upstream)
            case (
                "word"
                | "string"
                | "raw_string"
                | "concatenation"
                | "simple_expansion"
                | "expansion"
                | "ERROR"
            ):
                self.substitutions(node, depth)
                return None
        return self._children(node, depth, upstream)

    def _children(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
        last = None
        for child in node.named_children:
            last = self.statement(child, depth + 1, upstream) or last
        return last

    def scoped(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
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
            self._assign(self.text(variable), value)
            last = self.statement(body, depth + 1, upstream)
        return last

    def _function(self, node: Node, depth: int) -> None:
        body = node.child_by_field_name("body")
        name = node.child_by_field_name("name")
        if body is None or name is None:
            return
        called = self.text(name)
        before = len(self.script.commands)
        self.statement(body, depth + 1)
        inside = self.script.commands[before:]
        for redirect in node.children_by_field_name("redirect"):
            self._redirect(redirect, inside[-1] if inside else self._new(), inside, depth)
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
            adjoins = body is not None and redirect.start_byte == body.end_byte
            if adjoins and carrier.words and carrier.words[-1].text.isdecimal():
                # `echo 0> x`: what the grammar takes for an argument says which output it is.
                carrier.words.pop()
            last = self._redirect(redirect, carrier, targets, depth) or last
        if carrier.words[:1] and carrier.words[0].text in _MOVING:
            self.cwd, self.cwd_known = carrier.cwd, carrier.cwd_known
            self._change_directory(carrier)  # again, with the words behind its redirections
        return last

    def _redirect(self, node: Node, carrier: Simple, inside: list[Simple], depth: int) -> Simple | None:
        """Attach a redirection to its command; return the command that a here-document's line pipes into."""
        self.redirects += 1
        if self.redirects > _MOST_REDIRECTS:
            self.fault("it has too many redirections")
            return None
        if node.type == "file_redirect":
            operator = next((self.text(c) for c in node.children if not c.is_named), ">")
            targets = node.children_by_field_name("destination")
            for target in targets[:1]:
                carrier.redirects.extend(Redirect(operator, word) for word in self.words(target, depth))
            # The grammar takes the words behind a redirection for files: those of `rm 2>log -rf x`.
            carrier.words.extend(word for more in targets[1:] for word in self.words(more, depth))
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
                _feed(inside, self.text(child))
                self.substitutions(child, depth)
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
            command.words.append(Word(self.text(node.children[0])))
        end = -1
        for child in node.named_children:
            if (
                child.start_byte == end
                and child.type != "variable_assignment"
                and "redirect" not in child.type
            ):
                self.fault("its words cannot be told apart")
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
        name = self.text(node.children[0])
        self.substitutions(node.children[0], depth)  # of `a[$(rm x)]=1`
        value = node.child_by_field_name("value")
        words = self.words(value, depth) if value is not None else []
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
        if not names or names[0] not in _MOVING:
            return
        targets = [word for word in command.words[1:] if not word.text.startswith("-") or word.text == "-"]
        target = targets[0] if targets else Word("~")
        self.cwd_known = self.cwd_known and target.known and not target.glob and target.text != "-"
        anchored = target.text.startswith(("/", "~"))
        self.cwd_known = self.cwd_known or (anchored and target.known and not target.glob)
        self.cwd = target.text if anchored or self.cwd is None else f"{self.cwd}/{target.text}"

    def hidden(self, text: str) -> None:
        """Read what the grammar takes for a plain word of an expansion: `${x:=`rm x`}`."""
        if "`" in text or "$(" in text:
            found = parse(text, self.variables)
            self.script.commands.extend(found.commands)
            self.script.faults.extend(found.faults)


def _feed(commands: Iterable[Simple], text: str) -> None:
    for command in commands:
        if command.stdin is None and command.upstream is None:
            command.stdin = text
