"""The JSON Schemas that are shipped under `policies/schema`, so that editors complete and check YAML."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from bot.core.policy import PolicyFile, WorkspaceFile, json_schema
from bot.services.policy_tests import Case, CaseFile


def _tests() -> dict[str, Any]:
    schema = TypeAdapter(CaseFile | tuple[Case, ...]).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "CaseFile"}


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = MappingProxyType(
    {
        "policy": lambda: json_schema(PolicyFile),
        "workspace": lambda: json_schema(WorkspaceFile),
        "tests": _tests,
    }
)
"""What has a schema: policies, `workspace.yaml`, and files of tests."""


def schema_text(name: str) -> str:
    """A schema as it is shipped: indented, with a line feed at its end."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"
