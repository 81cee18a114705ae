"""What `keyturn policy check` finds: everything wrong with a directory, and everything suspicious."""

from dataclasses import dataclass
from pathlib import Path

from bot.core.policy import WORKSPACE, Fault, PolicyError, PolicyFile, PolicySet, Problem, WorkspaceFile
from bot.core.policy.lint import warnings
from bot.services import plugins
from bot.services.policies import load, located, read_documents


@dataclass(frozen=True, slots=True)
class Findings:
    """A set that loads, or every problem; and what is suspicious in a set that loads."""

    policies: PolicySet | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def check(directory: Path) -> Findings:
    """Look at the policies directly in a directory."""
    try:
        policies = load(directory)
    except PolicyError as error:
        return Findings(None, error.problems)
    return Findings(policies, (), tuple(_suspicious(directory)))


def _suspicious(directory: Path) -> list[Problem]:
    documents, _ = read_documents(directory)
    workspace = documents[WORKSPACE].value if WORKSPACE in documents else {}
    models = {
        name: PolicyFile.model_validate(document.value, context={"kinds": plugins.installed()})
        for name, document in documents.items()
        if name != WORKSPACE
    }
    found = warnings(WorkspaceFile.model_validate(workspace), models)
    return [located(Fault(*warning), documents[warning[0]]) for warning in found]
