"""Usage × price → quota, with an explanation that holds for ever. Pure."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from oneapi.catalog import images
from oneapi.catalog.prices import Overrides, Price
from oneapi.settings import Settings
from oneapi.wire import Usage

Json = dict[str, Any]

PICTURES = ("images", "image_edits", "image_variations")
MOST_TOKENS = 100_000_000  # of one request; more is a vendor's mistake
HEARD = ("transcriptions", "translations")


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one model costs one group: the price, the group's ratio and the way to write both down."""

    price: Price
    group: float
    model: str
    told: str = field(init=False, compare=False)  # in a log row
    shown: Json = field(init=False, compare=False)  # in its explanation

    def __post_init__(self) -> None:
        """Made once for all requests that are charged by it."""
        price, group = self.price, self.group
        object.__setattr__(self, "told", f"倍率：{price.ratio:.2f} × {group:.2f} × {price.completion:.2f}")
        object.__setattr__(self, "shown", {"ratio": price.ratio, "completion": price.completion, "group": group})


@dataclass(slots=True)
class Charge:
    """`quota` is the cost; `lines` say how it came about: what, how many, quota for one, quota."""

    quota: int
    lines: list[Json]


def overrides(settings: Settings) -> Overrides:
    """The administrator's prices as the catalog takes them. Ratios of cached input, audio and images are factors there."""
    classes: dict[str, dict[str, float]] = {}
    for model, dollars in settings.call_price.items():
        classes.setdefault(model, {})["per_call"] = dollars * 500
    return Overrides(settings.model_ratio, settings.completion_ratio, classes, settings.group_ratio)


def finer(price: Price, model: str, settings: Settings) -> Price:
    """The price with the factors of cached input, audio and images that an administrator has set."""
    changed: dict[str, Any] = {}
    for name, table in (("cached", settings.cache_ratio), ("audio_in", settings.audio_ratio), ("image_in", settings.image_ratio)):
        if model in table:
            changed[name] = price.ratio * table[model]
    if not changed:
        return price
    return replace(price.each(lambda other: finer(other, model, settings)), **changed)


# -- what was used --------------------------------------------------------------------------------------------------


def usage(report: Any) -> Usage | None:
    """The tokens of a usage object in OpenAI's shapes, made sane; None when it says nothing, zeros when nothing is credible.

    A report is not believed where it cannot be: parts never exceed their total, nothing is negative or not a number.
    """
    if not isinstance(report, dict):
        return None
    plain = _plain(report)
    if plain is not None:
        return plain
    flags: list[str] = []
    prompt = _number(report, ("prompt_tokens", "input_tokens"), flags)
    completion = _number(report, ("completion_tokens", "output_tokens"), flags)
    total = _number(report, ("total_tokens",), flags)
    if not total and prompt and _first(report, ("completion_tokens", "output_tokens")) is None:
        flags.append("completion_tokens were missing")
    if total and not prompt and not completion:
        prompt = total
    elif total > prompt + completion and not completion:
        completion = total - prompt
    elif total > prompt + completion and not prompt:
        prompt = total - completion
    if not prompt and not completion:
        return Usage(estimated=True, flagged="; ".join(flags)) if flags else None
    asked = _details(report, "prompt_tokens_details", "input_tokens_details")
    said = _details(report, "completion_tokens_details", "output_tokens_details")
    parts = [_number(asked, (n,), flags) for n in ("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens")]
    cached, cache_write, audio_in, image_in = _within(prompt, parts, flags)
    reasoning, audio_out, image_out = (_number(said, (n,), flags) for n in ("reasoning_tokens", "audio_tokens", "image_tokens"))
    audio_out, image_out = _within(completion, [audio_out, image_out], flags)
    return Usage(
        prompt, completion, cached, cache_write, min(reasoning, completion), audio_in, audio_out, image_in, image_out,
        flagged="; ".join(dict.fromkeys(flags)),
    )  # fmt: skip


def doubtful(used: Usage) -> bool:
    """Whether a report said nothing credible of the answer, which then has to be counted."""
    return not used.completion and ("completion_tokens" in used.flagged or "output_tokens" in used.flagged)


def _plain(report: Json) -> Usage | None:
    """The usual report, sane and without finer classes, read quickly; None for every other."""
    prompt, completion = report.get("prompt_tokens"), report.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int:
        return None
    if not 0 < prompt <= MOST_TOKENS or not 0 < completion <= MOST_TOKENS:
        return None
    if report.get("total_tokens") != prompt + completion:
        return None
    if report.get("prompt_tokens_details") or report.get("completion_tokens_details"):
        return None
    return Usage(prompt, completion)


def _first(report: Json, names: tuple[str, ...]) -> Any:
    return next((report[name] for name in names if report.get(name) is not None), None)


def _number(report: Json, names: tuple[str, ...], flags: list[str]) -> int:
    for name in names:
        value = report.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST_TOKENS:  # NaN is neither
            flags.append(f"{name} was {str(value)[:30]}")
            continue
        return int(value)
    return 0


def _details(report: Json, *names: str) -> Json:
    return next((value for name in names if isinstance(value := report.get(name), dict)), {})


def _within(total: int, parts: list[int], flags: list[str]) -> list[int]:
    left, kept = total, []
    for part in parts:
        if part > left:
            flags.append("parts exceeded their total")
        kept.append(min(part, left))
        left -= kept[-1]
    return kept


# -- what it costs --------------------------------------------------------------------------------------------------


def tokens(tariff: Tariff, used: Usage) -> Charge:
    """The cost of tokens: ceil((prompt + completion × completion ratio) × ratio), finer classes at their own price."""
    price = tariff.price.at(used.prompt) if tariff.price.above else tariff.price
    if price.per_call is not None:
        return per_call(tariff, 1)
    ratio = price.ratio * tariff.group
    if not used.finer:
        exact = (used.prompt + used.completion * price.completion) * ratio
        lines = [line("prompt", used.prompt, ratio), line("completion", used.completion, ratio * price.completion)]
        return Charge(_rounded(exact, ratio, used), lines)
    out = price.ratio * price.completion
    plain = used.prompt - used.cached - used.cache_write - used.audio_prompt - used.image_prompt
    classes = (
        ("prompt", plain, price.ratio),
        ("cached", used.cached, price.ratio if price.cached is None else price.cached),
        ("cache write", used.cache_write, price.ratio if price.cache_write is None else price.cache_write),
        ("audio prompt", used.audio_prompt, price.ratio if price.audio_in is None else price.audio_in),
        ("image prompt", used.image_prompt, price.ratio if price.image_in is None else price.image_in),
        ("completion", used.completion - used.audio_completion - used.image_completion, out),
        ("audio completion", used.audio_completion, out if price.audio_out is None else price.audio_out),
        ("image completion", used.image_completion, out if price.image_out is None else price.image_out),
    )
    exact = sum(number * rate for _, number, rate in classes) * tariff.group
    return Charge(_rounded(exact, ratio, used), [line(what, n, rate * tariff.group) for what, n, rate in classes if n])


def _rounded(exact: float, ratio: float, used: Usage) -> int:
    if used.prompt + used.completion == 0:
        return 0
    cost = math.ceil(round(exact, 6))  # 3.0000000000000004 is 3
    return max(cost, 1) if ratio else cost


def line(what: str, number: float, rate: float) -> Json:
    return {"what": what, "tokens": number, "rate": rate, "quota": number * rate}


def per_call(tariff: Tariff, calls: int, factor: float = 1.0) -> Charge:
    """The cost of calls or images at a fixed price each; a thousand quota per unit, cut off as compatible gateways do."""
    each = int(
        (tariff.price.per_call if tariff.price.per_call is not None else tariff.price.ratio) * tariff.group * factor * 1000
    )
    return Charge(each * calls, [line("image" if factor != 1.0 else "call", calls, each)])


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
    return Charge(int(len(text) * each), [line("character", len(text), each)])


def whole(value: Any, default: int) -> int:
    """A count that a client gave, as JSON number or form text."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return default
    return number if 0 < number <= 1_000_000_000 else default
