"""Usage × price → quota, with an explanation that holds for ever; estimates where usage is missing. Pure but for counting."""

import json
import math
from base64 import b64decode
from dataclasses import dataclass, replace
from typing import Any

from oneapi.catalog import images
from oneapi.catalog.prices import Overrides, Price
from oneapi.relay import count
from oneapi.settings import Settings
from oneapi.wire import Usage

Json = dict[str, Any]

BYTES_PER_TOKEN = 3  # for reservations: few texts have more tokens than a third of their bytes
IMAGE_RESERVE = 1_100  # tokens set aside for an image whose size is not known yet
PICTURES = ("images", "image_edits", "image_variations")
MOST_TOKENS = 100_000_000  # of one request; more is a vendor's mistake
HEARD = ("transcriptions", "translations")
OPEN_ENDED = ("chat", "completions", "edits", *HEARD)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one model costs one group: the price, the group's ratio and the way to write both down."""

    price: Price
    group: float
    model: str


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
    special = (
        used.cached
        or used.cache_write
        or used.audio_prompt
        or used.audio_completion
        or used.image_prompt
        or used.image_completion
    )
    if not special:
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


# -- what to set aside ----------------------------------------------------------------------------------------------


def reserve(tariff: Tariff, kind: str, body: Json, size: int, allowance: int) -> tuple[int, int]:
    """(want, need): quota to set aside for a call, and the least that must be there. `size` is the body's length in bytes.

    A limit the client set is needed in full; for an open answer `allowance` tokens are wanted.
    """
    if kind in PICTURES:
        cost = drawings(tariff, body, whole(body.get("n"), 1)).quota
        return cost, cost
    if kind == "speech":
        cost = speech(tariff, str(body.get("input") or "")).quota
        return cost, cost
    if tariff.price.per_call is not None:
        cost = per_call(tariff, 1).quota
        return cost, cost
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or 0
    limit = int(limit) * min(whole(body.get("n"), 1), 128) if isinstance(limit, (int, float)) and 0 < limit < 1 << 30 else 0
    prompt = prompt_estimate(kind, body, size)
    price = tariff.price.at(prompt) if tariff.price.above else tariff.price
    ratio = price.ratio * tariff.group
    need = math.ceil((prompt + limit * price.completion) * ratio)
    if not limit and kind in OPEN_ENDED:
        return max(need, int((prompt + allowance) * ratio)), need
    return need, need


def prompt_estimate(kind: str, body: Json, size: int) -> int:
    """Prompt tokens of a request, cheaply: by its length, with what is encoded in it (images, files) counted apart."""
    if kind in HEARD:
        return 0
    media, carried = 0, 0
    if kind == "chat" and size > 300:
        for message in body.get("messages") or ():
            content = message.get("content") if isinstance(message, dict) else None
            if isinstance(content, list):
                for part in content:
                    taken = _media(part)
                    media, carried = media + (taken > 0), carried + taken
    return max(1, (size - carried) // BYTES_PER_TOKEN if size > 2_000 else (size - carried) // 4) + media * IMAGE_RESERVE


def _media(part: Any) -> int:
    """Bytes of the body that a part carries as encoded media; 1 for an image by address."""
    if not isinstance(part, dict):
        return 0
    image, sound, file = part.get("image_url"), part.get("input_audio"), part.get("file")
    if isinstance(image, dict):
        return max(1, len(image["url"]) if isinstance(image.get("url"), str) else 1)
    if isinstance(image, str):
        return max(1, len(image))
    for carrier, key in ((sound, "data"), (file, "file_data")):
        if isinstance(carrier, dict) and isinstance(carrier.get(key), str):
            return max(1, len(carrier[key]))
    return 0


# -- what a vendor did not say --------------------------------------------------------------------------------------


def estimate(kind: str, body: Json, model: str, said: str, settings: Settings) -> Usage:
    """Our own count where a vendor reports no usage: the prompt by its texts, the answer by what was delivered."""
    rough = settings.approximate_token_enabled
    prompt = _count_prompt(kind, body, model, rough)
    return Usage(prompt, count.tokens(said, model, approximate=rough), estimated=True)


def _count_prompt(kind: str, body: Json, model: str, rough: bool) -> int:
    if kind == "chat":
        messages = [message for message in body.get("messages") or () if isinstance(message, dict)]
        return 3 + sum(_count_message(message, model, rough) for message in messages) + _count_tools(body, model, rough)
    texts = [body.get(name) for name in ("prompt", "input", "instruction", "query", "documents")]
    return sum(count.tokens(text, model, approximate=rough) for value in texts for text in _texts(value))


def _count_message(message: Json, model: str, rough: bool) -> int:
    content = message.get("content")
    total = 4 + (1 if message.get("name") else 0)  # every role is one token
    words = [str(message.get("name") or "")]
    if isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("image_url"), (dict, str)):
                total += _count_image(part["image_url"], model)
            elif isinstance(part, dict):
                words.append(str(part.get("text") or ""))
    else:
        words.append(str(content or ""))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            words += [str(function.get("name") or ""), str(function.get("arguments") or "")]
    return total + sum(count.tokens(word, model, approximate=rough) for word in words if word)


def _count_image(image: Any, model: str) -> int:
    url, detail = (image, "") if isinstance(image, str) else (str(image.get("url") or ""), str(image.get("detail") or ""))
    width, height = 1024, 1024
    if url.startswith("data:"):
        head = url.partition(",")[2][:65536]
        try:
            width, height = images.header_size(b64decode(head[: len(head) // 4 * 4])) if head else (0, 0)
        except ValueError:
            width, height = 0, 0  # no image, whatever the vendor made of it
    return images.image_tokens(model, width, height, detail)


def _count_tools(body: Json, model: str, rough: bool) -> int:
    tools = body.get("tools") or body.get("functions")
    return count.tokens(json.dumps(tools, ensure_ascii=False), model, approximate=rough) if tools else 0


def _texts(value: Any, depth: int = 4) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [str(value["text"])] if "text" in value else []
    if isinstance(value, list):
        if value and all(isinstance(item, int) for item in value):
            return [" a" * len(value)]  # a list of token numbers: as many tokens as numbers
        return [text for item in value for text in _texts(item, depth - 1)] if depth else []
    return []
