"""A store on a file of its own, and a clock that tests move by hand."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.store import Store
from tests.factories import NOON


class HandClock:
    """Stands still until told otherwise."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def move(self, by: timedelta) -> datetime:
        self._now += by
        return self._now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/keyturn.db"


@pytest.fixture
async def store(url: str, clock: HandClock) -> AsyncIterator[Store]:
    async with Store.open(url, clock=clock) as opened:
        yield opened
