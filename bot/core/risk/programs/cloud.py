"""Tools that change clouds and infrastructure."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.options import Options, read
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word

READS = re.compile(
    r"(get|list|ls|describe|show|head|lookup|search|query|scan|select|view|validate|test|check|estimate|preview|plan|"
    r"diff|status|info|version|help|whoami|logs?|tail|watch|wait|top|explain|inspect|history|outputs?|fmt|format|lint|"
    r"batch-get|batch-describe|filter|detect|print|read|config|configure|auth|login|logout|completion|ps|images|"
    r"events|stats|doctor|env|open|docs|graph|providers|init|template|verify|synth|console|dry-run|cat|sts|account|"
    r"generate-db-auth-token|port-forward|port|api-resources|api-versions|cluster-info|current-context)(-.*|$)"
)
DELETES = re.compile(
    r"(delete|destroy|remove|rm|rb|terminate|purge|prune|uninstall|deregister|drop|teardown|nuke|wipe|unpublish|"
    r"batch-delete|force-delete|schedule-key-deletion|empty|down|cancel-deletion|undeploy|kill|reset|erase|undefine|unregistervm)(-.*|:.*|$)"
)


def tell(call: Call, verb: str, said: str) -> None:
    """Note what a verb of a cloud tool does, by its usual meaning."""
    if DELETES.match(verb):
        call.signal(Signal.DESTRUCTIVE, f"{said} deletes")
    elif not READS.match(verb):
        call.signal(Signal.REMOTE, f"{said} changes what is running")


def named(call: Call, options: Options, *flags: str) -> None:
    """Note the names given by flags."""
    for word in options.all(*flags):
        call.facts.name(word.text)


_SCOPES = frozenset(
    names("cluster clusters namespace namespaces environment environments database databases sql db aks eks")
)
"""Words of cloud tools behind which the name of such a thing is given."""


def _scoped(call: Call, options: Options) -> None:
    """Note the clusters, databases and environments that a command names as what it works on."""
    words = options.texts
    if not _SCOPES.isdisjoint(words) or words[:2] == ["config", "set"]:
        for word in [*options.operands, *options.all("n", "name")]:
            call.facts.name(word.text)


def terraform(call: Call) -> None:
    """`terraform VERB`, and tools that work like it."""
    flags = [word.text for word in call.args]
    words = [word for word in flags if not word.startswith("-")]
    verb = words[0] if words else ""
    for flag in flags:
        if found := re.match(r"-{1,2}(?:var-file|backend-config|chdir|var|stack|workspace)=(.*)", flag):
            call.facts.name(found[1])
    options = call.options("s stack var-file var chdir target C cwd profile context c")
    named(call, options, "s", "stack", "var-file", "profile")
    if verb in ("workspace", "stack") and len(words) > 2:
        call.facts.name(words[2])
    if (
        verb == "destroy"
        or (call.name == "pulumi" and verb in ("down", "dn"))
        or (call.name in ("sam", "copilot") and verb in ("delete", "remove"))
        or (any(re.fullmatch(r"-{1,2}destroy(=true)?", flag) for flag in flags) and verb != "plan")
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} destroys infrastructure")
    elif (
        verb in ("state", "workspace", "stack")
        and words[1:2]
        and words[1] in ("rm", "delete", "remove", "push")
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} {verb} {words[1]} forgets infrastructure")
    elif verb == "destroy-all" or (verb in ("run", "run-all", "stack") and "destroy" in words[1:]):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} destroys infrastructure")
    elif verb in _INFRASTRUCTURE_CHANGES or (verb in ("run", "run-all") and words[1:2] != ["plan"]):
        call.signal(Signal.REMOTE, f"{call.name} {verb} changes infrastructure")


_INFRASTRUCTURE_CHANGES = frozenset(
    names("apply apply-all up deploy import taint untaint refresh force-unlock update")
)


def aws(call: Call) -> None:
    """`aws SERVICE OPERATION …`."""
    options = call.options("profile region endpoint-url output query cli-input-json ca-bundle name")
    named(call, options, "profile")
    _scoped(call, options)
    words = options.texts
    service, verb = (*words[:2], "", "")[:2]
    if service == "s3":
        _objects(call, verb, options.operands[2:], deletes=options.has("delete"))
    elif (service, verb) == ("ssm", "send-command"):
        call.opaque("aws ssm send-command runs commands on other machines")
    elif service and verb and service not in ("configure", "help", "sso") and not options.has("dry-run"):
        tell(call, verb, f"aws {service} {verb}")


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
    elif DELETES.match(verb) or verb in ("rmdirs", "cleanup", "deletefile", "del"):
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
    elif verb and not READS.match(verb):
        call.signal(Signal.REMOTE, f"{call.name} {verb} changes stored objects")


def _elsewhere(text: str) -> bool:
    return re.match(r"\w+://|[\w-]{2,}:", text) is not None


def cloud(call: Call) -> None:
    """`gcloud`, `az`, `doctl` and other CLIs whose verb is one of their leading words."""
    options = call.options(
        "project subscription g resource-group account format zone region n name o output query a app s site "
        "c config e env environment t token r"
    )
    named(
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
        "s",
    )
    _scoped(call, options)
    words = [word for word in options.texts if re.fullmatch(r"[a-z][a-z0-9:_-]*", word)]
    if call.name in ("vercel", "now", "netlify", "firebase", "railway", "surge") and options.has(
        "prod", "production"
    ):
        call.facts.name("production")
    if call.name in ("gcloud",) and words[:2] == ["compute", "ssh"]:
        texts = [word.text for word in call.args]
        lines = [word.text for word in read(call.args, ["command"]).all("command")]
        for line in [*lines, " ".join(texts[texts.index("--") + 1 :]) if "--" in texts else ""]:
            call.shell(line)
        return
    if call.name == "az" and "run-command" in words:
        call.opaque("az run-command runs commands on other machines")
    if call.name in ("fly", "flyctl") and words[:2] == ["ssh", "console"]:
        for text in read(call.args, ["C", "command", "a", "app"]).all("C", "command"):
            call.shell(text.text)
        return
    if call.name in ("vercel", "now") and not words:
        call.signal(Signal.REMOTE, f"{call.name} deploys")
    _by_words(call, words)


_TAKES_ALONG = (["secrets", "disable"], ["auth", "disable"])
"""Verbs of vault that delete all that was kept there."""


def _by_words(call: Call, words: list[str]) -> None:
    said = f"{call.name} {' '.join(words[:4])}"
    if any(DELETES.match(word.rpartition(":")[2]) for word in words) or words[:2] in _TAKES_ALONG:
        call.signal(Signal.DESTRUCTIVE, f"{said} deletes")
    elif words and not any(READS.match(word.rpartition(":")[2]) for word in words):
        call.signal(Signal.REMOTE, f"{said} changes what is running")


def machines(call: Call) -> None:
    """`minikube`, `kind`, `virsh`, `vagrant` …: machines of one's own, which only deleting loses."""
    options = call.options("p n name profile")
    for name in [*options.operands, *options.all("p", "n", "name", "profile")]:
        call.facts.name(name.text)
    words = [word for word in options.texts if re.fullmatch(r"[a-z][a-z-]*", word)]
    if any(DELETES.match(word) for word in words[:3]) or (call.name == "fastboot" and options.has("w")):
        call.signal(
            Signal.DESTRUCTIVE, f"{call.name} {' '.join(words[:3])} deletes a machine with all it holds"
        )


def playbook(call: Call) -> None:
    """`ansible`, `ansible-playbook`, `salt`, `chef`: they change other machines."""
    options = call.options("i inventory l limit e extra-vars a args m module-name t tags u user f forks")
    named(call, options, "i", "inventory", "l", "limit", "e", "extra-vars")
    for word in options.operands[:1]:
        call.facts.name(word.text)
    if not options.has("check", "C", "syntax-check", "list-hosts", "list-tasks", "version"):
        call.signal(Signal.REMOTE, f"{call.name} changes other machines")
    modules = {w.text for w in options.all("m", "module-name")} or {"command"}
    if modules & {"shell", "command", "raw", "script"} and call.name == "ansible":
        for text in options.all("a", "args"):
            call.shell(text.text)
    if call.name == "salt" and options.texts[1:2] in (["cmd.run"], ["cmd.shell"], ["cmd.run_all"]):
        call.shell(" ".join(options.texts[2:]))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(names("terraform tofu terragrunt pulumi cdk cdktf tf sam copilot"), terraform),
    "aws": aws,
    "awslocal": aws,
    **dict.fromkeys(names("gsutil s3cmd rclone mc azcopy b2 s5cmd"), object_store),
    **dict.fromkeys(
        names(
            "gcloud az doctl linode-cli hcloud oci ibmcloud eksctl kops heroku fly flyctl vercel now "
            "netlify railway render wrangler firebase supabase serverless sls eb amplify aliyun scw "
            "exo openstack nomad consul vault argocd flux istioctl velero cf surge pscale turso neonctl eas "
            "fastlane"
        ),
        cloud,
    ),
    **dict.fromkeys(
        names("minikube kind k3d multipass vboxmanage virsh qm pct fastboot lxc colima limactl orb"), machines
    ),
    **dict.fromkeys(names("ansible ansible-playbook salt chef-client puppet knife"), playbook),
}
