"""What it means that a variable is set: some make other programs run things, some name places."""

import re
from enum import Enum

from bot.core.risk import paths
from bot.core.risk.tables import names

_NAMING_VARIABLES = re.compile(
    r"(?:.*_)?(?:ENV|ENVIRONMENT|STAGE|PROFILE|CONTEXT|NAMESPACE|CLUSTER|HOST|DATABASE|DATABASE_URL|DB|DSN"
    r"|WORKSPACE|PROJECT|KUBECONFIG|PGHOST|PGDATABASE)"
)
_LOADED_VARIABLES = frozenset(
    names("LD_PRELOAD LD_AUDIT DYLD_INSERT_LIBRARIES BASH_ENV PROMPT_COMMAND PYTHONSTARTUP LESSOPEN IFS")
)
"""Variables whose value every program, or the shell itself, loads or runs."""

_RUN_VARIABLES = frozenset(
    names(
        "GIT_SSH GIT_SSH_COMMAND GIT_EXTERNAL_DIFF GIT_PAGER GIT_EDITOR GIT_SEQUENCE_EDITOR GIT_ASKPASS "
        "SSH_ASKPASS SUDO_ASKPASS PAGER MANPAGER EDITOR VISUAL BROWSER"
    )
)
"""Variables whose value is a command that some programs run."""

_SEARCH_VARIABLES = frozenset(names("PATH LD_LIBRARY_PATH PYTHONPATH PERL5LIB RUBYLIB NODE_PATH CLASSPATH"))
"""Variables that say where programs and their parts are looked for."""

_OPTION_VARIABLES = frozenset(names("NODE_OPTIONS PERL5OPT RUBYOPT JAVA_TOOL_OPTIONS PYTHONOPTIONS"))
_LOADING_OPTION = re.compile(
    r"(^|\s)(-r|-e|-M|-m|-I|--(require|import|eval|loader|experimental-loader))|-javaagent|-agent"
)


class Meaning(Enum):
    """What a variable's value is to the programs that see it."""

    NOTHING = "nothing"
    LOADED = "loaded"
    COMMAND = "command"


def meaning(name: str, value: str, *, alone: bool) -> Meaning:
    """What setting a variable does; `alone` when no program stands behind it."""
    if name in _LOADED_VARIABLES:
        return Meaning.NOTHING if alone and name == "IFS" else Meaning.LOADED
    if name in _OPTION_VARIABLES and _LOADING_OPTION.search(value):
        return Meaning.LOADED
    if name in _SEARCH_VARIABLES and any(map(_temporary, value.split(":"))):
        return Meaning.LOADED
    return Meaning.COMMAND if name in _RUN_VARIABLES else Meaning.NOTHING


def names_a_place(name: str) -> bool:
    """Whether a variable's value names an environment, a host, a database or the like."""
    return _NAMING_VARIABLES.fullmatch(name) is not None


def _temporary(place: str) -> bool:
    return paths.is_temporary(paths.normalise(place) + "/x")
