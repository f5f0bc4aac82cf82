"""Requests and tokens a minute and requests in flight, counted together by all processes of a host in one mapped file."""

import fcntl
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from oneapi.relay.refusal import Refused
from oneapi.state import Caller, Limits

SLOTS, PROBES, WORKERS = 8192, 16, 32
# A slot: its key (Q), the minute, requests in it and in the one before, spare (IIII), tokens now and before (QQ), and requests
# in flight by worker (32 H). The map is read as numbers of each of these sizes; a slot's place is counted in Qs.
KEY, MINUTE, REQUESTS, REQUESTS_BEFORE, TOKENS, TOKENS_BEFORE, IN_FLIGHT = 0, 2, 3, 4, 3, 4, 20
SLOT = (40 + 2 * WORKERS) // 8
ARRIVALS = SLOTS * SLOT  # then how many workers ever sat down


class Limiter(Protocol):
    """Counts requests. `leave` gets what `enter` had noted, and by how much its estimate of the tokens was wrong."""

    def enter(self, caller: Caller, estimate: int) -> "Ticket": ...

    def leave(self, noted: Any, correction: int) -> None: ...


class Ticket:
    """One request that was admitted. `headers` tell the client how much is left; `done` must be called exactly once."""

    __slots__ = ("headers", "_counter", "_noted", "_estimate")

    def __init__(self, counter: Limiter | None, noted: Any, estimate: int, headers: list[tuple[str, str]]):
        self.headers, self._counter, self._noted, self._estimate = headers, counter, noted, estimate

    def done(self, tokens: int) -> None:
        """The request is over and used so many tokens; what was counted for it is corrected."""
        counter, self._counter = self._counter, None
        if counter is not None:
            counter.leave(self._noted, tokens - self._estimate)


FREE = Ticket(None, [], 0, [])


class Board:
    """The counters. A worker that dies leaves its requests in flight behind; whoever gets its place clears them."""

    def __init__(self, folder: str):
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path / "limits.bin", os.O_RDWR | os.O_CREAT, 0o600)
        size = 8 * (ARRIVALS + 1)
        if os.fstat(self._file).st_size < size:
            os.ftruncate(self._file, size)
        view = memoryview(mmap.mmap(self._file, size))
        self._q, self._i, self._h = view.cast("Q"), view.cast("I"), view.cast("H")
        self._known: dict[str, tuple[int, int]] = {}  # name → its key and the slot that held it
        self._places = os.open(path / "limits.places", os.O_RDWR | os.O_CREAT, 0o600)
        self._place = self._sit_down()
        self._alone, self._looked, self._arrivals = False, 0.0, -1
        with self._locked():
            self._q[ARRIVALS] += 1
        time.sleep(0.01)  # one that was alone until now may be in the middle of a count

    def _sit_down(self) -> int:
        for place in range(WORKERS - 1):
            try:
                fcntl.lockf(self._places, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            for at in range(IN_FLIGHT + place, 4 * ARRIVALS, 4 * SLOT):
                self._h[at] = 0
            return place
        fcntl.lockf(self._places, fcntl.LOCK_SH, 1, WORKERS - 1)
        return WORKERS - 1  # shared by whoever comes last

    def _bury_dead(self, slot: int) -> bool:
        """Clear what workers that are gone had in flight; a worker that lives holds the lock on its place."""
        buried = False
        for place in range(WORKERS - 1):
            at = 4 * slot + IN_FLIGHT + place
            if self._h[at] and place != self._place and not self._taken(place):
                self._h[at], buried = 0, True
        return buried

    def _sole(self, now: float) -> bool:
        """Whether no other worker counts here, so that none must be locked out; looked up when one comes or may have gone."""
        arrivals = self._q[ARRIVALS]
        if arrivals == self._arrivals and self._alone:
            return True
        if arrivals != self._arrivals or (not self._alone and abs(now - self._looked) >= 1.0):
            self._looked, self._arrivals = now, arrivals
            self._alone = self._place < WORKERS - 1 and not any(map(self._taken, range(WORKERS)))
        return self._alone

    def _taken(self, place: int) -> bool:
        if place == self._place:
            return False
        try:
            fcntl.lockf(self._places, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return True
        fcntl.lockf(self._places, fcntl.LOCK_UN, 1, place)
        return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)  # held for microseconds
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def enter(self, caller: Caller, estimate: int) -> Ticket:
        """Let a request in, counting it everywhere, or raise Refused(429) and count it nowhere."""
        now = time.time()
        if self._sole(now):
            return self._let_in(caller, estimate, now)
        with self._locked():
            return self._let_in(caller, estimate, now)

    def _let_in(self, caller: Caller, estimate: int, now: float) -> Ticket:
        minute = int(now) // 60
        headers: list[tuple[str, str]] = []
        slots = []
        for name, limits in caller.limits:
            slot = self._find(name, minute)
            slots.append(slot)
            headers = self._check(slot, limits, name, estimate, now % 60) or headers
        q, i, h = self._q, self._i, self._h
        for slot in slots:
            i[2 * slot + REQUESTS] += 1
            q[slot + TOKENS] += estimate
            at = 4 * slot + IN_FLIGHT + self._place
            h[at] = min(h[at] + 1, 65535)
        return Ticket(self, slots, estimate, headers)

    def leave(self, slots: list[int], correction: int) -> None:
        now = time.time()
        if self._sole(now):
            self._let_out(slots, correction, int(now) // 60)
        else:
            with self._locked():
                self._let_out(slots, correction, int(now) // 60)

    def _let_out(self, slots: list[int], correction: int, minute: int) -> None:
        q, h = self._q, self._h
        for slot in slots:
            self._turn(slot, minute)
            q[slot + TOKENS] = max(0, q[slot + TOKENS] + correction)
            at = 4 * slot + IN_FLIGHT + self._place
            h[at] = max(0, h[at] - 1)

    def _find(self, name: str, minute: int) -> int:
        """The slot of a name, in this minute."""
        key, slot = self._known.get(name, (1, 0))
        if self._q[slot + KEY] != key:
            key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") | 3  # never 0, which is free, nor 1
            slot = self._slot(key, minute)
            if len(self._known) >= SLOTS:
                self._known.clear()
            self._known[name] = (key, slot)
        if self._i[2 * slot + MINUTE] != minute:
            self._turn(slot, minute)
        return slot

    def _slot(self, key: int, minute: int) -> int:
        """Where a key is, or gets a place: a free one, else that of the name which was silent longest."""
        start, oldest = (key >> 2) % SLOTS, (1 << 40, -1)
        for step in range(PROBES):
            slot = SLOT * ((start + step) % SLOTS)
            held = self._q[slot + KEY]
            if held == key:
                return slot
            oldest = min(oldest, (self._i[2 * slot + MINUTE] if held else -1, slot))
            if not held:
                break
        slot = oldest[1]
        for at in range(slot, slot + SLOT):
            self._q[at] = 0
        self._q[slot + KEY], self._i[2 * slot + MINUTE] = key, minute
        return slot

    def _turn(self, slot: int, minute: int) -> None:
        """What was now is the minute before, once a minute is over."""
        q, i, at = self._q, self._i, 2 * slot
        last = i[at + MINUTE]
        if last == minute:
            return
        following = last == minute - 1
        i[at + REQUESTS_BEFORE], q[slot + TOKENS_BEFORE] = (i[at + REQUESTS], q[slot + TOKENS]) if following else (0, 0)
        i[at + REQUESTS] = q[slot + TOKENS] = 0
        i[at + MINUTE] = minute

    def _check(self, slot: int, limits: Limits, name: str, estimate: int, second: float) -> list[tuple[str, str]]:
        """Raise Refused if this request is one too many; returns the headers that tell how much is left."""
        i, q = self._i, self._q
        counts = (
            i[2 * slot + REQUESTS], i[2 * slot + REQUESTS_BEFORE], q[slot + TOKENS], q[slot + TOKENS_BEFORE],
            limits.concurrency if limits.concurrency and self._full(slot, limits.concurrency) else 0,
        )  # fmt: skip
        return headers_of(name, limits, counts, estimate, second)

    def _full(self, slot: int, limit: int) -> bool:
        """Whether so many requests run already, those of dead workers not counted."""
        flying = self._h[4 * slot + IN_FLIGHT : 4 * (slot + SLOT)]
        return sum(flying) >= limit and not (self._bury_dead(slot) and sum(flying) < limit)


def headers_of(
    name: str, limits: Limits, counts: Sequence[int], estimate: int, second: float
) -> list[tuple[str, str]]:
    """The headers that tell how much is left, this request included; raises Refused(429) if it is one too many.

    `counts` are requests and tokens, each in this minute and the one before, and requests in flight.
    """
    headers: list[tuple[str, str]] = []
    requests, requests_before, tokens, tokens_before, running = counts
    if limits.rpm:
        headers += _left(name, "requests", limits.rpm, requests, requests_before, 1, second)
    if limits.tpm:
        headers += _left(name, "tokens", limits.tpm, tokens, tokens_before, min(estimate, limits.tpm), second)
    if limits.concurrency and running >= limits.concurrency:
        message = f"Too many requests at once for this {_whose(name)}: {limits.concurrency} may run."
        raise Refused(429, f"{message} Try again when one has ended.", "concurrency_limit_exceeded", retry_after=1)
    return headers


def _whose(name: str) -> str:
    return name.partition(":")[0]


def _left(name: str, noun: str, limit: int, used: int, before: int, more: int, second: float) -> tuple[tuple[str, str], ...]:
    part = second / 60
    level = used + before * (1 - part)
    if level + more > limit:
        seconds = wait(limit, used, before, more, part)
        message = f"Rate limit reached for this {_whose(name)}: {limit} {noun} per minute. Try again in {seconds:.0f} seconds."
        left = _headers(noun, limit, max(0, int(limit - level)), seconds)
        raise Refused(429, message, "rate_limit_exceeded", type=noun, retry_after=seconds, headers=left)
    return _headers(noun, limit, int(limit - level - more), 60 - second)


def _headers(noun: str, limit: int, left: int, seconds: float) -> tuple[tuple[str, str], ...]:
    return (
        (f"x-ratelimit-limit-{noun}", str(limit)),
        (f"x-ratelimit-remaining-{noun}", str(left)),
        (f"x-ratelimit-reset-{noun}", f"{seconds:.0f}s"),
    )


def wait(limit: int, used: int, before: int, more: int, part: float) -> float:
    """Seconds until `more` fits under `limit`, as the count of the minute before fades and then the present one."""
    room = limit - more - used
    if room >= 0 and before:
        return max(1.0, 60 * (1 - room / before - part))
    fades = 1 - max(0, limit - more) / used if used else 0.0
    return max(1.0, 60 * (1 - part) + 60 * fades)
