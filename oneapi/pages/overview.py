"""The overview: balance, spend, requests and tokens over a span; spend by model; keys; for administrators everyone's."""

import csv
import io
from collections.abc import Callable
from typing import Any

from flask import Response, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import browse, log_list, usage
from oneapi.models.usage import Sum
from oneapi.models.user import Role
from oneapi.pages import charts, checklist, recent, shell, spans, texts
from oneapi.pages.render import page

bp = GuardedBlueprint("overview", __name__)

METRICS: dict[str, tuple[Callable[[Sum], int], Callable[[float], str]]] = {
    "spend": (lambda s: s.quota, lambda v: texts.money(v)),
    "requests": (lambda s: s.requests, lambda v: texts.short(v)),
    "tokens": (lambda s: s.prompt + s.completion, lambda v: texts.short(v)),
}


@bp.route("/dashboard", allow=Role.USER)
def index() -> Response:
    span = spans.read("30d", longest=366 * spans.DAY)
    everyone = current_user.role >= Role.ADMIN and request.args.get("scope") == "all"
    metric = request.args.get("metric", "spend")
    metric = metric if metric in METRICS else "spend"
    whose = None if everyone else current_user.id
    # Question 1: this span and the one before it, in one go.
    sums = recent.sums(("both", span.key, whose), lambda session: usage.series(
        session, span.since - span.length, span.until, step=span.step, offset=span.offset, user_id=whose
    ), span.length)  # fmt: skip
    edge = span.since - span.step
    now, before = [s for s in sums if s.key >= edge], [s for s in sums if s.key < edge]
    if request.args.get("format") == "csv":
        return _csv(now, span)
    served = [s for s in now if s.requests]  # in some hours everything failed
    starts = charts.buckets(span.since, span.until, span.step, span.offset)
    measure, words = METRICS[metric]
    settings = access.state().settings
    unit = settings.quota_per_unit if metric == "spend" and settings.display_in_currency_enabled else 1
    ranked = charts.ranking(served, measure)
    return page(
        "overview/index.html", "usage", span=span, everyone=everyone,
        metric=metric, metrics=METRICS, words=words, measure=measure,
        chart=charts.stacked(
            served, starts, measure, words=words, other=_("others"), pattern=span.pattern, unit=unit, ranked=ranked
        ),
        ranked=ranked,
        totals=charts.total(now),
        earlier=charts.total(before),
        sparks=_sparks(now, starts),
        days=_days_left(now, span),
        checklist=checklist.steps(),
        url=lambda **changes: _url(span, everyone, metric, **changes),
        presets=list(spans.PRESETS)[1:],
        **(_everyone(span) if everyone else {"keys": _keys()}),
    )  # fmt: skip


def _sparks(sums: list[Sum], starts: list[int]) -> dict[str, dict[str, str]]:
    by_start: dict[int, list[Sum]] = {start: [] for start in starts}
    for s in sums:
        if s.key in by_start:
            by_start[s.key].append(s)
    found = [charts.total(of) for of in by_start.values()]
    sparks = {name: charts.line([measure(s) for s in found]) for name, (measure, _words) in METRICS.items()}
    return sparks | {"errors": charts.line([of.errors for of in found])}


def _days_left(sums: list[Sum], span: spans.Span) -> int | None:
    """How long the balance lasts at the pace of this span; None when nothing was spent."""
    spent = sum(s.quota for s in sums)
    per_day = spent / max(1, span.length / spans.DAY)
    return int(shell.balance() / per_day) if per_day > 0 else None


def _keys() -> list[Any]:
    now = int(access.state().clock())
    return browse.tokens(db.session(), current_user.id, {}, "-last", offset=0, limit=6, now=now)[0]


def _everyone(span: spans.Span) -> dict[str, Any]:
    between, length = (span.since, span.until), span.length
    people, active = recent.sums(("people", span.key), lambda session: usage.top_people(session, *between, limit=6), length)
    lanes = recent.sums(("lanes", span.key), lambda session: usage.top(session, *between, "channel_id", limit=6), length)
    known = access.state().snapshot.lanes
    times = recent.logged(("slowest", span.key), lambda session: _slow(log_list.durations(session, span.since, span.until)))
    return {
        "p95": times[0],
        "timed": times[1],
        "people": [(s.key, name, s) for name, s in people],
        "active": active,
        "failing": browse.channels(db.session(), {"status": "3"}, "-id", offset=0, limit=5)[0] if shell.broken_channels() else [],
        "lanes": [(s.key, known[s.key].name if s.key in known else f"#{s.key}", s) for s in lanes if s.key],
    }


def _slow(times: list[int]) -> tuple[int | None, int]:
    """The 95th percentile of these times, and how many there are."""
    return charts.percentile(sorted(times), 0.95), len(times)


def _url(span: spans.Span, everyone: bool, showing: str, /, **changes: str) -> str:
    query = {"range": span.name, "scope": "all" if everyone else "", "metric": showing, **changes}
    if span.name == "custom" and "range" not in changes:
        query |= {"from": str(span.since), "to": str(span.until)}
    defaults = {"range": "30d", "metric": "spend", "scope": ""}
    kept = "&".join(f"{k}={v}" for k, v in query.items() if v != defaults.get(k))
    return "/dashboard" + (f"?{kept}" if kept else "")


def _csv(sums: list[Sum], span: spans.Span) -> Response:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["time", "model", "requests", "quota", "dollars", "prompt_tokens", "completion_tokens", "errors"])
    unit = access.state().settings.quota_per_unit
    for s in sums:
        when = texts.clock(s.key, "%Y-%m-%d %H:%M")
        writer.writerow([when, cell(s.model), s.requests, s.quota, round(s.quota / unit, 6), s.prompt, s.completion, s.errors])
    return Response(out.getvalue(), mimetype="text/csv", headers={"Content-Disposition": "attachment; filename=usage.csv"})


def cell(text: str | None) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = text or ""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
