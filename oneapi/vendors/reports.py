"""Usage reports of one answer, merged class by class: a report that says less never replaces a fuller one.

Streams call `note` as soon as the provider reports usage. The relay reads `Call.reported` when a stream breaks or its client
leaves; the client sees nothing of it before the end.
"""

from collections.abc import Callable
from typing import Any, TypeGuard

from oneapi.vendors import fees
from oneapi.wire import Call

Json = dict[str, Any]

MOST = 100_000_000  # tokens of one request; a larger figure is a mistake and replaces nothing


def note(call: Call, used: Json) -> Json:
    """Record a usage report in OpenAI's shape; return it merged with the reports before it."""
    call.reported = merged(call.reported, used)
    return call.reported


def gather(call: Call, before: Json, report: Any, used: Callable[[Json], Json]) -> Json:
    """Merge a report in the provider's own words with those before it, record what `used` makes of it, return the merged one."""
    if report:
        before = merged(before, report)
        note(call, used(before))
    return before


def merged(first: Any, second: Any) -> Any:
    """Return both reports as one with the larger figure of each class; what is no object is no report."""
    if not isinstance(second, dict):
        return first
    if not isinstance(first, dict):
        return second
    found = dict(first)
    for name, value in second.items():
        found[name] = _larger(found[name], value) if name in found else value
    prompt, completion, total = (found.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if credible(prompt) and credible(completion) and credible(total):
        found["total_tokens"] = max(total, prompt + completion)
    return found


def of(piece: Json) -> Any:
    """Return the usage of an answer or chunk, also where a choice carries it; None when there is none."""
    found = piece.get("usage")
    choices = piece.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("usage"):
            found = merged(found, choice["usage"])
    if "service_tier" in piece and isinstance(found, dict):
        found = fees.tiered(found, piece["service_tier"])
    return found


# Texts inside a report that say what is counted, and at which price.
NAMED = ("modality", "ttl", "service_tier", "speed", "serviceTier", "trafficType")


def numbers(report: Any) -> Json:
    """Return a provider's report without values that cannot be counts, {} for what is not an object."""
    if not isinstance(report, dict):
        return {}
    return {name: _numbers(value) for name, value in report.items() if _counts(name, value)}


def _counts(name: str, value: Any) -> bool:
    return isinstance(value, dict | list) or (isinstance(value, int | float) and value == value) or name in NAMED  # not NaN


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [numbers(row) for row in value]
    return numbers(value) if isinstance(value, dict) else value


def credible(value: Any) -> TypeGuard[float]:
    """Whether a value can be a count of tokens: no text, nothing negative, nothing huge, no NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST


def _larger(first: Any, second: Any) -> Any:
    if isinstance(first, dict) or isinstance(second, dict):
        return merged(first, second)
    if isinstance(first, list) and isinstance(second, list):
        return _lists(first, second)
    if credible(first):
        return second if credible(second) and second > first else first
    return first if second is None else second


def _lists(first: list[Any], second: list[Any]) -> list[Any]:
    """Merge the rows of each modality or lifetime; other lists are replaced by any that is not empty."""
    found: dict[str, Json] = {}
    for row in (*first, *second):
        name = row.get("modality") or row.get("ttl") if isinstance(row, dict) else None
        if not isinstance(name, str):
            return second or first
        found[name] = merged(found.get(name), row)
    return list(found.values())
