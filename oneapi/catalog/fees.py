"""Fees beside the price of tokens: tools that a provider runs, by the call, and the factors of its service tiers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from oneapi.catalog import load

PER_DOLLAR = 500_000  # quota; as the ratios have it, whatever is shown as a dollar
# Names of the tier that the listed prices are for; "scale" and "reserved" are paid for in advance.
STANDARD = frozenset(("", "auto", "default", "standard", "standard_only", "on_demand", "scale", "reserved"))
MAKER = re.compile(r"^~?[\w.-]+/")  # before the name of a model where many makers' are sold, such as "openai/"


@dataclass(frozen=True, slots=True)
class Fees:
    """What one model costs beside its tokens.

    `tools` are dollars for one call, by kind; a kind without a figure is free and pointed out. `tiers` are factors on every
    price of tokens. `requests` are calls that each answer makes without reporting them.
    """

    tools: Mapping[str, float] = field(default_factory=dict)
    tiers: Mapping[str, float] = field(default_factory=dict)
    requests: tuple[tuple[str, int], ...] = ()

    def factor(self, tier: str) -> float | None:
        """Return the factor of a service tier; None where it has no price."""
        return 1.0 if tier in STANDARD else self.tiers.get(tier)


NONE = Fees()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of data/fees.json. `types` limits it to channel types, none to no type."""

    models: re.Pattern[str]
    types: frozenset[int]
    tools: Mapping[str, float]
    tiers: Mapping[str, float]
    requests: Mapping[str, int]


@lru_cache(maxsize=4096)
def built_in(model: str, channel_type: int) -> Fees:
    """Return the fees the catalogue knows; of rows that fit a model, the first has the last word on each figure."""
    names = (model, MAKER.sub("", model))
    rows = [row for row in ROWS if (not row.types or channel_type in row.types) and any(map(row.models.match, names))]
    tools, tiers, requests = dict[str, float](), dict[str, float](), dict[str, int]()
    for row in reversed(rows):
        tools |= row.tools
        tiers |= row.tiers
        requests |= row.requests
    return Fees(tools, tiers, tuple(requests.items()))


def fees(model: str, channel_type: int, tools: Mapping[str, float], tiers: Mapping[str, float]) -> Fees:
    """Return the fees of a model, with the figures an administrator has set: by `kind`, or by `model:kind`, which wins."""
    return with_own(built_in(model, channel_type), model, tools, tiers)


def with_own(found: Fees, model: str, tools: Mapping[str, float], tiers: Mapping[str, float]) -> Fees:
    """Return fees with an administrator's figures in place of the catalogue's."""
    if not (tools or tiers):
        return found
    return Fees({**found.tools, **_own(tools, model)}, {**found.tiers, **_own(tiers, model)}, found.requests)


def _own(table: Mapping[str, float], model: str) -> dict[str, float]:
    every = {key: figure for key, figure in table.items() if ":" not in key}
    return every | {key[len(model) + 1 :]: figure for key, figure in table.items() if key.startswith(f"{model}:")}


def rows(data: Mapping[str, Any], name: str = "fees.json") -> tuple[Row, ...]:
    """Return the rows of data/fees.json, checked."""
    found = []
    for row in data["rows"]:
        who = f"{row.get('provider')}, {row.get('models')}"
        known = {"provider", "models", "types", "source", "checked", "tools", "tiers", "requests"}
        load.need(name, who, not set(row) - known, f"knows no {', '.join(sorted(set(row) - known))}")
        load.need(name, who, bool(row.get("source")), "needs a source")
        for table in ("tools", "tiers", "requests"):
            figures = row.get(table, {})
            load.need(name, who, all(load.number(figure, 0, 100) for figure in figures.values()), f"{table}: give numbers to 100")
        found.append(
            Row(re.compile(row["models"]), frozenset(row.get("types", ())), row.get("tools", {}), row.get("tiers", {}),
                row.get("requests", {}))
        )  # fmt: skip
    return tuple(found)


ROWS = rows(load.read("fees.json"))
