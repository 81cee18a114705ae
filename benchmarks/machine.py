"""Starting servers, pinning them, loading them with wrk, and what machine it all ran on."""

import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bot.store import sqlite_version

REPO = Path(__file__).resolve().parent.parent
POST = Path(__file__).resolve().parent / "post.lua"
SERVER_CPU, LOAD_CPU = 0, 1


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw. `errors` counts refusals and broken connections."""

    per_second: float
    answers: int
    p50_ms: float
    p99_ms: float
    errors: int


def say(line: str) -> None:
    """Progress, for whoever watches."""
    print(f"  {time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def need_wrk() -> str:
    """The path of wrk, which makes the load."""
    found = shutil.which("wrk")
    if found is None:
        sys.exit("make bench needs wrk to make its load: apt-get install wrk, or brew install wrk")
    return found


def pinned(cpu: int) -> list[str]:
    """Words in front of a command that keep it on one core, where the system can."""
    return ["taskset", "-c", str(cpu)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def step_aside() -> None:
    """Keep this process off the servers' core, and let it and its children open many sockets."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {SERVER_CPU})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def resident_kib(pid: int) -> int:
    """How much memory a process holds, in KiB."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(told.stdout)


class Child:
    """A program on one core, from `start` until the block ends; what it logs goes to a file."""

    def __init__(self, command: list[str], environment: Mapping[str, str], directory: Path, cpu: int) -> None:
        self._command = [*pinned(cpu), *command]
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("KEYTURN_", "SLACK_"))},
            **environment,
            "PYTHONPATH": str(REPO),
        }
        self._directory = directory
        self.log = directory / "log"
        self.pid = 0

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log = self.log.open("ab")
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._directory,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self.pid = self._process.pid
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, signum)
                self._process.wait(20)
                break
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self.output.close()
        self._log.close()

    @property
    def output(self) -> IO[bytes]:
        """What it prints."""
        assert self._process.stdout is not None
        return self._process.stdout

    def alive(self) -> None:
        """Raise if it ended by itself."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command} ended by itself:\n{self.log.read_text()[-2000:]}")


class Floor(Child):
    """The bare server of `floors.commit_app`, once it answers.

    Args:
        mode: `none`, `group` or `naive`.
        pad: Bytes that it stores for each request beside the request and its audit rows.
    """

    def __init__(self, mode: str, directory: Path, *, pad: int = 0) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.database = directory / "floor.db"
        self._port = port
        command = [
            *(sys.executable, "-m", "uvicorn", "benchmarks.floors.commit_app:app", "--port", str(port)),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"),
        ]
        super().__init__(
            command, {"MODE": mode, "DB": str(self.database), "PAD": str(pad)}, directory, SERVER_CPU
        )

    def __enter__(self) -> Self:
        super().__enter__()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self._port), 0.2).close()
                return self
            except OSError:
                self.alive()
                time.sleep(0.02)
        self.__exit__(None, None, None)
        raise RuntimeError(f"the floor did not answer; see {self.log}")


def wrk(url: str, *, connections: int, seconds: float, token: str = "", tag: str = "") -> Load:
    """POST requests to `url` from the other core and read what wrk says."""
    command = [
        *pinned(LOAD_CPU),
        *(need_wrk(), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"),
        *("--latency", "-s", str(POST), url),
    ]
    environment = {**os.environ, "TOKEN": token, "TAG": tag}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return read_wrk(done.stdout)


def read_wrk(text: str) -> Load:
    """What wrk printed with `--latency`.

    Raises:
        RuntimeError: it does not say what it should.
    """
    done = re.search(r"(\d+) requests in ", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if rate is None or done is None:
        raise RuntimeError(f"wrk said nothing useful:\n{text}")
    return Load(
        per_second=float(rate.group(1)),
        answers=int(done.group(1)),
        p50_ms=_latency(text, "50%"),
        p99_ms=_latency(text, "99%"),
        errors=(int(refused.group(1)) if refused else 0) + (sum(map(int, broken.groups())) if broken else 0),
    )


def _latency(text: str, share: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s)", text)
    if found is None:
        raise RuntimeError(f"wrk gave no {share} latency:\n{text}")
    return float(found.group(1)) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found.group(2)]


def facts(directory: Path) -> list[tuple[str, str]]:
    """What a reader must know of the machine."""
    return [
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("processor", f"{os.cpu_count()} cores, {_processor()}"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("Python", platform.python_version()),
        ("SQLite", sqlite_version()),
        ("disk", _filesystem(directory)),
        ("fsync of 4 KiB, p50", f"{_fsync_ms(directory):.2f} ms"),
        ("a million additions in Python", _additions_ms()),
        ("load when it began", " ".join(f"{load:.1f}" for load in os.getloadavg())),
    ]


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or "unknown"


def _filesystem(directory: Path) -> str:
    told = subprocess.run(["df", "-T", str(directory)], capture_output=True, text=True, check=False).stdout
    words: list[Any] = told.splitlines()[-1].split() if told else []
    kind = words[1] if len(words) > 1 else "unknown"
    return f"{kind} (memory: its fsync costs nothing)" if kind == "tmpfs" else kind


def _fsync_ms(directory: Path) -> float:
    took = []
    place = directory / "fsync"
    with place.open("wb", buffering=0) as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    place.unlink()
    return sorted(took)[50]


def _additions_ms() -> str:
    """How quick the processor is just now: what absolute times of two records are compared by."""
    took = []
    for _ in range(9):
        began, total = time.perf_counter(), 0
        for number in range(1_000_000):
            total += number
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return f"{took[4]:.0f} ms ({took[0]:.0f} to {took[-1]:.0f})"


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, its threads included. 0 where the system does not tell."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
