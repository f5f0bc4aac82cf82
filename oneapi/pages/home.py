"""What visitors see: home, about, the framed chat, appearance, the site's own theme."""

import re
from typing import Any

from flask import Response, abort, redirect, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.actions import act
from oneapi.doors import GuardedBlueprint
from oneapi.models import user
from oneapi.models.user import Role
from oneapi.pages import languages, prose, providers
from oneapi.pages.render import allow, back, done, origin, page, safe

bp = GuardedBlueprint("home", __name__)

COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-z]{3,30}|(rgb|hsl|oklch|oklab|lab|lch)\([0-9a-z.,%/ -]{3,60}\)")
LENGTH = re.compile(r"\d{1,2}(\.\d)?(px|rem|em)")
FONT = re.compile(r"[\w\s,\"'-]{1,200}")
YEAR = 366 * 86400


@bp.route("/", allow=None)
def home() -> Response:
    content = access.state().settings.home_page_content.strip()
    if not content and current_user.is_authenticated:
        return redirect("/dashboard", 303)  # type: ignore[return-value]
    return _text("home/home.html", content)


@bp.route("/about", allow=None)
def about() -> Response:
    return _text("home/about.html", access.state().settings.about.strip())


@bp.route("/notice", allow=None)
def notice() -> Response:
    return _text("home/about.html", access.state().settings.notice.strip(), title=_("Notice"), blank=_("There is no notice."))


@bp.route("/chat", allow=Role.USER)
def chat() -> Response:
    link = access.state().settings.chat_link.strip()
    if not prose.framed(link):
        abort(404)
    return _text("home/about.html", link, title=_("Chat"))


def _text(template: str, content: str, **data: Any) -> Response:
    """A text of the administrator's: cleaned, or in a frame when it is an address. Its images may come from anywhere."""
    address = prose.framed(content)
    if address:
        allow("frame-src", origin(address))
    elif content:
        allow("img-src", "https:")
    data |= {"started": access.state().started_at, "ways": _ways()}
    return page(template, frame=address, text="" if address else prose.html(content), **data)


def _ways() -> list[str]:
    """The ways to sign in that are on."""
    settings = access.state().settings
    ways = [_("a password")] * settings.password_login_enabled + [providers.title(p) for p in providers.offered()]
    return ways + [_("WeChat")] * settings.wechat_auth_enabled


@bp.route("/theme.css", allow=None)
def theme() -> Response:
    """The site's accent, radius and font. Only what is certainly a colour, a length or a list of names gets in."""
    settings = access.state().settings
    rules = []
    if COLOUR.fullmatch(settings.theme_accent.strip()):
        accent = settings.theme_accent.strip()
        soft = f"color-mix(in oklab, {accent} 14%, var(--surface))"
        rules += [f"--accent: {accent}", f"--c1: {accent}", f"--accent-soft: {soft}"]
        rules.append(f"--accent-line: color-mix(in oklab, {accent} 42%, var(--surface))")
    if LENGTH.fullmatch(settings.theme_radius.strip()):
        rules.append(f"--radius: {settings.theme_radius.strip()}")
    if settings.theme_font.strip() and FONT.fullmatch(settings.theme_font.strip()):
        rules.append(f"--font: {settings.theme_font.strip()}, Inter, system-ui, sans-serif")
    css = "@layer tokens { :root { " + "; ".join(rules) + " } }\n"
    return Response(css, mimetype="text/css", headers={"Cache-Control": "public, max-age=3600"})


@bp.route("/preferences", methods=["POST"], allow=None, unready=True)
def preferences() -> Response:
    """Appearance, language and habits: cookies for this browser, and the account's own for people who are signed in."""
    form = request.form
    answer = done(safe(form.get("next"), "") or back(_came_from()))
    choices = {"appearance": ("light", "dark", "system"), "lang": tuple(languages.LOCALES), "density": ("", "compact"),
               "times": ("", "absolute"), "keys": ("", "off")}  # fmt: skip
    for name, allowed in choices.items():
        if name in form and form[name] in allowed:
            answer.set_cookie(name, form[name], max_age=YEAR, samesite="Lax", secure=request.is_secure)
    kept = {"appearance": form.get("appearance"), "language": form.get("lang")}
    kept = {k: v for k, v in kept.items() if v in choices["appearance"] + choices["lang"]}
    if current_user.is_authenticated and kept:
        with act(access.state()) as session:
            user.prefer(session, current_user.id, **kept)
    if "HX-Request" in request.headers:
        answer.headers.pop("HX-Location", None)  # htmx would follow it and forget about the refresh
        if "lang" in form:
            answer.headers["HX-Refresh"] = "true"
    return answer


def _came_from() -> str:
    referrer = request.headers.get("Referer", "")
    return safe("/" + referrer.partition("://")[2].partition("/")[2].partition("?")[0]) if referrer else "/"


@bp.route("/panel", allow=None, endpoint="panel")
@bp.route("/panel/<path:rest>", allow=None, endpoint="panel")
@bp.route("/detail", allow=None, endpoint="panel")
def panel(rest: str = "dashboard") -> Response:
    """Addresses of the old project's other themes."""
    known = {"profile": "/user/edit", "setting": "/setting"}
    return redirect(known.get(rest, safe(f"/{rest}")), 301)  # type: ignore[return-value]
