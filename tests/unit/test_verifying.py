"""Whether the audit is whole: every kind of tampering, at a thousand places each, found and located."""

import ast
import hashlib
import random
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.core import checkpoint
from bot.core.chain import GENESIS, START, Link, Place, link
from bot.core.checkpoint import NAME, BadNote, NoteKey
from bot.core.verifying import COPIED, Verifier, miscopied, unlike_notes
from bot.http.shapes import AuditProblemShape

BOT = Path(__file__).parents[2] / "bot"

ROWS = 400
STEP = 50
"""Rows between two checkpoints."""
PLACES = 1000

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = NoteKey(NAME, KEY.public_key())


def chained(texts, prev=GENESIS, seq=0):
    rows = []
    for text in texts:
        seq += 1
        rows.append(Link(seq, text, prev, link(prev, text)))
        prev = rows[-1].hash
    return rows


def audit(name, count=ROWS):
    return chained([b'{"row":%d,"of":"%s"}' % (n, name) for n in range(1, count + 1)])


def signed(rows, every=STEP, key=KEY):
    log = checkpoint.log_name(rows[0].hash)
    places = [Place(row.seq, row.hash) for row in rows if row.seq % every == 0]
    return [checkpoint.sign(key, log=log, place=p, at="2026-11-22T12:00:00Z").note for p in places]


ONE, OTHER = audit(b"one"), audit(b"other")
NOTES = signed(ONE)


def look(rows, notes=NOTES, key=PUBLIC, base=START, at_once=130, end=None, removed=None):
    verifier = Verifier(base, notes, key)
    verifier.removed(removed)
    for start in range(0, len(rows), at_once):
        if not verifier.add(rows[start : start + at_once]):
            break
    return verifier.finish(end)


def found(rows, **how):
    problem = look(rows, **how).problem
    assert problem is not None
    return problem.seq, problem.kind


def places(seed, low=1, high=ROWS):
    chance = random.Random(seed)
    return [chance.randint(low, high) for _ in range(PLACES)]


def changed(row, text):
    return Link(row.seq, text, row.prev_hash, row.hash)


def test_a_whole_audit_is_whole():
    result = look(ONE)
    assert (result.ok, result.checked, result.head) == (True, ROWS, Place(ROWS, ONE[-1].hash))
    assert result.checkpoint is not None
    assert result.checkpoint.place.seq == ROWS
    assert result.as_json() == {
        "ok": True,
        "checked": ROWS,
        "head": ONE[-1].hash.hex(),
        "checkpoint": ROWS,
        "problem": None,
    }


def test_an_empty_audit_is_whole():
    assert look([], notes=[]).ok


def test_an_edit_anywhere_is_found_where_it_was_made():
    for seq in places("edit"):
        rows = [*ONE]
        rows[seq - 1] = changed(rows[seq - 1], rows[seq - 1].canonical.replace(b"one", b"two"))
        assert found(rows) == (seq, "edited")


def test_a_deletion_anywhere_is_found_where_the_row_was():
    for seq in places("delete", high=ROWS - 1):
        assert found(ONE[: seq - 1] + ONE[seq:]) == (seq, "missing")


def test_an_insertion_anywhere_is_found_where_it_was_made():
    for seq in places("insert"):
        strange = chained([b"never happened"], ONE[seq - 1].prev_hash, seq - 1)
        # In the very place that was signed it cannot be told from other rows before that place.
        expected = (seq, "reordered") if seq % STEP else (seq - STEP + 1, "rewritten")
        assert found(ONE[: seq - 1] + strange + ONE[seq - 1 :]) == expected


def test_two_rows_that_changed_places_are_found_at_the_first():
    for seq in places("reorder", high=ROWS - 1):
        rows = [*ONE]
        rows[seq - 1], rows[seq] = rows[seq], rows[seq - 1]
        assert found(rows) == (seq, "missing")


def test_rows_that_changed_places_and_numbers_are_found_at_the_first():
    for seq in places("renumber", high=ROWS - 1):
        rows = [*ONE]
        one, two = rows[seq - 1], rows[seq]
        rows[seq - 1] = Link(seq, two.canonical, two.prev_hash, two.hash)
        rows[seq] = Link(seq + 1, one.canonical, one.prev_hash, one.hash)
        assert found(rows) == (seq, "relinked")


def test_rows_cut_off_before_a_checkpoint_are_found_where_they_are_missing():
    for seq in places("truncate", low=0, high=ROWS - 1):
        assert found(ONE[:seq]) == (seq + 1, "truncated")


def test_rows_cut_off_after_the_last_checkpoint_are_found_by_the_stores_own_head():
    rows = audit(b"one", ROWS + 100)
    for seq in places("tail", low=ROWS, high=ROWS + 99):
        end = Place(ROWS + 100, rows[-1].hash)
        assert found(rows[:seq], end=end) == (seq + 1, "truncated")
        # Whoever also sets the head back leaves no trace: this is what the docs say cannot be found.
        assert look(rows[:seq], end=Place(seq, rows[seq - 1].hash)).ok


def test_history_hashed_anew_from_any_place_is_found_between_two_checkpoints():
    for seq in places("rewrite"):
        texts = [row.canonical for row in ONE[seq - 1 :]]
        texts[0] = b"what somebody wishes had happened"
        before = ONE[seq - 2].hash if seq > 1 else GENESIS
        at, kind = found(ONE[: seq - 1] + chained(texts, before, seq - 1))
        assert kind == "rewritten"
        assert at == (seq - 1) // STEP * STEP + 1


def test_the_rest_of_another_audit_is_found_at_any_place_from_which_it_stands():
    for seq in places("swap"):
        assert found(ONE[: seq - 1] + OTHER[seq - 1 :]) == (
            (seq, "relinked") if seq > 1 else (1, "rewritten")
        )


def test_another_audit_as_a_whole_is_found_by_the_checkpoints_kept_elsewhere():
    for size in places("whole", low=STEP):
        assert found(OTHER[:size], notes=NOTES + signed(OTHER[:size])) == (1, "rewritten")


def test_a_checkpoint_that_was_changed_or_signed_by_another_key_does_not_count():
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    for number, seq in enumerate(places("forge", high=len(NOTES))):
        note = NOTES[seq - 1]
        forged = signed(ONE, key=stranger)[seq - 1] if number % 50 == 0 else note.replace("12:00", "11:00")
        notes = [*NOTES[: seq - 1], forged, *NOTES[seq:]]
        assert found(ONE, notes=notes) == (seq * STEP, "forged")


def test_a_broken_row_is_named_before_a_checkpoint_that_does_not_count():
    rows = [*ONE]
    rows[9] = changed(rows[9], b"edited")
    assert found(rows, notes=[NOTES[0].replace("12:00", "11:00")]) == (10, "edited")


def test_what_retention_left_is_whole_from_its_base_on():
    base = Place(STEP, ONE[STEP - 1].hash)
    result = look(ONE[STEP:], base=base, removed=NOTES[0])
    assert (result.ok, result.checked) == (True, ROWS - STEP)


def test_rows_cut_off_in_front_are_found_at_any_place_unless_their_removal_is_on_record():
    for seq in places("behead", high=ROWS - 1):
        base = Place(seq, ONE[seq - 1].hash)
        # Neither a checkpoint there nor the removal of fewer rows is a proof.
        for removed in (None, NOTES[max(seq - 1, 1) // STEP - 1] if seq > STEP else None):
            assert found(ONE[seq:], base=base, removed=removed) == (1, "missing")


def test_a_removal_that_another_key_signed_is_no_proof():
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    base = Place(STEP, ONE[STEP - 1].hash)
    for removed in (signed(ONE, key=stranger)[0], "no note", 7):
        assert found(ONE[STEP:], base=base, removed=removed) == (1, "missing")


KEPT = [
    {"seq": said.place.seq, "hash": said.place.hash, "note": note}
    for note in NOTES
    for said in [checkpoint.read(note)]
]
RECORDED = [b'{"body":{"checkpoint":%d}}' % row["seq"] for row in KEPT]


def test_stored_checkpoints_say_what_their_notes_say():
    assert unlike_notes(KEPT, RECORDED) is None
    assert unlike_notes([], []) is None


@pytest.mark.parametrize("change", [{"seq": STEP + 1}, {"hash": bytes(32)}])
def test_a_stored_checkpoint_that_says_something_else_is_found(change):
    problem = unlike_notes([{**KEPT[0], **change}, *KEPT[1:]], RECORDED)
    assert problem is not None
    assert (problem.seq, problem.kind) == (change.get("seq", STEP), "miscopied")


def test_a_checkpoint_that_is_on_record_and_gone_is_found():
    problem = unlike_notes(KEPT[1:], [*RECORDED, b"no event", b'{"body":{"checkpoint":"x"}}'])
    assert problem is not None
    assert (problem.seq, problem.kind) == (STEP, "missing")


def test_a_base_that_nobody_signed_there_is_found():
    base = Place(STEP, hashlib.sha256(b"made up").digest())
    rows = chained([b"new history"], base.hash, base.seq)
    assert found(rows, base=base) == (STEP, "rewritten")


def test_it_does_not_matter_in_which_pieces_rows_come():
    chance = random.Random(7)
    for _ in range(50):
        assert look(ONE, at_once=chance.randint(1, ROWS)).ok


@pytest.mark.parametrize(
    "text", ["", "keyturn", str(PUBLIC)[:-1], str(PUBLIC).replace("+", "+0", 1), "a+b+c"]
)
def test_a_key_that_was_not_copied_whole_is_refused(text):
    with pytest.raises(BadNote):
        NoteKey.parse(text)


def test_a_key_survives_being_written_and_read():
    key = NoteKey.parse(f"{PUBLIC}\n")
    assert checkpoint.check(NOTES[0], key).place == Place(STEP, ONE[STEP - 1].hash)


def test_a_note_is_verified_by_c2sps_rules():
    text, _, signature = NOTES[0].partition("\n\n")
    assert text.split("\n")[1] == str(STEP)
    assert signature.startswith("— keyturn ")
    assert signature.endswith("\n")


ROW = (
    b'{"actor":{"id":"ana","name":"Ana","type":"human"},"agent":"builder","at":"2026-11-22T12:00:00.000001Z",'
    b'"body":{"reversible":true},"event":"action_executed","request_id":"req_1","seq":1,"session_id":null,'
    b'"via":"http"}'
)
SAID = {
    "at": 1_795_348_800_000_001,
    "event": "action_executed",
    "actor_id": "ana",
    "agent": "builder",
    "request_id": "req_1",
    "session_id": None,
    "reversible": 1,
}


def test_columns_that_repeat_the_bytes_are_right():
    assert tuple(SAID) == COPIED
    assert miscopied(chained([ROW])[0], tuple(SAID.values())) is None


@pytest.mark.parametrize("name", COPIED)
def test_a_column_that_says_something_else_than_the_bytes_is_found(name):
    problem = miscopied(chained([ROW])[0], tuple({**SAID, name: "something else"}.values()))
    assert problem is not None
    assert (problem.seq, problem.kind) == (1, "miscopied")
    assert name in problem.detail


@pytest.mark.parametrize("bytes_", [b"", b"[]", b'{"seq":1}', ROW[:-2]])
def test_bytes_that_are_no_event_are_found(bytes_):
    problem = miscopied(chained([bytes_])[0], tuple(SAID.values()))
    assert problem is not None
    assert problem.kind == "edited"


def test_the_api_names_every_kind_of_problem_that_the_code_finds():
    found = set()
    for part in ("core/chain", "core/verifying", "services/audit", "services/comparing", "store/audit_reads"):
        for node in ast.walk(ast.parse((BOT / f"{part}.py").read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                found |= {kind.value for kind in node.args[1:2] if isinstance(kind, ast.Constant)}
    assert found == set(get_args(AuditProblemShape.model_fields["kind"].annotation))
