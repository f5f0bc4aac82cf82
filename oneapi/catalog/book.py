"""Generated price book: facts about models that the hand-checked tables do not list, read when it is first needed.

`flask price-book` writes data/book.json from the genai-prices data set. The hand-checked tables come first (prices.py).
"""

import json
import re
from functools import cache
from importlib import resources
from typing import Any

Json = dict[str, Any]

FILE = "book.json"
# Channel type → the data set's providers whose models it serves, best first; matched by the data set's own rules.
PROVIDERS = {
    1: ("openai",), 3: ("azure", "openai"), 14: ("anthropic",), 16: ("zhipuai", "zai"), 20: ("openrouter",), 24: ("google",),
    25: ("moonshotai",), 27: ("minimax",), 28: ("mistral",), 29: ("groq",), 33: ("aws",), 35: ("cohere",), 36: ("deepseek",),
    37: ("cloudflare",), 39: ("together",), 41: ("novita",), 42: ("google",), 45: ("x-ai",), 51: ("google",),
}  # fmt: skip
# When it is generated, a model's maker says what its name costs on other types; of models that only hosts sell, the dearest.
MAKERS = (
    "openai", "anthropic", "google", "deepseek", "x-ai", "mistral", "cohere", "moonshotai", "minimax", "zhipuai", "zai", "meta",
    "perplexity", "voyageai",
)  # fmt: skip
# Free at OpenAI: https://platform.openai.com/docs/guides/moderation. For example: omni-moderation-2024-09-26
MODERATION = re.compile(r"(omni|text)-moderation-")


def figures(name: str, channel_type: int) -> Json | None:
    """Return a model's prices in dollars, keyed as in data/prices.json; None when the book has none for it."""
    if MODERATION.match(name):
        return {"in": 0}
    book, low = _book(), name.lower()
    for provider in PROVIDERS.get(channel_type, ()):
        known = book["providers"].get(provider, {"names": {}, "rules": []})
        if low in known["names"]:
            return known["names"][low]
        for clause, found in known["rules"]:
            if matches(clause, name):
                return found
    return book["models"].get(low)


def matches(clause: list[Any], name: str) -> bool:
    """Return whether a name satisfies a clause such as ["or", ["$", "-v1:0"], ["^", "o3-2025"]]."""
    kind, *values = clause
    match kind:
        case "or":
            return any(matches(value, name) for value in values)
        case "and":
            return all(matches(value, name) for value in values)
        case "~":
            return bool(re.search(values[0], name))
    low, value = name.lower(), values[0].lower()
    return {"=": low == value, "^": low.startswith(value), "$": low.endswith(value), "*": value in low}[kind]


def generated_on() -> str:
    """Return the day for which the book's prices were taken, such as 2026-12-01."""
    return str(_book()["generated"])


@cache
def _book() -> Json:
    book: Json = json.loads(resources.files("oneapi.catalog").joinpath("data", FILE).read_text(encoding="utf-8"))
    return book
