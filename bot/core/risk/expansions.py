"""The words of shell commands, expanded as far as they are known.

Quotes, escapes, braces, home and known variables are resolved; commands that stand inside of
words run, so they are handed back to be read. What cannot be known is marked so.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping

from tree_sitter import Node

from bot.core.risk.tables import names
from bot.core.risk.words import (
    SPLIT,
    Piece,
    Script,
    Simple,
    Word,
    ansi,
    braces,
    double_quoted,
    is_glob,
    unescape,
)

MOST_WORDS = 2_000
"""Words that are read of one text; more is unreadable."""

DEEPEST = 60
"""Nested statements and substitutions that are followed."""


_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
"""A word that no quoting, escape or expansion changes."""

_LITERALS = frozenset(
    names(
        "word number regex extglob_pattern brace_expression test_operator string_content "
        "variable_name special_variable_name heredoc_content file_descriptor"
    )
)
"""Nodes of the grammar that stand for their own text."""


class Expansions(ABC):
    """Words of one text; whoever reads its statements gives the three abstract methods."""

    def __init__(self, source: bytes, variables: Mapping[str, str]) -> None:
        self.source = source
        self.script = Script()
        self.variables = dict(variables)
        self.count = 0

    @abstractmethod
    def statement(self, node: Node, depth: int, upstream: Simple | None = None) -> Simple | None:
        """Read a statement and return its last simple command."""

    @abstractmethod
    def scoped(self, node: Node, depth: int, upstream: Simple | None) -> Simple | None:
        """Read statements that leave the working directory as it was."""

    @abstractmethod
    def hidden(self, text: str) -> None:
        """Read what the grammar takes for a plain word of an expansion: ``${x:=`rm x`}``."""

    def fault(self, fault: str) -> None:
        """Note, once, why something could not be read."""
        if fault not in self.script.faults:
            self.script.faults.append(fault)

    def words(self, node: Node, depth: int) -> list[Word]:
        """The words an argument expands to: quoted characters literal, braces expanded, `$IFS` splitting."""
        self.count += 1
        if self.count > MOST_WORDS:
            self.fault("it has too many words")
            return []
        if node.type in ("word", "number") and _PLAIN_WORD.fullmatch(text := self.text(node)):
            return [Word(text)]
        piece = Piece()
        self._evaluate(node, piece, depth)
        return [
            Word(unescape(part), piece.known, is_glob(part), piece.substituted)
            for template in braces(piece.template)
            for part in template.split(SPLIT)
            if part or SPLIT not in template
        ]

    def _evaluate(self, node: Node, piece: Piece, depth: int, *, quoted: bool = False) -> None:
        match node.type:
            case "raw_string":
                piece.quoted(self.text(node)[1:-1])
            case "ansi_c_string":
                piece.quoted(ansi(self.text(node)[2:-1]))
            case "string":
                self._string(node, piece, depth)
            case "translated_string" | "concatenation" | "array":
                self._concatenation(node, piece, depth)
            case "simple_expansion" | "expansion":
                self._expansion(node, piece, depth, quoted=quoted)
            case "command_substitution":
                self._command_output(node, piece, depth, quoted=quoted)
            case "arithmetic_expansion":
                self.substitutions(node, depth)
                piece.unknown(self.text(node))
            case "process_substitution":
                # `>(…)` reads what its command writes, and nobody can tell what that will be.
                fed = self.text(node).startswith(">")
                self.scoped(node, depth + 1, Simple([Word("", known=False)]) if fed else None)
                piece.substituted = True
                piece.quoted("/dev/fd/63")
            case _:
                if node.is_named and node.type not in _LITERALS:
                    self.fault("something stands among its arguments that is no argument")
                    self.statement(node, depth + 1)
                piece.plain(self.text(node))

    def _string(self, node: Node, piece: Piece, depth: int) -> None:
        # The grammar leaves white space at the start of a string out of its children.
        at = node.start_byte + 1
        for child in node.named_children:
            if child.type == "string_content":
                continue
            piece.quoted(double_quoted(self.between(at, child.start_byte)))
            self._evaluate(child, piece, depth, quoted=True)
            at = child.end_byte
        piece.quoted(double_quoted(self.between(at, node.end_byte - 1)))

    def _concatenation(self, node: Node, piece: Piece, depth: int) -> None:
        at = node.start_byte
        for child in node.children:
            if child.start_byte > at:
                piece.plain(self.between(at, child.start_byte))
            if child.type not in ("$", "(", ")"):
                self._evaluate(child, piece, depth)
            at = child.end_byte

    def _expansion(self, node: Node, piece: Piece, depth: int, *, quoted: bool) -> None:
        names = [self.text(c) for c in node.named_children if "variable_name" in c.type]
        name = names[0] if names else ""
        simple = node.type == "simple_expansion" or len(node.named_children) == 1
        self.count += 1
        if self.count > MOST_WORDS:
            self.fault("it has too many words")
            return
        if name == "HOME" and simple and not piece.template:
            piece.plain("~")
        elif simple and name in self.variables:
            piece.guess(self.variables[name], quoted=quoted and name != "@")
        else:
            self.substitutions(node, depth)
            piece.unknown(self.text(node))

    def _command_output(self, node: Node, piece: Piece, depth: int, *, quoted: bool) -> None:
        """What a substitution writes: guessed when it is one echo or printf of plain text."""
        before = len(self.script.commands)
        self.statement(node, depth + 1)
        inside = self.script.commands[before:]
        written = inside[0].written if len(inside) == 1 else None
        if written is None:
            piece.unknown(self.text(node))
        else:
            piece.guess(written, quoted=quoted)

    def substitutions(self, node: Node, depth: int) -> None:
        """Read every command that stands inside an expansion."""
        for child in node.named_children:
            if child.type in ("command_substitution", "process_substitution"):
                self.statement(child, depth + 1)
            elif depth < DEEPEST:
                if child.type in ("command", "pipeline", "list", "redirected_statement", "subshell"):
                    self.statement(child, depth + 1)
                elif node.type == "expansion" and not child.named_children:
                    self.hidden(self.text(child))
                else:
                    self.substitutions(child, depth + 1)

    def text(self, node: Node) -> str:
        """What a node stands for, as it is written."""
        return self.between(node.start_byte, node.end_byte)

    def between(self, start: int, end: int) -> str:
        """The text between two of its bytes."""
        return self.source[start:end].decode("utf-8", "replace")
