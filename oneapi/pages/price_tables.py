"""Whole tables of prices: as JSON, from a file, many at once. Nothing is stored before somebody has seen the difference."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, request
from flask_babel import gettext as _

from oneapi import access, settings
from oneapi.access import actor
from oneapi.actions import options
from oneapi.doors import GuardedBlueprint
from oneapi.fields import Invalid, parsed
from oneapi.messages import Refused
from oneapi.models.user import Role
from oneapi.pages import channel_input, complaints, prices
from oneapi.pages.prices import TABLES
from oneapi.pages.render import done, page, toast

bp = GuardedBlueprint("price_tables", __name__)

Tables = dict[str, dict[str, Any]]  # setting → model → figure
MOST_SHOWN = 500


@dataclass(frozen=True)
class Change:
    """A figure that would become another; None stands for none."""

    model: str
    table: str
    old: float | None
    new: float | None


def now() -> Tables:
    return {key: dict(getattr(access.state().settings, name)) for key, name in TABLES.items()}


def differences(old: Tables, new: Tables) -> list[Change]:
    found = [
        Change(model, key, old[key].get(model), new[key].get(model))
        for key in TABLES
        for model in old[key].keys() | new[key].keys()
        if old[key].get(model) != new[key].get(model)
    ]
    return sorted(found, key=lambda change: (change.model, list(TABLES).index(change.table)))


@bp.route("/price/json", allow=Role.ROOT)
def show() -> Response:
    return _editor(_texts(now()))


def _texts(tables: Mapping[str, Any]) -> dict[str, str]:
    return {key: json.dumps(tables.get(key, {}), ensure_ascii=False, indent=1) for key in TABLES}


def _editor(texts: Mapping[str, str], errors: Mapping[str, str] | None = None) -> Response:
    fields = [settings.BY_KEY[key] for key in TABLES]
    return page("prices/json.html", "list", status=422 if errors else 200, fields=fields, texts=texts, errors=errors or {})


@bp.route("/price/json", methods=["POST"], allow=Role.ROOT)
def look() -> Response:
    """What was pasted or uploaded, as the difference it would make; stored when it comes back confirmed."""
    texts = {key: request.form.get(key, "").strip() or "{}" for key in TABLES}
    if (sent := request.files.get("file")) is not None and sent.filename:
        texts, complaint = _uploaded(sent.read(4 * 2**20))
        if complaint:
            return _editor(_texts(now()), {"file": complaint})
    if request.form.get("then") == "edit":
        return _editor(texts)
    errors = _wrong(texts)
    if errors:
        return _editor(texts, errors)
    tables = {key: json.loads(text) for key, text in texts.items()}
    return _stored(texts) if request.form.get("then") == "save" else review(tables)


def _uploaded(data: bytes) -> tuple[dict[str, str], str]:
    """The tables in a file as this page exports it, and what is wrong with it. A table it lacks stays as it is."""
    try:
        found = parsed(data)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.keys() & TABLES.keys():
        return {}, _("This is no file of prices: it holds none of %(names)s.", names=", ".join(TABLES))
    return _texts(now() | {key: found[key] for key in TABLES if key in found}), ""


def _wrong(texts: Mapping[str, str]) -> dict[str, str]:
    errors = {key: complaint for key, text in texts.items() if (complaint := channel_input.json_complaint(text))}
    for key, text in texts.items():
        try:
            if key not in errors:
                settings.stored_text(key, text)
        except Invalid as error:
            errors[key] = complaints.sentence(str(error))
    return errors


def review(tables: Tables) -> Response:
    """The difference that tables would make, with a button that stores them."""
    changes = differences(now(), tables)
    if not changes:
        toast(_("These prices hold already"))
        return done("/price")
    shown = changes[:MOST_SHOWN]
    known = {change.model: prices.usual(change.model) for change in shown}
    return page(
        "prices/review.html", "list", changes=shown, more=len(changes) - len(shown),
        usual={(change.model, change.table): known[change.model][TABLES[change.table]] for change in shown},
        count=len(changes), models=len({change.model for change in changes}), texts=_texts(tables),
        labels={key: _(settings.BY_KEY[key].label) for key in TABLES},
    )  # fmt: skip


def _stored(texts: Mapping[str, str]) -> Response:
    try:
        options.save(access.state(), actor(), texts)
    except (Refused, Invalid) as error:
        return _editor(texts, complaints.of(error))
    toast(_("Prices saved"))
    return done("/price")


@bp.route("/price/export.json", allow=Role.ROOT)
def export() -> Response:
    text = json.dumps(now(), ensure_ascii=False, indent=1)
    return Response(text, mimetype="application/json", headers={"Content-Disposition": "attachment; filename=prices.json"})


@bp.route("/price/bulk", methods=["POST"], allow=Role.ROOT)
def bulk() -> Response:
    """Multiply the prices of the ticked models, or give them back to the catalogue: the difference first."""
    models, action, errors = request.form.getlist("ids"), request.form.get("action"), dict[str, str]()
    tables = now()
    if action == "reset":
        tables = {key: {m: figure for m, figure in table.items() if m not in models} for key, table in tables.items()}
    elif action == "multiply":
        factor = prices.figure(request.form.get("value", ""), "value", errors)
        if factor is None or errors:
            toast(_("Give a number of 0 or more."), "bad")
            return done("/price")
        tables["ModelRatio"] |= prices.multiplied(models, factor)
    else:
        abort(400)
    return review(tables)
