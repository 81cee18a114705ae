"""The report's charts, drawn with matplotlib: each in a light and in a dark look.

matplotlib is imported when the first chart is drawn, since it takes half a second.
"""

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.services.summaries import Spread, Summary, span

OUTCOMES = ("approved", "modified", "rejected", "timed out", "cancelled", "pending")
RISKS = ("none", "low", "medium", "high", "critical")
_UNITS = ((timedelta(hours=1), "hours"), (timedelta(minutes=1), "minutes"))
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
        figure = Figure(figsize=(5.6, 3.2), facecolor=look.paper, layout="constrained")
        _into(figure.subplots(), chart, summary, look)
        return _saved(figure, "svg", metadata={"Date": None})


def png(summary: Summary, title: str, facts: Sequence[tuple[str, str]], look: Look = LIGHT) -> bytes:
    """All charts in one picture, 1,600 pixels wide, with the key figures on top."""
    from matplotlib.figure import Figure

    rows = (len(CHARTS) + 1) // 2
    figure = Figure(figsize=(12.8, 1.9 + 3.6 * rows), dpi=125, facecolor=look.paper, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.25, h_pad=0.2)  # type: ignore[union-attr, call-arg] # it has these
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.5, 3.6 * rows))
    top, below = parts
    _head(top, title, facts, look)
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


def _head(figure: Any, title: str, facts: Sequence[tuple[str, str]], look: Look) -> None:
    figure.set_facecolor(look.paper)
    figure.text(0.02, 0.78, title, color=look.ink, fontsize=18, fontweight="bold", va="center")
    for place, (label, value) in enumerate(facts):
        x = 0.02 + place * 0.97 / len(facts)
        figure.text(x, 0.38, value, color=look.ink, fontsize=20, fontweight="bold", va="center")
        figure.text(x, 0.12, label, color=look.ink, fontsize=10, va="center", alpha=0.75)


def _into(axes: Any, chart: Chart, summary: Summary, look: Look) -> None:
    axes.set_facecolor(look.paper)
    axes.set_title(chart.title, color=look.ink, loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.tick_params(colors=look.ink, labelsize=10, length=0)
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
    counts = Counter((story.risk, story.outcome) for story in summary.asked)
    _stacked(axes, RISKS, counts, dict(zip(OUTCOMES, look.outcomes, strict=True)), look, sideways=False)


def _by_agent(axes: Any, summary: Summary, look: Look) -> None:
    counts = Counter((_cut(story.agent), story.outcome) for story in summary.asked)
    names = _busiest(counts, _AGENTS)
    _stacked(axes, names, counts, dict(zip(OUTCOMES, look.outcomes, strict=True)), look, sideways=True)


def _reviewers(axes: Any, summary: Summary, look: Look) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for (person, verdict), count in summary.reviews.items():
        counts[_cut(summary.name(person)), verdict] += count
    approve, modify, reject = look.outcomes[:3]
    colours = {"approve": approve, "modify": modify, "reject": reject}
    _stacked(axes, _busiest(counts, _REVIEWERS), counts, colours, look, sideways=True)


def _busiest(counts: Counter[tuple[str, str]], most: int) -> list[str]:
    """The names with the largest sums, the largest last: it is drawn on top."""
    sums: Counter[str] = Counter()
    for (name, _), count in counts.items():
        sums[name] += count
    return [name for name, _ in sums.most_common(most)][::-1]


def _stacked(
    axes: Any,
    names: Sequence[str],
    counts: Counter[tuple[str, str]],
    colours: Mapping[str, str],
    look: Look,
    *,
    sideways: bool,
) -> None:
    """A bar for each name, in parts by their colours, its sum at its end."""
    if not counts:
        return
    base = [0] * len(names)
    for part, colour in colours.items():
        sizes = [counts[name, part] for name in names]
        if not any(sizes):
            continue
        if sideways:
            axes.barh(names, sizes, left=base, color=colour, label=part, height=0.62)
        else:
            axes.bar(names, sizes, bottom=base, color=colour, label=part, width=0.62)
        base = [low + size for low, size in zip(base, sizes, strict=True)]
    _grid(axes, look, "x" if sideways else "y")
    _sums(axes, base, look, sideways=sideways)
    if sideways:
        axes.set_ylim(*_top_down(len(names), 4))
    axes.legend(
        frameon=False,
        labelcolor=look.ink,
        fontsize=9,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncols=len(colours),
        handlelength=1,
        columnspacing=1,
    )


def _sums(axes: Any, sizes: Sequence[float], look: Look, *, sideways: bool) -> None:
    """The number at the end of each bar."""
    most = max(sizes, default=0) or 1
    for place, size in enumerate(sizes):
        if size == 0:
            continue
        words, gap = f"{size:,}", most * 0.015
        if sideways:
            axes.text(size + gap, place, words, color=look.ink, fontsize=9, va="center")
        else:
            axes.text(place, size + gap, words, color=look.ink, fontsize=9, ha="center", va="bottom")
    (axes.set_xlim if sideways else axes.set_ylim)(0, most * 1.12)


def _durations(axes: Any, summary: Summary, look: Look) -> None:
    known = [
        (label, found)
        for label, found in (("decide", summary.deciding), ("acknowledge", summary.acknowledging))
        if found is not None
    ]
    if not known:
        return
    longest = max(found.p90 for _, found in known)
    unit, name = next(((u, n) for u, n in _UNITS if longest >= 2 * u), (timedelta(seconds=1), "seconds"))
    for place, (label, found) in enumerate(known):
        _duration(axes, label, found, unit, look)
        words = f"median {span(found.median)}, 90 % within {span(found.p90)}"
        axes.text(0, place + 0.28, words, color=look.ink, fontsize=9, va="bottom")
    _grid(axes, look, "x")
    axes.set_xlim(left=0, right=max(longest / unit * 1.05, 1))
    axes.set_ylim(*_top_down(len(known), 2))
    axes.set_xlabel(name, color=look.ink, fontsize=9)


def _duration(axes: Any, label: str, found: Spread, unit: timedelta, look: Look) -> None:
    axes.barh([label], [found.p90 / unit], color=look.slow, height=0.5)
    axes.barh([label], [found.median / unit], color=look.plain, height=0.5)


def _escalations(axes: Any, summary: Summary, look: Look) -> None:
    levels = sorted(summary.escalations)
    names = [f"level {level}" for level in levels]
    sizes = [summary.escalations[level] for level in levels]
    timeouts = summary.outcomes["timed out"]
    if not (levels or timeouts):
        return
    axes.bar([*names, "timed out"], [*sizes, timeouts], width=0.55,
             color=[*[look.plain] * len(names), look.outcomes[3]])  # fmt: skip
    axes.set_xlim(-0.6, _room(len(names) + 1, 4))
    _grid(axes, look, "y")
    _sums(axes, [*sizes, timeouts], look, sideways=False)


def _per_day(axes: Any, summary: Summary, look: Look) -> None:
    days = Counter(story.asked_at.date() for story in summary.asked if story.asked_at is not None)
    if not days:
        return
    first, last = min(days), max(days)
    ordered = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    sizes = [days[day] for day in ordered]
    axes.bar(range(len(ordered)), sizes, color=look.plain, width=0.7)
    step = -(-len(ordered) // 8)
    axes.set_xticks(range(0, len(ordered), step), [f"{day:%d %b}" for day in ordered[::step]])
    axes.set_xlim(-0.6, _room(len(ordered), 7))
    _grid(axes, look, "y")
    _sums(axes, sizes if len(ordered) <= 14 else [], look, sideways=False)
    if len(ordered) > 14:
        axes.set_ylim(0, max(sizes) * 1.05)


def _grid(axes: Any, look: Look, axis: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.grid(axis=axis, color=look.faint, linewidth=0.8)
    numbers = axes.xaxis if axis == "x" else axes.yaxis
    numbers.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _room(count: int, least: int) -> float:
    """The end of an axis of names, so that one alone is no giant."""
    return max(count, least) - 0.4


def _top_down(count: int, least: int) -> tuple[float, float]:
    """The ends of an axis of bars that lie, the first few at its top."""
    return count - 0.6 - max(count, least), count - 0.4


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
