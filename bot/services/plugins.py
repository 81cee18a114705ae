"""Kinds of notifications that other packages bring, by the entry-point group `keyturn.notifications`."""

from importlib.metadata import EntryPoint, entry_points

GROUP = "keyturn.notifications"


def installed() -> dict[str, EntryPoint]:
    """What is installed beside Keyturn, by the kind that a policy writes. Nothing is imported yet."""
    return {found.name: found for found in entry_points(group=GROUP)}
