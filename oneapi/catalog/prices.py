"""What a model costs, in ratio units, by the lookup order of compatible gateways and with today's finer classes.

One ratio unit is $0.002 per 1,000 tokens ($2 per million); with 500,000 quota to the dollar a token costs `ratio` quota.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from oneapi.catalog import book, load

PER_MILLION = {"USD": 2, "CNY": 14}  # price per million tokens at ratio 1; seven yuan are a dollar
PER_PIECE = {"USD": 500.0, "CNY": 500 / 7}  # price per call, image or minute → ratio, where 1 is 1,000 quota
COMPATIBLE_UNKNOWN = 30.0  # what compatible gateways charge for a model without a price
DAY = re.compile(r"\d{4}-\d\d-\d\d")
HOUR = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
DAY_SECONDS = 86400
DEFAULT_GROUPS = {"default": 1.0, "vip": 1.0, "svip": 1.0}

# Completion ratio by name where the tables say nothing: first match wins.
COMPLETION_RULES: tuple[tuple[re.Pattern[str], float], ...] = tuple(
    (re.compile(pattern), value)
    for pattern, value in (
        (r"gpt-3\.5-turbo$|gpt-3\.5.*0125$", 3), (r"gpt-3\.5.*1106$", 2), (r"gpt-3\.5", 4 / 3),
        (r"gpt-4o-2024-05-13$", 3), (r"gpt-4o", 4), (r"gpt-4\.1", 4), (r"gpt-4-turbo|gpt-4.*preview$", 3), (r"gpt-4", 2),
        (r"gpt-5", 8), (r"o[134]", 4), (r"chatgpt-4o-latest$", 3),
        (r"claude-(2|instant|v1)", 3), (r"claude-", 5), (r"mistral-", 3),
        (r"gemini-(pro|1\.0)", 3), (r"gemini-", 4), (r"deepseek-", 2),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price. `completion` is a factor on `ratio`; every other figure is in ratio units of its own.

    `ratio` is per prompt token; for models priced by the image (`per_call` is set) an image costs `ratio` × 1,000 quota.
    A class that is None costs what its side costs: cached, cache_write, audio_in and image_in as a prompt token,
    audio_out and image_out as a completion token; cache_write_1h (kept for an hour or longer) costs what cache_write costs.
    `per_call` and `per_minute` are in thousands of quota. `above` holds the prices of long prompts: the last one whose
    threshold the prompt exceeds is the price of the whole request. `later` holds the prices a vendor has announced, by the
    UTC second from which they hold; `daily` those of certain hours, by the seconds of the UTC day from which and until which
    they hold.
    """

    ratio: float
    completion: float = 1.0
    cached: float | None = None
    cache_write: float | None = None
    audio_in: float | None = None
    audio_out: float | None = None
    image_in: float | None = None
    image_out: float | None = None
    per_call: float | None = None
    per_minute: float | None = None
    cache_write_1h: float | None = None
    above: "tuple[tuple[int, Price], ...]" = ()
    later: "tuple[tuple[int, Price], ...]" = ()
    daily: "tuple[tuple[int, int, Price], ...]" = ()

    def on(self, now: float) -> "Price":
        """The price of this moment: the last announced one that has begun, and of it the one of this hour."""
        found = self
        for begins, price in self.later:
            if now >= begins:
                found = price
        return next((price for begins, ends, price in found.daily if begins <= now % DAY_SECONDS < ends), found)

    def at(self, prompt_tokens: int) -> "Price":
        """The price of a request whose prompt has so many tokens."""
        found = self
        for threshold, price in self.above:
            if prompt_tokens > threshold:
                found = price
        return found

    def scaled(self, factor: float) -> "Price":
        """The same price with every figure but the completion factor multiplied."""
        changed: dict[str, Any] = {name: getattr(self, name) * factor for name in _FIGURES if getattr(self, name) is not None}
        above, later = (tuple((n, price.scaled(factor)) for n, price in prices) for prices in (self.above, self.later))
        daily = tuple((begins, ends, price.scaled(factor)) for begins, ends, price in self.daily)
        return replace(self, **changed, above=above, later=later, daily=daily)

    def each(self, change: "Callable[[Price], Price]") -> "Price":
        """The same price with another one made of every price of another time."""
        later = tuple((begins, change(price)) for begins, price in self.later)
        return replace(self, later=later, daily=tuple((begins, ends, change(price)) for begins, ends, price in self.daily))


CLASSES = ("cached", "cache_write", "cache_write_1h", "audio_in", "audio_out", "image_in", "image_out")
_FIGURES = ("ratio", *CLASSES, "per_call", "per_minute")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What an administrator has set: model → ratio, model → completion factor, model → finer classes, group → ratio.

    A key may be `name(channel type)`. `classes` maps a model to names of Price's fields and their figures in ratio units.
    """

    model: Mapping[str, float] = field(default_factory=dict)
    completion: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    group: Mapping[str, float] = field(default_factory=lambda: DEFAULT_GROUPS)


NONE = Overrides()


@dataclass(frozen=True, slots=True)
class Correction:
    """A built-in figure that differs from the one compatible gateways carry; `new` is None where there is no price any more."""

    model: str
    what: str  # ratio or completion
    old: float
    new: float | None
    why: str


def model_ratio(name: str, channel_type: int, overrides: Overrides = NONE) -> float | None:
    """The ratio of a prompt token, or None when nobody knows: then the policy for unknown models decides."""
    if name.startswith(("qwen-", "command-")):
        name = name.removesuffix("-internet")
    typed = f"{name}({channel_type})"
    for key in (typed, name):
        if key in overrides.model:
            return overrides.model[key]
        if key in BUILT_IN:
            return BUILT_IN[key].ratio
    found = from_book(name, channel_type)
    return None if found is None else found.ratio


def completion_ratio(name: str, channel_type: int, overrides: Overrides = NONE) -> float:
    """How many times a completion token costs a prompt token."""
    if name.startswith("qwen-"):
        name = name.removesuffix("-internet")
    typed = f"{name}({channel_type})"
    for key in (typed, name):
        if key in overrides.completion:
            return overrides.completion[key]
        if key in COMPLETION:
            return COMPLETION[key]
    found = None if typed in BUILT_IN or name in BUILT_IN else from_book(name, channel_type)
    return by_rule(name) if found is None else found.completion


def origin(name: str, channel_type: int, overrides: Overrides = NONE) -> str:
    """Return where a model's price comes from: "set" by an administrator, "checked" tables, the "book"; "" without a price."""
    name = name.removesuffix("-internet") if name.startswith(("qwen-", "command-")) else name
    keys = (f"{name}({channel_type})", name)
    if any(key in overrides.model or "per_call" in overrides.classes.get(key, ()) for key in keys):
        return "set"
    if any(key in BUILT_IN for key in keys):
        return "checked"
    return "book" if from_book(name, channel_type) is not None else ""


@functools.lru_cache(maxsize=4096)
def from_book(name: str, channel_type: int) -> Price | None:
    """Return the price of a model in the generated price book (catalog/book.py); None when it has none."""
    figures = book.figures(name, channel_type)
    return None if figures is None else _price(book.FILE, name, figures, "USD")


def group_ratio(group: str, overrides: Overrides = NONE) -> float:
    """What a group pays per unit; 1 for a group without a ratio."""
    return overrides.group.get(group, 1.0)


def price(name: str, channel_type: int, overrides: Overrides = NONE) -> Price | None:
    """The whole price of a model on a channel type; None when it has no ratio.

    An administrator's ratio scales the built-in finer classes with it, so that a surcharge is one for every class; other
    times' prices of the vendor do not move a ratio or completion factor that was set by hand.
    """
    ratio = model_ratio(name, channel_type, overrides)
    if ratio is None:
        if origin(name, channel_type, overrides) != "set":
            return None
        ratio = 0.0  # only the price of a call is set, and it is charged in place of tokens
    name = name.removesuffix("-internet") if name.startswith(("qwen-", "command-")) else name
    typed = f"{name}({channel_type})"
    base = BUILT_IN.get(typed) or BUILT_IN.get(name) or from_book(name, channel_type) or Price(ratio)
    if base.ratio != ratio:
        base = base.scaled(ratio / base.ratio) if base.ratio else Price(ratio)
    set_ = overrides.completion.get(typed, overrides.completion.get(name))
    if (base.later or base.daily) and (set_ is not None or typed in overrides.model or name in overrides.model):
        base = replace(base, later=(), daily=())
    completion = completion_ratio(name, channel_type, overrides)
    above = base.above if set_ is None else tuple((tokens, replace(high, completion=completion)) for tokens, high in base.above)
    finer = overrides.classes.get(typed) or overrides.classes.get(name) or {}
    if base.completion == completion and not finer:
        return base if base.ratio == ratio else replace(base, ratio=ratio)
    known: dict[str, Any] = {key: value for key, value in finer.items() if key in _FIGURES[1:]}
    return replace(base.each(lambda other: replace(other, **known)), ratio=ratio, completion=completion, above=above, **known)


@functools.lru_cache(maxsize=4096)
def by_rule(name: str) -> float:
    """The completion factor a name suggests; 1 when it suggests nothing."""
    return next((value for pattern, value in COMPLETION_RULES if pattern.match(name)), 1.0)


def vendor_prices(data: Mapping[str, Any], name: str = "prices.json") -> dict[str, Price]:
    """The prices of data/prices.json by model, checked."""
    table: dict[str, Price] = {}
    for vendor in data["vendors"]:
        who = str(vendor.get("vendor"))
        load.need(name, who, vendor.get("currency") in PER_MILLION, "currency must be USD or CNY")
        load.need(name, who, vendor.get("checked") is None or bool(DAY.fullmatch(vendor["checked"])),
                  "checked must be a date or null")  # fmt: skip
        for model, figures in vendor["models"].items():
            load.need(name, model, model not in table, f"is priced twice, the second time by {who}")
            table[model] = _price(name, model, figures, vendor["currency"])
    return table


def older_ratios(data: Mapping[str, Any], name: str = "ratios.json") -> dict[str, Price]:
    """The prices of data/ratios.json by model, checked: ratios of models whose vendor publishes no price any more."""
    for model, ratio in data["ratio"].items():
        load.need(name, model, load.number(ratio, 0, 10000), f"the ratio must be a number from 0 to 10000, not {ratio!r}")
    for model, factor in data["completion"].items():
        load.need(
            name, model, load.number(factor, 0, 1000), f"the completion factor must be a number from 0 to 1000, not {factor!r}"
        )
    return {model: Price(ratio, data["completion"].get(model, 1.0)) for model, ratio in data["ratio"].items()}


def _price(file: str, model: str, figures: Mapping[str, Any], currency: str) -> Price:
    tokens, pieces = PER_MILLION[currency], PER_PIECE[currency]
    allowed = {"in", "out", *CLASSES, "per_call", "per_minute", "above", "from", "daily"}
    load.need(file, model, not set(figures) - allowed, f"knows no {', '.join(sorted(set(figures) - allowed))}")
    load.need(file, model, "in" in figures or "per_call" in figures, "needs a price: in, or per_call")
    for key in set(figures) - {"above", "from", "daily"}:
        load.need(
            file, model, load.number(figures[key], 0, 100000), f"{key} must be a number from 0 to 100000, not {figures[key]!r}"
        )
    ordinary = figures.get("in", 0)
    price = Price(
        ratio=ordinary / tokens if "in" in figures else figures["per_call"] * pieces,
        completion=figures["out"] / ordinary if ordinary and "out" in figures else 1.0,
        **{key: figures[key] / tokens for key in CLASSES if key in figures},
        **{key: figures[key] * pieces for key in ("per_call", "per_minute") if key in figures},
    )
    above: list[tuple[int, Price]] = []
    base = {key: value for key, value in figures.items() if key not in ("above", "from", "daily")}
    for threshold, dearer in figures.get("above", ()):
        load.need(file, model, isinstance(threshold, int) and threshold > (above[-1][0] if above else 0), "thresholds must rise")
        above.append((threshold, _price(file, model, base | dearer, currency)))
    later, daily = tuple(_later(file, model, figures, currency)), tuple(_daily(file, model, figures, currency))
    return replace(price, above=tuple(above), later=later, daily=daily)


def _later(file: str, model: str, figures: Mapping[str, Any], currency: str) -> Iterator[tuple[int, Price]]:
    """Announced prices: what a date's figures leave out stays as it is today."""
    today = {key: value for key, value in figures.items() if key != "from"}
    last = ""
    for day, new in figures.get("from", ()):
        load.need(file, model, bool(DAY.fullmatch(str(day))) and day > last, "from needs dates that rise, such as 2027-01-01")
        last = day
        yield int(datetime.fromisoformat(f"{day}T00:00+00:00").timestamp()), _price(file, model, today | new, currency)


def _daily(file: str, model: str, figures: Mapping[str, Any], currency: str) -> Iterator[tuple[int, int, Price]]:
    """Prices of certain hours of the UTC day: what their figures leave out is as at the other hours."""
    ordinary = {key: value for key, value in figures.items() if key not in ("from", "daily")}
    for begins, ends, new in figures.get("daily", ()):
        right = HOUR.fullmatch(str(begins)) and HOUR.fullmatch(str(ends)) and begins < ends
        load.need(file, model, bool(right), "daily needs hours such as 01:00 and 04:00")
        first, last = (int(hour[:2]) * 3600 + int(hour[3:]) * 60 for hour in (begins, ends))
        yield first, last, _price(file, model, ordinary | new, currency)


def _merge(today: dict[str, Price], older: dict[str, Price]) -> dict[str, Price]:
    twice = sorted(set(today) & set(older))
    load.need("ratios.json", ", ".join(twice), not twice, "is in prices.json too")
    return {**older, **today}


def _corrections(rows: Iterable[Mapping[str, Any]]) -> tuple[Correction, ...]:
    names = {item.name for item in fields(Correction)}
    for row in rows:
        load.need("corrections.json", str(row.get("model")), set(row) == names, f"must have {', '.join(sorted(names))}")
    return tuple(Correction(**row) for row in rows)


_PRICES, _RATIOS = load.read("prices.json"), load.read("ratios.json")
_TODAY = vendor_prices(_PRICES)
BUILT_IN: Mapping[str, Price] = _merge(_TODAY, older_ratios(_RATIOS))
# Only models with a price for output have an entry of their own; the rules speak for the others.
COMPLETION: Mapping[str, float] = {
    **_RATIOS["completion"],
    **{
        name: BUILT_IN[name].completion
        for v in _PRICES["vendors"]
        for name, f in v["models"].items()
        if "out" in f and f.get("in")
    },
}
CORRECTIONS: tuple[Correction, ...] = _corrections(load.read("corrections.json")["corrections"])
CHECKED: Mapping[str, str | None] = {v["vendor"]: v["checked"] for v in _PRICES["vendors"]}
SOURCES: Mapping[str, str] = {v["vendor"]: v["source"] for v in _PRICES["vendors"]}
