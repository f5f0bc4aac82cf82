"""Usage × price → quota, with the lines that explain it in the log. Pure."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from oneapi.catalog import images, limits
from oneapi.catalog.fees import NONE as NO_FEES
from oneapi.catalog.fees import PER_DOLLAR, Fees
from oneapi.catalog.prices import Overrides, Price
from oneapi.fields import MOST
from oneapi.settings import Settings
from oneapi.vendors.counts import doubtful as doubtful
from oneapi.vendors.counts import usage as usage
from oneapi.wire import Usage

Json = dict[str, Any]

PICTURES = ("images", "image_edits", "image_variations")
HEARD = ("transcriptions", "translations")
# Class of a price → the setting that holds its factors by model, against the input price.
FACTORS = {
    "cached": "cache_ratio", "cache_write": "cache_write_ratio", "cache_write_1h": "long_cache_write_ratio",
    "audio_in": "audio_ratio", "image_in": "image_ratio",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one model costs one group: the price, the group's ratio and the way to write both down."""

    price: Price
    group: float
    model: str
    unpriced: bool = False  # the price stands in for one that nobody has set
    fees: Fees = NO_FEES
    most: int = limits.DEFAULT  # tokens of one answer
    told: str = field(init=False, compare=False)  # in a log row
    shown: Json = field(init=False, compare=False)  # in its explanation

    def __post_init__(self) -> None:
        """Made once for all requests that are charged by it."""
        price, group = self.price, self.group
        object.__setattr__(self, "told", f"倍率：{price.ratio:.2f} × {group:.2f} × {price.completion:.2f}")
        object.__setattr__(self, "shown", {"ratio": price.ratio, "completion": price.completion, "group": group})


@dataclass(slots=True)
class Charge:
    """`quota` is the cost; `lines` say how it came about: what, how many, quota for one, quota.

    `uncharged` are the kinds of tools and the service tiers that have no price and were not charged.
    """

    quota: int
    lines: list[Json]
    uncharged: tuple[str, ...] = ()


def overrides(settings: Settings) -> Overrides:
    """The administrator's prices as the catalog takes them. Ratios of cached input, audio and images are factors there."""
    classes: dict[str, dict[str, float]] = {}
    for model, dollars in settings.call_price.items():
        classes.setdefault(model, {})["per_call"] = dollars * 500
    return Overrides(settings.model_ratio, settings.completion_ratio, classes, settings.group_ratio)


def finer(price: Price, model: str, settings: Settings) -> Price:
    """The price with the factors of the cache, audio and images that an administrator has set."""
    changed: dict[str, Any] = {}
    for name, setting in FACTORS.items():
        if model in (table := getattr(settings, setting)):
            changed[name] = price.ratio * table[model]
    if not changed:
        return price
    return replace(price.each(lambda other: finer(other, model, settings)), **changed)


# -- what it costs --------------------------------------------------------------------------------------------------


def tokens(tariff: Tariff, used: Usage) -> Charge:
    """The cost of tokens: ceil((prompt + completion × completion ratio) × ratio), finer classes at their own price."""
    price = tariff.price.at(used.prompt) if tariff.price.above else tariff.price
    if price.per_call is not None:
        return per_call(tariff, 1)
    ratio = price.ratio * tariff.group
    fees = tariff.fees
    if not used.finer and not fees.requests:
        exact = (used.prompt + used.completion * price.completion) * ratio
        lines = [line("prompt", used.prompt, ratio), line("completion", used.completion, ratio * price.completion)]
        return Charge(_rounded(exact, ratio, used), lines)
    out = price.ratio * price.completion
    plain = used.prompt - used.cached - used.cache_write - used.audio_prompt - used.image_prompt
    written = price.ratio if price.cache_write is None else price.cache_write
    classes = (
        ("prompt", plain, price.ratio),
        ("cached", used.cached, price.ratio if price.cached is None else price.cached),
        ("cache write", used.cache_write - used.cache_write_1h, written),
        ("cache write 1h", used.cache_write_1h, written if price.cache_write_1h is None else price.cache_write_1h),
        ("audio prompt", used.audio_prompt, price.ratio if price.audio_in is None else price.audio_in),
        ("image prompt", used.image_prompt, price.ratio if price.image_in is None else price.image_in),
        ("completion", used.completion - used.audio_completion - used.image_completion, out),
        ("audio completion", used.audio_completion, out if price.audio_out is None else price.audio_out),
        ("image completion", used.image_completion, out if price.image_out is None else price.image_out),
    )
    factor = fees.factor(used.tier)
    group = tariff.group * (1.0 if factor is None else factor)
    exact = sum(number * rate for _, number, rate in classes) * group
    lines = [line(what, n, rate * group) for what, n, rate in classes if n]
    called, uncharged = calls(tariff, used)
    if factor is None:
        uncharged = (f"tier {used.tier}", *uncharged)
    return Charge(_rounded(exact + sum(one["quota"] for one in called), ratio, used), lines + called, uncharged)


def calls(tariff: Tariff, used: Usage) -> tuple[list[Json], tuple[str, ...]]:
    """The lines of the provider's own tools that an answer called, and the kinds of them that have no price."""
    prices = tariff.fees.tools
    tools = used.tools or (tariff.fees.requests if used.completion else ())
    priced = [line(f"tool {kind}", n, prices[kind] * PER_DOLLAR * tariff.group) for kind, n in tools if prices.get(kind)]
    return priced, tuple(f"tool {kind}" for kind, _ in tools if kind not in prices)


def _rounded(exact: float, ratio: float, used: Usage) -> int:
    if used.prompt + used.completion == 0:
        return 0
    cost = math.ceil(round(min(exact, MOST), 6))  # 3.0000000000000004 is 3
    return max(cost, 1) if ratio else cost


def line(what: str, number: float, rate: float) -> Json:
    return {"what": what, "tokens": number, "rate": rate, "quota": number * rate}


def per_call(tariff: Tariff, calls: int, factor: float = 1.0) -> Charge:
    """The cost of calls or images at a fixed price each; a thousand quota per unit, cut off as compatible gateways do."""
    each = int(
        (tariff.price.per_call if tariff.price.per_call is not None else tariff.price.ratio) * tariff.group * factor * 1000
    )
    return Charge(min(each * calls, MOST), [line("image" if factor != 1.0 else "call", calls, each)])


def pictures(tariff: Tariff, body: Json, answer: Json) -> Charge:
    """The cost of drawn images: by the tokens the vendor reports where the model is priced by them, else by the piece."""
    used = usage(answer.get("usage"))
    if used is not None and tariff.price.per_call is None and tariff.price.image_out is not None:
        if not used.image_completion:
            used.image_completion = used.completion - used.audio_completion
        return tokens(tariff, used)
    drawn = answer.get("data")
    return drawings(tariff, body, len(drawn) if isinstance(drawn, list) else whole(body.get("n"), 1))


def drawings(tariff: Tariff, body: Json, n: int) -> Charge:
    size, quality = str(body.get("size") or "1024x1024"), str(body.get("quality") or "")
    each = images.output_tokens(tariff.model, size, quality)
    if each is not None and tariff.price.per_call is None:
        return tokens(tariff, Usage(completion=each * n, image_completion=each * n, estimated=True))
    return per_call(tariff, n, images.cost_factor(tariff.model, size, quality))


def speech(tariff: Tariff, text: str) -> Charge:
    """The cost of speaking a text: one ratio unit a character."""
    each = tariff.price.ratio * tariff.group
    return Charge(int(min(len(text) * each, MOST)), [line("character", len(text), each)])


def whole(value: Any, default: int) -> int:
    """A count that a client gave, as JSON number or form text."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return default
    return number if 0 < number <= 1_000_000_000 else default
