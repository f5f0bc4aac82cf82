"""One request explained: what it cost line by line, how long it took, which channels were tried."""

import json
from typing import Any

from flask_babel import gettext as _

from oneapi import access
from oneapi.models.log import Log


def parsed(row: Log) -> dict[str, Any]:
    try:
        detail = json.loads(row.detail or "{}")
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}


def story(row: Log) -> dict[str, Any]:
    """What the panel shows of an entry; entries of the old project tell less."""
    detail = parsed(row)
    settings = access.state().settings
    rate = 1e6 / settings.quota_per_unit  # dollars per million of a rate in quota per token
    lines = [_line(line, rate) for line in detail.get("lines", []) if isinstance(line, dict)]
    first = detail.get("first_ms") or 0
    rest = max(0, row.elapsed_time - first)
    return {
        "detail": detail, "lines": lines, "price": detail.get("price") or {}, "usage": detail.get("usage") or {},
        "attempts": [a for a in detail.get("attempts", []) if isinstance(a, dict)], "first": first, "rest": rest,
        "share": round(100 * first / row.elapsed_time, 1) if row.elapsed_time and first else 0,
        "speed": round(row.completion_tokens / (rest / 1000)) if rest > 50 and row.completion_tokens else 0,
        "end": ends().get(detail.get("end", ""), detail.get("end", "")),
    }  # fmt: skip


def _line(line: dict[str, Any], rate: float) -> dict[str, Any]:
    """One line of the bill; what is priced by the piece has its price in dollars for one."""
    name, price = str(line.get("what", "")), (line.get("rate") or 0) * rate
    piece = name in PIECES
    shown = {"what": what(name), "tokens": line.get("tokens"), "price": price / 1e6 if piece else price, "piece": piece}
    return shown | {"quota": line.get("quota") or 0}


PIECES = ("call", "image")


def what(name: str) -> str:
    """An item of the bill, as relay/meter.py names it, in the reader's language."""
    words = {
        "prompt": _("Input"), "completion": _("Output"), "cached": _("Cached input"), "cache write": _("Cache write"),
        "audio prompt": _("Audio input"), "audio completion": _("Audio output"), "image prompt": _("Image input"),
        "image completion": _("Image output"), "call": _("Per call"), "image": _("Images"), "character": _("Characters"),
    }  # fmt: skip
    return words.get(name, name)


def ends() -> dict[str, str]:
    """How an answer ended, as relay/pump.py names it."""
    return {
        "complete": _("complete"), "client_left": _("the client left"), "vendor_broke": _("the provider broke off"),
        "idle_timeout": _("the provider fell silent"), "filtered": _("filtered by the provider"),
    }  # fmt: skip
