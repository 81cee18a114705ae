"""Schedules from their file: compiled, and what is wrong with those that are each well-formed."""

import difflib
from collections.abc import Iterator
from datetime import timedelta

from bot.core.oncall import EPOCH, Layer, Schedule, anchored, never_ends, windows_overlap
from bot.core.policy.problems import Location
from bot.core.policy.workspace import LayerFile, ScheduleFile, WorkspaceFile

_LENGTHS = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}


def compiled(name: str, file: ScheduleFile) -> Schedule:
    """The schedule that a file describes."""
    return Schedule(name, tuple(_layer(layer) for layer in file.layers or ()), file.slack_usergroup)


def _layer(file: LayerFile) -> Layer:
    weekday, at = file.handover
    length = _LENGTHS.get(file.rotation) or file.shift
    assert length is not None, "a custom rotation without a shift is refused"
    return Layer(
        users=file.users,
        zone=file.zone,
        anchor=anchored(file.start or EPOCH, at, weekday),
        length=length,
        since_anchor=file.start is not None,
        windows=tuple(hours.window for hours in file.restrict or ()),
    )


def faults(workspace: WorkspaceFile) -> Iterator[tuple[Location, str, str]]:
    """What is wrong with schedules, business hours, and groups that name one: where, what, what instead."""
    for name, schedule in workspace.schedules.items():
        where: Location = ("schedules", name)
        if (schedule.layers is None) == (schedule.slack_usergroup is None):
            yield where, "names people in no way or in two", "write either layers or slack_usergroup: S…"
        for at, layer in enumerate(schedule.layers or ()):
            yield from _layer_faults((*where, "layers", at), layer)
        yield from _unreachable((*where, "layers"), schedule)
    for name, spans in workspace.business_hours.items():
        for at, span in enumerate(spans):
            if span.zone.key != spans[0].zone.key:
                yield (
                    ("business_hours", name, at, "zone"),
                    f"is another zone than {spans[0].zone.key}, in which the first span is",
                    "write the same zone in every span, or define hours of another name",
                )
    for location, people in workspace.people().items():
        if people.schedule is not None and people.schedule not in workspace.schedules:
            yield (*location, "schedule"), *undefined(people.schedule, workspace)


def undefined(name: str, workspace: WorkspaceFile) -> tuple[str, str]:
    """What to say of a schedule that is not there."""
    close = difflib.get_close_matches(name, list(workspace.schedules), n=1)
    meant = f"did you mean {close[0]}? Else define it" if close else "define it"
    return f"there is no schedule {name}", f"{meant} under schedules in workspace.yaml"


def _layer_faults(where: Location, layer: LayerFile) -> Iterator[tuple[Location, str, str]]:
    weekday = layer.handover.weekday
    if layer.rotation == "weekly" and weekday is None:
        yield (*where, "handover"), "a weekly rotation needs the day", 'write for example "Mon 09:00"'
    if layer.rotation == "daily" and weekday is not None:
        yield (*where, "handover"), "a daily rotation has no weekday", 'write the time alone, "09:00"'
    if layer.rotation == "custom" and layer.shift is None:
        yield where, "a custom rotation needs the length of its shifts", "add shift: 12h"
    if layer.rotation != "custom" and layer.shift is not None:
        yield (*where, "shift"), f"a {layer.rotation} rotation has its own length", "write rotation: custom"
    if layer.shift is not None and layer.shift < timedelta(minutes=1):
        yield (*where, "shift"), "nobody is on call for less than a minute", "write at least 1m"
    if windows_overlap([hours.window for hours in layer.restrict or ()]):
        yield (*where, "restrict"), "hours overlap", "write each hour of the week once"


def _unreachable(where: Location, schedule: ScheduleFile) -> Iterator[tuple[Location, str, str]]:
    for at, layer in enumerate((schedule.layers or ())[:-1]):
        if (layer.rotation != "custom" or layer.shift is not None) and never_ends(_layer(layer)):
            yield (
                (*where, at + 1),
                f"is never reached: layer {at + 1} always names somebody",
                "restrict the hours of earlier layers, or put this one first",
            )
            return
