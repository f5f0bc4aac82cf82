"""Generate the price book (catalog/data/book.json) from the genai-prices data set that is installed with us."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oneapi.actions.pricecheck import FIGURES
from oneapi.catalog import book

Json = dict[str, Any]
Model = tuple[list[str], list[Any], Json]  # exact names in lower case, clause, figures

PLACE = Path(book.__file__).parent / "data" / book.FILE
SIGNS = {
    "ClauseEquals": ("=", "equals"), "ClauseStartsWith": ("^", "starts_with"), "ClauseEndsWith": ("$", "ends_with"),
    "ClauseContains": ("*", "contains"), "ClauseRegex": ("~", "regex"), "ClauseOr": ("or", "or_"), "ClauseAnd": ("and", "and_"),
}  # fmt: skip


def text(day: str) -> str:
    """Return the book with the prices of a day such as 2026-12-01, one model a line."""
    from genai_prices.data import providers  # thirty megabytes, so only here

    when = datetime.fromisoformat(day).replace(tzinfo=UTC)
    known = {provider.id: list(_models(provider, when)) for provider in providers}
    served = {name for names in book.PROVIDERS.values() for name in names}
    lines = [f' "origin": "genai-prices {version("genai-prices")}",', f' "generated": "{day}",']
    lines += [' "unit": "dollars per million tokens, or per million characters of speech",', ' "providers": {']
    blocks = [_block(name, known[name]) for name in sorted(served & known.keys())]
    return "\n".join(["{", *lines, ",\n".join(blocks), " },", ' "models": {', _lines(_plain(known)), " }", "}", ""])


def write(day: str) -> int:
    """Write the book of a day; return how many models it prices by name."""
    PLACE.write_text(made := text(day), encoding="utf-8")
    return len(json.loads(made)["models"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _block(provider: str, models: list[Model]) -> str:
    """Return one provider: its models by exact name, and the rules for names that are written in more than one way."""
    names: dict[str, Json] = {}
    for exact, _, figures in models:
        for name in exact:
            names.setdefault(name, figures)
    rules = [_json([clause, figures]) for _, clause, figures in models if not _exact(clause)]
    return f'  {_json(provider)}: {{"names": {{\n{_lines(names)}\n  }}, "rules": [\n   ' + ",\n   ".join(rules) + "\n  ]}"


def _lines(models: Mapping[str, Json]) -> str:
    return ",\n".join(f"   {_json(name)}: {_json(figures)}" for name, figures in sorted(models.items()))


def _models(provider: Any, when: datetime) -> Iterator[Model]:
    """Yield the exact names, the clause and the figures of every model whose price can be charged."""
    for model in provider.models:
        figures = _figures(model.get_prices(when), model.id)
        if figures is not None:
            clause = _clause(model.match)
            yield list(dict.fromkeys([model.id.lower(), *_names(clause)])), clause, figures


def _clause(match: Any) -> list[Any]:
    sign, name = SIGNS[type(match).__name__]
    value = getattr(match, name)
    return [sign, *map(_clause, value)] if isinstance(value, list) else [sign, value]


def _exact(clause: list[Any]) -> bool:
    return all(map(_exact, clause[1:])) if clause[0] == "or" else clause[0] == "="


def _names(clause: list[Any]) -> Iterator[str]:
    if clause[0] == "=":
        yield clause[1].lower()
    elif clause[0] == "or":
        for part in clause[1:]:
            yield from _names(part)


def _figures(prices: Any, model: str) -> Json | None:
    """Return the figures under our names; None for what is paid by pages, hours or requests, or has no known price."""
    known = {ours: value for ours, theirs in FIGURES.items() if (value := getattr(prices, theirs, None)) is not None}
    if "in" not in known:
        characters = getattr(prices, "input_mchars", None)
        if characters is not None:
            return {"in": _number(characters)}  # speech is charged by the character
        return {"in": 0} if model.endswith((":free", "/free")) else None
    base = {name: _number(getattr(value, "base", value)) for name, value in known.items()}
    return base | ({"above": above} if (above := _above(known)) else {})


def _above(known: Mapping[str, Any]) -> list[Any]:
    """Return the prices of long prompts, as [threshold, figures that differ]."""
    tiers = {name: value.tiers for name, value in known.items() if hasattr(value, "tiers")}
    starts = sorted({tier.start for found in tiers.values() for tier in found})
    return [[n, {name: _number(t.price) for name, found in tiers.items() for t in found if t.start == n}] for n in starts]


def _number(value: Any) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number


def _plain(known: Mapping[str, list[Model]]) -> dict[str, Json]:
    """Return the figures by exact name for channels of any type."""
    found: dict[str, Json] = {}
    for maker in book.MAKERS:
        for names, _, figures in known[maker]:
            for name in names:
                found.setdefault(name, figures)
    of_hosts: dict[str, list[Json]] = {}
    for host in sorted(known.keys() - set(book.MAKERS)):
        for names, _, figures in known[host]:
            for name in names:
                of_hosts.setdefault(name, []).append(figures)
    dearest = {name: max(each, key=lambda f: (f["in"] + f.get("out", 0), _json(f))) for name, each in of_hosts.items()}
    return dearest | found
