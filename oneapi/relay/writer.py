"""Charges on their way into the database: safe from a killed process at once, and written in groups a moment later."""

import logging
import time
from functools import partial

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from oneapi.models import settlement, store
from oneapi.models.store import FAILURES
from oneapi.relay import ahead
from oneapi.relay.ahead import Ahead
from oneapi.relay.journal import Journal
from oneapi.relay.purse import Purse, Purses, Rest
from oneapi.state import State

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
CROWD, GATHER_SECONDS = 6, 0.002  # so many charges that are waited for in one batch are worth a pause before the next
PAUSE_SECONDS = 0.003  # between two transactions that nobody waits for
RECENT_SECONDS = 0.002  # so soon after a transaction a charge does not wait for the next; one that comes alone can
LOOK_SECONDS = 2.0  # how long whoever reads the books waits for them to be complete
OTHERS_SECONDS = 0.05  # the same for other workers; what a dead one left takes longer
LARGEST_BATCH = 400

SAFE = Event()
SAFE.set()


class Batch:
    """Charges that are written together; `done` is set when they are in the database, or in the journal instead."""

    __slots__ = ("rows", "done", "awaited")

    def __init__(self) -> None:
        self.rows: list[settlement.Row] = []
        self.done = Event()
        self.awaited = False  # somebody waits for it


class Writer:
    """Writes the charges of one worker.

    On SQLite a charge is safe when it is noted in a file (ahead.py). A database server may stay when this host goes, files
    and all; there, and with COMMIT_BEFORE_ANSWER, it is safe when its transaction has ended.
    """

    def __init__(self, state: State, worker: str, purses: Purses):
        self._databases, self._purses = state.databases, purses
        self.store = store.Store(state.databases)
        self.journal = Journal(state.config.instance_path, worker)
        early = self.store.sqlite and not state.config.commit_before_answer
        self._ahead = Ahead(self.journal.path) if early else None
        self._batch, self._under_way = Batch(), Batch()
        self._under_way.done.set()
        self._crowded, self._last = False, 0.0
        self._writing = BoundedSemaphore()
        self._wake, self._hurry, self._ending = Event(), Event(), Event()
        self._greenlet: gevent.Greenlet | None = None

    def add(self, row: settlement.Row, *, early: bool) -> Event:
        """Have a charge written; the Event is set when it is safe, which may be before it is in the database if `early`."""
        batch = self._batch
        batch.rows.append(row)
        if len(batch.rows) == 1:  # whoever was first has woken the writer
            self.start()
            self._wake.set()
            early = early and (not self._under_way.done.is_set() or time.monotonic() - self._last < RECENT_SECONDS)
        if early and self._ahead is not None and self._ahead.note(row):
            return SAFE
        batch.awaited = True
        return batch.done

    def wake(self) -> None:
        """Something goes back that others may be waiting for."""
        self._batch.awaited = True
        self._wake.set()

    def catch_up(self) -> None:
        """Return when the database holds every charge of an answer that was given on this host."""
        for batch in (self._under_way, self._batch):
            if batch is self._under_way or batch.rows:
                self._hurry.set()
                batch.done.wait(LOOK_SECONDS)
        deadline = time.monotonic() + OTHERS_SECONDS
        while self._ahead is not None and ahead.behind(self.journal.folder) and time.monotonic() < deadline:
            gevent.sleep(0.002)

    # -- the loop -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Write what is pending."""
        if self._greenlet is not None:
            self._ending.set()
            self._wake.set()
            self._hurry.set()
            self._greenlet.join(STOP_SECONDS)  # not killed: what is in a transaction finishes it
            self._greenlet = None
            self._ending.clear()
        self.flush()
        if self._ahead is not None:
            self._ahead.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._wake.wait()
            self._wake.clear()
            self._gather()
            try:
                self.flush()
            except Exception:  # whatever one batch did, the next must still be written
                log.exception("a batch of settlements could not be handled")

    def _gather(self) -> None:
        """Charges that travel together cost a fraction each, and they keep no one waiting who does not wait for many."""
        if not self._batch.awaited:
            pause = self._last + PAUSE_SECONDS - time.monotonic()
            if pause > 0:
                self._hurry.wait(pause)
        elif self._crowded:
            gevent.sleep(GATHER_SECONDS)
        self._hurry.clear()

    # -- one batch ------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is pending now."""
        with self._writing:
            batch = self._under_way = self._batch
            self._batch = Batch()
            half = self._ahead.turn() if self._ahead is not None else 0
            self._crowded = len(batch.rows) >= CROWD
            try:
                self._write(batch)
                if self._ahead is not None:
                    self._ahead.clear(half)
            finally:
                self._last = time.monotonic()
                batch.done.set()  # nobody waits for ever

    def _write(self, batch: Batch) -> None:
        rests = self._purses.rests()
        while batch.rows or rests:
            rows, rest = batch.rows[:LARGEST_BATCH], batch.rows[LARGEST_BATCH:]
            try:
                gone = self.store.write(rows, [(lease, purse.kind, purse.owner, amount) for purse, lease, amount in rests])
            except Exception as error:  # also our own mistake: what was consumed must not be forgotten
                gone = set()
                _keep(rests)
                self._put_down(rows, error)
            _committed(rows)
            for purse, _, _ in rests:
                purse.holders -= 1
                purse.freed.set()
            self._purses.forget(gone)
            batch.rows, rests = rest, []

    def _put_down(self, rows: list[settlement.Row], error: Exception) -> None:
        """Put charges that the database did not take into the journal; with no disk either, wait for one of the two."""
        ours = not isinstance(error, FAILURES)
        log.error("settlements=%d wait in the journal: %s", len(rows), type(error).__name__, exc_info=error if ours else None)
        while True:
            try:
                return self.journal.append(rows)
            except OSError as full:
                log.critical("settlements=%d can be written nowhere: %s", len(rows), full.strerror)
                gevent.sleep(1.0)

    def replay(self) -> int:
        """Write what waits in the journal, if the database is there; returns how many charges that were."""
        if not self.journal.pending or not self._databases.deadline.answers():
            return 0
        return self.journal.replay(partial(self.store.write_kept, reject=self.journal.reject))


def _keep(rests: list[Rest]) -> None:
    for purse, lease, amount in rests:
        purse.available += amount if purse.lease == lease else 0


def _committed(rows: list[settlement.Row]) -> None:
    purses: set[Purse] = set()
    for row in rows:
        for purse in (row.user_purse, row.token_purse):
            if purse is not None:
                purse.holders -= 1
                purses.add(purse)
    now = time.monotonic()
    for purse in purses:
        purse.used_at = now
        purse.freed.set()
