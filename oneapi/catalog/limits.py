"""The most tokens that a model answers with."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from oneapi.catalog import load

MAKER = re.compile(r"^~?[\w.-]+/")  # before the name of a model where many makers' are sold, such as "openai/"


@lru_cache(maxsize=4096)
def answer_tokens(model: str) -> int:
    """Return the most tokens of one answer; the default where the model is not known."""
    name = MAKER.sub("", model.lower())
    return next((tokens for pattern, tokens in ROWS if pattern.match(name)), DEFAULT)


def rows(data: Mapping[str, Any], name: str = "limits.json") -> tuple[tuple[re.Pattern[str], int], ...]:
    """Return the rows of data/limits.json, checked."""
    for pattern, tokens in data["rows"]:
        load.need(name, pattern, load.number(tokens, 1, 10_000_000), f"the tokens must be a whole number, not {tokens!r}")
    return tuple((re.compile(pattern), tokens) for pattern, tokens in data["rows"])


_DATA = load.read("limits.json")
DEFAULT: int = _DATA["default"]
ROWS = rows(_DATA)
