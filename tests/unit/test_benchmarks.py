"""The benchmarks' own arithmetic: what wrk says, ratios by round, and a report that hides nothing."""

from typing import Any

import pytest

from benchmarks.machine import Load, read_wrk
from benchmarks.posts import BARE, FLOOR, KEYTURN, LEAN, NAIVE, RELAXED, Measured, idle_section, rate_section
from benchmarks.report import Run, Section, Target, markdown, section_text
from benchmarks.rounds import percentile, ratio, spread, turned, uneven
from benchmarks.waiting import Woken
from benchmarks.waiting import section as waiting_section
from benchmarks.wire import head

WRK = """Running 5s test @ http://127.0.0.1:40000
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    17.50ms    8.20ms  90.11ms   80.00%
    Req/Sec     3.70k   210.00     4.10k    70.00%
  Latency Distribution
     50%  950.00us
     75%   18.20ms
     90%   24.00ms
     99%    1.20s
  18533 requests in 5.01s, 12.00MB read
Requests/sec:   3699.20
Transfer/sec:      2.39MB
"""


def measured(*per_second: float, p50: float = 1.0) -> Measured:
    loads = [Load(rate, int(rate), p50, 2 * p50, 0) for rate in per_second]
    return Measured(loads, [200.0 for _ in loads], [2.0 for _ in loads])


def rates(keyturn: float) -> dict[str, Measured]:
    return {
        FLOOR: measured(1000, 1000, 1000),
        LEAN: measured(1200, 1200, 1200),
        NAIVE: measured(200, 200, 200),
        BARE: measured(2000, 2000, 2000),
        KEYTURN: measured(keyturn, keyturn, keyturn),
        RELAXED: measured(keyturn, keyturn, keyturn),
    }


def test_what_wrk_says_is_read_in_milliseconds():
    found = read_wrk(WRK)
    assert (found.per_second, found.answers, found.errors) == (3699.2, 18533, 0)
    assert (found.p50_ms, found.p99_ms) == (pytest.approx(0.95), 1200.0)


def test_refusals_and_broken_connections_count_as_errors():
    troubled = WRK + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 7\n"
    assert read_wrk(troubled).errors == 17


def test_wrk_that_says_nothing_useful_is_not_read_as_zero():
    with pytest.raises(RuntimeError, match="unable to connect"):
        read_wrk("unable to connect to 127.0.0.1:9 Connection refused\n")


def test_a_ratio_is_the_median_of_the_rounds_own_ratios_not_the_ratio_of_medians():
    found = ratio([50, 10, 90], [100, 100, 100 / 3])
    assert (found.median, found.low, round(found.high, 2)) == (0.5, 0.1, 2.7)
    assert str(found) == "0.50 (0.10 to 2.70)"


def test_series_of_different_rounds_have_no_ratio():
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="at least one round"):
        ratio([], [])


def test_every_round_begins_with_another_case_and_runs_all():
    rounds = [turned(["a", "b", "c"], round) for round in range(4)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_a_percentile_is_one_of_the_values():
    assert percentile(list(range(1, 101)), 0.5) == 50
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert percentile([3.0], 0.99) == 3.0


def test_an_uneven_baseline_is_named_and_an_even_one_is_not():
    assert spread([80, 100, 110]) == pytest.approx(0.3)
    assert uneven({"commit floor": [80, 100, 110]}) == []
    (warning,) = uneven({"commit floor": [60, 100, 110]})
    assert "commit floor spread by 50%" in warning
    assert "repeat the run" in warning


@pytest.mark.parametrize(("keyturn", "stands"), [(600, "met"), (599, "**not yet**")])
def test_a_promise_is_met_at_its_figure_and_not_below(keyturn, stands):
    run = Run("make bench", "today", [("processor", "2 cores")], [rate_section(rates(keyturn))])
    (line,) = [line for line in markdown(run).splitlines() if "durably |" in line]
    assert line.endswith(f"| {stands} |")


def test_the_rate_of_every_server_stands_beside_the_floor():
    text = section_text(rate_section(rates(700)))
    assert "| Keyturn | 700 | 0.70 (0.70 to 0.70) |" in text
    assert "| commit each | 200 | 0.20 (0.20 to 0.20) |" in text


def test_a_busy_machine_is_said_under_the_table():
    busy = rates(700) | {FLOOR: measured(500, 1000, 1000)}
    assert "commit floor spread by 50%" in section_text(rate_section(busy))


def test_idle_latency_is_judged_against_the_floor_of_the_same_rounds():
    section = idle_section({FLOOR: measured(900, p50=0.5), KEYTURN: measured(500, p50=1.0)})
    assert [(t.measured, t.met) for t in section.targets] == [("2.00 (2.00 to 2.00)", True)]


def test_an_agent_that_polls_is_shown_with_half_its_period_and_its_load():
    section = waiting_section(woken(1000))
    assert ["polls every 3 s", "1,501", "2,971", "333 GET/s"] in [list(row) for row in section.rows]
    assert all(target.met for target in section.targets)


def test_fewer_waiters_than_promised_are_said_to_be_fewer():
    assert "10,000 waiters" in section_text(waiting_section(woken(1000)))
    assert "10,000 waiters" not in section_text(waiting_section(woken(10_000)))


def test_a_waiters_memory_is_that_of_its_connection_and_of_its_call():
    section = waiting_section(woken(1000, connection_kib=4.6, call_kib=7.5))
    assert [(target.measured, target.met) for target in section.targets][2] == ("12.1 KiB", False)
    assert "12.1 KiB: its connection 4.6, its held call 7.5" in section.about


def test_the_promise_of_a_wake_up_runs_from_the_decision_and_the_click_stands_beside_it():
    section = waiting_section(woken(1000, wakes=[1.0] * 100, clicks=[9.0] * 100))
    assert [target.met for target in section.targets][:2] == [True, True]
    assert [row[1] for row in section.rows][:2] == ["1.0", "9.0"]


def woken(waiters: int, **measured: Any) -> Woken:
    """What a good run measured."""
    good = {
        **{"wakes": [1.0] * 100, "clicks": [2.0] * 100, "acks": [2.0] * 100, "get_ms": 1.0},
        **{"connection_kib": 4.0, "call_kib": 5.0, "bulk": 900, "bulk_ms": 400.0},
    }
    return Woken(waiters=waiters, **{**good, **measured})


def test_the_report_says_how_it_was_made_and_what_is_not_met():
    section = Section(
        "Start", "How it starts.", ("a", "b"), [["x | y", "1"]], [Target("<= 1 s", "2 s", False)]
    )
    text = markdown(Run("make bench", "2026-11-22", [("SQLite", "3.53.4")], [section]))
    assert "`make bench` on 2026-11-22" in text
    assert "| SQLite | 3.53.4 |" in text
    assert "| Start | <= 1 s | 2 s | **not yet** |" in text
    assert r"| x \| y | 1 |" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", (200, 12)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", (200, None)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, 0)),
    ],
)
def test_the_head_of_an_answer_says_how_much_follows(text, expected):
    assert head(text) == expected
