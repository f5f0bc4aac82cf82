"""Reserve, settle, release: balances are spent from leases in memory and settled in grouped, durable transactions.

A worker takes a lease on a slice of a balance with one conditional UPDATE and spends from it without asking the database.
Settlements wait in a batch; whoever delivers an answer waits for the batch that holds its charge before the last byte.
"""

import logging
import os
import socket
import time
import uuid
from dataclasses import dataclass, field

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from oneapi.config import VERSION
from oneapi.models import settlement
from oneapi.relay.journal import Journal
from oneapi.relay.refusal import Refused
from oneapi.state import Caller, State

log = logging.getLogger(__name__)

WAIT_SECONDS = 10.0  # how long a request waits for money that other requests of the same owner hold
IDLE_SECONDS = 3.0  # an unused lease goes back after this
SLICE = 32  # a lease takes at most this part of a balance
AMPLE = 64  # a balance of fewer reservations than this is leased request by request
LARGEST_BATCH = 400


@dataclass(slots=True, eq=False)
class Purse:
    """One balance or budget as this worker holds it: `available` is leased, unspent and not reserved."""

    kind: str
    owner: int
    lease: int = 0
    available: int = 0
    holders: int = 0  # reservations that are not settled and committed
    low: bool = False  # little is left: whatever is not reserved goes straight back
    used_at: float = 0.0
    lock: BoundedSemaphore = field(default_factory=BoundedSemaphore)
    freed: Event = field(default_factory=Event)


@dataclass(slots=True, eq=False)
class Hold:
    """A reservation of `amount` quota, from the user's balance and from the token's budget when it has one."""

    amount: int
    user: Purse | None
    token: Purse | None


class Batch:
    """Settlements that are committed together; `done` is set when they are durable."""

    __slots__ = ("rows", "done")

    def __init__(self) -> None:
        self.rows: list[settlement.Row] = []
        self.done = Event()


class Ledger:
    """The money of one worker."""

    def __init__(self, state: State):
        self.state = state
        self.worker = f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.journal = Journal(state.config.instance_path, self.worker)
        self.batch = Batch()
        self._purses: dict[tuple[str, int], Purse] = {}
        self._writing = BoundedSemaphore()
        self._store = settlement.Store(state.databases)
        self._wake = Event()
        self._greenlets: list[gevent.Greenlet] = []
        self._registered = False
        state.listeners.append(self._on_change)

    # -- reserve ----------------------------------------------------------------------------------------------------

    def reserve(self, caller: Caller, want: int, need: int) -> Hold:
        """Set `want` quota aside, or what is left if that is at least `need`; raises Refused(403) when it is not."""
        if want <= 0:
            return Hold(0, None, None)
        purse = self._purses.get(("user", caller.user_id))
        token = None if caller.unlimited else self._purses.get(("token", caller.token_id))
        if (
            purse is not None
            and purse.available >= want
            and (caller.unlimited or (token is not None and token.available >= want))
        ):
            amount = want
            purse.available -= amount
            purse.holders += 1
            if token is not None:
                token.available -= amount
                token.holders += 1
            return Hold(amount, purse, token)
        return self._reserve_slowly(caller, want, need)

    def _reserve_slowly(self, caller: Caller, want: int, need: int) -> Hold:
        self.start()
        token, amount = None, want
        if not caller.unlimited:
            token, amount = self._take("token", caller.token_id, want, need)
        try:
            purse, got = self._take("user", caller.user_id, amount, min(need, amount))
        except Refused:
            if token is not None:
                self._put_back(token, amount)
            raise
        if token is not None and got < amount:
            token.available += amount - got
        return Hold(got, purse, token)

    def _take(self, kind: str, owner: int, want: int, need: int) -> tuple[Purse, int]:
        """A purse and how much of `want` it gave; waits while others may still give something back."""
        deadline = time.monotonic() + WAIT_SECONDS
        pause = 0.01
        while True:
            purse = self._purses.setdefault((kind, owner), Purse(kind, owner))
            with purse.lock:
                if self._purses.get((kind, owner)) is not purse:
                    continue  # it was given back while we waited for the lock
                if purse.available < want:
                    self._fill(purse, want)
                amount = min(want, purse.available)
                if amount >= max(need, 1):
                    purse.available -= amount
                    purse.holders += 1
                    purse.used_at = time.monotonic()
                    return purse, amount
                purse.freed.clear()
                others = purse.holders > 0 or self._leased_elsewhere(kind, owner)
            if not others or time.monotonic() >= deadline:
                raise _short(kind)
            purse.freed.wait(pause)
            pause = min(pause * 1.5, 0.25)

    def _fill(self, purse: Purse, want: int) -> None:
        """Lease more; afterwards the purse may still hold less than was wanted."""
        with self.state.databases.transaction() as session:
            got, purse.low, lease = settlement.lease(
                session,
                self.worker,
                purse.kind,
                purse.owner,
                purse.lease,
                want - purse.available,
                SLICE,
                AMPLE,
                int(self.state.clock()),
            )
        if lease != purse.lease:  # the old one was taken back, and what we thought we had of it with it
            purse.lease, purse.available = lease, 0
        purse.available += got

    def _leased_elsewhere(self, kind: str, owner: int) -> bool:
        with self.state.databases.transaction() as session:
            return settlement.leased_by_others(session, self.worker, kind, owner)

    # -- settle and release -----------------------------------------------------------------------------------------

    def release(self, hold: Hold) -> None:
        """Give a whole reservation back: nothing was served."""
        for purse in (hold.user, hold.token):
            if purse is not None:
                self._put_back(purse, hold.amount)
        hold.user = hold.token = None
        hold.amount = 0

    def _put_back(self, purse: Purse, amount: int) -> None:
        purse.available += amount
        purse.holders -= 1
        purse.used_at = time.monotonic()
        purse.freed.set()
        if purse.low:  # others may be waiting for it
            self._wake.set()

    def settle(self, hold: Hold, row: settlement.Row) -> Event:
        """Charge `row.cost` against a reservation; the Event is set when the charge is durable."""
        row.user_purse, row.token_purse = hold.user, hold.token
        row.from_user = _spend(hold.user, hold.amount, row.cost)
        row.from_token = _spend(hold.token, hold.amount, row.cost)
        hold.user = hold.token = None
        hold.amount = 0
        batch = self.batch
        batch.rows.append(row)
        if not self._registered:
            self.start()
        self._wake.set()
        return batch.done

    # -- the writer -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Register this worker and start its greenlets; the first reservation or settlement does it too."""
        if self._registered:
            return
        self._registered = True
        with self.state.databases.transaction() as session:
            settlement.beat(session, self.worker, socket.gethostname(), os.getpid(), VERSION, int(self.state.clock()))
        self._greenlets = [gevent.spawn(self._write_loop), gevent.spawn(self._sweep_loop)]

    def stop(self) -> None:
        """Write what is pending, give every lease back and sign off."""
        if not self._registered:
            return
        gevent.killall(self._greenlets)
        self.flush()
        with self.state.databases.transaction() as session:
            settlement.sign_off(session, self.worker)
        self._purses.clear()
        self._registered = False

    def flush(self) -> None:
        """Write what is pending now."""
        with self._writing:
            batch, self.batch = self.batch, Batch()
            self._write(batch)

    def _write_loop(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self.flush()

    def _write(self, batch: Batch) -> None:
        rests = self._rests()
        while batch.rows or rests:
            rows, rest = batch.rows[:LARGEST_BATCH], batch.rows[LARGEST_BATCH:]
            try:
                gone = self._store.write(rows, rests)
            except (DBAPIError, SQLAlchemyError, OSError) as error:
                log.error("settlements=%d wait in the journal: %s", len(rows), type(error).__name__)
                self.journal.append(rows)
                gone = set()
                for purse, amount in rests:
                    purse.available += amount
            for row in rows:
                _committed(row)
            for purse, _ in rests:
                purse.freed.set()
            self._forget_leases(gone)
            batch.rows, rests = rest, []
        batch.done.set()

    def _rests(self) -> list[tuple[Purse, int]]:
        """What low purses hold and nobody reserved: it travels back with the next transaction."""
        rests = []
        for purse in self._purses.values():
            if purse.low and purse.available > 0 and purse.lease:
                rests.append((purse, purse.available))
                purse.available = 0
        return rests

    def _forget_leases(self, gone: set[int]) -> None:
        for purse in self._purses.values() if gone else ():
            if purse.lease in gone:
                purse.lease, purse.available = 0, 0

    # -- housekeeping -----------------------------------------------------------------------------------------------

    def _sweep_loop(self) -> None:
        ticks = 0
        while True:
            gevent.sleep(1.0)
            ticks += 1
            try:
                self._return_idle()
                if ticks % 5 == 0:
                    self._keep_alive()
                if self.journal.pending:
                    self._replay()
            except (DBAPIError, SQLAlchemyError, OSError) as error:
                log.warning("ledger housekeeping failed: %s", type(error).__name__)

    def _return_idle(self) -> None:
        edge = time.monotonic() - IDLE_SECONDS
        for key, purse in list(self._purses.items()):
            if purse.holders == 0 and purse.used_at < edge and not purse.lock.locked():
                with purse.lock:
                    if purse.holders or purse.used_at >= edge:
                        continue
                    self._purses.pop(key, None)
                    lease, purse.lease, purse.available = purse.lease, 0, 0
                    if lease:
                        with self.state.databases.transaction() as session:
                            settlement.give_back(session, lease)

    def _keep_alive(self) -> None:
        now = int(self.state.clock())
        with self.state.databases.transaction() as session:
            settlement.beat(session, self.worker, socket.gethostname(), os.getpid(), VERSION, now)
        sweep(self.state)

    def _replay(self) -> None:
        if self.state.databases.healthy():
            self.journal.replay(lambda rows: self._store.write(rows, []))

    def _on_change(self, topic: str) -> None:
        """A balance or budget may have been set by hand: drop what we hold of leases that were taken back."""
        if topic in ("users", "tokens") and self._purses:
            with self.state.databases.transaction() as session:
                alive = settlement.leases_of(session, self.worker)
            self._forget_leases({p.lease for p in self._purses.values() if p.lease} - alive)


def sweep(state: State) -> int:
    """Take the leases of dead workers back; returns how many there were."""
    with state.databases.transaction() as session:
        return settlement.sweep(session, socket.gethostname(), _runs, int(state.clock()))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _spend(purse: Purse | None, held: int, cost: int) -> int:
    """How much of a cost the purse pays; what it cannot pay is debited directly by the transaction."""
    if purse is None:
        return 0
    if cost <= held:
        purse.available += held - cost
        return cost
    more = min(cost - held, purse.available)
    purse.available -= more
    return held + more


def _committed(row: settlement.Row) -> None:
    now = time.monotonic()
    for purse in (row.user_purse, row.token_purse):
        if purse is not None:
            purse.holders -= 1
            purse.used_at = now
            purse.freed.set()


def _short(kind: str) -> Refused:
    if kind == "token":
        return Refused(403, "The token's quota is not enough for this request.", "pre_consume_token_quota_failed")
    return Refused(403, "user quota is not enough", "insufficient_user_quota")


__all__ = ["Hold", "Ledger", "Purse", "sweep"]
