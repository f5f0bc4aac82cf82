"""What a process keeps in memory: settings, channels, prices and tokens, refreshed when the database says they changed."""

import ipaddress
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.lock import RLock
from sqlalchemy.orm import Session

from oneapi import settings
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import channel, option, token, user, version
from oneapi.snapshot import PIECE, Lane, Snapshot, Tier, Tiers, renewed

__all__ = ["REFRESH_SECONDS", "Caller", "Lane", "Limits", "Snapshot", "State", "Tier", "Tiers", "networks"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
REFRESH_SECONDS = 1.0
SLICE_SECONDS = 0.003  # for which a refresh may hold up everybody else


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests and tokens a minute and requests in flight; 0 is no limit."""

    rpm: int = 0
    tpm: int = 0
    concurrency: int = 0

    def __bool__(self) -> bool:
        return bool(self.rpm or self.tpm or self.concurrency)


@dataclass(slots=True)
class Caller:
    """Who stands behind a key: everything admission looks at, so that a request asks the database nothing."""

    token_id: int
    user_id: int
    username: str
    token_name: str
    token_status: int
    expired_time: int
    unlimited: bool
    models: frozenset[str] | None
    networks: tuple[Network, ...]
    subnet: str
    group: str
    role: int
    user_status: int
    limits: tuple[tuple[str, Limits], ...] = ()  # (whose counter, what it may not exceed), only those that limit something


def _others_first() -> Callable[[], None]:
    """To be called often during long work: lets everybody who waits go on, but not more often than is needed.

    It sleeps for real. A sleep of nothing only changes between those who compute: sockets and timers are not looked at.
    """
    last = time.perf_counter()

    def pause() -> None:
        nonlocal last
        if time.perf_counter() - last > SLICE_SECONDS:
            gevent.sleep(0.0005)
            last = time.perf_counter()

    return pause


def _alone() -> None:
    """Nobody waits while a process starts."""


class State:
    """The truth is the database; this is what one process knows of it, at most two seconds old."""

    def __init__(self, config: Config, databases: Databases, clock: Callable[[], float] = time.time):
        self.config, self.databases, self.clock = config, databases, clock
        self.started_at = int(clock())
        self.settings = settings.read(self._from_environment(), config.theme)
        self.snapshot = Snapshot()
        self.prices: dict[tuple[Any, ...], Any] = {}  # memo of relay/meter.py, emptied when a price may have changed
        self.listeners: list[Callable[[str], None]] = []  # told the topic that was reloaded
        self.publish: Callable[[], None] = lambda: None  # tells other processes at once; set when there is Redis
        self.gateway: Any = None  # the relay of this process, for what must go through it (tests of channels)
        self._callers: dict[str, Caller | None] = {}
        self._versions: dict[str, int] | None = None
        self._full_refresh_at = 0.0
        self._refreshing = RLock()
        self._looks = self._looked = 0  # how often somebody began to look at the database, and the last look that worked
        self._looking_up = [RLock() for _ in range(16)]

    def refresh(self, *, force: bool = False) -> None:
        """Reload what changed since the last look. One small query when nothing did, however many ask at once."""
        self.databases.release()  # whoever refreshes needs a connection
        before = self._looks
        with self._refreshing:  # of two at once, the one that looked first must not have the last word
            if self._looked > before and not force:
                return  # somebody else began to look after we had come, and is done
            self._looks += 1
            look = self._looks
            self._refresh(force)
            self._looked = look

    def _refresh(self, force: bool) -> None:
        force = force or self.clock() >= self._full_refresh_at
        with self.databases.transaction(urgent=True) as session:  # requests may wait for this look
            versions = version.numbers(session)
        known = self._versions or {}
        changed = [t for t in version.TOPICS if force or self._versions is None or versions.get(t, 0) != known.get(t, 0)]
        if changed:
            with self.databases.transaction() as session:
                if "settings" in changed:
                    self.settings = settings.read(option.all_rows(session) | self._from_environment(), self.config.theme)
                if "channels" in changed:
                    pause = _alone if self._versions is None else _others_first()
                    self.snapshot = renewed(self.snapshot, channel.pieces(session, PIECE), self.config, pause)
        if "settings" in changed:
            self.prices.clear()
        if changed:
            # Groups, limits, users and tokens all show in a Caller. A new dict, as `caller` may be about to write into the old.
            self._callers = {}
        self._versions = versions
        if force:
            self._full_refresh_at = self.clock() + self.config.sync_frequency
        for topic in changed:
            for listener in self.listeners:
                listener(topic)

    def _from_environment(self) -> dict[str, str]:
        """The options that the environment decides, whatever the database says."""
        return {"ServerAddress": self.config.server_address} if self.config.server_address else {}

    def version(self, topic: str) -> int:
        """How often a topic has changed, as far as this process has seen."""
        return (self._versions or {}).get(topic, 0)

    def changed(self) -> None:
        """Called after a commit that raised a version: this process sees it now, the others within two seconds."""
        self.refresh()
        self.publish()

    def caller(self, key: str) -> Caller | None:
        """Who a key belongs to; None for an unknown key. The database is asked once per key and change."""
        try:
            return self._callers[key]
        except KeyError:
            pass
        self.databases.release()
        with self._looking_up[hash(key) % len(self._looking_up)]:  # after a change many ask at once: one of them looks
            callers = self._callers
            if key in callers:
                return callers[key]
            with self.databases.transaction(urgent=True) as session:
                found = self._load(session, key)
            if len(callers) > 100_000:  # guessed keys must not fill the memory
                callers.clear()
            callers[key] = found
            return found

    def _load(self, session: Session, key: str) -> Caller | None:
        row = token.by_key(session, key)
        owner = session.get(user.User, row.user_id) if row is not None else None
        if row is None or owner is None:
            return None
        return caller(row, owner, self.settings)


def caller(row: token.Token, owner: user.User, now: settings.Settings) -> Caller:
    """The Caller of a token row and its owner's row under the settings in force."""
    group = owner.group or "default"
    of_group = Limits(**now.group_limits.get(group, {}))
    of_user = Limits(now.user_requests_per_minute, now.user_tokens_per_minute, now.user_concurrency)
    of_token = Limits(row.requests_per_minute or 0, row.tokens_per_minute or 0, row.concurrency or 0)
    limits = ((f"token:{row.id}", of_token), (f"user:{owner.id}", of_user), (f"group:{group}:{owner.id}", of_group))
    return Caller(
        token_id=row.id, user_id=owner.id, username=owner.username or "", token_name=row.name or "",
        token_status=row.status, expired_time=row.expired_time, unlimited=bool(row.unlimited_quota),
        models=frozenset(names) if (names := channel.split(row.models)) else None,
        networks=readable(row.subnet or ""), subnet=row.subnet or "", group=group, role=owner.role, user_status=owner.status,
        limits=tuple((name, limit) for name, limit in limits if limit),
    )  # fmt: skip


def networks(text: str) -> tuple[Network, ...]:
    """A comma list of networks; raises ValueError at the first that is none."""
    return tuple(ipaddress.ip_network(part, strict=False) for part in channel.split(text))


def readable(text: str) -> tuple[Network, ...]:
    """The networks among the parts of a stored list; a list that names none that can be read lets nobody in."""
    found: list[Network] = []
    for part in channel.split(text):
        with suppress(ValueError):
            found += networks(part)
    return tuple(found)
