"""The built-in prices against the public collection that is installed with us: says where they differ, changes nothing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from oneapi.catalog import load

# Our figure → theirs, both in dollars per million tokens.
FIGURES = {
    "in": "input_mtok", "out": "output_mtok", "cached": "cache_read_mtok", "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_in": "input_audio_mtok", "audio_out": "output_audio_mtok",
}  # fmt: skip
MOST = 200  # that are written down


@dataclass(frozen=True, slots=True)
class Difference:
    vendor: str
    model: str
    figure: str
    ours: float
    theirs: float


def report(now: int) -> dict[str, Any]:
    """How many prices were compared, and those that differ."""
    compared, differences = 0, []
    for found in compare(now):
        compared += 1
        if abs(found.ours - found.theirs) > 0.001 * max(found.ours, found.theirs):
            differences.append(asdict(found))
    return {"compared": compared, "differing": len(differences), "differences": differences[:MOST]}


def compare(now: int) -> Iterator[Difference]:
    """Every figure that both know, of vendors that are paid in dollars."""
    from genai_prices.data import providers  # thirty megabytes, so only when somebody asks

    when = datetime.fromtimestamp(now, UTC)
    for vendor in load.read("prices.json")["vendors"]:
        provider = _provider(vendor["vendor"], providers)
        if vendor["currency"] != "USD" or provider is None:
            continue
        for model, listed in vendor["models"].items():
            figures = _today(listed, when)
            theirs = _prices(provider, model, when)
            for figure in FIGURES.keys() & figures.keys() & theirs.keys():
                yield Difference(vendor["vendor"], model, figure, float(figures[figure]), theirs[figure])


def _today(figures: Mapping[str, Any], when: datetime) -> dict[str, Any]:
    """The figures of a moment: with those announced that have begun, and those of the hour."""
    found = dict(figures)
    for day, new in found.pop("from", ()):
        found |= new if day <= when.date().isoformat() else {}
    for begins, ends, new in found.pop("daily", ()):
        found |= new if begins <= when.strftime("%H:%M") < ends else {}
    return found


def _provider(vendor: str, providers: list[Any]) -> Any:
    """Theirs for one of our vendors: of the same name, else one whose name is the beginning of the other."""
    ours = _letters(vendor)
    names = [(_letters(name), provider) for provider in providers for name in (provider.id, provider.name)]
    same = [provider for name, provider in names if name == ours]
    alike = [p for name, p in names if len(name) > 2 and (name.startswith(ours) or ours.startswith(name))]
    return next(iter(same or alike), None)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _prices(provider: Any, model: str, when: datetime) -> Mapping[str, float]:
    """Their figures under our names; of prices by tier the lowest."""
    found = next((m for m in provider.models if m.id == model), None) or provider.find_model(model)
    if found is None:
        return {}
    prices = found.get_prices(when)
    known = {figure: getattr(prices, theirs, None) for figure, theirs in FIGURES.items()}
    return {figure: float(getattr(price, "base", price)) for figure, price in known.items() if price is not None}
