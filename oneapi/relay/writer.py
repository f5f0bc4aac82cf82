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
from oneapi.relay.journal import LOGS, Journal
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
        self.log_journal = Journal(state.config.instance_path, worker, LOGS)
        self._early = self.store.sqlite and not state.config.commit_before_answer
        self._separate = state.databases.separate_logs  # a process may die after a charge and before its log row
        self._ahead = Ahead(self.journal.path) if self._early or self._separate else None
        self._unsaved: list[settlement.Row] = []  # neither the database nor the journal took them
        self.blocked = False  # neither of the two can take a charge
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
        if self._ahead is not None and (early or self._separate) and self._ahead.note(row) and early and self._early:
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
        self._save()
        for row in self._unsaved:
            log.critical("request=%s user=%d cost=%d is lost: no disk takes it", row.request_id, row.user_id, row.cost)
        if self._ahead is not None and not self._unsaved:
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
                if self._ahead is not None and not self._unsaved:
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
            else:
                if self._separate and rows:
                    self._write_logs(rows)
            _committed(rows)
            for purse, _, _ in rests:
                purse.holders -= 1
                purse.freed.set()
            self._purses.forget(gone)
            batch.rows, rests = rest, []

    def _write_logs(self, rows: list[settlement.Row]) -> None:
        """Write the log rows of charges that are in the database; while the logs' own is away, they wait in a journal."""
        try:
            self.store.write_logs(rows)
        except Exception as error:  # an answer does not depend on its log row
            log.error("log rows=%d wait in the journal: %s", len(rows), type(error).__name__)
            self._keep_logs(rows)

    def _keep_logs(self, rows: list[settlement.Row]) -> None:
        try:
            self.log_journal.append(rows)
        except OSError as error:
            log.critical("log rows=%d are lost: %s", len(rows), error.strerror)

    def _put_down(self, rows: list[settlement.Row], error: Exception) -> None:
        """Put charges that the database did not take into the journal; with no disk either, keep them and serve nobody else."""
        ours = not isinstance(error, FAILURES)
        log.error("settlements=%d wait in the journal: %s", len(rows), type(error).__name__, exc_info=error if ours else None)
        try:
            self.journal.append(rows)
        except OSError as full:
            log.critical("settlements=%d can be written nowhere and wait in memory: %s", len(rows), full.strerror)
            self._unsaved += rows
            self.blocked = True

    def _save(self) -> None:
        """Write what waits in memory, if anything takes it by now."""
        rows = self._unsaved
        if not rows:
            return
        try:
            self.journal.append(rows)
        except OSError:
            try:
                self._write_kept(rows)
            except Exception as error:
                log.critical("settlements=%d still wait in memory: %s", len(rows), type(error).__name__)
                return
        self._unsaved = self._unsaved[len(rows) :]

    def look(self, *, database: bool) -> None:
        """See whether a charge can be stored: `database` says whether the database has just taken a transaction."""
        self._save()
        blocked = bool(self._unsaved) or not (database or self.journal.writable())
        if blocked != self.blocked:
            log.critical("charges can be stored nowhere: requests are refused" if blocked else "charges can be stored again")
        self.blocked = blocked

    def find(self) -> None:
        """See what dead workers have left in the journals."""
        self.journal.look()
        self.log_journal.look()

    def replay(self) -> int:
        """Write what waits in the journals, if the database of each is there; returns how many charges that were."""
        count = 0
        if self.journal.pending and self._databases.deadline.answers():
            count = self.journal.replay(self._write_kept)
        if self.log_journal.pending and self._databases.log_deadline.answers():
            self.log_journal.replay(partial(self.store.write_kept_logs, reject=self.log_journal.reject))
        return count

    def _write_kept(self, rows: list[settlement.Row]) -> None:
        self.store.write_kept(rows, self.journal.reject, self.log_journal.append)


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
