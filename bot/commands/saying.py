"""How commands speak: what programs read goes to standard output, all else to standard error.

What a person can fix is one clear message and exit code 2, never a traceback.
"""

import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from bot.config import ConfigError
from bot.core.errors import KeyturnError
from bot.core.policy import PolicyError
from bot.store import CannotOpen

_SENTENCE = 400
"""Characters of the first sentence of a command's help, which is all that is listed."""


class Commands(TyperGroup):
    """A group of commands whose help says in a whole sentence what each is for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List every command; the sentences are wrapped, where typer would cut them off."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(_SENTENCE)) for name, command in self.commands.items()]
            )


class clear_errors:  # reads as a statement: `with clear_errors():`
    """Turns what a person can fix into one message and exit code 2."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case ConfigError() | CannotOpen() | PolicyError() | ValueError():
                refuse(str(error))
            case KeyturnError():
                refuse(error.message)
            case BrokenPipeError():
                # Whoever reads has read enough (`| head`), and nothing more can be written there.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(141)
            case OSError():
                refuse(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def refuse(message: str) -> NoReturn:
    """Say what to fix and end."""
    typer.echo(f"keyturn: {message}", err=True)
    raise typer.Exit(2)


def say(line: str) -> None:
    """A line for people or programs, out at once even through a pipe."""
    typer.echo(line)
    sys.stdout.flush()
