"""The chain finds and locates every edit, deletion, insertion and reorder."""

import pytest

from bot.core.chain import GENESIS, Link, link, verify
from bot.core.replay import replay


def chain_of(count):
    rows, prev = [], GENESIS
    for seq in range(1, count + 1):
        canonical = f'{{"seq":{seq}}}'.encode()
        digest = link(prev, canonical)
        rows.append(Link(seq, canonical, prev, digest))
        prev = digest
    return rows


def test_a_whole_chain_has_no_problem():
    assert verify(chain_of(20)) is None
    assert verify([]) is None


def test_a_tail_is_checked_from_the_row_before_it():
    rows = chain_of(20)
    assert verify(rows[10:], seq=10, prev=rows[9].hash) is None
    assert verify(rows[10:], seq=10, prev=rows[8].hash).seq == 11


@pytest.mark.parametrize("place", [0, 7, 19])
def test_an_edit_is_found_where_it_is(place):
    rows = chain_of(20)
    rows[place] = rows[place]._replace(canonical=rows[place].canonical + b" ")
    problem = verify(rows)
    assert (problem.seq, problem.kind) == (place + 1, "edited")


@pytest.mark.parametrize("place", [0, 7, 18])
def test_an_edit_with_a_new_hash_is_found_at_the_next_row(place):
    rows = chain_of(20)
    forged = rows[place].canonical + b" "
    rows[place] = rows[place]._replace(canonical=forged, hash=link(rows[place].prev_hash, forged))
    problem = verify(rows)
    assert (problem.seq, problem.kind) == (place + 2, "relinked")


def test_a_deleted_row_is_missing():
    rows = chain_of(20)
    del rows[4]
    problem = verify(rows)
    assert (problem.seq, problem.kind) == (5, "missing")


def test_an_inserted_row_and_a_swap_are_out_of_order():
    rows = chain_of(20)
    assert verify([*rows[:5], rows[4], *rows[5:]]).seq == 5
    rows[4], rows[5] = rows[5], rows[4]
    assert verify(rows).seq == 5


def test_replay_lays_changes_over_each_other():
    bodies = [
        {"before": None, "after": {"status": "pending", "level": 0}},
        {"note": "changes nothing"},
        {"before": {"level": 0}, "after": {"level": 1}},
        {"before": {"status": "pending"}, "after": {"status": "rejected"}},
    ]
    assert replay(bodies) == {"status": "rejected", "level": 1}
