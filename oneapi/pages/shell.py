"""What surrounds every page: navigation by role, balance, notices, appearance."""

import difflib
import hashlib
from typing import Any
from weakref import WeakKeyDictionary

from flask import Flask, g, request
from flask_babel import lazy_gettext as _
from flask_login import current_user

from oneapi import access, config
from oneapi.db import db
from oneapi.models import browse, channel, ledger
from oneapi.models.user import Role
from oneapi.pages import prose
from oneapi.pages.render import allow, origin

# (path, label, icon, key after g, least role)
WORK = (
    ("/dashboard", _("Overview"), "layout-dashboard", "o", Role.USER),
    ("/playground", _("Playground"), "message-chatbot", "p", Role.USER),
    ("/token", _("API keys"), "key", "k", Role.USER),
    ("/log", _("Logs"), "list-search", "l", Role.USER),
    ("/pricing", _("Models & pricing"), "tags", "m", Role.USER),
    ("/topup", _("Wallet"), "wallet", "w", Role.USER),
)
ADMIN = (
    ("/channel", _("Channels"), "route", "c", Role.ADMIN),
    ("/user", _("Users"), "users", "u", Role.ADMIN),
    ("/redemption", _("Redemption codes"), "ticket", "r", Role.ADMIN),
    ("/price", _("Prices"), "coin", "i", Role.ROOT),
    ("/group", _("Groups"), "folder", "b", Role.ROOT),
    ("/job", _("Jobs"), "refresh", "j", Role.ADMIN),
    ("/audit", _("Audit"), "history", "a", Role.ROOT),
    ("/system", _("System"), "server", "y", Role.ROOT),
    ("/setting", _("Settings"), "settings", "s", Role.ROOT),
)
CHAT = ("/chat", _("Chat"), "robot", "t", Role.USER)  # only where the site has a chat client
APPEARANCES = ("light", "dark", "system")

_broken: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def broken_channels() -> int:
    """How many channels were disabled automatically; asked once per change of channels."""
    known = g.get("broken")
    if known is None:
        memo = _memo(access.state())
        snapshot = access.state().snapshot
        if memo.get("of") is not snapshot:
            memo.update(of=snapshot, count=browse.channel_count(db.session(), channel.Status.AUTO_DISABLED))
        known = g.broken = memo["count"]
    return known


_memos: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def _memo(owner: Any) -> dict[str, Any]:
    return _memos.setdefault(owner, {})


def balance() -> int:
    """What the reader has left, leases included."""
    if "balance" not in g:
        row = current_user.row
        g.balance = row.quota + ledger.leased(db.session(), "user", [row.id]).get(row.id, 0)
    return g.balance


def appearance() -> str:
    wish = request.cookies.get("appearance") or (current_user.row.appearance if current_user.is_authenticated else "") or ""
    return wish if wish in ("light", "dark") else ""


def notice() -> tuple[str, str]:
    """The site's notice as clean HTML, and a digest of it by which a browser remembers that it was read."""
    text = access.state().settings.notice.strip()
    return (prose.html(text), hashlib.sha256(text.encode()).hexdigest()[:12]) if text else ("", "")


def _pictures(logo: str, *texts: str) -> None:
    """Let the site's logo in, and pictures from anywhere where the notice or the footer shows some."""
    allow("img-src", origin(logo), "https:" if any("<img" in text for text in texts) else "")


def closest() -> tuple[str, Any] | None:
    """The page whose address is most like the one that was asked for, as (path, its name)."""
    role = current_user.row.role if current_user.is_authenticated else Role.GUEST
    known = {path: words for path, words, _icon, _key, least in (*WORK, *ADMIN) if role >= least}
    known |= {"/pricing": _("Models & pricing"), "/about": _("About"), "/login": _("Sign in"), "/user/edit": _("Profile")}
    found = difflib.get_close_matches(request.path.rstrip("/").lower(), known, 1, 0.5)
    return (found[0], known[found[0]]) if found else None


def _context() -> dict[str, Any]:
    me = current_user.row if current_user.is_authenticated else None
    settings = access.state().settings
    footer = prose.html(settings.footer, inline=True) if settings.footer.strip() else ""
    _pictures(settings.logo, notice()[0], footer)
    return {
        "me": me,
        "site": settings,
        "role": me.role if me else Role.GUEST,
        "Role": Role,
        "nav": [
            (None, [item for item in WORK if me] + [CHAT] * bool(me and prose.framed(settings.chat_link))),
            (_("Admin"), [item for item in ADMIN if me and me.role >= item[4]]),
        ],
        "broken_channels": broken_channels,
        "closest": closest,
        "balance": balance,
        "appearance": appearance(),
        "density": "compact" if request.cookies.get("density") == "compact" else "",
        "notice": notice,
        "footer": footer,
        "version": config.VERSION,
        "here": request.path,
        "address": (settings.server_address or request.host_url).rstrip("/"),
        "themed": bool(settings.theme_accent or settings.theme_radius or settings.theme_font),
    }


def init(app: Flask) -> None:
    app.context_processor(_context)
    for name in ("ui", "forms", "tables", "charts"):  # each may use those before it
        app.jinja_env.globals[name] = app.jinja_env.get_template(f"macros/{name}.html").module
