"""Undoing what an agent did, where the agent works.

Capture makes undo data while the agent changes things (`changed_file`, `deleted_path`, `config_value`,
`sql`, `command`, `custom`); a `Worker` shows and applies the undo that people asked for and confirmed.
"""

from keyturn.rollback.capture import (
    CannotCapture,
    Captured,
    changed_file,
    command,
    config_value,
    custom,
    deleted_path,
    sql,
)
from keyturn.rollback.configs import Store
from keyturn.rollback.inverse import NotDerivable
from keyturn.rollback.parts import Preview, UndoConflict, UndoFailed
from keyturn.rollback.resources import Resources
from keyturn.rollback.settingpaths import MISSING
from keyturn.rollback.worker import AsyncWorker, Worker

__all__ = [
    "MISSING",
    "AsyncWorker",
    "CannotCapture",
    "Captured",
    "NotDerivable",
    "Preview",
    "Resources",
    "Store",
    "UndoConflict",
    "UndoFailed",
    "Worker",
    "changed_file",
    "command",
    "config_value",
    "custom",
    "deleted_path",
    "sql",
]
