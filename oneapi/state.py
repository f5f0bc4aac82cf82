"""What a process keeps in memory: settings, channels, prices and tokens, refreshed when the database says they changed."""

import fnmatch
import ipaddress
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gevent.lock import RLock
from sqlalchemy.orm import Session

from oneapi import settings, vendors
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import channel, option, token, user, version
from oneapi.vendors import contract

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
REFRESH_SECONDS = 1.0


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


@dataclass(slots=True, eq=False)
class Lane:
    """A channel made ready for use."""

    id: int
    name: str
    type: int
    vendor: contract.Vendor
    base_url: str
    keys: tuple[str, ...]
    config: dict[str, Any]
    models: frozenset[str]
    groups: tuple[str, ...]
    enabled: bool
    priority: int
    weight: int
    mapping: dict[str, str]
    patterns: tuple[tuple[str, str], ...]
    system_prompt: str
    parameters: dict[str, Any]
    proxy: str
    private: bool  # an address in a private network, allowed by the setting
    next_key: int = 0

    def serves(self, model: str) -> str:
        """The vendor's name for a model that a client asked for."""
        if not self.mapping:
            return model
        if model in self.mapping:
            return self.mapping[model] or model
        return next((target for pattern, target in self.patterns if fnmatch.fnmatchcase(model, pattern)), model)


@dataclass(frozen=True, slots=True)
class Tier:
    """The channels of one priority, with their running weights."""

    lanes: tuple[Lane, ...]
    weights: tuple[int, ...]


Tiers = tuple[Tier, ...]


@dataclass(slots=True)
class Snapshot:
    lanes: dict[int, Lane] = field(default_factory=dict)
    candidates: dict[tuple[str, str], Tiers] = field(default_factory=dict)  # (group, model) → tiers, best first
    group_models: dict[str, tuple[str, ...]] = field(default_factory=dict)


class State:
    """The truth is the database; this is what one process knows of it, at most two seconds old."""

    def __init__(self, config: Config, databases: Databases, clock: Callable[[], float] = time.time):
        self.config, self.databases, self.clock = config, databases, clock
        self.started_at = int(clock())
        self.settings = settings.read({}, config.theme)
        self.snapshot = Snapshot()
        self.prices: dict[tuple[str, str, int], Any] = {}  # memo of relay/meter.py, emptied when a price may have changed
        self.listeners: list[Callable[[str], None]] = []  # told the topic that was reloaded
        self.publish: Callable[[], None] = lambda: None  # tells other processes at once; set when there is Redis
        self.gateway: Any = None  # the relay of this process, for what must go through it (tests of channels)
        self._callers: dict[str, Caller | None] = {}
        self._versions: dict[str, int] | None = None
        self._full_refresh_at = 0.0
        self._refreshing = RLock()

    def refresh(self, *, force: bool = False) -> None:
        """Reload what changed since the last look. One small query when nothing did."""
        with self._refreshing:  # of two at once, the one that looked first must not have the last word
            self._refresh(force)

    def _refresh(self, force: bool) -> None:
        force = force or self.clock() >= self._full_refresh_at
        with self.databases.transaction() as session:
            versions = version.numbers(session)
            known = self._versions or {}
            changed = [t for t in version.TOPICS if force or self._versions is None or versions.get(t, 0) != known.get(t, 0)]
            if "settings" in changed:
                self.settings = settings.read(option.all_rows(session), self.config.theme)
            if "settings" in changed or "channels" in changed:
                self.snapshot = snapshot(channel.every(session), self)
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
        callers = self._callers
        with self.databases.transaction() as session:
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
    found = []
    for part in channel.split(text):
        with suppress(ValueError):
            found += networks(part)
    return tuple(found)


# The old project's column `other` meant a config key that depended on the type.
OTHER_MEANS = {3: "api_version", 18: "api_version", 24: "api_version", 21: "library_id", 17: "plugin"}


def lane(row: channel.Channel, config: Config) -> Lane | None:
    """The channel made ready; None when its type is unknown here or its key cannot be read."""
    vendor, secret = vendors.REGISTRY.get(row.type), row.plain_key()
    if secret is None:
        log.error("channel %s is not used: its key was sealed with another ENCRYPTION_KEY than this process has", row.id)
    if vendor is None or secret is None:
        return None
    options = row.settings()
    if row.other and row.type in OTHER_MEANS:
        options.setdefault(OTHER_MEANS[row.type], row.other)
    options |= {"test_model": row.test_model} if row.test_model else {}
    vendor = contract.serving(vendor, options, secret)
    for name, setting in vendor.environment.items():
        options.setdefault(name, getattr(config, setting))
    mapping = {str(k): str(v) for k, v in channel.json_object(row.model_mapping).items()}
    return Lane(
        id=row.id, name=row.name or "", type=row.type, vendor=vendor,
        base_url=(row.base_url or vendor.base_url).strip().rstrip("/"),
        keys=keys(secret), config=options, models=frozenset(row.model_names()), groups=tuple(row.group_names()),
        enabled=row.status == channel.Status.ENABLED, priority=row.priority or 0, weight=max(0, row.weight or 0),
        mapping=mapping, patterns=tuple((k, v) for k, v in mapping.items() if "*" in k and v),
        system_prompt=row.system_prompt or "", parameters=channel.json_object(row.parameters),
        proxy=str(options.get("proxy") or ""), private=True,
    )  # fmt: skip


def keys(text: str) -> tuple[str, ...]:
    """The keys of a channel: one a line, unless the key is one JSON document."""
    text = text.strip()
    if "{" in text:
        return (text,)
    return tuple(line.strip() for line in text.splitlines() if line.strip()) or ("",)


def snapshot(rows: list[channel.Channel], state: State) -> Snapshot:
    """Lanes and candidates of all channels. Grows with channels here, never per request."""
    shot = Snapshot()
    for row in rows:
        ready = lane(row, state.config)
        if ready is not None:
            shot.lanes[ready.id] = ready
    serving: dict[tuple[str, str], list[Lane]] = {}
    for ready in shot.lanes.values():
        if ready.enabled:
            for group in ready.groups:
                for model in ready.models:
                    serving.setdefault((group, model), []).append(ready)
    shot.candidates = {key: tiers(lanes) for key, lanes in serving.items()}
    names: dict[str, set[str]] = {}
    for group, model in serving:
        names.setdefault(group, set()).add(model)
    shot.group_models = {group: tuple(sorted(models)) for group, models in names.items()}
    return shot


def tiers(lanes: list[Lane]) -> Tiers:
    """Lanes by falling priority; within a tier all-zero weights mean equal."""
    by_priority: dict[int, list[Lane]] = {}
    for ready in lanes:
        by_priority.setdefault(ready.priority, []).append(ready)
    return tuple(Tier(tuple(group), weights(group)) for _, group in sorted(by_priority.items(), reverse=True))


def weights(lanes: list[Lane]) -> tuple[int, ...]:
    return tuple(ready.weight for ready in lanes) if any(ready.weight for ready in lanes) else (1,) * len(lanes)
