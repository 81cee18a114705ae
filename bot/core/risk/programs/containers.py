"""Containers and the clusters they run in: docker, compose, kubectl, helm."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.options import Options, read
from bot.core.risk.programs.cloud import DELETES, named, tell
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word


def kubernetes(call: Call) -> None:
    """`kubectl VERB …` and its kin."""
    options = call.options(
        "n namespace context cluster kubeconfig user s server f filename k kustomize l selector c container "
        "o output as token v field-selector p patch type replicas timeout since tail image grace-period"
    )
    named(call, options, "n", "namespace", "context", "cluster", "s", "server", "kubeconfig")
    words = options.texts
    _scopes(call, words)
    verb = words[0] if words else ""
    if verb in ("exec", "rsh"):
        _exec(call)
    elif verb == "delete":
        call.signal(Signal.DESTRUCTIVE, f"{call.name} delete removes it from the cluster")
    elif verb == "cp":
        _copied(call, options.operands[1:])
    elif verb in ("config",):
        if words[1:2] and words[1].startswith(("delete", "unset", "use", "set")):
            call.facts.name(words[2] if len(words) > 2 else "")
    elif _dry(options) or (
        verb in ("rollout", "auth") and words[1:2] and words[1] in ("status", "history", "can-i")
    ):
        pass
    elif verb == "replace" and options.has("force"):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} replace --force deletes before it makes anew")
    elif verb in _KUBE_CHANGES:
        call.signal(Signal.REMOTE, f"{call.name} {verb} changes what runs in the cluster")
        if verb in ("run", "debug"):
            _exec(call)
    call.touch(
        [w for w in options.all("f", "filename", "k", "kustomize") if "://" not in w.text], Access.READ
    )


_SCOPES = frozenset(names("ns namespace namespaces project projects cluster clusters"))
"""Kinds of things whose own name says where a command works."""


def _scopes(call: Call, words: list[str]) -> None:
    """Note the namespaces that a command names as what it works on: `delete ns prod`, `get ns/prod`."""
    if words[:1] and words[0] in ("project", "new-project"):
        call.facts.name(" ".join(words[1:2]))
    if words[1:2] and words[1] in _SCOPES:
        for name in words[2:]:
            call.facts.name(name)
    for word in words[1:]:
        kind, slash, name = word.partition("/")
        if slash and kind in _SCOPES:
            call.facts.name(name)


def switch_place(call: Call) -> None:
    """`kubectx NAME`, `kubens NAME`: later commands work there."""
    options = call.options()
    for word in options.operands:
        call.facts.name(word.text)
    if options.has("d"):
        call.signal(Signal.REMOTE, f"{call.name} -d forgets a context")


_KUBE_CHANGES = frozenset(
    names(
        "apply create replace patch scale autoscale drain cordon uncordon taint rollout set edit "
        "label annotate expose run debug attach certificate adm new-app start-build import tag policy "
        "project new-project"
    )
)


def _dry(options: Options) -> bool:
    return any(w.text in ("client", "server", "true") for w in options.all("dry-run")) or options.has(
        "dry-run"
    )


def _exec(call: Call) -> None:
    """What follows `--`; `exec` and `rsh` also take a command right behind the pod's name."""
    texts = [word.text for word in call.args]
    if "--" in texts:
        call.inner(call.args[texts.index("--") + 1 :])
        return
    verb = next((at for at, text in enumerate(texts) if text in ("exec", "rsh")), None)
    if verb is not None:
        options = read(call.args[verb + 1 :], _EXEC_VALUED.split(), stop=True)
        call.inner(read(options.operands[1:], _EXEC_VALUED.split(), stop=True).operands)


_EXEC_VALUED = "n namespace context cluster kubeconfig c container"


def _copied(call: Call, operands: list[Word]) -> None:
    for at, word in enumerate(operands):
        inside, colon, path = word.text.partition(":")
        access = Access.WRITE if at == len(operands) - 1 else Access.READ
        call.touch(
            [Word(path if colon and "/" not in inside[:1] else word.text, word.known)], access, recursive=True
        )


def helm(call: Call) -> None:
    """`helm VERB …`."""
    options = call.options("n namespace kube-context f values set version set-string kubeconfig repo timeout")
    named(call, options, "n", "namespace", "kube-context", "f", "values")
    verb = options.texts[0] if options.operands else ""
    if verb in ("uninstall", "delete", "del", "un"):
        call.signal(Signal.DESTRUCTIVE, f"helm {verb} removes a release")
    elif verb in ("install", "upgrade", "rollback", "push", "apply", "sync", "destroy") and not _dry(options):
        tell(call, verb, f"{call.name} {verb}")


def docker(call: Call) -> None:
    """`docker`, `podman`, `nerdctl`: containers, images, volumes."""
    options = call.options("H host c context l log-level config", stop=True)
    named(call, options, "H", "host", "c", "context")
    words = options.operands
    if words and words[0].text in ("container", "image", "compose", "volume", "network", "system",
    "builder", "buildx", "stack",
                                   "swarm", "service", "node", "secret", "pod", "machine",
                                   "config"):  # fmt: skip
        group, words = words[0].text, words[1:]
    else:
        group = ""
    if not words:
        return
    if group == "compose":
        _compose(call, words)
        return
    verb, rest = words[0].text, words[1:]
    if verb in ("run", "create", "exec"):
        _container(call, verb, rest)
    elif verb == "prune" or (
        group in ("system", "volume", "stack", "secret", "network", "service", "pod", "swarm", "machine")
        and DELETES.match(verb)
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {group} {verb} deletes what is not running")
    elif verb in ("rm", "rmi", "remove"):
        forced = read(rest).has("f", "force", "v", "volumes")
        call.signal(
            Signal.DESTRUCTIVE if forced else Signal.REMOTE,
            f"{call.name} {verb} removes containers or images",
        )
    elif verb in ("push", "stop", "restart", "kill", "pause", "update", "deploy", "scale", "rollback",
    "leave", "promote",
                  "demote", "drain"):  # fmt: skip
        call.signal(Signal.REMOTE, f"{call.name} {verb} publishes, stops or restarts")
    elif verb == "cp":
        _copied(call, rest)
    elif verb in ("build", "buildx", "bake"):
        _build(call, rest)


def _container(call: Call, verb: str, words: list[Word]) -> None:
    options = read(
        words,
        names(
            "v volume mount e env env-file name p publish w workdir u user network net entrypoint h "
            "hostname l label m memory cpus cap-add cap-drop security-opt pid ipc userns device platform "
            "restart add-host dns tmpfs ulimit link log-driver log-opt gpus shm-size volumes-from pull "
            "runtime cgroupns expose detach-keys a attach ip"
        ),
        stop=True,
    )
    if options.has("privileged") and not any(w.text == "false" for w in options.all("privileged")):
        call.signal(Signal.PRIVILEGE, "a privileged container is root on the machine")
    opened = [w.text.upper() for w in options.all("cap-add", "security-opt")]
    if any(re.search(r"SYS_|ALL|UNCONFINED|DAC_|NET_ADMIN", text) for text in opened) or any(
        w.text == "host" for w in options.all("pid", "userns", "ipc")
    ):
        call.signal(Signal.PRIVILEGE, "the container is given rights over the machine")
    call.touch(options.all("env-file"), Access.READ)
    for device in options.all("device"):
        path, _, rest = device.text.partition(":")
        read_only = rest.rpartition(":")[2] == "r"
        call.touch([Word(path, device.known)], Access.READ if read_only else Access.WRITE)
    for volume in options.all("v", "volume"):
        _volume(call, volume)
    for mount in options.all("mount"):
        _mount(call, mount)
    command = options.operands[1:]
    entry = options.all("entrypoint")
    if entry and verb != "exec":
        command = [entry[0], *command]
    if command:
        call.inner(command)
    for word in options.all("e", "env"):
        name, equals, value = word.text.partition("=")
        if equals and re.search(r"ENV|STAGE|HOST|DATABASE", name):
            call.facts.name(value)


def _volume(call: Call, volume: Word) -> None:
    host, colon, rest = volume.text.partition(":")
    if re.match(r"[A-Za-z]:[\\/]", volume.text):
        drive, _, tail = volume.text[2:].partition(":")
        host, colon, rest = volume.text[:2] + drive, ":", tail
    if not colon or not re.match(r"[/~.$]|[A-Za-z]:", host):
        return  # a named volume
    read_only = "ro" in rest.rpartition(":")[2].split(",")
    call.touch([Word(host, volume.known)], Access.READ if read_only else Access.WRITE, recursive=True)
    if host.endswith(("docker.sock", "containerd.sock")):
        call.signal(Signal.PRIVILEGE, "whoever holds the engine's socket is root on the machine")


def _mount(call: Call, mount: Word) -> None:
    parts = dict(part.partition("=")[::2] for part in mount.text.split(","))
    source = parts.get("source") or parts.get("src")
    if parts.get("type", "bind") == "bind" and source:
        read_only = "readonly" in parts or "ro" in parts
        call.touch([Word(source, mount.known)], Access.READ if read_only else Access.WRITE, recursive=True)


def _build(call: Call, words: list[Word]) -> None:
    options = read(
        words,
        names("t tag f file build-arg target platform o output cache-from cache-to secret ssh network label"),
    )
    if options.has("push"):
        call.signal(Signal.REMOTE, f"{call.name} build --push publishes an image")
    if any("://" in w.text or w.text.startswith("git@") for w in options.operands):
        call.opaque("an image is built from a URL")
    call.touch(
        [w for w in options.operands if "://" not in w.text and w.text != "-"], Access.READ, recursive=True
    )
    call.touch(options.all("f", "file"), Access.READ)


def _compose(call: Call, words: list[Word]) -> None:
    options = read(words, names("f file p project-name profile env-file project-directory"), stop=True)
    named(call, options, "f", "file", "p", "project-name", "profile", "env-file")
    if not options.operands:
        return
    verb, rest = options.operands[0].text, options.operands[1:]
    inner = read(
        rest,
        names("e env u user w workdir v volume name entrypoint scale t timeout p publish"),
        stop=True,
    )
    if verb in ("exec", "run"):
        for volume in inner.all("v", "volume"):
            _volume(call, volume)
        call.inner(inner.operands[1:])
    elif (verb == "down" and read(rest).has("v", "volumes", "rmi")) or verb == "rm":
        call.signal(Signal.DESTRUCTIVE, f"compose {verb} deletes volumes or containers")
    elif verb in ("down", "stop", "restart", "kill", "push", "scale", "pause"):
        call.signal(Signal.REMOTE, f"compose {verb} stops or restarts")


def compose(call: Call) -> None:
    """`docker-compose`."""
    _compose(call, list(call.args))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(names("kubectl oc k microk8s.kubectl kubecolor k3s"), kubernetes),
    **dict.fromkeys(["kubectx", "kubens"], switch_place),
    **dict.fromkeys(["helm", "helmfile", "helm3"], helm),
    **dict.fromkeys(["docker", "podman", "nerdctl"], docker),
    **dict.fromkeys(["docker-compose", "podman-compose"], compose),
}
