"""Package managers, builders and task runners."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.programs.unknown import looks_like_path
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word

_URL = re.compile(
    r"(https?|ftp|git|ssh|file|github|gitlab|bitbucket|gist)(\+\w+)?:|git@|git\+|.*#egg=", re.IGNORECASE
)
_PUBLISH = frozenset(
    names("publish push yank unpublish deprecate upload owner access dist-tag release unyank")
)
_INSTALL = frozenset(names(
        "install i add ci update upgrade get fetch exec x dlx run create init download wheel tool "
        "inject localinstall reinstall"
    ))  # fmt: skip
_REMOVE = frozenset(names("remove purge autoremove uninstall erase rm -R -Rs -Rns del unmerge cask"))
_TASKS = re.compile(r"(?:.*[:_-])?(deploy|publish|release|rollback|promote)(?:[:_-].*)?", re.IGNORECASE)
_DESTROY_TASKS = re.compile(
    r"db:(drop|reset|purge|migrate:(reset|undo)|schema:load|truncate\w*|wipe)(:.*)?|migrate:(fresh|reset|refresh)|"
    r"ecto\.(drop|reset)|doctrine:(database|schema):drop|"
    r"(?:.*[:_-])?(destroy|teardown|nuke)(?:[:_-].*)?|flush|reset_db",
    re.IGNORECASE,
)


def manager(call: Call) -> None:
    """npm, pip, cargo, gem, apt …: publishing, installing from URLs, running tasks."""
    pip = "i r t c f e" if call.name in ("pip", "pipx", "uv") else ""
    options = call.options(
        "registry prefix C directory filter w workspace index-url extra-index-url requirement target "
        f"constraint git path branch tag rev find-links editable access otp exec toolexec script-shell {pip}"
    )
    for program in options.all("exec", "toolexec", "script-shell"):
        call.opaque(f"{call.name} runs what it builds or starts through another program")
        call.shell(program.text)
    words = options.texts
    verb = next((w for w in words if w not in _SKIPPED), "")
    rest = words[words.index(verb) + 1 :] if verb else []
    if verb == "unpublish":
        call.signal(Signal.DESTRUCTIVE, f"{call.name} unpublish takes a package away from everybody")
    if (
        verb in _PUBLISH
        and not options.has("dry-run")
        and (verb != "push" or call.name in ("gem", "dotnet", "nuget"))
    ):
        call.signal(Signal.REMOTE, f"{call.name} {verb} publishes to a registry")
    sources = [*rest, *(w.text for w in options.all("i", "index-url", "extra-index-url", "r", "git", "e",
    "editable",
                                                    "registry", "find-links", "f",
                                                    "requirement"))]  # fmt: skip
    if (verb in _INSTALL or call.name in _RUNNERS) and any(_URL.match(source) for source in sources):
        call.opaque(f"{call.name} installs or runs a package from a URL")
    if call.name in _SYSTEM_MANAGERS:
        _system_packages(call, words)
    if verb in ("run", "run-script", "exec", "task") or call.name in ("yarn", "pnpm", "bun", "mix"):
        tasks(call, words)
    call.touch(options.all("prefix", "target", "t"), Access.WRITE)


_SKIPPED = frozenset({"cask", "tool", "nuget", "global", "pip", "package"})
_RUNNERS = frozenset({"npx", "bunx", "pipx", "uvx"})
_SYSTEM_MANAGERS = frozenset(
    names(
        "apt apt-get aptitude yum dnf zypper pacman apk brew snap flatpak port emerge choco winget "
        "scoop nix-env"
    )
)


def _system_packages(call: Call, words: list[str]) -> None:
    flags = {word.text for word in call.args}
    if removed := (set(words) | flags) & _REMOVE:
        call.signal(Signal.DANGEROUS, f"{call.name} {min(removed)} removes software from the machine")
    for word in call.args:
        if looks_like_path(word.text) and not word.text.startswith("-"):
            call.touch([word], Access.READ)


def run_package(call: Call) -> None:
    """`npx PACKAGE args`: the package is a program by that name."""
    options = call.options("p package c call spec from with python", stop=True)
    if any(_URL.match(w.text) or (re.match(r"[\w.-]+/[\w.-]+(#.*)?$", w.text) and not w.text.startswith("@"))
           for w in [*options.operands[:1], *options.all("p", "package")]):  # fmt: skip
        call.opaque(f"{call.name} runs a package from a URL")
    for text in options.all("c", "call"):
        call.shell(text.text)
    if options.operands:
        program, *rest = options.operands
        name = re.sub(r"(?<=.)@[^/]*$", "", program.text)
        call.inner([Word(name, program.known), *rest])


def build(call: Call) -> None:
    """`make`, `just`, `task`, `rake`, `rails`, `artisan` …: tasks by name."""
    options = call.options("C f j I o W directory file jobs")
    tasks(call, options.texts)
    rules = options.all("f", "file")
    call.touch([*options.all("C", "directory"), *rules], Access.READ)
    for file in rules:
        call.reading.run_file(file, call.simple)
        if call.name in ("make", "gmake") and file.text in ("-", "/dev/stdin"):
            call.opaque("make runs rules read from its input")
    for word in options.operands:
        name, equals, value = word.text.partition("=")
        if equals and name.upper() in ("ENV", "ENVIRONMENT", "STAGE"):
            call.facts.name(value)
    for override in call.args:
        if re.match(r"(SHELL|CC|MAKEFLAGS)=", override.text):
            call.opaque("a build variable changes which programs run")


_FRAMEWORKS = frozenset(names("rails artisan manage.py django-admin php python"))
_CODE_TASKS = frozenset(names("runner r console c tinker shell shell_plus"))
"""Tasks of web frameworks that run code in the application, against its database."""


def tasks(call: Call, words: list[str]) -> None:
    """Note tasks whose names say that they deploy, destroy or run code."""
    if call.name in _FRAMEWORKS and not _CODE_TASKS.isdisjoint(words[:1]):
        call.opaque(f"{call.name} {words[0]} runs code that it is given")
    for word in words:
        if _DESTROY_TASKS.fullmatch(word):
            call.signal(Signal.DESTRUCTIVE, f"{call.name} {word} destroys what is there")
        elif _TASKS.fullmatch(word):
            call.signal(Signal.REMOTE, f"{call.name} {word} publishes or deploys")
            call.facts.name(word)


def publisher(call: Call) -> None:
    """`twine upload`, `mvn deploy`, `gradle publish`, `goreleaser release` …"""
    words = call.options("f file P D p r repository config").texts
    if words[:3] == ["ef", "database", "drop"]:
        call.signal(Signal.DESTRUCTIVE, "dotnet ef database drop removes all of it")
    whole = call.name in ("semantic-release", "release-it") and not call.options().has("dry-run", "d")
    if whole or any(
        re.fullmatch(r"upload|deploy|release\S*|publish\S*|:?\S*:publish\S*|push|site-deploy", w)
        for w in words
    ):
        call.signal(Signal.REMOTE, f"{call.name} publishes")
    call.touch([Word(w) for w in words if looks_like_path(w) and not w.startswith(":")], Access.READ)


def compiler(call: Call) -> None:
    """Compilers and linters: inputs are read, `-o` is written."""
    options = call.options("o output I L l D outDir out-dir x include isystem rootdir")
    rewrites = options.has("write", "fix", "in-place", "fix-only") or call.name in ("black", "isort")
    call.touch(options.operands, Access.WRITE if rewrites else Access.READ)
    call.touch(options.all("o", "output", "outDir", "out-dir"), Access.WRITE)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        names(
            "npm pnpm yarn bun pip pipx cargo gem poetry uv pdm hatch flit conda mamba composer go nuget "
            "bundle cpan cpanm luarocks mix rebar opam stack cabal lerna nx jsr vsce ovsx pod"
        ),
        manager,
    ),
    **dict.fromkeys(_SYSTEM_MANAGERS, manager),
    **dict.fromkeys(["npx", "bunx", "uvx"], run_package),
    **dict.fromkeys(
        names(
            "make gmake just task rake rails artisan manage.py django-admin symfony invoke fab cap turbo "
            "ninja bazel"
        ),
        build,
    ),
    **dict.fromkeys(
        names("dotnet twine mvn gradle gradlew mvnw goreleaser semantic-release release-it sbt"), publisher
    ),
    **dict.fromkeys(
        names(
            "gcc g++ cc c++ clang clang++ ld as ar rustc javac tsc ghc kotlinc swiftc cmake eslint "
            "prettier ruff black mypy flake8 pylint pytest jest vitest mocha isort shellcheck hadolint "
            "tox nox"
        ),
        compiler,
    ),
}
