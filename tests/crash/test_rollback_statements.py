"""The process ends between any two statements of a rollback's change: all of it is there, or nothing."""

import subprocess
import sys

SCRIPT = """
import os, sys
from bot.core import rollback
from bot.core.models import RollbackState
from bot.core.rollback import Report
from bot.store import dialect, transaction
from bot.store.commands import CreateRequest, SaveTransition
from bot.store.rollbacks import ClaimRollback, SaveRollback, StartRollback
from tests.store.histories import approved, claimed, submitted
from tests.undo import ASKED, UNDO, WRITE, by_id, confirming, judging
from bot.core import executing
from bot.core.executing import Outcome
from dataclasses import replace
from datetime import timedelta

DATABASE = dialect.of(sys.argv[1])
TABLES = ("request", "rollback", "rollback_item", "audit", "outbox", "card", "chain_head")


class Dying(dialect.Connection):
    def __init__(self, raw, place):
        super().__init__(raw)
        self.left = place
        self.run = self._dying(self.run)
        self.execute_many = self._dying(self.execute_many)

    def _dying(self, call):
        def run(*args):
            self.left -= 1
            if self.left == 0:
                os._exit(9)
            return call(*args)
        return run


def write(command, place):
    child = os.fork()
    if child == 0:
        transaction.run(Dying(DATABASE._writing(), place), [command])
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def state():
    connection = DATABASE.connect()
    read = connection.fetch_all
    found = {table: [tuple(row) for row in read(f"SELECT * FROM {table}")] for table in TABLES}
    connection.close()
    return found


def until_written(command):
    before, place = state(), 1
    while not write(command, place):
        assert state() == before, place
        place += 1
    after = state()
    assert after["rollback"] != before["rollback"] or not isinstance(command, (SaveRollback, StartRollback))
    print(place)


DATABASE.prepare()
made = submitted(1)
done = approved(made.request)
taken = claimed(done.request)
ran = executing.report(taken.request, Outcome(True, rollback=UNDO), now=taken.now)
for command in (CreateRequest(made), SaveTransition(done), SaveTransition(taken), SaveTransition(ran)):
    transaction.run(DATABASE.connect(), [command])
request, now, judge = ran.request, ran.now, judging()
requests = by_id([request])


def take(step, wrap):
    until_written(wrap(step))
    requests.update(by_id(step.requests))
    return step.rollback


shown, ended = (Report(RollbackState(word), word) for word in ("previewed", "succeeded"))
undo = take(rollback.start([request], ASKED, id="rbk_1", judge=judge, now=now), StartRollback)
undo = take(rollback.outcome(undo, requests, "rbk_1", shown, now=now), SaveRollback)
undo = take(rollback.confirm(undo, requests, confirming(undo), judge=judge, now=now), SaveRollback)
undo = take(rollback.claim(undo, requests, "rbk_1", now=now), lambda step: ClaimRollback(step, None, b"{}"))
undo = take(rollback.outcome(undo, requests, "rbk_1", ended, now=now), SaveRollback)
DATABASE.release(clean=True)
"""


def test_nothing_of_a_rollback_is_half_written_wherever_the_process_ends(tmp_path):
    url = f"sqlite:///{tmp_path}/keyturn.db"
    done = subprocess.run([sys.executable, "-c", SCRIPT, url], capture_output=True, text=True, timeout=900)
    assert done.stderr == ""
    places = [int(line) for line in done.stdout.split()]
    assert len(places) == 5
    assert min(places) > 8
