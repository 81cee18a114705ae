"""git, and the clients of the places where repositories live."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.options import Options, read
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word

_SHARED = re.compile(
    r"(?:refs/(?:heads|tags)/)?(?:main|master|trunk|production|prod|release(?:[/_.-].*)?|v\d+\S*|\d+(?:\.\d+)+\S*)"
    r"|refs/tags/.*"
)
"""Branches that others build on, and tags by their usual look."""

_PATH = re.compile(r"\.|\.{1,2}/.*|:/.*|.*/|[\w./-]*\.[A-Za-z]{1,5}", re.DOTALL)
"""Operands of checkout that are more likely a path than a branch."""

_RUNS = re.compile(
    r"(?i)(alias\..*|core\.(pager|editor|sshcommand|fsmonitor|hookspath|gitproxy|askpass)|diff\.(.*\.)?(external|command|textconv)"
    r"|(merge|difftool|mergetool)\..*|pager\..*|filter\..*|credential\..*helper|gpg\..*program|protocol\..*allow|sequence\.editor"
    r"|interactive\.difffilter|include(if)?\..*|uploadpack\..*|init\.templatedir)"
)
"""Settings whose value git runs or loads."""


def git(call: Call) -> None:
    """`git [options] VERB …`."""
    options = call.options("C c git-dir work-tree namespace exec-path config-env", stop=True)
    for directory in options.all("C", "work-tree"):
        call.base = directory.text
    for setting in options.all("c", "config-env"):
        _setting(call, setting.text)
    if options.all("exec-path"):
        call.opaque("git is told to run programs from another directory")
    if options.operands:
        verb, *rest = options.operands
        if not verb.known:
            call.opaque("which git command runs is only known when it runs")
        _VERBS.get(verb.text, lambda c, w: None)(call, rest)


def _setting(call: Call, text: str) -> None:
    name, _, value = text.partition("=")
    if _RUNS.fullmatch(name):
        call.opaque(f"git's setting {name} runs what it names")
        if value:
            call.shell(value.removeprefix("!"))


def _push(call: Call, words: list[Word]) -> None:
    options = read(words, names("o push-option repo receive-pack exec"))
    refs = options.texts[1:]
    if options.has(
        "f", "force", "force-with-lease", "force-if-includes", "d", "delete", "mirror", "prune"
    ) or any(ref.startswith(("+", ":")) and ref != ":" for ref in refs):
        call.signal(Signal.DESTRUCTIVE, "git push overwrites or deletes what others have")
    elif (
        options.has("tags", "follow-tags", "all")
        or any(_SHARED.fullmatch(ref.split(":")[-1]) for ref in refs)
        or "tag" in refs
    ):
        call.signal(Signal.REMOTE, "git push publishes to a branch or tag that others build on")
    if options.all("receive-pack", "exec"):
        call.opaque("git push runs a program on the other side")


def _reset(call: Call, words: list[Word]) -> None:
    if read(words).has("hard", "merge", "keep"):
        _loses(call, "git reset --hard throws uncommitted work away")


def _clean(call: Call, words: list[Word]) -> None:
    options = read(words, ["e", "exclude"])
    forced = any(word.text.lower() == "clean.requireforce=false" for word in call.args)
    if (forced or options.has("f", "force")) and not options.has("n", "dry-run"):
        _loses(call, "git clean deletes files that git does not know", options.operands, Access.DELETE)


def _checkout(call: Call, words: list[Word]) -> None:
    texts = [word.text for word in words]
    options = read(words, ["b", "B", "orphan", "conflict"])
    after = words[texts.index("--") + 1 :] if "--" in texts else []
    pathlike = [word for word in options.operands if word.glob or _PATH.fullmatch(word.text)]
    several = len(options.operands) > 1 and not options.has("b", "B", "orphan", "t", "track", "detach")
    if after or pathlike or several:
        _loses(
            call,
            "git checkout of paths throws uncommitted work away",
            after or pathlike or options.operands[1:],
        )
    elif options.has("f", "force"):
        _loses(call, "git checkout --force throws uncommitted work away")


def _restore(call: Call, words: list[Word]) -> None:
    options = read(words, ["s", "source", "pathspec-from-file"])
    if options.has("S", "staged") and not options.has("W", "worktree"):
        return
    _loses(call, "git restore throws uncommitted work away", options.operands)


def _switch(call: Call, words: list[Word]) -> None:
    if read(words).has("f", "force", "discard-changes"):
        _loses(call, "git switch --discard-changes throws uncommitted work away")


def _stash(call: Call, words: list[Word]) -> None:
    if words and words[0].text in ("drop", "clear"):
        call.signal(Signal.DESTRUCTIVE, f"git stash {words[0].text} throws stashed work away")


def _branch(call: Call, words: list[Word]) -> None:
    options = read(words)
    if options.has("D") or (options.has("delete", "d") and options.has("f", "force")):
        call.signal(Signal.DESTRUCTIVE, "git branch -D deletes a branch that is not merged")


def _rewrite(call: Call, words: list[Word]) -> None:
    call.signal(Signal.DESTRUCTIVE, "it rewrites history")
    for flag in ("index-filter", "tree-filter", "msg-filter", "env-filter"):
        for text in read(words, [flag]).all(flag):
            call.shell(text.text)


def _reflog(call: Call, words: list[Word]) -> None:
    if words and words[0].text in ("expire", "delete"):
        call.signal(Signal.DESTRUCTIVE, "git reflog expire makes lost commits unrecoverable")


def _config(call: Call, words: list[Word]) -> None:
    options = read(words, ["f", "file", "blob", "type"])
    operands = [w for w in options.texts if w not in ("set", "get", "list", "unset", "add")]
    if len(operands) >= 2 and not options.has("get", "l", "list"):
        _setting(call, f"{operands[0]}={operands[1]}")
        if options.has("system"):
            call.touch([Word("/etc/gitconfig")], Access.WRITE)
        elif options.has("global") and _RUNS.fullmatch(operands[0]):
            call.touch([Word("~/.gitconfig")], Access.WRITE)  # names and colours run nothing later
    call.touch(options.all("f", "file"), Access.WRITE)


def _clone(call: Call, words: list[Word]) -> None:
    options = read(
        words,
        names("b branch o origin c config depth template u upload-pack reference j"),
    )
    for setting in options.all("c", "config"):
        _setting(call, setting.text)
    if options.all("u", "upload-pack", "template") or any(
        w.text.startswith("ext::") for w in options.operands
    ):
        call.opaque("git clone runs a program that it is told")
    call.touch(options.operands[1:2], Access.WRITE, recursive=True)


def _add(call: Call, words: list[Word]) -> None:
    call.touch(read(words).operands, Access.READ)


def _print(call: Call, words: list[Word]) -> None:
    """`git log`, `diff`, `show` and their kin only read, unless they are told where to write."""
    options = read(words, names("o output output-directory n S G U since until author format pretty"))
    into = options.all("output", "output-directory", "o")
    call.touch(into, Access.WRITE)
    _blobs(call, options.operands)


def _cat_file(call: Call, words: list[Word]) -> None:
    _blobs(call, read(words).operands)


def _blobs(call: Call, operands: list[Word]) -> None:
    """`REVISION:PATH` shows what a file once held."""
    for word in operands:
        revision, colon, path = word.text.partition(":")
        if revision and colon and not path.startswith("/"):
            call.touch([Word(path, word.known)], Access.READ)


def _grep(call: Call, words: list[Word]) -> None:
    for word in words:
        if found := re.match(r"(?:-O|--open-files-in-pager=)(.+)", word.text, re.DOTALL):
            call.opaque("git grep hands what it finds to a program")
            call.shell(found[1])


def _difftool(call: Call, words: list[Word]) -> None:
    for text in read(words, ["x", "extcmd"]).all("x", "extcmd"):
        call.opaque("git difftool hands files to a program")
        call.shell(text.text)


def _fetch(call: Call, words: list[Word]) -> None:
    for text in read(words, ["upload-pack", "exec"]).all("upload-pack", "exec"):
        call.opaque("git runs a program that it is told on the other side")
        call.shell(text.text)


def _bundle(call: Call, words: list[Word]) -> None:
    if words and words[0].text == "create":
        call.touch(read(words[1:]).operands[:1], Access.WRITE)


def _apply(call: Call, words: list[Word]) -> None:
    options = read(words, names("directory p C exclude include whitespace"))
    call.touch(options.operands, Access.READ)
    if not options.has("check", "stat", "numstat", "summary"):
        call.touch(options.all("directory") or [Word(".")], Access.WRITE, recursive=True)


def _bisect(call: Call, words: list[Word]) -> None:
    if words and words[0].text == "run":
        call.inner(words[1:])


def _rebase(call: Call, words: list[Word]) -> None:
    for text in read(words, names("x exec onto s strategy X")).all("x", "exec"):
        call.shell(text.text)


def _foreach(call: Call, words: list[Word]) -> None:
    texts = [word.text for word in words]
    if "foreach" in texts:
        at = texts.index("foreach") + 1
        call.shell(" ".join(t for t in texts[at:] if t != "--recursive"))
    if "deinit" in texts and ("-f" in texts or "--force" in texts):
        _loses(call, "git submodule deinit --force deletes working trees")


def _remove(call: Call, words: list[Word]) -> None:
    options = read(words)
    if options.has("cached"):
        return
    recursive = options.has("r")
    if recursive or any(word.glob for word in options.operands):
        call.signal(Signal.DESTRUCTIVE, "git rm deletes whole directories")
    call.signal(Signal.DANGEROUS, "git rm deletes files")
    call.touch(options.operands, Access.DELETE, recursive=recursive)


def _worktree(call: Call, words: list[Word]) -> None:
    if words and words[0].text == "remove" and read(words[1:]).has("f", "force"):
        call.signal(Signal.DESTRUCTIVE, "git worktree remove --force throws uncommitted work away")


def _read_tree(call: Call, words: list[Word]) -> None:
    if read(words).has("reset"):
        _loses(call, "git read-tree --reset throws uncommitted work away")


def _checkout_index(call: Call, words: list[Word]) -> None:
    options = read(words, ["prefix", "stage"])
    if options.has("f", "force") and not options.all("prefix"):
        _loses(call, "git checkout-index --force throws uncommitted work away", options.operands)


def _delete_ref(call: Call, words: list[Word]) -> None:
    if read(words).has("d", "delete"):
        call.signal(Signal.DESTRUCTIVE, "git update-ref -d deletes a reference")


def _loses(
    call: Call, detail: str, operands: list[Word] | None = None, access: Access = Access.WRITE
) -> None:
    call.signal(Signal.DESTRUCTIVE, detail)
    if operands:
        call.touch(operands, access, recursive=True)
    else:
        call.touch_directory(access)


_VERBS = {
    "add": _add, "grep": _grep, "bundle": _bundle, "difftool": _difftool,
    **dict.fromkeys(names("fetch pull ls-remote fetch-pack"), _fetch),
    "apply": _apply,
    **dict.fromkeys(names("log diff show format-patch archive range-diff whatchanged"), _print),
    "push": _push, "reset": _reset, "clean": _clean, "checkout": _checkout, "restore": _restore,
    "switch": _switch,
    "stash": _stash, "branch": _branch, "filter-branch": _rewrite, "filter-repo": _rewrite, "reflog": _reflog,
    "config": _config, "clone": _clone, "bisect": _bisect, "rebase": _rebase, "submodule": _foreach,
    "rm": _remove,
    "worktree": _worktree, "update-ref": _delete_ref,
    "cat-file": _cat_file, "read-tree": _read_tree, "checkout-index": _checkout_index,
}  # fmt: skip


def rewriter(call: Call) -> None:
    """`bfg` and `git-filter-repo`."""
    _rewrite(call, [])


def forge(call: Call) -> None:
    """`gh` and `glab`."""
    options: Options = call.options(
        "R repo X method f F raw-field field H header t title b body B base H head e env"
    )
    words = options.texts
    verb = words[1] if len(words) > 1 else ""
    methods = {word.text.upper() for word in options.all("X", "method")}
    if verb in ("delete", "remove") or "DELETE" in methods:
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {' '.join(words[:2])} deletes")
    elif (
        verb
        in (
            "merge",
            "set",
            "run",
            "rerun",
            "publish",
            "archive",
            "rename",
            "transfer",
            "cancel",
            "upload",
            "disable",
        )
        or words[:2]
        in (
            ["release", "create"],
            ["release", "edit"],
            ["repo", "edit"],
            ["repo", "create"],
            ["secret", "set"],
        )
        or methods & {"POST", "PUT", "PATCH"}
    ):
        call.signal(Signal.REMOTE, f"{call.name} {' '.join(words[:2])} changes what others use")
    for word in options.all("e", "env"):
        call.facts.name(word.text)


HANDLERS: dict[str, Handler] = {"git": git, "gh": forge, "glab": forge, "hub": git}
HANDLERS |= dict.fromkeys(["bfg", "git-filter-repo"], rewriter)
