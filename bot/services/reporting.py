"""The report: the figures of some days as one page, or one picture."""

import asyncio
import base64
import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from bot.core.chain import Link
from bot.core.clock import Clock
from bot.services import charts
from bot.services.charts import CHARTS, DARK, LIGHT, Chart
from bot.services.summaries import Spread, Summary, span
from bot.store.audit_reads import AuditReads, event_of
from bot.store.auditing import AuditFilter

MOST_EVENTS = 500_000
"""Of a longer time the newest so many are reported, and the report says so."""

_AT_ONCE = 5_000


class Reporting:
    """Makes reports from a store's audit."""

    def __init__(self, reads: AuditReads, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock

    async def page(self, wanted: AuditFilter) -> str:
        """One HTML page that needs nothing from elsewhere."""
        summary, title = await self._summed(wanted)
        return await asyncio.to_thread(lambda: page(summary, title, self._clock.now()))

    async def picture(self, wanted: AuditFilter) -> tuple[bytes, str]:
        """A PNG, and the key figures in words."""
        summary, title = await self._summed(wanted)

        def drawn() -> tuple[bytes, str]:
            facts = key_figures(summary)
            words = "; ".join(f"{label}: {value}" for label, value in facts)
            return charts.png(summary, title, facts), f"{title}. {words}"

        return await asyncio.to_thread(drawn)

    async def _summed(self, wanted: AuditFilter) -> tuple[Summary, str]:
        """Figures and title. Events are read newest first and let go at once, since there may be many."""
        summary, before, left = Summary(), None, MOST_EVENTS
        while left and (
            rows := await self._reads.audit_links(wanted, before_seq=before, limit=min(_AT_ONCE, left))
        ):
            before, left = rows[-1].seq, left - len(rows)
            await asyncio.to_thread(_add, summary, rows)
        return summary, self._title(wanted, cut=left == 0)

    def _title(self, wanted: AuditFilter, *, cut: bool) -> str:
        until = wanted.until or self._clock.now()
        since = f"{wanted.since:%Y-%m-%d %H:%M} to " if wanted.since is not None else "Until "
        others = asdict(replace(wanted, since=None, until=None))
        only = "".join(f", {name} {value}" for name, value in others.items() if value is not None)
        newest = f", the newest {MOST_EVENTS:,} events" if cut else ""
        return f"Keyturn: {since}{until:%Y-%m-%d %H:%M} UTC{only}{newest}"


def _add(summary: Summary, rows: Sequence[Link]) -> None:
    for row in rows:
        summary.add(event_of(row))


def key_figures(summary: Summary) -> list[tuple[str, str]]:
    """Label and value of what stands on top."""
    total = len(summary.asked)
    share = f"{summary.automatic / total:.0%}" if total else "0%"
    return [
        ("requests", f"{total:,}"),
        ("without a person", share),
        ("median to decide", _median(summary.deciding)),
        ("timed out", f"{summary.outcomes['timed out']:,}"),
        ("decided in < 5 s", f"{summary.quick:,}"),
        ("grants used", f"{summary.grants_used:,}"),
        ("rolled back", f"{summary.rolled_back:,}"),
    ]


def page(summary: Summary, title: str, now: datetime) -> str:
    """The report as HTML: charts as pictures inside it, in the reader's own look."""
    tiles = "".join(
        f"<div><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>"
        for label, value in key_figures(summary)
    )
    figures = "".join(_figure(chart, summary) for chart in CHARTS)
    return _PAGE.format(
        title=html.escape(title),
        tiles=tiles,
        figures=figures,
        table=_times(summary),
        made=f"{now:%Y-%m-%d %H:%M} UTC",
    )


def _figure(chart: Chart, summary: Summary) -> str:
    light, dark = (_address(charts.svg(chart, summary, look)) for look in (LIGHT, DARK))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{html.escape(chart.title)}"></picture></figure>'
    )


def _address(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _times(summary: Summary) -> str:
    """The figures behind the pictures, for those who do not see them; nothing where there are none."""
    agents = Counter(story.agent for story in summary.asked)
    risks = Counter(story.risk for story in summary.asked)
    reviews = summary.reviews.most_common()
    groups = [
        ("How requests ended", [(name, f"{count:,}") for name, count in summary.outcomes.most_common()]),
        ("Risk", [(risk, f"{risks[risk]:,}") for risk in charts.RISKS if risks[risk]]),
        ("Agents", [(name, f"{count:,}") for name, count in agents.most_common()]),
        ("Times", [*_spread("acknowledge", summary.acknowledging), *_spread("decide", summary.deciding)]),
        (
            "Escalations",
            [(f"to level {level}", f"{n:,}") for level, n in sorted(summary.escalations.items())],
        ),
        (
            "Verdicts",
            [(f"{summary.name(who)}: {verdict}", f"{count:,}") for (who, verdict), count in reviews],
        ),
    ]
    tables = "".join(_table(title, rows) for title, rows in groups if rows)
    return f'<h2>Figures</h2><div class="figures">{tables}</div>' if tables else ""


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{html.escape(label)}</th><td>{html.escape(value)}</td></tr>" for label, value in rows)
    return f"<table><caption>{html.escape(title)}</caption>{''.join(cells)}</table>"


def _spread(label: str, found: Spread | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    return [(f"to {label}, median", span(found.median)), (f"to {label}, 90 % within", span(found.p90))]


def _median(found: Spread | None) -> str:
    return "none" if found is None else span(found.median)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{title}</title><style>
:root {{ --paper: #fff; --ink: #1d1c1d; --faint: #d9d9de; }}
@media (prefers-color-scheme: dark) {{ :root {{ --paper: #1a1d21; --ink: #e8e8e8; --faint: #3a3f45; }} }}
body {{ background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 84rem; padding: 0 1.5rem; }}
h1 {{ font-size: 1.5rem; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem;
  margin: 1.5rem 0; }}
.tiles div {{ border: 1px solid var(--faint); border-radius: .6rem; padding: .8rem 1rem; }}
.tiles b {{ display: block; font-size: 1.6rem; line-height: 1.3; }}
.charts {{ display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }}
figure {{ border: 1px solid var(--faint); border-radius: .6rem; margin: 0; padding: .8rem; }}
img {{ display: block; width: 100%; height: auto; }}
.figures {{ columns: 20rem; column-gap: 3rem; }}
table {{ border-collapse: collapse; width: 100%; margin: 0 0 1.5rem; break-inside: avoid; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .3rem; }}
th, td {{ border-top: 1px solid var(--faint); padding: .3rem 0; font-weight: 400; text-align: left;
  overflow-wrap: anywhere; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-left: 1rem; }}
footer {{ opacity: .7; margin-top: 1.5rem; }}
</style></head><body><h1>{title}</h1><div class="tiles">{tiles}</div><div class="charts">{figures}</div>
{table}<footer>Made {made} from the audit alone.</footer></body></html>
"""
