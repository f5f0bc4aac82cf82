"""Logs: every request, top-up and act; filtered, summed, explained line by line, exported, watched live."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flask import Response, request
from flask_babel import gettext
from flask_babel import lazy_gettext as _
from flask_login import current_user

from oneapi import access, jobs
from oneapi.access import actor
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.messages import Refused
from oneapi.models import account, ledger, log, log_list, usage
from oneapi.models.log_list import LogFilter
from oneapi.models.user import Role
from oneapi.pages import charts, complaints, explain, lists, recent, runs, spans, texts
from oneapi.pages.overview import cell
from oneapi.pages.render import done, fragment, page, toast

bp = GuardedBlueprint("logs", __name__)

TYPES = ("1", "2", "3", "4", "5", "6")
FILTERS: dict[str, Any] = {
    "q": None, "type": TYPES, "model": None, "token": None, "stream": ("0", "1"), "min_quota": None, "min_ms": None,
    "user": None, "channel": None, "user_id": None,
}  # fmt: skip
PAGE, LIVE, EXPORT = 50, 50, 100_000
COLUMNS = (
    ("key", _("Key")), ("user", _("User")), ("channel", _("Channel")), ("in", _("In")), ("cached", _("Cached")),
    ("out", _("Out")), ("first", _("First token")), ("latency", _("Latency")),
)  # fmt: skip
ADMINS = ("user", "channel")
ALWAYS, BESIDE_DETAIL = 3, ("in", "out", "latency")  # time, model and cost; and what is left of the others beside an open entry


def _admin() -> bool:
    return current_user.role >= Role.ADMIN


def _view(span: spans.Span) -> lists.View:
    view = lists.view("/log", FILTERS, default="-id")
    extra = {"range": span.name if span.name != "24h" else ""}
    if span.name == "custom":
        extra |= {"from": str(span.since), "to": str(span.until)}
    return lists.View(view.path, view.args, view.sort, 1, lists.SIZES[0], "-id", 0, extra)


def _wanted(view: lists.View, span: spans.Span) -> LogFilter:
    whose = view.number("user_id") or 0 if _admin() else current_user.id
    named = account.by_username(db.session(), view["user"]) if _admin() and view["user"] and not whose else None
    at = ledger.moment(db.session(), view["q"]) if view["q"] else 0
    return LogFilter(
        since=at or span.since,
        until=at + 1 if at else span.until if span.name == "custom" else 0,
        q=view["q"],
        type=view.number("type") or 0,
        model=view["model"],
        token=view["token"],
        username=view["user"] if _admin() and named is None else "",
        channel=(view.number("channel") or 0) if _admin() else 0,
        stream=view["stream"],
        min_quota=view.number("min_quota") or 0,
        min_ms=view.number("min_ms") or 0,
        user_id=named.id if named is not None else whose,
    )


@bp.route("/log", allow=Role.USER)
def index() -> Response:
    span = spans.read("24h")
    view = _view(span)
    wanted = _wanted(view, span)
    further = request.headers.get("HX-Target") == "older"
    every = None if further or request.args.get("format") == "csv" else _sums(view, span)
    with access.state().databases.logs() as session:
        if request.args.get("format") == "csv":
            return Response(_csv(wanted), mimetype="text/csv", headers={"Content-Disposition": "attachment; filename=logs.csv"})
        before, rolled = request.args.get("before", type=int) or 0, _rollup(view) is not None
        rows, among = log_list.search(session, wanted, before=before, limit=PAGE + 1)
        bars = not _from_sums(view, span)
        found = None if further else log_list.measure(session, wanted, bars=bars, total=not rolled, before=before)
        full = len(rows) > PAGE
        searched = log_list.moment(session, among.low + 1) if among.more and not full else 0
    older = rows[PAGE - 1].id if full else among.low + 1 if among.more else 0
    shown: dict[str, Any] = {"rows": rows[:PAGE], "older": older, "searched": searched, "view": view}
    if found is None:
        return fragment("logs/index.html", "rows", open=0, **shown, **_columns(False))
    opened, pending = _opened(), rolled and every is None
    model = view["model"]
    sums = None if every is None else [s for s in every if s.model == model] if model else every
    return page(
        "logs/index.html",
        "list",
        span=span,
        ranges=spans.WORDS,
        stats=_stats(sums, found),
        chart=_chart(sums, found, span, bars=bars),
        pending=pending,
        live="live" in request.args,
        facets=_facets(rows, every or []),
        costs=[(str(int(usd * access.state().settings.quota_per_unit)), texts.dollars(usd), None) for usd in (0.01, 0.1, 1)],
        **shown,
        **opened,
        **_columns(bool(opened["open"])),
    )


def _columns(beside: bool) -> dict[str, Any]:
    """What rows need: the columns that the reader shows, and how many these are."""
    admin, off = _admin(), request.cookies.get("log_columns", "").split(".")
    known = [(name, words) for name, words in COLUMNS if admin or name not in ADMINS]
    hidden = [name for name, _words in known if name in off]
    wide = ALWAYS + sum(1 for name, _words in known if name not in hidden and (not beside or name in BESIDE_DETAIL))
    return {"admin": admin, "columns": known, "hidden": hidden, "wide": wide, "brief": explain.brief, "told": explain.said}


def _opened() -> dict[str, Any]:
    """The entry that the address opens beside the list."""
    id = request.args.get("id", type=int)
    if not id:
        return {"open": 0}
    with access.state().databases.logs() as session:
        row = log_list.log_entry(session, id, 0 if _admin() else current_user.id)
    return {"open": id, "entry": row, "story": explain.story(row), "lanes": access.state().snapshot.lanes}


def _facets(rows: list[log.Log], sums: list[usage.Sum]) -> dict[str, list[tuple[str, str, int | None]]]:
    """Real values for the filter menus: models with their requests from the roll-ups, the others from what is on the page."""
    facets: dict[str, list[tuple[str, str, int | None]]] = {}
    for name, column in (("model", "model_name"), ("token", "token_name"), ("user", "username")):
        found = sorted({getattr(row, column) or "" for row in rows} - {""})
        facets[name] = [(value, value, None) for value in found]
    models: Counter[str] = Counter()
    for s in sums:
        models[s.model] += s.requests + s.errors
    facets["model"] = [(name, name, n) for name, n in models.most_common(40) if name] or facets["model"]
    lanes = access.state().snapshot.lanes
    ids = sorted({row.channel_id for row in rows if row.channel_id})
    facets["channel"] = [(str(id), f"#{id} {lanes[id].name if id in lanes else ''}", None) for id in ids]
    return facets


def _rollup(view: lists.View) -> dict[str, Any] | None:
    """The filters but the model as the roll-ups know them; None when they cannot answer."""
    if any(view[name] for name in ("q", "token", "user", "stream", "min_quota", "min_ms")) or view["type"] not in ("", "2", "6"):
        return None
    whose, lane = (view.number("user_id"), view.number("channel")) if _admin() else (current_user.id, None)
    return {"user_id": whose or None, "channel_id": lane}


def _sums(view: lists.View, span: spans.Span) -> list[usage.Sum] | None:
    """Sums from the roll-ups; None where these do not know the filters, or while a long stretch is being summed up."""
    filters = _rollup(view)
    if filters is None:
        return None
    found = recent.sums_soon(("series", span.key, *filters.items()), lambda session: usage.series(
        session, span.since, span.until, step=span.step, offset=span.offset, **filters
    ), span.length)  # fmt: skip
    if found is None:
        return None
    if view["type"] == "6":
        return [usage.Sum(s.key, s.model, 0, 0, 0, 0, 0, s.errors) for s in found if s.errors]
    return [replace(s, errors=0) for s in found if s.requests] if view["type"] == "2" else found


def _stats(sums: list[usage.Sum] | None, found: log_list.Measured) -> dict[str, Any]:
    """Totals from the roll-ups where these know the filters, else from the newest entries; these give percentiles too."""
    times, firsts = sorted(ms for _at, ms, _f in found.speeds), sorted(f for _at, _ms, f in found.speeds if f)
    requests, quota, prompt, completion, errors = found.sums
    total = usage.Sum(0, "", requests, quota, prompt, completion, 0, errors) if sums is None else charts.total(sums)
    cut = sums is None and found.cut
    half, most = charts.percentile(times, 0.5), charts.percentile(times, 0.95)
    return {"p50": half, "p95": most, "first": charts.percentile(firsts, 0.5), "sums": total, "cut": cut}


def _from_sums(view: lists.View, span: spans.Span) -> bool:
    """Whether the bars come from the roll-ups, whose hours are too wide for short spans."""
    return bool(span.since) and span.length > 6 * spans.HOUR and _rollup(view) is not None


def _chart(sums: list[usage.Sum] | None, found: log_list.Measured, span: spans.Span, *, bars: bool) -> charts.Chart:
    """Requests and errors over the span: of short spans by minutes, from the newest of them; else from the roll-ups."""
    counts, errors = Counter[int](), Counter[int]()
    words = gettext("requests"), gettext("errors")
    if not bars:
        for s in sums or ():
            counts[s.key] += s.requests
            errors[s.key] += s.errors
        starts = charts.buckets(span.since, span.until, span.step, span.offset)
        return charts.histogram(counts, errors, starts, span.step, words=words, pattern=span.pattern)
    speeds, failed = found.speeds, found.failed
    since = span.since or min([at for at, _ms, _f in speeds] + failed, default=span.until - spans.HOUR)
    step = max(60, (span.until - since) // 60)
    counts.update(at - at % step for at, _ms, _f in speeds)
    errors.update(at - at % step for at in failed)
    pattern = "%H:%M" if span.length < 2 * spans.DAY else "%D %H:%M"
    starts = list(range(since - since % step, span.until, step))
    return charts.histogram(counts, errors, starts, step, words=words, pattern=pattern)


@bp.route("/log/live", allow=Role.USER)
def live() -> Response:
    """Rows that came after the newest shown one."""
    span = spans.read("24h")
    view = _view(span)
    wanted = _wanted(view, span)
    with access.state().databases.logs() as session:
        newest = log_list.newest(session)
        after = max(request.args.get("after", type=int) or 0, newest - log_list.DEEP)
        rows = log_list.logs(session, wanted, after=after, limit=LIVE)
    return fragment("logs/index.html", "fresh", rows=rows, view=view, after=max(after, newest), open=0, **_columns(False))


EXPORTED = (
    "created_at",
    "type",
    "username",
    "token_name",
    "model_name",
    "channel_id",
    "prompt_tokens",
    "completion_tokens",
    "quota",
    "elapsed_time",
    "is_stream",
    "request_id",
    "content",
)


# Columns of an export after the fields of the row, and what they are in its usage.
USAGE = {"cached_tokens": "cached", "cache_write_tokens": "cache_write", "cache_write_1h_tokens": "cache_write_1h",
         "service_tier": "tier", "tool_calls": "tools"}  # fmt: skip


def _csv(wanted: LogFilter) -> Iterator[str]:
    """Exactly what the filters show, at most EXPORT rows, in pieces. It opens its own transactions: the request is over."""
    databases, admin = access.state().databases, _admin()
    columns = [c for c in EXPORTED if admin or c != "channel_id"]

    def pieces() -> Iterator[str]:
        yield ",".join((*columns, *USAGE, "unpriced")) + "\r\n"
        before, left = 0, EXPORT
        while left > 0:
            with databases.logs() as session:
                rows = log_list.logs(session, wanted, before=before, limit=min(1000, left))
            out = io.StringIO()
            writer = csv.writer(out)
            for row in rows:
                values = [getattr(row, name) for name in columns] + _used(row)
                writer.writerow([cell(value) if isinstance(value, str) else value for value in values])
            yield out.getvalue()
            if len(rows) < 1000:
                return
            before, left = rows[-1].id, left - len(rows)

    return pieces()


def _used(row: log.Log) -> list[Any]:
    """Return the finer classes of usage of a row, and whether its model had no price, as its detail holds them."""
    detail = explain.parsed(row)
    used = detail.get("usage")
    found = {name: used.get(name, 0) for name in USAGE.values()} if isinstance(used, dict) else dict.fromkeys(USAGE.values(), 0)
    calls = found["tools"] if isinstance(found["tools"], list) else []
    found |= {"tier": found["tier"] or "", "tools": " ".join(f"{kind}={n}" for kind, n in calls)}
    return [*found.values(), bool(detail.get("unpriced"))]


@bp.route("/log/<int:id>.json", allow=Role.USER)
def entry(id: int) -> Response:
    with access.state().databases.logs() as session:
        row = log_list.log_entry(session, id, 0 if _admin() else current_user.id)
        shown = {name: getattr(row, name) for name in ("id", *EXPORTED) if _admin() or name != "channel_id"}
        detail = explain.parsed(row)
    if not _admin():
        detail.pop("attempts", None)
    return Response(json.dumps(shown | {"detail": detail}, ensure_ascii=False, indent=1), mimetype="application/json")


@bp.route("/log/purge", methods=["POST"], allow=Role.ROOT)
def purge() -> Response:
    """Start the job that deletes entries before a date, and show the page on which it reports its progress."""
    before = spans.moment("before")
    if not before:
        toast(gettext("Give a date and a time."), "bad")
        return done("/setting/logs")
    try:
        jobs.delete_logs(access.state(), actor(), before)
        toast(gettext("%(job)s: started", job=runs.title("log-retention")))
    except Refused as error:
        toast(" ".join(complaints.of(error).values()), "bad")
    return done("/job")
