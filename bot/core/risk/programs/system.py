"""Programs that change the machine itself: accounts, processes, disks, services, the firewall."""

import re

from bot.core.risk.facts import Access, Signal
from bot.core.risk.programs.unknown import unknown_program
from bot.core.risk.reading import Call, Handler
from bot.core.risk.tables import names
from bot.core.risk.words import Word

DANGEROUS = frozenset(
    names(
        "kill pkill killall killall5 skill snice mount umount iptables ip6tables nft ufw firewall-cmd "
        "useradd adduser usermod userdel deluser groupadd addgroup groupmod groupdel delgroup passwd "
        "chpasswd vipw vigr visudo gpasswd newusers mkfs mke2fs mkswap fdisk sfdisk cfdisk gdisk "
        "sgdisk parted wipefs blkdiscard hdparm cryptsetup lvremove vgremove pvremove lvreduce zpool "
        "zfs mdadm swapoff swapon insmod rmmod modprobe sysctl setenforce shutdown reboot halt "
        "poweroff init telinit crontab at batch chsh setcap losetup fsck debugfs resize2fs tune2fs "
        "format diskpart reg bcdedit vssadmin schtasks ip route ifconfig dpkg rpm update-grub "
        "grub-install efibootmgr stop-computer restart-computer taskkill stop-process net sc diskutil "
        "csrutil spctl nvram dscl launchctl"
    )
)

_HARMLESS = {
    "ip": r"(-\S+ )*(a|addr|address|r|route|l|link|n|neigh|rule|maddr|-\S+)( (show|list|ls|get)\b.*)?",
    "zfs": r"(list|get|diff)\b.*", "zpool": r"(list|status|get|history|iostat)\b.*",
    "crontab": r"(-u \S+ )?-l( -u \S+)?", "mount": r"(-l|-V)?", "ifconfig": r"(-a|\S+)?",
    "route": r"(-n|print)?",
    "dpkg": r"(-l|-L|-s|-S|-p|--list|--status|--search|--print-architecture|--version)\b.*",
    "rpm": r"(-q\w*|--query|--version|-V)\b.*", "sysctl": r"(-a|-n \S+|[\w.]+)", "kill": r"-l.*",
    "ufw": r"status.*",
    "iptables": r"(-t \w+ )?(-L|-S|--list|-nL|-nvL|-vnL)\b.*", "nft": r"(-a )?list\b.*", "fdisk": r"-l.*",
    "parted": r".*(-l|print)", "firewall-cmd": r"--(list|get|state|query)\S*.*", "fsck": r"-N.*",
    "passwd": r"-S.*",
    "launchctl": r"(list|print|blame)\b.*", "net": r"(view|statistics)\b.*", "sc": r"query\b.*",
    "reg": r"query\b.*",
    "schtasks": r"/query\b.*", "diskutil": r"(list|info)\b.*", "at": r"-l", "losetup": r"(-a|-l|--list)?",
    "swapon": r"(-s|--show).*", "mdadm": r"(--detail|-D|--query|-Q).*", "hdparm": r"-[iI].*",
}  # fmt: skip
"""Ways of calling a dangerous program that only show something."""


def destructive(call: Call) -> None:
    """Programs that by themselves lose data or stop the machine."""
    call.signal(Signal.DESTRUCTIVE, f"{call.name} loses data or stops the machine")
    unknown_program(call)


def signal_processes(call: Call) -> None:
    """`kill`: process 1 is the machine, -1 is everything."""
    targets = [word.text for word in call.args]
    if targets[-1:] in (["1"], ["-1"]) or "1" in targets[1:] or ("--" in targets and "-1" in targets):
        call.signal(Signal.DESTRUCTIVE, "kill of process 1 or of every process stops the machine")


def kill_by_name(call: Call) -> None:
    """`killall` ends every process of a name."""
    call.signal(Signal.DESTRUCTIVE, f"{call.name} ends every process of that name")


def firewall(call: Call) -> None:
    """`iptables`, `nft`, `ufw`: flushing opens or closes everything."""
    text = " ".join(word.text for word in call.args)
    if re.search(
        r"(^|\s)(-F|--flush|-X|--delete-chain|flush|reset|disable|-P \w+ ACCEPT|state off)(\s|$)", text
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} throws firewall rules away")


def accounts(call: Call) -> None:
    """`useradd`, `usermod`, `passwd`: membership of root's groups is privilege."""
    text = " ".join([*(word.text for word in call.args), call.input_text or ""])
    if re.search(r"\b(sudo|wheel|root|admin|docker)\b|(-o )?-u 0\b", text) or call.name in ("visudo", "vipw"):
        call.signal(Signal.PRIVILEGE, f"{call.name} hands out root's rights")


def more_rights(call: Call) -> None:
    """`setcap`, `insmod`, `setenforce`: what runs afterwards may do more."""
    if not any(word.text in ("-r", "-v", "1", "Enforcing") for word in call.args):
        call.signal(Signal.PRIVILEGE, f"{call.name} lets programs do what was not allowed")
    unknown_program(call)


def remove_account(call: Call) -> None:
    """`userdel` and `groupdel`."""
    call.signal(Signal.DESTRUCTIVE, f"{call.name} removes an account")


def keys(call: Call) -> None:
    """`gpg`: a secret key that is deleted opens nothing any more."""
    if any(word.text.startswith("--delete-secret") for word in call.args):
        call.signal(Signal.DESTRUCTIVE, "gpg deletes a secret key")
    unknown_program(call)


def schedule(call: Call) -> None:
    """`crontab`: `-r` removes the table; a file or input replaces it."""
    options = call.options("u")
    if options.has("r"):
        call.signal(Signal.DESTRUCTIVE, "crontab -r removes all scheduled commands")
    elif not options.has("l"):
        call.touch([Word("/var/spool/cron/crontabs")], Access.WRITE)
        call.touch([w for w in options.operands if w.text != "-"], Access.READ)


def run_later(call: Call) -> None:
    """`at` and `batch` run their input at another time."""
    text = call.input_text
    if text is not None:
        call.shell(text)
    elif call.piped or call.input_redirected or call.options("f q t").has("f"):
        call.opaque(f"{call.name} runs a program that cannot be read here")


def run_level(call: Call) -> None:
    """`init 0` and `init 6` stop the machine."""
    if any(word.text in ("0", "6") for word in call.args):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} stops the machine")


def disks(call: Call) -> None:
    """Partition and volume tools on devices."""
    text = " ".join(word.text for word in call.args)
    if re.search(
        r"\b(destroy|luksFormat|erase|zero-superblock|mklabel|--zap-all|mkpart|rmpart|delete|eraseDisk)", text
    ):
        call.signal(Signal.DESTRUCTIVE, f"{call.name} loses what is on a disk")
    call.touch([w for w in call.args if w.text.startswith("/")], Access.WRITE)


def volumes(call: Call) -> None:
    """`btrfs subvolume delete`."""
    if {"delete", "del"} & {word.text for word in call.args}:
        call.signal(Signal.DESTRUCTIVE, f"{call.name} deletes a volume with all it holds")
    call.touch([word for word in call.args if word.text.startswith("/")], Access.WRITE)


def local_package(call: Call) -> None:
    """`rpm` and `dpkg`: a package from a URL is a program nobody has read."""
    for word in call.args:
        if re.match(r"(https?|ftp):", word.text):
            call.opaque(f"{call.name} installs a package from a URL")
    call.touch([word for word in call.args if word.text.startswith(("/", "~"))], Access.READ)


def mount(call: Call) -> None:
    """`mount` and `umount`: the mount point is written."""
    operands = call.options("t o O L U").operands
    *sources, point = [w for w in operands if w.text.startswith(("/", "~", "."))] or [Word("")]
    call.touch(sources, Access.READ)
    call.touch([point], Access.WRITE)


def service_manager(call: Call) -> None:
    """`systemctl VERB unit`."""
    options = call.options("H M t p n o host machine type property lines output root signal")
    verb = options.texts[0] if options.operands else ""
    for host in options.all("H", "host"):
        call.facts.name(host.text)
    if verb in (
        "poweroff",
        "reboot",
        "halt",
        "kexec",
        "rescue",
        "emergency",
        "isolate",
        "suspend",
        "hibernate",
    ):
        call.signal(Signal.DESTRUCTIVE, f"systemctl {verb} stops the machine")
    elif re.match(
        r"(stop|disable|restart|try-restart|reload|kill|mask|revert|set-property|force-reload)", verb
    ):
        call.signal(Signal.REMOTE, f"systemctl {verb} stops or restarts a service")
    elif verb in ("edit", "link"):
        call.touch([Word("/etc/systemd/system"), *options.operands[1:]], Access.WRITE)


def service(call: Call) -> None:
    """`service NAME VERB`, `rc-service`, `supervisorctl VERB NAME`, `pm2 VERB NAME`."""
    texts = {word.text for word in call.args}
    if stops := texts & {
        "stop",
        "restart",
        "reload",
        "force-reload",
        "delete",
        "kill",
        "shutdown",
        "scale",
        "unload",
        "bootout",
    }:
        call.signal(Signal.REMOTE, f"{call.name} {min(stops)} stops or restarts a service")


def kernel_settings(call: Call) -> None:
    """`sysctl -w` and kernel modules."""
    if "/proc/sys" not in " ".join(w.text for w in call.args) and call.name == "sysctl":
        return
    unknown_program(call)


def is_harmless(name: str, arguments: str) -> bool:
    """Whether a dangerous program is only asked to show something."""
    pattern = _HARMLESS.get(name)
    return pattern is not None and re.fullmatch(pattern, arguments.strip(), re.DOTALL) is not None


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        names(
            "mkfs mke2fs mkswap wipefs blkdiscard shutdown reboot halt poweroff lvremove vgremove "
            "pvremove dropuser grub-install efibootmgr"
        ),
        destructive,
    ),
    "kill": signal_processes,
    "killall": kill_by_name,
    "killall5": kill_by_name,
    "taskkill": kill_by_name,
    "pkill": lambda call: None,
    "skill": lambda call: None,
    **dict.fromkeys(names("iptables ip6tables nft ufw firewall-cmd pfctl ebtables netsh"), firewall),
    **dict.fromkeys(
        names("useradd adduser usermod passwd chpasswd visudo vipw vigr gpasswd groupadd addgroup"), accounts
    ),
    **dict.fromkeys(["userdel", "deluser", "groupdel", "delgroup"], remove_account),
    **dict.fromkeys(["setcap", "insmod", "modprobe", "setenforce"], more_rights),
    "gpg": keys,
    "crontab": schedule,
    "at": run_later,
    "batch": run_later,
    "init": run_level,
    "telinit": run_level,
    **dict.fromkeys(
        names("fdisk sfdisk cfdisk gdisk sgdisk parted cryptsetup zpool zfs mdadm diskutil hdparm"), disks
    ),
    "btrfs": volumes,
    **dict.fromkeys(["rpm", "dpkg"], local_package),
    "mount": mount,
    "umount": mount,
    "systemctl": service_manager,
    **dict.fromkeys(names("service rc-service supervisorctl pm2 svc sv launchctl nginx apachectl"), service),
    "sysctl": kernel_settings,
}
