"""Tools that change clouds, clusters, containers and infrastructure."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.options import Options, read
from bot.core.risk.reading import Call, Handler
from bot.core.risk.shell import Word

_READ = re.compile(
    r"(get|list|ls|describe|show|head|lookup|search|query|scan|select|view|validate|test|check|estimate|preview|plan|"
    r"diff|status|info|version|help|whoami|logs?|tail|watch|wait|top|explain|inspect|history|outputs?|fmt|format|lint|"
    r"batch-get|batch-describe|filter|detect|print|read|config|configure|auth|login|logout|completion|ps|images|"
    r"events|stats|doctor|env|open|docs|graph|providers|init|template|verify|synth|console|dry-run|cat|sts|account|"
    r"generate-db-auth-token|port-forward|port|api-resources|api-versions|cluster-info|current-context)(-.*|$)"
)
_DELETE = re.compile(
    r"(delete|destroy|remove|rm|rb|terminate|purge|prune|uninstall|deregister|drop|teardown|nuke|wipe|unpublish|"
    r"batch-delete|force-delete|schedule-key-deletion|empty|down|cancel-deletion|undeploy|kill)(-.*|:.*|$)"
)


def _tell(call: Call, verb: str, said: str) -> None:
    if _DELETE.match(verb):
        call.signal(Signal.DESTRUCTIVE, f"{said} deletes")
    elif not _READ.match(verb):
        call.signal(Signal.REMOTE, f"{said} changes what is running")


def _named(call: Call, options: Options, *flags: str) -> None:
    for word in options.all(*flags):
        call.facts.name(word.text)


def kubernetes(call: Call) -> None:
    """`kubectl VERB …` and its kin."""
    options = call.options(
        "n namespace context cluster kubeconfig user s server f filename k kustomize l selector c container o output "
        "as token v field-selector p patch type replicas timeout since tail image grace-period subresource",
        stop=False,
    )
    _named(call, options, "n", "namespace", "context", "cluster", "s", "server", "kubeconfig")
    words = options.texts
    verb = words[0] if words else ""
    if verb == "exec":
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
    elif verb in _KUBE_CHANGES:
        call.signal(Signal.REMOTE, f"{call.name} {verb} changes what runs in the cluster")
    call.touch(
        [w for w in options.all("f", "filename", "k", "kustomize") if "://" not in w.text], Access.READ
    )


_KUBE_CHANGES = frozenset(
    [
        "apply",
        "create",
        "replace",
        "patch",
        "scale",
        "autoscale",
        "drain",
        "cordon",
        "uncordon",
        "taint",
        "rollout",
        "set",
        "edit",
        "label",
        "annotate",
        "expose",
        "run",
        "debug",
        "attach",
        "certificate",
        "adm",
        "new-app",
        "start-build",
        "import",
        "tag",
        "policy",
        "project",
        "new-project",
        "login-none",
    ]
)


def _dry(options: Options) -> bool:
    return any(w.text in ("client", "server", "true") for w in options.all("dry-run")) or options.has(
        "dry-run"
    )


def _exec(call: Call) -> None:
    texts = [word.text for word in call.args]
    if "--" in texts:
        call.inner(call.args[texts.index("--") + 1 :])
        return
    options = call.options("n namespace context cluster kubeconfig c container", stop=False)
    call.inner(options.operands[2:])


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
    _named(call, options, "n", "namespace", "kube-context", "f", "values")
    verb = options.texts[0] if options.operands else ""
    if verb in ("uninstall", "delete", "del", "un"):
        call.signal(Signal.DESTRUCTIVE, f"helm {verb} removes a release")
    elif verb in ("install", "upgrade", "rollback", "push", "apply", "sync", "destroy") and not _dry(options):
        _tell(call, verb, f"{call.name} {verb}")


def terraform(call: Call) -> None:
    """`terraform VERB`, and tools that work like it."""
    flags = [word.text for word in call.args]
    words = [word for word in flags if not word.startswith("-")]
    verb = words[0] if words else ""
    for flag in flags:
        if found := re.match(r"-{1,2}(?:var-file|backend-config|chdir|var|stack|workspace)=(.*)", flag):
            call.facts.name(found[1])
    options = call.options("s stack var-file var chdir target C cwd profile context c")
    _named(call, options, "s", "stack", "var-file", "profile")
    if verb in ("workspace", "stack") and len(words) > 2:
        call.facts.name(words[2])
    if verb == "destroy" or (
        any(re.fullmatch(r"-{1,2}destroy(=true)?", flag) for flag in flags) and verb != "plan"
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} destroys infrastructure")
    elif (
        verb in ("state", "workspace", "stack")
        and words[1:2]
        and words[1] in ("rm", "delete", "remove", "push")
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {verb} {words[1]} forgets infrastructure")
    elif verb in (
        "apply",
        "up",
        "deploy",
        "import",
        "taint",
        "untaint",
        "refresh",
        "force-unlock",
        "run-all",
        "update",
    ):
        if "destroy" in words[1:]:
            call.signal(Signal.DESTRUCTIVE, f"{call.name} destroys infrastructure")
        call.signal(Signal.REMOTE, f"{call.name} {verb} changes infrastructure")
    elif verb == "run-all" and "destroy" in words:
        call.signal(Signal.DESTRUCTIVE, f"{call.name} destroys infrastructure")


def aws(call: Call) -> None:
    """`aws SERVICE OPERATION …`."""
    options = call.options("profile region endpoint-url output query cli-input-json ca-bundle")
    _named(call, options, "profile")
    words = options.texts
    service, verb = (*words[:2], "", "")[:2]
    if service == "s3":
        _objects(call, verb, options.operands[2:], deletes=options.has("delete"))
    elif service and verb and service not in ("configure", "help", "sso") and not options.has("dry-run"):
        _tell(call, verb, f"aws {service} {verb}")


def object_store(call: Call) -> None:
    """`gsutil`, `s3cmd`, `rclone`, `mc`, `azcopy`: VERB and places."""
    options = call.options("h o u i J exclude include config transfers")
    verb = options.texts[0] if options.operands else ""
    mirrors = options.has("delete", "delete-removed", "remove", "delete-destination") or (
        (call.name == "gsutil" and options.has("d")) or (call.name == "rclone" and verb == "sync")
    )
    _objects(call, verb, options.operands[1:], deletes=mirrors)


def _objects(call: Call, verb: str, operands: list[Word], *, deletes: bool) -> None:
    if deletes and verb in ("sync", "rsync", "mirror", "cp"):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {verb} deletes what the source does not have")
    elif _DELETE.match(verb) or verb in ("rmdirs", "cleanup", "deletefile", "del"):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {verb} deletes objects")
    elif verb in (
        "cp",
        "mv",
        "sync",
        "rsync",
        "put",
        "copy",
        "move",
        "mirror",
        "mb",
        "moveto",
        "copyto",
        "make",
        "get",
    ):
        away = operands[-1:] and _elsewhere(operands[-1].text)
        if away or verb in ("mb", "make", "mv", "move", "moveto"):
            call.signal(Signal.REMOTE, f"{call.name} {verb} changes stored objects")
        for at, word in enumerate(operands):
            if not _elsewhere(word.text):
                call.touch(
                    [word], Access.WRITE if at and at == len(operands) - 1 else Access.READ, recursive=True
                )
    elif verb and not _READ.match(verb):
        call.signal(Signal.REMOTE, f"{call.name} {verb} changes stored objects")


def _elsewhere(text: str) -> bool:
    return re.match(r"\w+://|[\w-]{2,}:", text) is not None


def cloud(call: Call) -> None:
    """`gcloud`, `az`, `doctl` and other CLIs whose verb is one of their leading words."""
    options = call.options("project subscription g resource-group account format zone region n name o output query a app "
                           "s site c config e env environment t token r")  # fmt: skip
    _named(
        call,
        options,
        "project",
        "subscription",
        "g",
        "resource-group",
        "app",
        "a",
        "e",
        "env",
        "environment",
        "account",
    )
    words = [word for word in options.texts if re.fullmatch(r"[a-z][a-z0-9:_-]*", word)]
    if call.name in ("vercel", "now", "netlify", "firebase", "railway", "surge") and options.has(
        "prod", "production"
    ):
        call.facts.name("production")
    if call.name in ("gcloud",) and words[:2] == ["compute", "ssh"]:
        for text in read(call.args, ["command"]).all("command"):
            call.shell(text.text)
        return
    if call.name in ("vercel", "now") and not words:
        call.signal(Signal.REMOTE, f"{call.name} deploys")
    _by_words(call, words)


def _by_words(call: Call, words: list[str]) -> None:
    said = f"{call.name} {' '.join(words[:4])}"
    if any(_DELETE.match(word.rpartition(":")[2]) for word in words):
        call.signal(Signal.DESTRUCTIVE, f"{said} deletes")
    elif words and not any(_READ.match(word.rpartition(":")[2]) for word in words):
        call.signal(Signal.REMOTE, f"{said} changes what is running")


def docker(call: Call) -> None:
    """`docker`, `podman`, `nerdctl`: containers, images, volumes."""
    options = call.options("H host c context l log-level config", stop=True)
    _named(call, options, "H", "host", "c", "context")
    words = options.operands
    if words and words[0].text in ("container", "image", "compose", "volume", "network", "system", "builder", "buildx", "stack",
                                   "swarm", "service", "node", "secret", "pod", "machine", "config"):  # fmt: skip
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
        group in ("volume", "stack", "secret", "network", "service", "pod", "swarm", "machine")
        and _DELETE.match(verb)
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {group} {verb} deletes what is not running")
    elif verb in ("rm", "rmi", "remove"):
        forced = read(rest).has("f", "force", "v", "volumes")
        call.signal(
            Signal.DESTRUCTIVE if forced else Signal.REMOTE,
            f"{call.name} {verb} removes containers or images",
        )
    elif verb in ("push", "stop", "restart", "kill", "pause", "update", "deploy", "scale", "rollback", "leave", "promote",
                  "demote", "drain"):  # fmt: skip
        call.signal(Signal.REMOTE, f"{call.name} {verb} publishes, stops or restarts")
    elif verb == "cp":
        _copied(call, rest)
    elif verb in ("build", "buildx", "bake"):
        _build(call, rest)


def _container(call: Call, verb: str, words: list[Word]) -> None:
    options = read(
        words,
        [
            "v",
            "volume",
            "mount",
            "e",
            "env",
            "env-file",
            "name",
            "p",
            "publish",
            "w",
            "workdir",
            "u",
            "user",
            "network",
            "net",
            "entrypoint",
            "h",
            "hostname",
            "l",
            "label",
            "m",
            "memory",
            "cpus",
            "cap-add",
            "cap-drop",
            "security-opt",
            "pid",
            "ipc",
            "userns",
            "device",
            "platform",
            "restart",
            "add-host",
            "dns",
            "tmpfs",
            "ulimit",
            "link",
            "log-driver",
            "log-opt",
            "gpus",
            "shm-size",
            "volumes-from",
            "pull",
            "runtime",
            "cgroupns",
            "expose",
            "detach-keys",
            "a",
            "attach",
            "ip",
        ],
        stop=True,
    )
    if options.has("privileged") and not any(w.text == "false" for w in options.all("privileged")):
        call.signal(Signal.PRIVILEGE, "a privileged container is root on the machine")
    opened = [w.text.upper() for w in options.all("cap-add", "security-opt")]
    if any(re.search(r"SYS_|ALL|UNCONFINED|DAC_|NET_ADMIN", text) for text in opened) or any(
        w.text == "host" for w in options.all("pid", "userns", "ipc")
    ):
        call.signal(Signal.PRIVILEGE, "the container is given rights over the machine")
    call.touch([w for w in options.all("device", "env-file")], Access.READ)
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
        [
            "t",
            "tag",
            "f",
            "file",
            "build-arg",
            "target",
            "platform",
            "o",
            "output",
            "cache-from",
            "cache-to",
            "secret",
            "ssh",
            "network",
            "label",
        ],
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
    options = read(
        words, ["f", "file", "p", "project-name", "profile", "env-file", "project-directory"], stop=True
    )
    _named(call, options, "f", "file", "p", "project-name", "profile", "env-file")
    if not options.operands:
        return
    verb, rest = options.operands[0].text, options.operands[1:]
    inner = read(
        rest,
        [
            "e",
            "env",
            "u",
            "user",
            "w",
            "workdir",
            "v",
            "volume",
            "name",
            "entrypoint",
            "scale",
            "t",
            "timeout",
            "p",
            "publish",
        ],
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


def machines(call: Call) -> None:
    """`minikube`, `kind`, `virsh`, `vagrant` …: machines of one's own, which only deleting loses."""
    words = [word for word in call.options("p n name profile").texts if re.fullmatch(r"[a-z][a-z-]*", word)]
    if any(_DELETE.match(word) for word in words[:3]):
        call.signal(
            Signal.DESTRUCTIVE, f"{call.name} {' '.join(words[:3])} deletes a machine with all it holds"
        )


def playbook(call: Call) -> None:
    """`ansible`, `ansible-playbook`, `salt`, `chef`: they change other machines."""
    options = call.options("i inventory l limit e extra-vars a args m module-name t tags u user f forks")
    _named(call, options, "i", "inventory", "l", "limit", "e", "extra-vars")
    for word in options.operands[:1]:
        call.facts.name(word.text)
    if not options.has("check", "C", "syntax-check", "list-hosts", "list-tasks", "version"):
        call.signal(Signal.REMOTE, f"{call.name} changes other machines")
    modules = {w.text for w in options.all("m", "module-name")} or {"command"}
    if modules & {"shell", "command", "raw", "script"} and call.name == "ansible":
        for text in options.all("a", "args"):
            call.shell(text.text)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(["kubectl", "oc", "k", "microk8s.kubectl", "kubecolor", "k3s", "minikube-kubectl"], kubernetes),
    "helm": helm, "helmfile": helm, "helm3": helm,
    **dict.fromkeys(["terraform", "tofu", "terragrunt", "pulumi", "cdk", "cdktf", "tf", "sam", "copilot"], terraform),
    "aws": aws, "awslocal": aws,
    **dict.fromkeys(["gsutil", "s3cmd", "rclone", "mc", "azcopy", "b2", "s5cmd"], object_store),
    **dict.fromkeys(["gcloud", "az", "doctl", "linode-cli", "hcloud", "oci", "ibmcloud", "eksctl", "kops", "heroku", "fly", "flyctl", "vercel", "now", "netlify", "railway", "render", "wrangler", "firebase", "supabase", "serverless", "sls", "eb", "amplify", "bq", "aliyun", "scw", "exo", "openstack", "nomad", "consul", "vault", "argocd", "flux", "istioctl", "cf", "surge", "pscale", "turso", "neonctl", "eas", "fastlane"], cloud),
    **dict.fromkeys(["docker", "podman", "nerdctl"], docker),
    **dict.fromkeys("minikube kind k3d multipass vboxmanage virsh qm pct lxc colima limactl orb".split(), machines),
    "docker-compose": compose, "podman-compose": compose,
    **dict.fromkeys(["ansible", "ansible-playbook", "salt", "chef-client", "puppet", "knife"], playbook),
}  # fmt: skip
