"""Models without a price on the channel form: each with a choice that is stored as the Prices page stores it."""

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.actions import unpriced
from oneapi.models.channel import Channel
from oneapi.models.user import Role
from oneapi.pages import prices

COMPATIBLE = 30.0  # the ratio that the old project charged for models without a price


def data(row: Channel | None) -> dict[str, Any]:
    """Return what the form shows: the models, what was chosen for each, and what happens to requests without a choice."""
    state = access.state()
    names = unpriced.of(state, row) if row is not None else []
    return {
        "unpriced": names,
        "unpriced_policy": unpriced.policy(state, row) if row is not None and names else "",
        "choices": [
            ("", _("Leave as it is")), ("free", _("Free")), ("30", _("Ratio 30, as before")), ("price", _("Set a price")),
        ],  # fmt: skip
        "chosen": {name: (choice, into, out) for name, choice, into, out in _typed()},
        "chosen_for_all": request.form.get("unpriced-all", ""),
    }


def listed() -> set[str]:
    """Return the models that the form listed: whoever saves it again has seen them."""
    return {name for name, *_rest in _typed()}


def read(errors: dict[str, str]) -> dict[str, dict[str, float | None]]:
    """Return what was chosen, as figures by model and table; writes a complaint for a price that is not a number."""
    if current_user.role < Role.ROOT:
        return {}  # prices are root's
    for_all = request.form.get("unpriced-all", "")
    found: dict[str, dict[str, float | None]] = {}
    for name, choice, into, out in _typed():
        match choice or for_all:
            case "free":
                found[name] = {"model_ratio": 0.0}
            case "30":
                found[name] = {"model_ratio": COMPATIBLE}
            case "price":
                found[name] = _figures(name, into, out, errors)
    return found


def store(changes: dict[str, dict[str, float | None]]) -> dict[str, str]:
    """Store what was chosen; return complaints by field."""
    return prices.store(changes) if changes else {}


def _figures(name: str, into: str, out: str, errors: dict[str, str]) -> dict[str, float | None]:
    """Return dollars per million tokens as ratios; without a price for output, output costs what input costs."""
    wrong: dict[str, str] = {}
    dollars = prices.figure(into, "in", wrong)
    answers = prices.figure(out, "out", wrong)
    if wrong or dollars is None or (answers and not dollars):
        errors[f"unpriced-{name}"] = _("Give dollars for a million tokens of input, and of output if that differs.")
        return {}
    completion = answers / dollars if answers is not None and dollars else 1.0
    return {"model_ratio": dollars / prices.per_million(), "completion_ratio": completion}


def _typed() -> list[tuple[str, str, str, str]]:
    """Return (model, choice, input, output) of every model that the form listed."""
    form = request.form
    names = form.getlist("unpriced")
    return [
        (name, form.get(f"unpriced-choice-{n}", ""), form.get(f"unpriced-in-{n}", ""), form.get(f"unpriced-out-{n}", ""))
        for n, name in enumerate(names)
    ]
