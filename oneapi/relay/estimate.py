"""Tokens and quota before and without a vendor's word: what to set aside, and our own count where usage is missing."""

import json
import math
import re
from base64 import b64decode
from typing import Any

from oneapi.catalog import images
from oneapi.relay import count, meter
from oneapi.settings import Settings
from oneapi.wire import Usage

Json = dict[str, Any]

BYTES_PER_TOKEN = 3  # for reservations: few texts have more tokens than a third of their bytes
IMAGE_RESERVE = 1_100  # tokens set aside for an image whose size is not known yet
LIMITS = ("max_completion_tokens", "max_tokens")
LIMITED = ("chat", "completions")  # kinds of call that take a limit on the answer
MOST_ANSWERS = 128  # that OpenAI gives to one request
# Models that refuse the older name of the limit. https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens
NEW_NAME = re.compile(r"(openai/)?(o\d|gpt-[5-9]|codex)")
OPEN_ENDED = ("chat", "completions", "edits", *meter.HEARD)


def reserve(tariff: meter.Tariff, kind: str, body: Json, size: int, allowance: int, asked: int = 0) -> tuple[int, int]:
    """(want, need): quota to set aside for a call, and the least that must be there. `size` is the body's length in bytes.

    A limit the client set is needed in full; for an open answer `allowance` tokens are wanted. `asked` is what `prompt` said of
    the call, where somebody knows.
    """
    if kind in meter.PICTURES:
        cost = meter.drawings(tariff, body, meter.whole(body.get("n"), 1)).quota
        return cost, cost
    if kind == "speech":
        cost = meter.speech(tariff, str(body.get("input") or "")).quota
        return cost, cost
    if tariff.price.per_call is not None:
        cost = meter.per_call(tariff, 1).quota
        return cost, cost
    limit, n = limit_of(body), answers(body)
    asked = asked or prompt(kind, body, size)
    price = tariff.price.at(asked) if tariff.price.above else tariff.price
    ratio = price.ratio * tariff.group * tier_factor(tariff, body)
    need = math.ceil((asked + limit * n * price.completion) * ratio)
    if not limit and kind in OPEN_ENDED:
        return max(need, int((asked + allowance * n) * ratio)), need
    return need, need


def open_rate(tariff: meter.Tariff, kind: str, body: Json, size: int, asked: int = 0) -> float:
    """Return the quota of one token more in each answer, where the client set no limit; 0 where length does not cost."""
    if kind not in LIMITED or tariff.price.per_call is not None or limit_of(body):
        return 0.0
    price = tariff.price.at(asked or prompt(kind, body, size)) if tariff.price.above else tariff.price
    return price.ratio * price.completion * tariff.group * tier_factor(tariff, body) * answers(body)


def limit_of(body: Json) -> int:
    """Return the client's limit on the tokens of one answer, the larger one where it set two; 0 where it set none."""
    found = 0
    for name in LIMITS:
        limit = body.get(name)
        if limit and isinstance(limit, (int, float)) and found < limit < 1 << 30:
            found = int(limit)
    return found


def answers(body: Json) -> int:
    """Return how many answers a request asks for."""
    return 1 if body.get("n") is None else min(meter.whole(body["n"], 1), MOST_ANSWERS)


def tier_factor(tariff: meter.Tariff, body: Json) -> float:
    """Return the factor of the service tier that a request asks for, where it costs more than the standard one."""
    tier = body.get("service_tier")
    return max(tariff.fees.factor(tier) or 1.0, 1.0) if tier and isinstance(tier, str) else 1.0


def limited(body: Json, tokens: int, kind: str, model: str) -> Json:
    """Return the body with a limit on the answer, under the name that the model takes. Rows may rename it."""
    name = "max_completion_tokens" if kind == "chat" and NEW_NAME.match(model) else "max_tokens"
    return {k: v for k, v in body.items() if k not in LIMITS} | {name: tokens}


def capped(body: Json, tokens: int) -> Json:
    """Return the body with no limit on the answer above this one."""
    return body | {name: tokens for name in LIMITS if isinstance(limit := body.get(name), (int, float)) and limit > tokens}


def prompt(kind: str, body: Json, size: int) -> int:
    """Prompt tokens of a request, cheaply: by its length, with what is encoded in it (images, files) counted apart."""
    if kind in meter.HEARD:
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


def usage(kind: str, body: Json, model: str, said: str, settings: Settings) -> Usage:
    """Our own count where a vendor reports no usage: the prompt by its texts, the answer by what was delivered."""
    rough = settings.approximate_token_enabled
    return Usage(_count_prompt(kind, body, model, rough), count.tokens(said, model, approximate=rough), estimated=True)


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
