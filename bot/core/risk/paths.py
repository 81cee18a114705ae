"""Paths in normal form, and what kind of place they name.

Normal form is lexical: `.`, `..`, doubled and trailing slashes, backslashes and percent
forms are resolved; the agent's home stays `~`. Nothing here looks at a disk, so links are
not followed. Normalising twice changes nothing.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from bot.core.risk.tables import names

SYSTEM = frozenset(names("etc usr bin sbin boot root sys proc dev opt system library applications"))
"""First segments of system places; `/lib*` and `/var` are handled apart."""

VAR_OPEN = frozenset({"tmp", "log", "cache"})
"""What below `/var` is not a system place."""

WINDOWS_SYSTEM = frozenset({"windows", "program files", "program files (x86)", "programdata", "progra~1",
                            "progra~2", "progra~3"})  # fmt: skip
"""First segments of system places on a drive; the last are short names of `Program Files`."""

NOT_FILES = frozenset({"/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/zero",
                       "/dev/random", "/dev/urandom"})  # fmt: skip
"""Devices that hold nothing."""

_SECRET_DIRS = frozenset({".ssh", ".aws", ".kube", ".gnupg", ".azure", ".password-store"})
_SECRET_NAMES = re.compile(
    r"""(?:
        \.env(?:\.(?!(?:.*\.)?(?:example|sample|template)$).*)?
        | .*\.(?:pem|key|p12|pfx|kdbx|keystore|jks|ppk)
        | id_(?:rsa|dsa|ecdsa|ed25519)(?:_.*)?
        | \.netrc | \.pgpass | \.git-credentials | \.pypirc | \.vault-token | \.htpasswd
        | .*private[._-]?key.*
        | g?shadow-? | sudoers
    )""",
    re.VERBOSE | re.DOTALL,
)
_SECRET_PLACES = re.compile(
    r"/etc/g?shadow-?$|/etc/sudoers|/run/secrets(/|$)|/\.config/(gcloud|gh)(/|$)|/\.docker/config\.json$"
    r"|^/proc/[^/]*/environ$|/etc/ssl/private(/|$)|/etc/ssh/ssh_host_[^/]*_key$"
    r"|/\.local/share/keyrings(/|$)|^(~[^/]*|/home/[^/]+|/users/[^/]+)/\.npmrc$"
)
_CODE_NAMES = frozenset(
    names(
        ".bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv "
        ".zprofile .zlogin .zlogout .cshrc .tcshrc .kshrc .inputrc .xinitrc .xsession .xprofile "
        ".gitconfig .envrc .gitlab-ci.yml .travis.yml jenkinsfile azure-pipelines.yml "
        "bitbucket-pipelines.yml .drone.yml .woodpecker.yml .woodpecker.yaml crontab"
    )
)
_CODE_PLACES = re.compile(
    r"(^|/)\.git/(hooks(/|$)|config$)|(^|/)\.github/(workflows|actions)(/|$)|(^|/)\.(circleci|woodpecker|buildkite)/"
    r"|(^|/)\.husky/|(^|/)\.gitea/workflows/|(^|/)\.(config/)?fish/|/\.config/(autostart|systemd)(/|$)"
    r"|(^|/)(cron\.d|cron\.(hourly|daily|weekly|monthly)|crontabs)(/|$)|/spool/cron(/|$)"
    r"|/launch(agents|daemons)/|(^|/)systemd/(system|user)(/|$)|\.(service|timer|socket)$"
)
_DRIVE = re.compile(r"(?:/{2,}[?.]/)?([A-Za-z]):(?:/|$)")
_MOUNTED_DRIVE = re.compile(
    r"/(?:mnt/|cygdrive/)?([a-z])/(?=(?:windows|program files|programdata|users)(?:/|$))", re.IGNORECASE
)
_HOME = re.compile(r"\A(?:\$HOME|\$\{HOME\}|%USERPROFILE%|%HOMEPATH%)(?=[/\\]|$)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$[\w{(@*#?!-]|`|%\w+%")
_NESTED_PERCENT = re.compile(r"%(?:25)+")
_PROCESS_ROOT = re.compile(r"/proc/[^/]+/(?:root|cwd)(?=/|$)")
_MAGIC = re.compile(r"[*?\[]")
_RELATIVE = re.compile(r"[A-Za-z0-9_-][\w.-]*(?:/[A-Za-z0-9_-][\w.-]*)*/?", re.ASCII)
_ABSOLUTE = re.compile(r"(?!/(?:private|mnt|cygdrive|proc|[A-Za-z])/)(?:/[A-Za-z0-9_-][\w.-]*)+/?", re.ASCII)
"""Paths that are in normal form but for a slash at their end, and that nothing reads as others."""

LONGEST = 4096
"""PATH_MAX of Linux: what is longer is no path, and only its start is looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path as read: its normal form and the other forms another reader could see in it.

    `readable` is false when a part is a variable, or when it climbs above a base nobody told.
    """

    path: str
    readable: bool = True
    also: tuple[str, ...] = ()

    @property
    def forms(self) -> tuple[str, ...]:
        """Every form of it, the normal one first."""
        return (self.path, *self.also)


def normalise(text: str) -> str:
    """The normal form of a path; `.` for an empty one."""
    return _lexical(_decoded(text))


def resolve(text: str, cwd: str | None = None) -> Place:
    """Read a path relative to `cwd` (None: nobody told)."""
    if len(text) <= LONGEST and (_ABSOLUTE if text[:1] == "/" or cwd else _RELATIVE).fullmatch(text):
        return Place(text.rstrip("/"))
    too_long = len(text) > LONGEST
    text = text[:LONGEST]
    base = normalise(cwd[:LONGEST]) if cwd else None
    path = normalise(_joined(text, base))
    readable = not too_long and not _VARIABLE.search(_decoded(text))
    readable = readable and (base is None or is_anchored(path) or not _VARIABLE.search(base))
    if _climbs(path):
        readable = False
    return Place(path, readable, _other_readings(text, path, base))


def is_anchored(path: str) -> bool:
    """Whether a normal path names one place without knowing a directory: `/…`, `~…`, `c:/…`."""
    return path.startswith(("/", "~")) or _on_drive(path)


def _on_drive(path: str) -> bool:
    return path[1:2] == ":" and path[0].isalpha() and path[2:3] in ("", "/")


def is_glob(path: str) -> bool:
    """Whether a shell would expand it."""
    return _MAGIC.search(path) is not None


def is_system(path: str) -> bool:
    """Whether a normal path is, or lies in, a system place."""
    if path == "/":
        return True
    if _on_drive(path):
        parts = path.split("/")
        return len(parts) == 1 or parts[1] in WINDOWS_SYSTEM or is_glob(parts[1])
    if not path.startswith("/"):
        return False
    first, _, rest = path[1:].lower().partition("/")
    if first == "var":
        return rest.partition("/")[0] not in VAR_OPEN
    # A wildcard as the first segment reaches every place there is.
    return first in SYSTEM or first in WINDOWS_SYSTEM or first.startswith("lib") or is_glob(first)


def is_temporary(path: str) -> bool:
    """Whether a normal path lies below `/tmp` or `/var/tmp`."""
    return path.startswith(("/tmp/", "/var/tmp/"))


def is_secret(path: str) -> bool:
    """Whether a normal path holds credentials, so that reading it matters."""
    lowered = path.lower()
    if _SECRET_PLACES.search(lowered):
        return True
    parts = lowered.split("/")
    if not _SECRET_DIRS.isdisjoint(parts):
        return not parts[-1].endswith(".pub") and parts[-1] != "known_hosts"
    return _SECRET_NAMES.fullmatch(parts[-1]) is not None and not parts[-1].endswith(".pub")


def runs_later(path: str) -> bool:
    """Whether a normal path is a file that some program later runs as code."""
    lowered = path.lower()
    return lowered.rsplit("/", 1)[-1] in _CODE_NAMES or _CODE_PLACES.search(lowered) is not None


def _joined(text: str, base: str | None) -> str:
    if base is None or is_anchored(_decoded(text)):
        return text
    return f"{base}/{text}"


def _decoded(text: str) -> str:
    if text.lower().startswith("file://"):
        text = text[7:].removeprefix("localhost")
    elif text.lower().startswith("file:/"):
        text = text[5:]
    text = _NESTED_PERCENT.sub("%", text)
    while "%" in text and (plain := unquote(text, errors="replace")) != text:
        text = plain
    return _HOME.sub("~", text.replace("\\", "/"), count=1)


def _lexical(text: str) -> str:
    root, rest = _rooted(text)
    parts: list[str] = []
    for part in rest.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif parts and parts[-1] != "..":
            parts.pop()
        elif root in ("", "~"):
            parts.append(part)
    if not root:
        relative = "/".join(parts) or "."
        # `./~` is a file of that name: without the dot it would read as the home.
        return f"./{relative}" if _rooted(_HOME.sub("~", relative))[0] else relative
    return root if not parts else f"{root.rstrip('/')}/{'/'.join(parts)}"


def _rooted(text: str) -> tuple[str, str]:
    """Split a decoded path into its root and the rest."""
    if drive := _DRIVE.match(text) or _MOUNTED_DRIVE.match(text):
        return drive[1].lower() + ":", text[drive.end() :].lower()
    if text.startswith("/"):
        return "/", re.sub(r"^/private/(?=etc(?:/|$)|tmp(?:/|$)|var(?:/|$))", "/", text)
    if text.startswith("~"):
        home, _, rest = text.partition("/")
        return ("/", f"root/{rest}") if home == "~root" else (home, rest)
    return "", text


def _climbs(path: str) -> bool:
    first, _, rest = path.partition("/")
    return first == ".." or (first.startswith("~") and (rest == ".." or rest.startswith("../")))


def _other_readings(text: str, path: str, base: str | None) -> tuple[str, ...]:
    """Further paths that the same text can mean to another program."""
    others = []
    if "%" in text or "\\" in text:
        others.append(_lexical(_joined(text, base)))
    if text != text.strip():
        others.append(normalise(_joined(text.strip(), base)))  # many programs drop the spaces around a path
    if process := _PROCESS_ROOT.match(path):
        others.append(path[process.end() :] or "/")
    if _climbs(path):
        others.extend(_climbed(path))
    return tuple(dict.fromkeys(p for p in others if p != path))


def _climbed(path: str) -> list[str]:
    """Where a path that leaves an unknown base may arrive: a home is two levels below `/`, rarely deeper."""
    parts = path.split("/")
    ups = parts.count("..")
    rest = [part for part in parts if part != ".." and not part.startswith("~")]
    certain = bool(rest) and rest[0] in ("etc", "root", "boot", "proc", "sys")
    if ups >= 3 or (ups >= 2 and path.startswith("~")) or certain:
        return ["/" + "/".join(rest)]
    return []
