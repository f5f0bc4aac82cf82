"""Read one of the catalogue's own data files, and complain about it in words."""

import json
from importlib import resources
from typing import Any


class CatalogError(ValueError):
    """A data file of the catalogue is wrong; the message says which file and which entry."""


def read(name: str) -> dict[str, Any]:
    """The JSON object in data/<name>; two equal keys are an error, since the first would be lost in silence."""
    text = resources.files("oneapi.catalog").joinpath("data", name).read_text(encoding="utf-8")
    return parse(name, text)


def parse(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unique(name, pairs))
    except ValueError as error:
        raise error if isinstance(error, CatalogError) else CatalogError(f"{name}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CatalogError(f"{name}: the whole file must be one object")
    return value


def need(name: str, entry: str, holds: bool, rule: str) -> None:
    """Raise unless a rule about an entry holds."""
    if not holds:
        raise CatalogError(f"{name}: {entry}: {rule}")


def number(value: Any, low: float = 0.0, high: float = 1e7) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _unique(name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise CatalogError(f"{name}: {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return value
