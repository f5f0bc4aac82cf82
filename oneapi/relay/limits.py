"""Requests and tokens a minute and requests in flight, counted together by all processes of a host in one mapped file."""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from pathlib import Path

from oneapi.relay.refusal import Refused
from oneapi.state import Caller, Limits

SLOTS, PROBES, WORKERS = 8192, 16, 32
HEAD = struct.Struct("<QIIIIQQ")  # key, minute, requests now and in the minute before, spare, tokens now and before
SLOT = HEAD.size + 2 * WORKERS  # then requests in flight, by worker
ARRIVALS = slice(SLOTS * SLOT, SLOTS * SLOT + 8)  # how many workers ever sat down


class Ticket:
    """One request that was let in. `headers` tell the client how much is left; `done` must be called exactly once."""

    __slots__ = ("headers", "_board", "_slots", "_estimate")

    def __init__(self, board: "Board | None", slots: list[int], estimate: int, headers: list[tuple[str, str]]):
        self.headers, self._board, self._slots, self._estimate = headers, board, slots, estimate

    def done(self, tokens: int) -> None:
        """The request is over and used so many tokens; what it was let in with is put right."""
        board, self._board = self._board, None
        if board is not None:
            board.leave(self._slots, tokens - self._estimate)


FREE = Ticket(None, [], 0, [])


class Board:
    """The counters. A worker that dies leaves its requests in flight behind; whoever gets its place clears them."""

    def __init__(self, folder: str):
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path / "limits.bin", os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size < ARRIVALS.stop:
            os.ftruncate(self._file, ARRIVALS.stop)
        self._map = mmap.mmap(self._file, ARRIVALS.stop)
        self._places = os.open(path / "limits.places", os.O_RDWR | os.O_CREAT, 0o600)
        self._place = self._sit_down()
        self._alone, self._looked, self._arrivals = False, 0.0, b""
        with self._locked():
            self._map[ARRIVALS] = (int.from_bytes(self._map[ARRIVALS], "little") + 1).to_bytes(8, "little")
        time.sleep(0.01)  # one that was alone until now may be in the middle of a count

    def _sit_down(self) -> int:
        for place in range(WORKERS - 1):
            try:
                fcntl.lockf(self._places, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            for slot in range(SLOTS):
                self._map[self._in_flight(slot, place) : self._in_flight(slot, place) + 2] = b"\0\0"
            return place
        fcntl.lockf(self._places, fcntl.LOCK_SH, 1, WORKERS - 1)
        return WORKERS - 1  # shared by whoever comes last

    def _in_flight(self, slot: int, place: int) -> int:
        return slot * SLOT + HEAD.size + 2 * place

    def _bury_dead(self, slot: int) -> bool:
        """Clear what workers that are gone had in flight; a worker that lives holds the lock on its place."""
        buried = False
        for place in range(WORKERS - 1):
            at = self._in_flight(slot, place)
            if place == self._place or self._map[at : at + 2] == b"\0\0":
                continue
            try:
                fcntl.lockf(self._places, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            self._map[at : at + 2] = b"\0\0"
            fcntl.lockf(self._places, fcntl.LOCK_UN, 1, place)
            buried = True
        return buried

    def _sole(self, now: float) -> bool:
        """Whether no other worker counts here, so that none must be locked out; looked up when one comes or may have gone."""
        arrivals = self._map[ARRIVALS]
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
        with nullcontext() if self._sole(now) else self._locked():
            return self._let_in(caller, estimate, now)

    def _let_in(self, caller: Caller, estimate: int, now: float) -> Ticket:
        found = [(self._find(name, int(now) // 60), limits, name) for name, limits in caller.limits]
        headers: list[tuple[str, str]] = []
        for slot, limits, name in found:
            headers = self._check(slot, limits, name, estimate, now) or headers
        for slot, _, _ in found:
            self._add(slot, int(now) // 60, 1, estimate, 1)
        return Ticket(self, [slot for slot, _, _ in found], estimate, headers)

    def leave(self, slots: list[int], correction: int) -> None:
        now = time.time()
        with nullcontext() if self._sole(now) else self._locked():
            for slot in slots:
                self._add(slot, int(now) // 60, 0, correction, -1)

    def _find(self, name: str, minute: int) -> int:
        key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") | 1
        start, free, oldest = key % SLOTS, -1, (1 << 40, -1)
        for step in range(PROBES):
            slot = (start + step) % SLOTS
            held, last = struct.unpack_from("<QI", self._map, slot * SLOT)
            if held == key:
                return slot
            if not held:
                free = slot
                break
            oldest = min(oldest, (last, slot))
        slot = free if free >= 0 else oldest[1]
        self._map[slot * SLOT : (slot + 1) * SLOT] = bytes(SLOT)
        struct.pack_into("<QI", self._map, slot * SLOT, key, minute)
        return slot

    def _read(self, slot: int, minute: int) -> tuple[int, int, int, int]:
        """Requests now and before, tokens now and before, as they stand in this minute."""
        _, last, now, before, _, tokens, tokens_before = HEAD.unpack_from(self._map, slot * SLOT)
        if last == minute:
            return now, before, tokens, tokens_before
        return (0, now, 0, tokens) if last == minute - 1 else (0, 0, 0, 0)

    def _add(self, slot: int, minute: int, requests: int, tokens: int, in_flight: int) -> None:
        now, before, used, used_before = self._read(slot, minute)
        (key,) = struct.unpack_from("<Q", self._map, slot * SLOT)
        HEAD.pack_into(self._map, slot * SLOT, key, minute, now + requests, before, 0, max(0, used + tokens), used_before)
        at = self._in_flight(slot, self._place)
        (flying,) = struct.unpack_from("<H", self._map, at)
        struct.pack_into("<H", self._map, at, min(max(0, flying + in_flight), 65535))

    def _check(self, slot: int, limits: Limits, name: str, estimate: int, now: float) -> list[tuple[str, str]]:
        requests, requests_before, tokens, tokens_before = self._read(slot, int(now) // 60)
        part, whose = (now % 60) / 60, name.partition(":")[0]
        headers: list[tuple[str, str]] = []
        for limit, used, before, more, noun in (
            (limits.rpm, requests, requests_before, 1, "requests"),
            (limits.tpm, tokens, tokens_before, min(estimate, limits.tpm), "tokens"),
        ):
            if not limit:
                continue
            level = used + before * (1 - part)
            if level + more > limit:
                raise _too_many(whose, noun, limit, wait(limit, used, before, more, part))
            left, reset = int(limit - level - more), f"{60 * (1 - part):.0f}s"
            headers += [(f"x-ratelimit-limit-{noun}", str(limit)), (f"x-ratelimit-remaining-{noun}", str(left))]
            headers.append((f"x-ratelimit-reset-{noun}", reset))
        if limits.concurrency:
            at = slot * SLOT + HEAD.size
            flying = sum(struct.unpack_from(f"<{WORKERS}H", self._map, at))
            if flying >= limits.concurrency and self._bury_dead(slot):
                flying = sum(struct.unpack_from(f"<{WORKERS}H", self._map, at))
            if flying >= limits.concurrency:
                message = (
                    f"Too many requests at once for this {whose}: {limits.concurrency} may run. Try again when one has ended."
                )
                raise Refused(429, message, "concurrency_limit_exceeded", retry_after=1)
        return headers


def wait(limit: int, used: int, before: int, more: int, part: float) -> float:
    """Seconds until `more` fits under `limit`, as the count of the minute before fades and then the present one."""
    room = limit - more - used
    if room >= 0 and before:
        return max(1.0, 60 * (1 - room / before - part))
    fades = 1 - max(0, limit - more) / used if used else 0.0
    return max(1.0, 60 * (1 - part) + 60 * fades)


def _too_many(whose: str, noun: str, limit: int, seconds: float) -> Refused:
    message = f"Rate limit reached for this {whose}: {limit} {noun} per minute. Try again in {seconds:.0f} seconds."
    return Refused(429, message, "rate_limit_exceeded", type=noun, retry_after=seconds)
