"""One request explained: what it cost line by line, how long it took, which channels were tried."""

import json
import re
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from oneapi import access
from oneapi.models.log import Log
from oneapi.pages import texts


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
        "end": ends().get(detail.get("end", ""), detail.get("end", "")), "kinds": kinds(),
        "status": detail.get("status"), "code": detail.get("code"), "uncharged": uncharged(detail.get("uncharged")),
    }  # fmt: skip


def brief(row: Log) -> dict[str, Any]:
    """What a row of the list shows of its detail."""
    detail = parsed(row)
    used = detail.get("usage")
    broken = detail.get("end") not in (None, "", "complete")
    return {
        "first": detail.get("first_ms"), "cached": used.get("cached") if isinstance(used, dict) else 0,
        "broken": ends().get(detail["end"], detail["end"]) if broken else "", "status": detail.get("status"),
        "unpriced": bool(detail.get("unpriced")),
    }  # fmt: skip


def _line(line: dict[str, Any], rate: float) -> dict[str, Any]:
    """One line of the bill; what is priced by the piece has its price in dollars for one."""
    name, price = str(line.get("what", "")), (line.get("rate") or 0) * rate
    piece = name in PIECES or name.startswith(TOOL)
    shown = {"what": what(name), "tokens": line.get("tokens"), "price": price / 1e6 if piece else price, "piece": piece}
    return shown | {"quota": line.get("quota") or 0}


PIECES = ("call", "image", "reservation")
TOOL = "tool "  # begins the names of items that are calls of the provider's own tools


def what(name: str) -> str:
    """An item of the bill, as relay/meter.py names it, in the reader's language."""
    words = {
        "prompt": _("Input"), "completion": _("Output"), "cached": _("Cached input"), "cache write": _("Cache write"),
        "cache write 1h": _("Cache write, one hour"),
        "audio prompt": _("Audio input"), "audio completion": _("Audio output"), "image prompt": _("Image input"),
        "image completion": _("Image output"), "call": _("Per call"), "image": _("Images"), "character": _("Characters"),
        "reservation": _("Reservation"),
    }  # fmt: skip
    return tool(name.removeprefix(TOOL)) if name.startswith(TOOL) else words.get(name, name)


def tool(kind: str) -> str:
    """A tool that a provider runs, in the reader's language."""
    words = {
        "web_search": _("Web search"), "web_fetch": _("Web fetch"), "file_search": _("File search"),
        "code_interpreter": _("Code interpreter"), "code_execution": _("Code execution"), "x_search": _("X search"),
        "image_generation": _("Image generation"), "search_sources": _("Search sources"), "google_maps": _("Google Maps"),
    }  # fmt: skip
    return words.get(kind, kind)


def uncharged(items: Any) -> str:
    """Tools and service tiers that were used without a price, as words."""
    names = [str(item) for item in items] if isinstance(items, list) else []
    return ", ".join(what(name) if name.startswith(TOOL) else name.removeprefix("tier ") for name in names)


# What the server has always written into logs and the ledger, in Chinese, and how it reads in the reader's language.
SENTENCES = (
    (re.compile(r"通过兑换码充值 (?P<a>.+)"), lazy_gettext("Redeemed a code for %(a)s")),
    (re.compile(r"通过 API 充值 (?P<a>.+)"), lazy_gettext("Topped up by %(a)s")),
    (re.compile(r"新用户注册赠送 (?P<a>.+)"), lazy_gettext("Gift to a new user: %(a)s")),
    (re.compile(r"使用邀请码赠送 (?P<a>.+)"), lazy_gettext("Gift for coming by an invitation: %(a)s")),
    (re.compile(r"邀请用户赠送 (?P<a>.+)"), lazy_gettext("Gift for inviting somebody: %(a)s")),
    (
        re.compile(r"管理员将用户额度从 (?P<a>.+)修改为 (?P<b>.+)"),
        lazy_gettext("An administrator changed the balance from %(a)s to %(b)s"),
    ),
    (re.compile(r"渠道 (?P<a>.*) 测试成功，响应：(?P<b>.*)", re.DOTALL), lazy_gettext("Channel %(a)s passed its test: %(b)s")),
    (re.compile(r"渠道 (?P<a>.*) 测试失败，错误：(?P<b>.*)", re.DOTALL), lazy_gettext("Channel %(a)s failed its test: %(b)s")),
    (re.compile(r"by (?P<a>\S+)"), lazy_gettext("by %(a)s")),
)
DOLLARS, POINTS = re.compile(r"＄(-?\d+\.\d+) 额度"), re.compile(r"(-?\d+) 点额度")


def said(text: str | None) -> str:
    """A stored sentence in the reader's language; what people wrote themselves stays as it is."""
    text = DOLLARS.sub(lambda m: texts.dollars(float(m[1])), text or "")
    text = POINTS.sub(lambda m: texts.number(int(m[1])), text)
    for pattern, words in SENTENCES:
        if match := pattern.fullmatch(text):
            return str(words) % match.groupdict()
    return text


def kinds() -> dict[str, str]:
    """How an attempt failed, by the kinds of wire.VendorError."""
    return {
        "bad_request": _("bad request"), "content_filter": _("filtered by the provider"), "too_long": _("prompt too long"),
        "no_model": _("no such model"), "auth": _("key refused"), "quota": _("account without quota"),
        "rate_limited": _("rate limited"), "overloaded": _("provider overloaded"), "server": _("provider error"),
        "unreachable": _("unreachable"), "timeout": _("timed out"), "garbled": _("unreadable answer"),
    }  # fmt: skip


def ends() -> dict[str, str]:
    """How an answer ended, as relay/pump.py names it."""
    return {
        "complete": _("complete"), "client_left": _("the client left"), "vendor_broke": _("the provider broke off"),
        "idle_timeout": _("the provider fell silent"), "filtered": _("filtered by the provider"),
    }  # fmt: skip
