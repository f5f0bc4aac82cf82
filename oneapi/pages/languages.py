"""English and Chinese: which one a reader gets, and catalogues that are compiled in memory from their text form."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, has_request_context, request
from flask_babel import Babel, Domain, get_locale
from flask_login import current_user
from markupsafe import Markup

FOLDER = Path(__file__).resolve().parent.parent / "i18n"
LOCALES = {"en": "English", "zh_CN": "中文"}


@lru_cache
def catalogue(locale: str) -> NullTranslations:
    """The texts of one language. English is what the code says."""
    path = FOLDER / f"{locale}.po"
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        compiled = io.BytesIO()
        write_mo(compiled, read_po(file, locale=locale))
    compiled.seek(0)
    return Translations(compiled)


class _Texts(Domain):
    def get_translations(self) -> NullTranslations:
        return catalogue("zh_CN" if html_language() == "zh-CN" else "en")  # Babel calls the former zh_Hans_CN


def chosen() -> str:
    """The reader's language: their account's, then the browser's cookie, then what the browser asks for."""
    if not has_request_context():
        return "en"
    own = (current_user.row.language or "") if current_user.is_authenticated else ""
    for wish in (request.cookies.get("lang", ""), own, *request.accept_languages.values()):
        if wish.lower().startswith("zh"):
            return "zh_CN"
        if wish.lower().startswith("en"):
            return "en"
    return "en"


def zone() -> str | None:
    """The reader's time zone, told by the script in a cookie; UTC until then."""
    name = request.cookies.get("zone", "").replace("%2F", "/") if has_request_context() else ""
    try:
        return ZoneInfo(name).key if name else "UTC"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"


def html_language() -> str:
    locale = get_locale()
    return "zh-CN" if locale is not None and locale.language == "zh" else "en"


@lru_cache(maxsize=8192)
def _marked(language: str, text: str) -> tuple[Markup, Markup]:
    """A text of templates in one language: with its places, and as it stands when there are none."""
    found = Markup(catalogue("zh_CN" if language == "zh-CN" else "en").ugettext(text))
    return found, found if "%" not in found else Markup("")


def _gettext(text: str, **values: Any) -> Markup:
    """As Babel's, which looks for the reader's language anew at each of a list's thousand texts."""
    found, plain = _marked(html_language(), text)
    return found % values if values or not plain else plain


def init(app: Flask) -> None:
    app.config["BABEL_DEFAULT_LOCALE"] = "en"
    babel = Babel(app, locale_selector=chosen, timezone_selector=zone)
    babel.domain_instance = _Texts()
    app.extensions["babel"].default_domain = _Texts()
    app.jinja_env.globals.update({"_": _gettext, "gettext": _gettext})
    app.jinja_env.globals.update(html_language=html_language, LOCALES=LOCALES)
