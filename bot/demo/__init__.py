"""The whole product on one machine: a local Slack, a Keyturn, and an agent whose work has real effects.

`run` is the command `keyturn demo`. It reads no KEYTURN_* and SLACK_* variables, keeps everything in a
temporary directory, and leaves neither that nor a process behind.
"""

import asyncio
import signal
import webbrowser
from collections.abc import Coroutine
from importlib.util import find_spec
from typing import Any

from bot.demo import headless as played
from bot.demo import shop, words
from bot.demo.children import DemoError, both, while_alive
from bot.demo.stage import Stage, directory, stage
from bot.demo.words import say

PAUSE_SECONDS = 20
"""Between two rounds of the agent's work."""

_INTERRUPTED = 130


def run(
    headless: bool = False, keep: bool = False, port: int | None = None, open_browser: bool = False
) -> int:
    """Run the demo until Ctrl-C; or, headless, one round with played reviewers.

    Args:
        keep: Keep the demo's directory at the end.
        port: Of the page; a free one by default.
        open_browser: Open the page.

    Returns:
        The exit code: 0 when all went well, 1 when something differed or a part died, 130 when a
        headless run was interrupted.
    """
    if find_spec("keyturn") is None:
        say("The demo's agent needs the agent package: pip install ./sdk")
        return 1
    try:
        return asyncio.run(_interruptible(_demo(headless, keep, port, open_browser), headless))
    except DemoError as problem:
        say(f"\n{problem}")
        return 1


async def _interruptible(work: Coroutine[Any, Any, int], headless: bool) -> int:
    """Let the first signal cancel `work`, and the rest wait until it has cleaned up."""
    task, loop, stopping = asyncio.current_task(), asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        if task is not None and not stopping.is_set():
            stopping.set()
            task.cancel()

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(signum, stop)
    try:
        return await work
    except asyncio.CancelledError:
        return _INTERRUPTED if headless else 0


async def _demo(headless: bool, keep: bool, port: int | None, open_browser: bool) -> int:
    async with directory(keep, hurry=headless) as home:
        say(words.starting(home))
        try:
            async with stage(home, port) as ready:
                work = _check(ready) if headless else _show(ready, open_browser, keep)
                return await while_alive(ready.parts, work)
        finally:
            say(words.ending(home, keep))


async def _show(ready: Stage, open_browser: bool, keep: bool) -> int:
    say(words.guide(ready, keep=keep))
    if open_browser:
        await asyncio.to_thread(webbrowser.open, words.page(ready))
    number = 0
    while True:
        number += 1
        await _round(ready, number)
        say(f"The agent's evening is over; its next one begins in {PAUSE_SECONDS} s. Ctrl-C ends the demo.")
        await asyncio.sleep(PAUSE_SECONDS)


async def _check(ready: Stage) -> int:
    await both(_round(ready, 1), played.review(ready.page))
    found = await played.findings(ready)
    say("\nWhat the round left behind, and what a rollback of the session then put back:")
    found += await played.roll_back(ready)
    for finding in found:
        say(str(finding))
    wrong = sum(1 for finding in found if not finding.ok)
    say(f"\n{len(found) - wrong} of {len(found)} as they should be.")
    return 1 if wrong else 0


async def _round(ready: Stage, number: int) -> None:
    """One run of the agent, told line by line."""
    shop.stock(ready.shop, number)
    agent = await ready.start_agent()
    try:
        await agent.tell(lambda line: say(f"  agent  {line}"))
        await agent.finished()
    finally:
        await agent.stop()
