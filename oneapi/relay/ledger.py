"""Reserve, settle, release: balances are spent from leases in memory and settled in grouped transactions.

A worker takes a lease on a slice of a balance with one conditional UPDATE and spends from it without asking the database.
Whoever delivers an answer waits before the last byte until its charge is safe (writer.py).
"""

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TypeVar

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from oneapi.config import VERSION
from oneapi.models import leases, settlement, store
from oneapi.models.store import FAILURES
from oneapi.relay.failures import Failures
from oneapi.relay.journal import Journal
from oneapi.relay.purse import Hold, Purse, Purses, spend
from oneapi.relay.refusal import Refused, away, full, out_of_quota
from oneapi.relay.writer import Writer
from oneapi.state import Caller, State

log = logging.getLogger(__name__)

WAIT_SECONDS = 10.0  # how long a request waits for money that other requests of the same owner hold
IDLE_SECONDS = 3.0  # an unused lease goes back after this
SLICE = 32  # a lease takes at most this part of a balance
AMPLE = 64  # a balance of fewer reservations than this is leased request by request
STOP_SECONDS = 10.0
T = TypeVar("T")
CROWD = 16  # with so many requests under way it is cheaper to let answers wait for a transaction that they share


class Ledger:
    """The money of one worker."""

    def __init__(self, state: State):
        self.state = state
        self.worker = f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._purses = Purses()
        self._writer = Writer(state, self.worker, self._purses)
        self._store, self.journal = self._writer.store, self._writer.journal
        self.flush, self.catch_up = self._writer.flush, self._writer.catch_up
        self.failures = Failures(state, self._store)
        self._ending, self._registering, self._registered = Event(), BoundedSemaphore(), False
        self._sweeper: gevent.Greenlet | None = None
        self.log_journal = self._writer.log_journal
        self.open_bills = 0  # requests that are neither settled nor released
        state.listeners.append(self._on_change)

    @property
    def blocked(self) -> bool:
        """Whether neither the database nor the journal can take a charge, so that no request is served."""
        return self._writer.blocked

    # -- reserve ----------------------------------------------------------------------------------------------------

    def reserve(self, caller: Caller, want: int, need: int) -> Hold:
        """Set `want` quota aside, or what is left if that is at least `need`; raises Refused when it is not."""
        if self._writer.blocked:
            raise full()
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
            return Hold(amount, purse, token, purse.lease, token.lease if token is not None else 0)
        try:
            return self._reserve_slowly(caller, want, need)
        except FAILURES as error:
            log.warning("nothing can be reserved: %s", error)
            raise (full() if store.full(error) else away()) from error

    def covers(self, caller: Caller, amount: int) -> bool:
        """Whether balance and budget would pay so much to this request and to each one under way, as far as is known here.

        It asks the database nothing: what is left beyond a lease is known from when this worker last leased from it.
        """
        purse = self._purses.get(("user", caller.user_id))
        if purse is None or purse.available + purse.beyond < amount * (purse.holders + 1):
            return False
        if caller.unlimited:
            return True
        purse = self._purses.get(("token", caller.token_id))
        return purse is not None and purse.available + purse.beyond >= amount * (purse.holders + 1)

    def _reserve_slowly(self, caller: Caller, want: int, need: int) -> Hold:
        self._register()
        token, amount, token_lease = None, want, 0
        if not caller.unlimited:
            token, amount, token_lease = self._take("token", caller.token_id, want, need)
        try:
            purse, got, lease = self._take("user", caller.user_id, amount, min(need, amount))
        except BaseException:
            if token is not None:
                self._put_back(token, token_lease, amount)
            raise
        if token is not None and got < amount and token.lease == token_lease:
            token.available += amount - got
        return Hold(got, purse, token, lease, token_lease)

    def _take(self, kind: str, owner: int, want: int, need: int) -> tuple[Purse, int, int]:
        """A purse, how much of `want` it gave, and the lease that is from; waits while others may still give something back."""
        deadline = time.monotonic() + WAIT_SECONDS
        pause = 0.01
        while True:
            purse = self._purses.setdefault((kind, owner), Purse(kind, owner))
            with purse.lock:
                if self._purses.get((kind, owner)) is not purse:
                    continue  # it was given back while we waited for the lock
                if purse.available < want:
                    self._fill(purse, want, need)
                amount = min(want, purse.available)
                if amount >= max(need, 1):
                    purse.available -= amount
                    purse.holders += 1
                    purse.used_at = time.monotonic()
                    return purse, amount, purse.lease
                purse.freed.clear()
                others = purse.holders > 0 or self._leased_elsewhere(kind, owner)
            if not others or time.monotonic() >= deadline:
                raise _short(kind, as_403=self.state.settings.quota_refused_with403_enabled)
            purse.freed.wait(pause)
            pause = min(pause * 1.5, 0.5)

    def _fill(self, purse: Purse, want: int, need: int) -> None:
        """Lease more; afterwards the purse may still hold less than was wanted."""
        more, least, now = want - purse.available, need - purse.available, int(self.state.clock())
        terms = (purse.kind, purse.owner, purse.lease, more, least, SLICE, AMPLE, now)
        got, purse.low, lease, purse.beyond = self._store.run(lambda session: leases.lease(session, self.worker, *terms))
        if lease != purse.lease:  # the old one was taken back, and what we thought we had of it with it
            purse.lease, purse.available = lease, 0
        purse.available += got

    def _leased_elsewhere(self, kind: str, owner: int) -> bool:
        with self.state.databases.transaction(urgent=True) as session:
            return leases.leased_by_others(session, self.worker, kind, owner)

    # -- settle and release -----------------------------------------------------------------------------------------

    def release(self, hold: Hold) -> None:
        """Give a whole reservation back: nothing was served."""
        for purse, lease in ((hold.user, hold.user_lease), (hold.token, hold.token_lease)):
            if purse is not None:
                self._put_back(purse, lease, hold.amount)
        hold.user = hold.token = None
        hold.amount = 0

    def _put_back(self, purse: Purse, lease: int, amount: int) -> None:
        if purse.lease == lease:
            purse.available += amount
        purse.holders -= 1
        purse.used_at = time.monotonic()
        purse.freed.set()
        if purse.low:
            self._writer.wake()

    def settle(self, hold: Hold, row: settlement.Row) -> Event:
        """Charge `row.cost` against a reservation; the Event is set when the charge is safe."""
        row.user_purse, row.token_purse = hold.user, hold.token
        row.user_lease, row.token_lease = hold.user_lease, hold.token_lease
        row.from_user = spend(hold.user, hold.user_lease, hold.amount, row.cost)
        if hold.token is not None:
            row.from_token = spend(hold.token, hold.token_lease, hold.amount, row.cost)
        if (hold.user is not None and hold.user.low) or (hold.token is not None and hold.token.low):
            self._writer.wake()  # others may be waiting for what is left
        hold.user = hold.token = None
        hold.amount = 0
        return self._writer.add(row, early=self.open_bills < CROWD)

    # -- the worker -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the greenlets of this worker; the first reservation does it too."""
        self._writer.start()
        if self._sweeper is None:
            self._sweeper = gevent.spawn(self._sweep_loop)

    def _register(self) -> None:
        """Nobody may hold a lease whose worker is not known to live: it would be taken for a dead one's."""
        self.start()
        with self._registering:
            if not self._registered:
                self._beat()

    def _beat(self) -> None:
        host, now = socket.gethostname(), int(self.state.clock())
        self._store.run(lambda session: leases.beat(session, self.worker, host, os.getpid(), VERSION, now))
        self._registered = True

    def stop(self) -> None:
        """Write what is pending, charges first, give every lease back and sign off."""
        if self._sweeper is None:
            self.failures.stop()
            return
        self._ending.set()
        self._writer.stop()
        self._sweeper.join(STOP_SECONDS)
        self._sweeper = None
        self._ending.clear()
        self.failures.stop()
        if self._registered:
            self._registered = False
            try:
                self._store.run(lambda session: leases.sign_off(session, self.worker))
            except FAILURES as error:  # the next worker takes the leases back
                log.warning("leases stay until another worker takes them back: %s", type(error).__name__)
        self._purses.clear()

    # -- housekeeping -----------------------------------------------------------------------------------------------

    def _sweep_loop(self) -> None:
        for tick in count():
            if tick % 5 == 0:
                self._writer.find()
            self.state.databases.look()
            replayed = self._tried(self._writer.replay)
            self._tried(self._return_idle)
            if replayed or self._writer.blocked or tick % 5 == 0:
                self._tried(self._keep_alive)
            if self._ending.wait(1.0):
                return

    def _tried(self, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except FAILURES as error:
            log.warning("ledger housekeeping failed: %s", type(error).__name__)
            return None

    def _return_idle(self) -> None:
        edge = time.monotonic() - IDLE_SECONDS
        for key, purse in list(self._purses.items()):
            if purse.holders == 0 and purse.used_at < edge and not purse.lock.locked():
                with purse.lock:
                    if purse.holders or purse.used_at >= edge:
                        continue
                    self._purses.pop(key, None)
                    held = purse.lease, purse.available
                    purse.lease, purse.available = 0, 0
                    if held[0]:
                        self._give_back(key, purse, held)

    def _give_back(self, key: tuple[str, int], purse: Purse, held: tuple[int, int]) -> None:
        """Give an unused lease back; while the database is away, keep it to serve from."""
        try:
            self._store.run(partial(leases.give_back, id=held[0]))
        except FAILURES:
            if self._purses.setdefault(key, purse) is purse:
                purse.lease, purse.available = held
            raise

    def _keep_alive(self) -> None:
        try:
            with self._registering:
                self._beat()
        except FAILURES:
            self._writer.look(database=False)
            raise
        self._writer.look(database=True)
        now, host = int(self.state.clock()), socket.gethostname()
        self._store.run(lambda session: leases.sweep(session, host, _runs, self.journal.holds, now))
        self._end_strays(now)

    def _end_strays(self, now: int) -> None:
        """Give back what this worker leased and knows nothing of: the database broke off while it was got or given back."""
        old = self._store.run(lambda session: leases.of(session, self.worker, before=now - 30))
        for lease in old - {purse.lease for purse in self._purses.values()}:
            self._store.run(partial(leases.give_back, id=lease))

    def _on_change(self, topic: str) -> None:
        """A balance or budget may have been set by hand: drop what we hold of leases that were taken back."""
        if topic in ("users", "tokens") and self._purses:
            held = {purse.lease for purse in self._purses.values() if purse.lease}  # before we look: more may be leased meanwhile
            alive = self._store.run(lambda session: leases.of(session, self.worker))
            self._purses.forget(held - alive)


def sweep(state: State) -> int:
    """Take the leases of dead workers back; returns how many there were."""
    journal = Journal(state.config.instance_path, "")
    with state.databases.transaction() as session:
        return leases.sweep(session, socket.gethostname(), _runs, journal.holds, int(state.clock()))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _short(kind: str, *, as_403: bool) -> Refused:
    of_key = kind == "token"
    message = "The token's quota is not enough for this request." if of_key else "user quota is not enough"
    if as_403:
        return Refused(403, message, "pre_consume_token_quota_failed" if of_key else "insufficient_user_quota")
    return out_of_quota(message)


__all__ = ["Hold", "Ledger", "Purse", "sweep"]
