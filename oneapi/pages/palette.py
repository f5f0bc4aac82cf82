"""The command palette: pages, acts and objects by a few letters, as far as the reader may."""

import json
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from flask import Response, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import hints
from oneapi.models.user import Role
from oneapi.pages import languages, shell
from oneapi.pages.render import fragment
from oneapi.pages.settings import SECTIONS

bp = GuardedBlueprint("palette", __name__)

MOST = 6


class Item(NamedTuple):
    words: str
    href: str
    icon: str
    hint: str = ""
    also: str = ""  # other words by which it is found
    post: str = ""  # an act: this is posted before the page is shown
    values: str = ""  # what is posted, as JSON


def _pages() -> Iterator[Item]:
    aliases = {"/token": "token key 令牌", "/topup": "top up balance 充值", "/log": "usage requests 请求"}
    for path, words, icon, key, least in (*shell.WORK, *shell.ADMIN):
        if current_user.role >= least:
            yield Item(str(words), path, icon, f"g {key}", aliases.get(path, ""))
    yield Item(_("Profile"), "/user/edit", "user", "", "password email")
    if current_user.role >= Role.ROOT:
        for section in SECTIONS:
            yield Item(f"{_('Settings')} · {section.title}", f"/setting/{section.slug}", section.icon)


def _acts() -> Iterator[Item]:
    yield Item(_("Create an API key"), "/token?add=1", "plus", "", "token new 令牌")
    yield Item(_("Redeem a code"), "/topup", "gift", "", "top up")
    yield Item(_("Watch requests live"), "/log?live=1", "list-search", "", "tail logs")
    if current_user.role >= Role.ADMIN:
        yield Item(_("Add a channel"), "/channel?add=1", "plus", "", "provider 渠道")
        yield Item(_("Add a user"), "/user?add=1", "user-plus")
        yield Item(_("Make redemption codes"), "/redemption?add=1", "ticket")
        yield Item(_("Channels that were disabled automatically"), "/channel?status=3", "alert-triangle")
        yield Item(_("Test all channels"), "/channel", "player-play", "", "check", "/channel/test")
    looks = (("light", _("Light"), "sun"), ("dark", _("Dark"), "moon"), ("system", _("System"), "device-desktop"))
    for value, words, icon in looks:
        yield Item(f"{_('Appearance')} · {words}", "", icon, "", "theme", "/preferences", json.dumps({"appearance": value}))
    for code, name in languages.LOCALES.items():
        yield Item(f"{_('Language')} · {name}", "", "language", "", "language 语言", "/preferences", json.dumps({"lang": code}))


def _objects(wish: str) -> Iterator[Item]:
    """Keys, models, and for administrators channels and users; three questions at most."""
    state = access.state()
    number = wish.removeprefix("#")
    named = state.snapshot.lanes.get(int(number)) if number != wish and number.isdecimal() else None
    if named is not None and current_user.role >= Role.ADMIN:
        yield Item(named.name, f"/channel?edit={named.id}", "route", wish)
    for model in state.snapshot.group_models.get(current_user.row.group or "default", ()):
        if wish in model.lower():
            yield Item(model, f"/pricing?q={quote(model)}", "tags", _("model"))
    for id, name in hints.tokens(db.session(), current_user.id, wish, MOST):
        yield Item(name, f"/token?edit={id}", "key", _("API key"))
    if current_user.role >= Role.ADMIN:
        for id, name in hints.channels(db.session(), wish, MOST):
            yield Item(name, f"/channel?edit={id}", "route", f"#{id}")
        for id, name in hints.users(db.session(), wish, MOST, viewer=current_user.role):
            yield Item(name, f"/user?edit={id}", "user", f"#{id}")
    if len(wish) >= 16 and wish.isalnum():
        yield Item(_("Request %(id)s", id=wish), f"/log?range=all&q={quote(wish)}", "list-search", _("log"))


@bp.route("/palette", allow=Role.USER)
def index() -> Response:
    wish = request.args.get("q", "").strip().lower()[:80]
    groups = [(_("Go to"), _found(_pages(), wish, 8)), (_("Do"), _found(_acts(), wish, 8))]
    if wish:
        objects = list(_objects(wish))
        groups.append((_("Objects"), objects[: 3 * MOST]))
    return fragment("palette.html", "found", groups=[(title, items) for title, items in groups if items], wish=wish)


def _found(items: Iterator[Item], wish: str, most: int) -> list[Item]:
    return [item for item in items if wish in f"{item.words} {item.also}".lower()][:most]
