"""The report's charts, drawn with matplotlib: each in a light and in a dark look.

matplotlib is imported when the first chart is drawn, since it takes half a second.
"""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.services.summaries import Spread, Summary

OUTCOMES = ("approved", "modified", "rejected", "timed out", "cancelled", "pending")
RISKS = ("none", "low", "medium", "high", "critical")
_AGENTS = 8
_REVIEWERS = 10


@dataclass(frozen=True, slots=True)
class Look:
    """Colours of one appearance. Outcomes differ in lightness too, for those who see hues alike."""

    paper: str
    ink: str
    faint: str
    outcomes: tuple[str, ...]
    plain: str
    slow: str


LIGHT = Look(
    paper="#ffffff",
    ink="#1d1c1d",
    faint="#d9d9de",
    outcomes=("#1f7a5c", "#7cc4a4", "#c43d3d", "#e29a3b", "#8a8f98", "#c9ccd3"),
    plain="#3f6fb5",
    slow="#a9c1e4",
)
DARK = Look(
    paper="#1a1d21",
    ink="#e8e8e8",
    faint="#3a3f45",
    outcomes=("#3fae87", "#a5dfc7", "#e06a6a", "#f0b860", "#9aa0aa", "#5a6069"),
    plain="#6f9fe8",
    slow="#35527f",
)

Draw = Callable[[Any, Summary, Look], None]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: its title, and what draws it into axes."""

    title: str
    draw: Draw


def svg(chart: Chart, summary: Summary, look: Look) -> bytes:
    """One chart as a picture of lines, with its text as shapes: it looks the same everywhere."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # A fixed salt: the same figures give the same bytes.
    with rc_context({"svg.hashsalt": "keyturn"}):
        figure = Figure(figsize=(6.4, 3.4), facecolor=look.paper, layout="constrained")
        _into(figure.subplots(), chart, summary, look)
        return _saved(figure, "svg", metadata={"Date": None})


def png(summary: Summary, title: str, facts: Sequence[tuple[str, str]], look: Look = LIGHT) -> bytes:
    """All charts in one picture, 1,600 pixels wide, with the key figures on top."""
    from matplotlib.figure import Figure

    rows = (len(CHARTS) + 1) // 2
    figure = Figure(figsize=(12.8, 1.6 + 3.4 * rows), dpi=125, facecolor=look.paper, layout="constrained")
    figure.suptitle(title, color=look.ink, fontsize=18, fontweight="bold", x=0.02, ha="left")
    parts: Any = figure.subfigures(2, 1, height_ratios=(0.9, 3.4 * rows))
    top, below = parts
    _tiles(top, facts, look)
    axes = below.subplots(rows, 2).flatten()
    for place, chart in zip(axes, CHARTS, strict=False):
        _into(place, chart, summary, look)
    for unused in axes[len(CHARTS) :]:
        unused.set_visible(False)
    return _saved(figure, "png", dpi=125)


def _saved(figure: Any, format: str, **options: Any) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format=format, facecolor=figure.get_facecolor(), **options)
    return held.getvalue()


def _tiles(figure: Any, facts: Sequence[tuple[str, str]], look: Look) -> None:
    figure.set_facecolor(look.paper)
    for place, (label, value) in enumerate(facts):
        x = 0.02 + place * 0.97 / len(facts)
        figure.text(x, 0.52, value, color=look.ink, fontsize=20, fontweight="bold", va="center")
        figure.text(x, 0.12, label, color=look.ink, fontsize=10, va="center", alpha=0.75)


def _into(axes: Any, chart: Chart, summary: Summary, look: Look) -> None:
    axes.set_facecolor(look.paper)
    axes.set_title(chart.title, color=look.ink, loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.tick_params(colors=look.ink, labelsize=9, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(look.faint)
    axes.set_axisbelow(True)
    chart.draw(axes, summary, look)
    if not axes.has_data():
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing in this time", color=look.ink, alpha=0.6, ha="center", va="center")


def _by_risk(axes: Any, summary: Summary, look: Look) -> None:
    stories = summary.stories.values()
    counts = Counter((story.risk, story.outcome) for story in stories)
    _stacked(axes, RISKS, counts, look, sideways=False)


def _by_agent(axes: Any, summary: Summary, look: Look) -> None:
    busiest = Counter(story.agent for story in summary.stories.values()).most_common(_AGENTS)
    counts = Counter((story.agent, story.outcome) for story in summary.stories.values())
    _stacked(axes, [_cut(name) for name, _ in busiest][::-1], _renamed(counts), look, sideways=True)


def _renamed(counts: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for (name, outcome), count in counts.items():
        found[_cut(name), outcome] += count
    return found


def _stacked(
    axes: Any, names: Sequence[str], counts: Counter[tuple[str, str]], look: Look, *, sideways: bool
) -> None:
    if not counts:
        return
    base = [0] * len(names)
    for outcome, colour in zip(OUTCOMES, look.outcomes, strict=True):
        sizes = [counts[name, outcome] for name in names]
        if not any(sizes):
            continue
        if sideways:
            axes.barh(names, sizes, left=base, color=colour, label=outcome, height=0.62)
        else:
            axes.bar(names, sizes, bottom=base, color=colour, label=outcome, width=0.62)
        base = [low + size for low, size in zip(base, sizes, strict=True)]
    _grid(axes, look, "x" if sideways else "y")
    if sideways:
        axes.set_ylim(-0.6, _room(len(names), 4))
    axes.legend(
        frameon=False,
        labelcolor=look.ink,
        fontsize=8,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncols=len(OUTCOMES),
        handlelength=1,
        columnspacing=1,
    )


def _durations(axes: Any, summary: Summary, look: Look) -> None:
    known = [
        (label, found)
        for label, found in (("decide", summary.deciding), ("acknowledge", summary.acknowledging))
        if found is not None
    ]
    for label, found in known:
        _duration(axes, label, found, look)
    if known:
        _grid(axes, look, "x")
        axes.set_xlim(left=0, right=None if axes.get_xlim()[1] > 0 else 1)
        axes.set_ylim(-0.6, _room(len(known), 2))
        axes.set_xlabel("minutes; dark: median, light: 90 %", color=look.ink, fontsize=9)


def _duration(axes: Any, label: str, found: Spread, look: Look) -> None:
    axes.barh([label], [found.p90.total_seconds() / 60], color=look.slow, height=0.5)
    axes.barh([label], [found.median.total_seconds() / 60], color=look.plain, height=0.5)


def _escalations(axes: Any, summary: Summary, look: Look) -> None:
    levels = sorted(summary.escalations)
    names = [f"level {level}" for level in levels]
    sizes = [summary.escalations[level] for level in levels]
    timeouts = summary.outcomes["timed out"]
    if not (levels or timeouts):
        return
    axes.bar([*names, "timed out"], [*sizes, timeouts], width=0.55,
             color=[*[look.plain] * len(names), look.outcomes[3]])  # fmt: skip
    _grid(axes, look, "y")


def _reviewers(axes: Any, summary: Summary, look: Look) -> None:
    load: Counter[str] = Counter()
    for (person, _), count in summary.reviews.items():
        load[_cut(summary.name(person))] += count
    busiest = load.most_common(_REVIEWERS)[::-1]
    if busiest:
        names, counts = zip(*busiest, strict=True)
        axes.barh(names, counts, color=look.plain, height=0.6)
        axes.set_ylim(-0.6, _room(len(names), 4))
        _grid(axes, look, "x")


def _per_day(axes: Any, summary: Summary, look: Look) -> None:
    days = Counter(story.asked_at.date() for story in summary.stories.values() if story.asked_at is not None)
    if not days:
        return
    ordered = sorted(days)
    axes.bar([f"{day:%d %b}" for day in ordered], [days[day] for day in ordered], color=look.plain, width=0.7)
    step = max(1, len(ordered) // 7)
    axes.set_xticks(range(0, len(ordered), step))
    axes.set_xlim(-0.6, _room(len(ordered), 7))
    _grid(axes, look, "y")


def _grid(axes: Any, look: Look, axis: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(axis=axis, color=look.faint, linewidth=0.8)
    numbers = axes.xaxis if axis == "x" else axes.yaxis
    numbers.set_major_locator(MaxNLocator(nbins=5, integer=axis == "y"))


def _room(count: int, least: int) -> float:
    """The end of an axis of names, so that one alone is no giant."""
    return max(count, least) - 0.4


def _cut(name: str) -> str:
    # matplotlib reads what stands between two of them as a formula.
    return (name if len(name) <= 22 else f"{name[:21]}…").replace("$", r"\$")


CHARTS = (
    Chart("Requests by day", _per_day),
    Chart("Outcome by risk", _by_risk),
    Chart("Outcome by agent", _by_agent),
    Chart("Time to acknowledge and to decide", _durations),
    Chart("Escalations by level, and timeouts", _escalations),
    Chart("Verdicts by reviewer", _reviewers),
)
