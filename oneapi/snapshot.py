"""The channels as requests see them: made ready once, sorted by group and model, renewed piece by piece.

Ten thousand channels take seconds to make ready, and while they are, nobody else in the process gets on. So only what changed
is made anew, and after every hundred rows the others may have their turn.
"""

import fnmatch
import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from oneapi import fields, vendors
from oneapi.config import Config
from oneapi.models import channel
from oneapi.vendors import contract

log = logging.getLogger(__name__)

PIECE = 100  # channels that are looked at in one go

Place = tuple[str, str]  # group, model


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
    self_hosted: str = ""  # "models" or "service" where models without a price cost nothing (Vendor.self_hosted), else ""
    mark: int = 0  # a digest of the row that it was made from
    next_key: int = 0

    def places(self) -> Iterator[Place]:
        """Where requests find it."""
        return itertools.product(self.groups, self.models) if self.enabled else iter(())

    def serves(self, model: str) -> str:
        """The vendor's name for a model that a client asked for."""
        if not self.mapping:
            return model
        if model in self.mapping:
            return self.mapping[model] or model
        return next((target for pattern, target in self.patterns if fnmatch.fnmatchcase(model, pattern)), model)


@dataclass(frozen=True, slots=True)
class Tier:
    """The channels of one priority with their weights, and the sums of these so far, to pick one without adding up."""

    lanes: tuple[Lane, ...]
    weights: tuple[int, ...]
    running: tuple[int, ...] = ()


Tiers = tuple[Tier, ...]


@dataclass(slots=True)
class Snapshot:
    lanes: dict[int, Lane] = field(default_factory=dict)
    candidates: dict[Place, Tiers] = field(default_factory=dict)  # (group, model) → tiers, best first
    group_models: dict[str, tuple[str, ...]] = field(default_factory=dict)


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
        keys=keys(secret), config=options, models=frozenset(map(sys.intern, row.model_names())),
        groups=tuple(map(sys.intern, row.group_names())),
        enabled=row.status == channel.Status.ENABLED, priority=row.priority or 0, weight=max(0, row.weight or 0),
        mapping=mapping, patterns=tuple((k, v) for k, v in mapping.items() if "*" in k and v),
        system_prompt=row.system_prompt or "", parameters=channel.json_object(row.parameters),
        proxy=str(options.get("proxy") or ""),
        self_hosted=self_hosted(row.type, row.base_url or ""),
    )  # fmt: skip


def self_hosted(type: int, base_url: str) -> str:
    """Return "models" or "service" for a channel that its operator hosts (see Vendor.self_hosted), else ""."""
    vendor = vendors.REGISTRY.get(type)
    if vendor is None or vendor.self_hosted != "private":
        return vendor.self_hosted if vendor is not None else ""
    try:
        host = urlsplit(base_url.strip()).hostname or ""
    except ValueError:  # brackets without an IPv6 address between them
        return ""
    return "service" if fields.is_private_host(host) else ""


def keys(text: str) -> tuple[str, ...]:
    """The keys of a channel: one a line, unless the key is one JSON document."""
    text = text.strip()
    if "{" in text:
        return (text,)
    return tuple(line.strip() for line in text.splitlines() if line.strip()) or ("",)


def renewed(old: Snapshot, pieces: Iterable[Iterable[Any]], config: Config, pause: Callable[[], None]) -> Snapshot:
    """The snapshot that `pieces` of rows give, all of them in the order of their ids; what did not change is taken over."""
    shot, touched = Snapshot(), set[Place]()
    for rows in pieces:
        for row in rows:
            mark, known = hash(tuple(row)), old.lanes.get(row.id)
            ready = known if known is not None and known.mark == mark else lane(channel.Channel(**row._mapping), config)
            if ready is not None:
                shot.lanes[ready.id] = ready
                ready.mark = mark
            if ready is not known:
                touched.update(known.places() if known else (), ready.places() if ready else ())
        pause()
    for id in old.lanes.keys() - shot.lanes.keys():
        touched.update(old.lanes[id].places())
    serving = _serving(shot.lanes, touched, pause)
    shot.candidates = {place: found for place, found in old.candidates.items() if place not in touched}
    for place, lanes in serving.items():
        shot.candidates[place] = tiers(lanes)
        pause()
    shot.group_models = _by_group(shot.candidates) if shot.candidates.keys() != old.candidates.keys() else old.group_models
    return shot


def _serving(lanes: dict[int, Lane], touched: set[Place], pause: Callable[[], None]) -> dict[Place, list[Lane]]:
    """The channels of each of these places."""
    serving: dict[Place, list[Lane]] = {}
    models = {model for _, model in touched}
    for number, ready in enumerate(lanes.values()):
        if not ready.models.isdisjoint(models):
            for place in ready.places():
                if place in touched:
                    serving.setdefault(place, []).append(ready)
        if number % PIECE == 0:
            pause()
    return serving


def _by_group(places: Iterable[Place]) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for group, model in places:
        names.setdefault(group, []).append(model)
    return {group: tuple(sorted(models)) for group, models in names.items()}


def tiers(lanes: list[Lane]) -> Tiers:
    """Lanes by falling priority; within a tier all-zero weights mean equal."""
    by_priority: dict[int, list[Lane]] = {}
    for ready in lanes:
        by_priority.setdefault(ready.priority, []).append(ready)
    ordered = [(tuple(group), weights(group)) for _, group in sorted(by_priority.items(), reverse=True)]
    return tuple(Tier(group, of_each, tuple(itertools.accumulate(of_each))) for group, of_each in ordered)


def weights(lanes: list[Lane]) -> tuple[int, ...]:
    return tuple(ready.weight for ready in lanes) if any(ready.weight for ready in lanes) else (1,) * len(lanes)
