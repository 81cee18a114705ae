"""Programs that talk to other machines."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.names import host_of
from bot.core.risk.options import Options, read
from bot.core.risk.paths import is_secret, resolve
from bot.core.risk.reading import Call, Handler, program_name
from bot.core.risk.tables import names
from bot.core.risk.words import Word

_CURL_VALUED = (
    "d data data-binary data-raw data-ascii data-urlencode json F form form-string o output T "
    "upload-file K config X request H header A user-agent u user b cookie c cookie-jar e referer x "
    "proxy E cert key cacert capath m max-time connect-timeout w write-out r range retry retry-delay "
    "y Y C continue-at D dump-header z time-cond url resolve connect-to interface unix-socket "
    "limit-rate output-dir t Q P S netrc-file trace trace-ascii stderr proto "
)


def curl(call: Call) -> None:
    """`curl`: where to, what is sent, which files are written and read."""
    options = call.options(_CURL_VALUED)
    for url in [*options.operands, *options.all("url")]:
        _url(call, url)
    for target in options.all("resolve", "connect-to", "x", "proxy"):
        for part in target.text.split(":"):
            call.reading.host(part)
    for sent in options.all("d", "data", "data-binary", "data-ascii", "data-urlencode", "json", "F", "form"):
        _sent(call, sent)
    for sent in options.all("T", "upload-file"):
        _sent(call, Word("@" + sent.text, sent.known))
    if any(method.text.upper() == "DELETE" for method in options.all("X", "request")):
        _deletes(call)
    call.touch(options.all("K", "config", "E", "cert", "key", "cacert"), Access.READ)
    call.make(options.all("o", "output", "c", "cookie-jar", "D", "dump-header", "output-dir"))
    if options.has("O", "remote-name", "J", "remote-name-all"):
        call.make(_named_by(url) for url in options.operands)
    _upstream(call)


def wget(call: Call) -> None:
    """`wget`."""
    options = call.options(
        "O o a P t T U e i w l D A R X Q B output-document output-file append-output directory-prefix "
        "post-file "
        "body-file post-data header user password tries timeout execute input-file user-agent method"
    )
    for url in options.operands:
        _url(call, url)
    if any(method.text.upper() == "DELETE" for method in options.all("method")):
        _deletes(call)
    for sent in options.all("post-file", "body-file"):
        _sent(call, Word("@" + sent.text, sent.known))
    call.touch(options.all("i", "input-file"), Access.READ)
    written = options.all("O", "output-document", "P", "directory-prefix", "o", "output-file", "a")
    call.make(
        [w for w in written if w.text != "-"] or [_named_by(url) for url in options.operands if not written]
    )
    if any(re.search(r"use_askpass|post_file", word.text) for word in options.all("e", "execute")):
        call.opaque("wget is told to run or send something")
    _upstream(call)


def fetch(call: Call) -> None:
    """Other HTTP clients: `http`, `https`, `httpie`, `aria2c`, `lynx`, `w3m`."""
    for word in call.args:
        if word.text.upper() == "DELETE":
            _deletes(call)
        elif "://" in word.text or re.match(r"[\w.-]+(:\d+)?(/|$)", word.text):
            _url(call, word)
        if "@" in word.text and not word.text.startswith("-"):
            _sent(call, Word(word.text[word.text.index("@") :], word.known))
    _upstream(call)


def connect(call: Call) -> None:
    """`nc`, `ncat`, `socat`: raw connections; `-e` hands a program to the other side."""
    text = " ".join(word.text for word in call.args)
    runs = r"(^|\s)-\w*[ec]\b|--(sh-)?exec|--lua-exec|(?i:\b(EXEC|SYSTEM):)"
    if call.name != "openssl" and re.search(runs, text):
        call.opaque(f"{call.name} hands a program to the network")
    for word in call.args:
        for part in re.split(r"[:,]", word.text):
            call.reading.host(part)
    if call.name == "openssl":
        options = call.options("in inkey key out keyout CAkey passin pass kfile")
        call.touch(options.all("in", "inkey", "key", "CAkey", "kfile"), Access.READ)
        call.touch(options.all("out", "keyout"), Access.WRITE)
    _upstream(call)


_SSH_VALUED = "b c D E e F I i J L l m O o p Q R S W w"


def ssh(call: Call) -> None:
    """`ssh HOST COMMAND`: names a host; the command is read like any other."""
    options = call.options(_SSH_VALUED, stop=True)
    _connects(call, options)
    call.touch(options.all("i", "F"), Access.READ)
    if not options.operands:
        return
    host, *command = options.operands
    # Options may follow the host, and `--` may end them.
    command = read(command, _SSH_VALUED.split(), stop=True).operands
    _machine(call, host)
    if command:
        call.shell(" ".join(word.text for word in command))
    elif (text := call.input_text) is not None:
        call.shell(text)
    elif call.piped or call.input_redirected:
        call.opaque("ssh runs a program read from its input")


def _connects(call: Call, options: Options) -> None:
    """Read the commands that `-o` makes ssh, scp and sftp run on this machine."""
    for option in options.all("o"):
        if re.match(r"(?i)(proxycommand|localcommand|knownhostscommand)\s*[= ]", option.text):
            call.opaque(f"{call.name} runs a command of its own before it connects")
            call.shell(re.sub(r"^\w+\s*[= ]", "", option.text))


def copy_key(call: Call) -> None:
    """`ssh-copy-id HOST` lets a key in over there."""
    for host in call.options("i p o F").operands:
        _machine(call, host)
    call.signal(Signal.REMOTE, "ssh-copy-id lets a key into another machine")


def synchronise(call: Call) -> None:
    """`rsync` and `scp`: the last operand is written; `host:path` also names a host."""
    options = call.options(
        "e f o P F i c l J S rsh exclude include filter files-from exclude-from include-from "
        "rsync-path port bwlimit"
    )
    if any(flag.startswith("del") for flag in options.flags if len(flag) > 2):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes what the source does not have")
    *sources, target = [_anywhere(call, word) for word in options.operands] or [[Word("")]]
    moves = options.has("remove-source-files", "remove-sent-files")
    for source in sources:
        call.touch(source, Access.DELETE if moves else Access.READ)
    call.touch(target, Access.WRITE, recursive=True)
    for command in options.all("e", "rsh", "rsync-path", *(["S"] if call.name == "scp" else [])):
        call.shell(command.text)
    _connects(call, options)


def _anywhere(call: Call, word: Word) -> list[Word]:
    """What `path` or `host:path` names; `c:/path` is both, a drive here and a machine of one letter."""
    found = re.fullmatch(r"(?:[\w.+-]+@)?([\w.-]+|\[[0-9a-fA-F:]+\]):(?!/?/?\\)(.*)", word.text, re.DOTALL)
    if not found:
        return [word]
    call.facts.name(found[1])
    call.reading.host(found[1])
    there = Word(found[2] or "~", word.known, word.glob)
    return [there, word] if re.match(r"[A-Za-z]:/", word.text) else [there]


def many_machines(call: Call) -> None:
    """`pdsh -w HOSTS COMMAND` and its kin: a command for many machines at once."""
    options = call.options("w x g l u t f a p H h X i j e o B c hosts hostlist group", stop=True)
    for hosts in options.all("w", "H", "hosts", "hostlist", "g", "group"):
        call.facts.name(hosts.text)
    if options.operands:
        call.shell(" ".join(word.text for word in options.operands))


def transfer(call: Call) -> None:
    """`sftp`, `ftp`, `lftp`, `telnet`, `ping` …: the first operand is a machine."""
    options = call.options("b c i P p o F u e")
    _connects(call, options)
    for host in options.operands[:1]:
        _machine(call, host)
    for text in options.all("e", "c"):
        if call.name == "lftp" and re.search(r"mirror\b.*--delete|\brm\b", text.text):
            call.signal(Signal.DESTRUCTIVE, "lftp deletes on the other side")
    _upstream(call)


def _machine(call: Call, word: Word) -> None:
    name = word.text.rpartition("@")[2]
    call.facts.name(re.sub(r"^\w+://", "", name).partition("/")[0])
    call.reading.host(name)


def _named_by(url: Word) -> Word:
    """The file that a download without a name goes into."""
    return Word(url.text.partition("?")[0].rstrip("/").rpartition("/")[2] or "index.html", url.known)


def _url(call: Call, word: Word) -> None:
    if word.text.lower().startswith("file:"):
        call.touch([word], Access.READ)
        return
    for url in _braced(word.text):
        call.reading.host(host_of(url))
    if not word.known:
        call.facts.unreadable_paths = True
        if re.search(r"(?:\$\(|`)\s*(?:env|printenv|set|export)\b", word.text):
            call.opaque("the environment is sent to the network")


def _braced(url: str) -> list[str]:
    """curl expands `{a,b}` in URLs itself."""
    before, opened, rest = url.partition("{")
    choices, closed, after = rest.partition("}")
    if not (opened and closed):
        return [url]
    return [before + choice + after for choice in choices.split(",")[:20]]


def _sent(call: Call, word: Word) -> None:
    found = re.search(r"(?:^|=)[@<]([^;,]+)", word.text)
    if found and found[1] != "-":
        call.touch([Word(found[1], word.known)], Access.READ)
        if is_secret(resolve(found[1], call.reading.cwd).path):
            call.opaque("a secret is sent to the network")
    elif not word.known and re.search(r"\$\(|`", word.text):
        call.opaque("the output of a command is sent to the network")


_REVEALERS = frozenset({"env", "printenv", "set", "export", "declare", "security", "pass", "gpg"})


def _deletes(call: Call) -> None:
    call.signal(Signal.REMOTE, f"{call.name} asks another machine to delete something")


def _upstream(call: Call) -> None:
    """What is piped into the network: the environment or a secret is opaque."""
    command = call.simple.upstream
    while command is not None:
        if command.words and program_name(command.words[0].text) in _REVEALERS:
            call.opaque("the environment is sent to the network")
        named = [*command.words[1:], *(r.target for r in command.redirects)]
        if any(is_secret(resolve(word.text, call.reading.cwd).path) for word in named):
            call.opaque("a secret is sent to the network")
        command = command.upstream
    for redirect in call.simple.redirects:
        if redirect.operator == "<" and is_secret(resolve(redirect.target.text, call.reading.cwd).path):
            call.opaque("a secret is sent to the network")


HANDLERS: dict[str, Handler] = {
    "curl": curl,
    "wget": wget,
    **dict.fromkeys(names("http https httpie xh curlie aria2c lynx w3m axel"), fetch),
    **dict.fromkeys(names("nc ncat netcat socat openssl"), connect),
    "ssh": ssh,
    "autossh": ssh,
    "mosh": ssh,
    "ssh-copy-id": copy_key,
    "rsync": synchronise,
    "scp": synchronise,
    **dict.fromkeys(names("pdsh dsh clush pssh parallel-ssh"), many_machines),
    **dict.fromkeys(names("sftp ftp lftp telnet tftp ping ping6 traceroute dig nslookup host"), transfer),
}
