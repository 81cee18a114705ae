"""The JSON Schemas that are shipped under `policies/schema`, so that editors complete and check YAML."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from bot.core.policy import PolicyFile, WorkspaceFile, json_schema
from bot.core.policy.format import editor_schema
from bot.services.policy_tests import Case, CaseFile
from bot.services.policy_words import DESCRIPTIONS


def _tests() -> dict[str, Any]:
    return editor_schema(TypeAdapter(CaseFile | tuple[Case, ...]).json_schema())


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {
        "policy": lambda: json_schema(PolicyFile),
        "workspace": lambda: json_schema(WorkspaceFile),
        "tests": _tests,
    }
)
"""What has a schema: policies, `workspace.yaml`, and files of tests."""


def schema_text(name: str) -> str:
    """A schema as it is shipped: every key described, indented, with a line feed at its end."""
    schema = SCHEMAS[name]()
    for model in (schema, *schema.get("$defs", {}).values()):
        words = DESCRIPTIONS.get(model.get("title", ""), {})
        for key, part in model.get("properties", {}).items():
            if key in words:
                part["description"] = words[key]
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
