"""The process ends between any two statements of a transaction: all of the change is there, or nothing."""

import subprocess
import sys

SCRIPT = """
import os, sys
from bot.core.audited import audited_state
from bot.core.chain import Link, verify
from bot.core.replay import replay
from bot.core import jsontext
from bot.core.models import Outgoing
from bot.store import dialect, rows, transaction
from bot.store.commands import CreateRequest, SaveTransition
from bot.store.grants import CreateGrant
from bot.store.reads import REQUEST
from dataclasses import replace
from tests.factories import make_grant
from tests.store.histories import approved, said, submitted

DATABASE = dialect.of(sys.argv[1])


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


def write(commands, place):
    '''Whether a child that was to die before its statement `place` finished all the same.'''
    child = os.fork()
    if child == 0:
        transaction.run(Dying(DATABASE._writing(), place), commands)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def state(request):
    connection = DATABASE.connect()
    links = [Link(*row) for row in connection.fetch_all(
        "SELECT seq, canonical, prev_hash, hash FROM audit ORDER BY seq")]
    assert verify(links) is None
    head = connection.fetch_one("SELECT seq, hash FROM chain_head")
    assert (head["seq"], head["hash"]) == ((links[-1].seq, links[-1].hash) if links else (0, bytes(32)))
    assert [row[0] for row in connection.fetch_all("PRAGMA integrity_check")] == ["ok"]
    row = connection.fetch_one(REQUEST + " WHERE r.id = :id", {"id": request.id})
    found = None if row is None else rows.request_of(row)
    bodies = [jsontext.reread(link.canonical)["body"] for link in links]
    assert replay(bodies) == ({} if found is None else audited_state(found))
    counts = connection.fetch_one(
        "SELECT (SELECT COUNT(*) FROM card) AS cards, (SELECT COUNT(*) FROM outbox) AS mail,"
        " (SELECT COUNT(*) FROM grants) AS grants")
    connection.close()
    decided = found is not None and found.decision is not None
    assert counts["grants"] == decided, "an approval and the grant given with it are one change"
    return found, len(links), counts["cards"], counts["mail"]


DATABASE.prepare()
first = submitted(1, session_id="run")
told = said(first.request)
similar = CreateGrant(make_grant(request_id=first.request.id), (Outgoing("slack.grant", {}, "thread"),))
steps = [
    CreateRequest(first), SaveTransition(told), SaveTransition(approved(told.request), grant=similar)]
for step in steps:
    before, place = state(first.request), 1
    while not write([step], place):
        assert state(first.request) == before, place
        place += 1
    assert state(first.request)[0] == step.transition.request
    print(place)
DATABASE.release(clean=True)
"""


def test_nothing_is_half_written_wherever_the_process_ends(tmp_path):
    url = f"sqlite:///{tmp_path}/keyturn.db"
    done = subprocess.run([sys.executable, "-c", SCRIPT, url], capture_output=True, text=True, timeout=900)
    assert done.stderr == ""
    places = [int(line) for line in done.stdout.split()]
    assert len(places) == 3
    assert min(places) > 8
