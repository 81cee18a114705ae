"""A delivery that comes again is the same delivery."""

import asyncio

import pytest

from bot.slack.once import Once


async def test_repeats_wait_for_the_first_and_get_its_answer() -> None:
    once: Once[int] = Once()
    release, calls = asyncio.Event(), 0

    async def work() -> int:
        nonlocal calls
        calls += 1
        await release.wait()
        return calls

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(once.run("a", work)) for _ in range(5)]
        await asyncio.sleep(0)
        release.set()
    assert [task.result() for task in running] == [1] * 5
    assert await once.run("a", work) == 1
    assert await once.run("b", work) == 2


async def test_a_failure_is_told_to_all_and_may_be_tried_again() -> None:
    once: Once[int] = Once()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise RuntimeError("no")

    async def succeed() -> int:
        return 7

    results = await asyncio.gather(once.run("a", fail), once.run("a", fail), return_exceptions=True)
    assert all(isinstance(result, RuntimeError) for result in results)
    assert await once.run("a", succeed) == 7


async def test_a_first_delivery_that_is_cancelled_does_not_hang_its_repeats() -> None:
    once: Once[int] = Once()

    async def never() -> int:
        await asyncio.Event().wait()
        return 0

    first = asyncio.ensure_future(once.run("a", never))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(once.run("a", never))
    await asyncio.sleep(0)
    first.cancel()
    for waiting in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await waiting
