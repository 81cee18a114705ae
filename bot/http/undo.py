"""Rollback data as agents send it: flat objects that say how to undo what was done.

The data is kept exactly as it was sent; these models only say what is acceptable.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from bot.http.fields import AnyJson, Body, Text, Whole

BARE_SHA256 = r"^[0-9a-f]{64}$"

BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
"""RFC 4648, section 4, padded. Else that it cannot be decoded would come out when the file must come back."""


_TEXT_OR_NONE = {"type": "null"}, {"type": "string"}


def _originals(existed: bool, content: int, base64: int) -> dict[str, Any]:
    """One of the ways in which `existed` and the two originals go together."""
    given = [name for name, there in (("original_content", content), ("original_base64", base64)) if there]
    return {
        "properties": {
            "existed": {"const": existed},
            "original_content": _TEXT_OR_NONE[content],
            "original_base64": _TEXT_OR_NONE[base64],
        },
        "required": ["existed", *given],
    }


class FileRestore(Body):
    """Put a file back as it was, or remove it if it was not there.

    A path that ends in a slash is a directory that was there: it is made again, with its mode.
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [_originals(False, 0, 0), _originals(True, 1, 0), _originals(True, 0, 1)]}
    )

    type: Literal["file_restore"]
    path: Annotated[Text, Field(min_length=1)]
    existed: bool
    original_content: Text | None = None
    original_base64: Annotated[
        Annotated[str, Field(pattern=BASE64)] | None,
        Field(description="The same for bytes that are not UTF-8 text."),
    ] = None
    mode: Annotated[Whole, Field(ge=0, le=0o7777)] | None = None
    after_sha256: Annotated[str, Field(pattern=BARE_SHA256)] | None = None

    @model_validator(mode="after")
    def _one_original(self) -> "FileRestore":
        given = [text for text in (self.original_content, self.original_base64) if text is not None]
        if len(given) > 1:
            raise PydanticCustomError("original", "give original_content or original_base64, not both")
        if given and not self.existed:
            raise PydanticCustomError("original", "a file that did not exist has no original content")
        if self.existed and not given:
            raise PydanticCustomError(
                "original", "a file that existed needs original_content or original_base64"
            )
        return self


class CommandUndo(Body):
    """Run one program, without a shell."""

    type: Literal["command_undo"]
    argv: Annotated[list[Text], Field(min_length=1)]
    cwd: Text | None = None


class Statement(Body):
    """One SQL statement and its parameters."""

    sql: Annotated[Text, Field(min_length=1)]
    params: list[AnyJson] | None = None


class DatabaseRestore(Body):
    """Run statements in one transaction."""

    type: Literal["database_restore"]
    database: Text
    statements: Annotated[list[Statement], Field(min_length=1)]


class ConfigRestore(Body):
    """Put one setting back."""

    type: Literal["config_restore"]
    store: Text
    key: Text
    had_value: bool
    old_value: AnyJson = None
    expected: AnyJson = None


class Custom(Body):
    """Something that a handler of the agent knows how to undo."""

    type: Literal["custom"]
    handler: Annotated[Text, Field(min_length=1)]
    data: AnyJson = None


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"as:{kind}"


def _shape(value: Any) -> str:
    return "as:list" if isinstance(value, list | tuple) else "as:one"


Undo = Annotated[
    Annotated[FileRestore, Tag("as:file_restore")]
    | Annotated[CommandUndo, Tag("as:command_undo")]
    | Annotated[DatabaseRestore, Tag("as:database_restore")]
    | Annotated[ConfigRestore, Tag("as:config_restore")]
    | Annotated[Custom, Tag("as:custom")],
    Discriminator(
        _kind,
        custom_error_type="undo",
        custom_error_message="must be an object whose type is file_restore, command_undo, "
        "database_restore, config_restore or custom",
    ),
]
"""One step of an undo."""

Rollback = Annotated[
    Annotated[Undo, Tag("as:one")] | Annotated[list[Undo], Field(min_length=1), Tag("as:list")],
    Discriminator(_shape),
]
"""One step, or a list that is undone in reverse."""
