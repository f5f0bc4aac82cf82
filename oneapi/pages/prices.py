"""The prices that root sets: one row per model, in ratios or dollars, against the built-in catalogue."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from flask_babel import gettext as _

from oneapi import access
from oneapi.access import actor
from oneapi.actions import options
from oneapi.catalog import prices
from oneapi.catalog.prices import Price
from oneapi.doors import GuardedBlueprint
from oneapi.fields import Invalid
from oneapi.messages import Refused
from oneapi.models.user import Role
from oneapi.pages import complaints, lists, recent
from oneapi.pages.render import back, done, page, sheet, toast
from oneapi.relay import meter, pricing
from oneapi.settings import LARGEST_RATIO
from oneapi.state import Snapshot

bp = GuardedBlueprint("prices", __name__)

# setting: (attribute, what the form calls it)
TABLES = {
    "ModelRatio": "model_ratio",
    "CompletionRatio": "completion_ratio",
    "CacheRatio": "cache_ratio",
    "CacheWriteRatio": "cache_write_ratio",
    "LongCacheWriteRatio": "long_cache_write_ratio",
    "AudioRatio": "audio_ratio",
    "ImageRatio": "image_ratio",
    "CallPrice": "call_price",
}


@dataclass(frozen=True)
class Row:
    """A model, what it costs now, what it would cost without root's word, and how many channels serve it."""

    model: str
    price: Price | None
    built_in: Price | None
    overridden: bool
    channels: int
    free: bool = False  # self-hosted: without a price it costs nothing


Place = tuple[int, str]  # channel type and Lane.self_hosted
ANYWHERE: Place = (1, "")


def _served(snapshot: Snapshot) -> tuple[dict[str, Place], dict[str, int]]:
    """Of every model the place of the first channel that has it, and how many enabled ones have it."""
    types: dict[str, Place] = {}
    counts: dict[str, int] = {}
    for lane in snapshot.lanes.values():
        for model in lane.models:
            types.setdefault(model, (lane.type, lane.self_hosted))
            counts[model] = counts.get(model, 0) + lane.enabled
    return types, counts


def _rows() -> list[Row]:
    state = access.state()
    types, counts = recent.unchanged("channels", "models", lambda _session: _served(state.snapshot))
    set_ = {model for name in TABLES.values() for model in getattr(state.settings, name)}
    table = meter.overrides(state.settings)
    names = sorted({*types, *set_})
    return [_row(model, types.get(model, ANYWHERE), counts.get(model, 0), model in set_, table) for model in names]


def _row(model: str, place: Place, channels: int, overridden: bool, table: prices.Overrides) -> Row:
    now = pricing.known(model, *place, table)
    moment = access.state().clock()
    now = meter.finer(now, model, access.state().settings).on(moment) if now is not None else None
    built_in = pricing.known(model, *place, prices.NONE)
    return Row(model, now, built_in.on(moment) if built_in else None, overridden, channels, now is None and bool(place[1]))


@bp.route("/price", allow=Role.ROOT)
def index() -> Response:
    view = lists.view("/price", {"q": None, "show": ("set", "unpriced", "unused")}, (), "model")
    rows = [row for row in _rows() if view["q"].lower() in row.model.lower()]
    kinds = {"set": [r for r in rows if r.overridden],
             "unpriced": [r for r in rows if r.price is None and r.channels and not r.free],
             "unused": [r for r in rows if not r.channels]}  # fmt: skip
    shown = kinds.get(view["show"], rows)
    view = view.counted(len(shown))
    extra: dict[str, Any] = {"dollars": per_million()}
    extra |= {"opened": "prices/form.html", **_form(request.args.get("edit", ""))} if {"edit", "add"} & set(request.args) else {}
    return page(
        "prices/index.html", "list", view=view, rows=shown[view.offset : view.offset + view.size],
        counts={name: len(found) for name, found in kinds.items()}, **extra,
    )  # fmt: skip


def per_million() -> float:
    """Dollars per million tokens of one unit of ratio."""
    return 1e6 / access.state().settings.quota_per_unit


def _form(model: str, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    now = access.state().settings
    row = next((r for r in _rows() if r.model == model), None) or _row(model, ANYWHERE, 0, False, meter.overrides(now))
    values = {name: getattr(now, name).get(model, "") for name in TABLES.values()}
    return {
        "title": model or _("Price of another model"),
        "row": row,
        "values": values,
        "usual": _usual(row.built_in),
        "errors": errors or {},
        "form": request.form,
        "dollars": per_million(),
    }


def usual(model: str, type: int = 1) -> dict[str, str]:
    """The built-in figures of a model by field, as texts; what is not known is empty."""
    return _usual(prices.price(model, type))


def _usual(price: Price | None) -> dict[str, str]:
    if price is None:
        return dict.fromkeys(TABLES.values(), "")
    found = {"model_ratio": price.ratio, "completion_ratio": price.completion}
    for name, setting in meter.FACTORS.items():
        part = getattr(price, name)
        if part is None and name == "cache_write_1h":
            part = price.cache_write
        found[setting] = part / price.ratio if part is not None and price.ratio else 1.0
    return {name: f"{found[name]:.6g}" if name in found else "" for name in TABLES.values()}


@bp.route("/price/edit", allow=Role.ROOT)
def edit() -> Response:
    return sheet("prices/form.html", **_form(request.args.get("model", "")))


@bp.route("/price/edit", methods=["POST"], allow=Role.ROOT)
def save() -> Response:
    """Set or clear the figures of one model; empty fields leave it to the catalogue."""
    model = request.form.get("model", "").strip()
    errors: dict[str, str] = {} if model else {"model": _("Name a model.")}
    cleared = request.form.get("then") == "reset"
    figures = {name: None if cleared else figure(request.form.get(name, ""), name, errors) for name in TABLES.values()}
    if not errors:
        errors = store({model: figures})
    if errors:
        return sheet("prices/form.html", status=422, **_form(model, errors))
    toast(_("Price of %(model)s saved", model=model))
    return done(back("/price"))


def figure(text: str, name: str, errors: dict[str, str]) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1
    if value > LARGEST_RATIO:
        errors[name] = _("Give a number from %(low)s to %(high)s.", low=0, high=LARGEST_RATIO)
    elif not value >= 0:
        errors[name] = _("Give a number of 0 or more.")
    return value


def store(changes: Mapping[str, Mapping[str, float | None]]) -> dict[str, str]:
    """Write figures by model and table, None takes one away; return complaints by field."""
    now = access.state().settings
    tables = {key: dict(getattr(now, name)) for key, name in TABLES.items()}
    for model, figures in changes.items():
        for key, name in TABLES.items():
            if name not in figures:
                continue
            if figures[name] is None:
                tables[key].pop(model, None)
            else:
                tables[key][model] = figures[name]
    try:
        options.save(access.state(), actor(), {key: json.dumps(table, ensure_ascii=False) for key, table in tables.items()})
    except (Refused, Invalid) as error:
        return complaints.of(error)
    return {}


def multiplied(models: list[str], factor: float) -> dict[str, float]:
    """Input ratios of models that have a price, times a factor; what follows from them follows."""
    prices_now = {row.model: row.price for row in _rows()}
    return {model: round(price.ratio * factor, 6) for model in models if (price := prices_now.get(model))}
