"""The page on escalation: its examples load, and its timetable is the one that Keyturn keeps."""

import re
from datetime import datetime, timedelta
from pathlib import Path

from bot.core import escalation
from bot.core.models import Action
from bot.core.policy import History
from tests.factories import NOON, make_submission
from tests.policies import HEAD, WORKSPACE, policy_set

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "escalation.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SHARED = (
    WORKSPACE
    + """  finance: {users: [U0FIN0001]}
schedules:
  primary: {layers: [{rotation: daily, handover: "09:00", zone: UTC, users: [U0SRE0001]}]}
"""
)


def test_every_example_loads() -> None:
    timetable, immediate, hours, during = BLOCKS
    for policy in (timetable, immediate, during):
        policy_set(f"{HEAD}\n{policy}", workspace=f"{SHARED}\n{hours}")


def test_the_timetable_is_kept() -> None:
    files = policy_set(f"{HEAD}\n{BLOCKS[0]}", workspace=SHARED)
    ruling = files.judge(Action("brew_coffee", {}), agent="barista", history=History()).ruling
    levels = escalation.plan(ruling, make_submission(), now=NOON)
    shown = {
        int(level): _at(time)
        for time, level, what in re.findall(r"\| (\d\d:\d\d) \| (\d) \| (.*) \|", PAGE)
        if "reminder" not in what
    }
    assert {number: level.opens_at for number, level in enumerate(levels)} == shown
    assert levels[-1].ends_at == _at("14:25")
    assert escalation.first_reminder(levels[0], NOON) == _at("14:02")


def _at(time: str) -> datetime:
    """A time of the page, whose day begins at 14:00."""
    hours, minutes = map(int, time.split(":"))
    return NOON + timedelta(hours=hours - 14, minutes=minutes)
