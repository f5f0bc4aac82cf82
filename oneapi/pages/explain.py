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
    lines = [
        {
            "what": what(str(line.get("what", ""))),
            "tokens": line.get("tokens"),
            "price": (line.get("rate") or 0) * rate,
            "quota": line.get("quota") or 0,
        }
        for line in detail.get("lines", [])
        if isinstance(line, dict)
    ]
    first = detail.get("first_ms") or 0
    rest = max(0, row.elapsed_time - first)
    return {
        "detail": detail, "lines": lines, "price": detail.get("price") or {}, "usage": detail.get("usage") or {},
        "attempts": [a for a in detail.get("attempts", []) if isinstance(a, dict)], "first": first, "rest": rest,
        "share": round(100 * first / row.elapsed_time, 1) if row.elapsed_time and first else 0,
        "speed": round(row.completion_tokens / (rest / 1000)) if rest > 50 and row.completion_tokens else 0,
        "end": ends().get(detail.get("end", ""), detail.get("end", "")),
    }  # fmt: skip


def what(name: str) -> str:
    """An item of the bill in the reader's language."""
    return {
        "input": _("Input"),
        "prompt": _("Input"),
        "cached": _("Cached input"),
        "cache_write": _("Cache write"),
        "output": _("Output"),
        "completion": _("Output"),
        "audio_prompt": _("Audio input"),
        "audio_in": _("Audio input"),
        "audio_completion": _("Audio output"),
        "audio_out": _("Audio output"),
        "image_prompt": _("Image input"),
        "image_in": _("Image input"),
        "image_completion": _("Image output"),
        "image_out": _("Image output"),
        "call": _("Per call"),
        "per_call": _("Per call"),
        "images": _("Images"),
        "seconds": _("Seconds"),
        "characters": _("Characters"),
        "minutes": _("Minutes"),
    }.get(name, name)


def ends() -> dict[str, str]:
    return {
        "complete": _("complete"),
        "left": _("the client left"),
        "gone": _("the client left"),
        "broken": _("the provider broke off"),
        "idle": _("the provider fell silent"),
        "filtered": _("filtered by the provider"),
        "failed": _("failed"),
    }
