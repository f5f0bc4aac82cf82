"""Groups: what each pays, how much it may ask, who is in it and which channels serve it."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import Response, request
from flask_babel import gettext as _

from oneapi import access
from oneapi.access import actor
from oneapi.actions import options
from oneapi.doors import GuardedBlueprint
from oneapi.fields import Invalid
from oneapi.messages import Refused
from oneapi.models import browse
from oneapi.models.user import Role
from oneapi.pages import complaints, recent
from oneapi.pages.prices import figure
from oneapi.pages.render import back, done, page, sheet, toast

bp = GuardedBlueprint("groups", __name__)

LIMITS = ("rpm", "tpm", "concurrency")


def _people() -> Counter[str]:
    found = Counter[str]()
    for _role, _status, group, count in recent.unchanged("users", "facets", browse.user_facets):
        found[group] += count
    return found


def _lanes() -> Counter[str]:
    lanes = access.state().snapshot.lanes.values()
    return recent.unchanged("channels", "groups", lambda _session: Counter(group for lane in lanes for group in lane.groups))


@bp.route("/group", allow=Role.ROOT)
def index() -> Response:
    now, people, lanes = access.state().settings, _people(), _lanes()
    names = dict.fromkeys([*now.group_ratio, *people, *lanes])
    rows = [
        {
            "name": n,
            "ratio": now.group_ratio.get(n),
            "people": people[n],
            "lanes": lanes[n],
            "limits": now.group_limits.get(n, {}),
            "models": len(access.state().snapshot.group_models.get(n, ())),
        }
        for n in names
    ]
    extra = {"opened": "groups/form.html", **_form(request.args.get("edit", ""))} if {"edit", "add"} & set(request.args) else {}
    return page("groups/index.html", "list", rows=rows, **extra)


def _form(name: str, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    now = access.state().settings
    known = name in now.group_ratio
    return {
        "title": _("Group %(name)s", name=name) if known else _("New group"),
        "name": name,
        "known": known,
        "errors": errors or {},
        "form": request.form,
        "ratio": now.group_ratio.get(name, 1),
        "limits": now.group_limits.get(name, {}),
    }


@bp.route("/group/edit", allow=Role.ROOT)
def edit() -> Response:
    return sheet("groups/form.html", **_form(request.args.get("name", "")))


@bp.route("/group/edit", methods=["POST"], allow=Role.ROOT)
def save() -> Response:
    errors: dict[str, str] = {}
    name = request.form.get("name", "").strip()
    if not 1 <= len(name) <= 32 or complaints.lines(name) != [name]:
        errors["name"] = _("Give 1 to 32 characters without a comma.")
    ratio = figure(request.form.get("ratio", ""), "ratio", errors)
    limits = {limit: complaints.whole(request.form, limit, errors, default=0) for limit in LIMITS}
    if not errors:
        errors = _store(name, 1 if ratio is None else ratio, {k: v for k, v in limits.items() if v})
    if errors:
        return sheet("groups/form.html", status=422, **_form(name, errors))
    toast(_("Group %(name)s saved", name=name))
    return done(back("/group"))


def _store(name: str, ratio: float | None, limits: Mapping[str, int]) -> dict[str, str]:
    """Write one group; a ratio of None takes it away."""
    now = access.state().settings
    ratios, limited = dict(now.group_ratio), dict(now.group_limits)
    ratios.pop(name, None) if ratio is None else ratios.update({name: ratio})
    limited.update({name: dict(limits)}) if limits else limited.pop(name, None)
    try:
        options.save(access.state(), actor(), {"GroupRatio": json.dumps(ratios), "GroupLimits": json.dumps(limited)})
    except (Refused, Invalid) as error:
        return complaints.of(error)
    return {}


@bp.route("/group/delete", methods=["POST"], allow=Role.ROOT)
def delete() -> Response:
    name = request.form.get("name", "")
    if name == "default" or _people()[name]:
        toast(_("There are people in %(name)s: move them first.", name=name), "bad")
    else:
        errors = _store(name, None, {})
        toast(" ".join(errors.values()) if errors else _("Group %(name)s deleted", name=name), "bad" if errors else "ok")
    return done(back("/group"))
