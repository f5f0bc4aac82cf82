"""What a form says when it objects: sentences by field, in the reader's language."""

import re
from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from oneapi import messages
from oneapi.fields import MOST, Invalid, integer, names
from oneapi.messages import Refused
from oneapi.pages import languages

lines = names  # of a list that is typed one a line, or with commas

# How fields.py words its complaints; the numbers and names in them travel into the translation.
PATTERNS = (
    (re.compile(r"give (?P<n>[\d.e+-]+) or more\."), lazy_gettext("give %(n)s or more.")),
    (re.compile(r"give (?P<n>[\d.e+-]+) or less\."), lazy_gettext("give %(n)s or less.")),
    (
        re.compile(r"give a number from (?P<a>[\d.e+-]+) to (?P<b>[\d.e+-]+)\."),
        lazy_gettext("give a number from %(a)s to %(b)s."),
    ),
    (
        re.compile(r"give an address that begins with http:// or https://\."),
        lazy_gettext("give an address that begins with http:// or https://."),
    ),
    (
        re.compile(r"give an address with a host, such as https://example\.com\."),
        lazy_gettext("give an address with a host, such as https://example.com."),
    ),
    (re.compile(r"give a whole number, not (?P<it>.*)\."), lazy_gettext("give a whole number, not %(it)s.")),
    (re.compile(r"give a number, not (?P<it>.*)\."), lazy_gettext("give a number, not %(it)s.")),
    (re.compile(r"give a JSON object \((?P<why>.*)\)\."), lazy_gettext("give a JSON object (%(why)s).")),
    (re.compile(r"choose one of (?P<these>.*), not (?P<it>.*)\."), lazy_gettext("choose one of %(these)s, not %(it)s.")),
    (re.compile(r"the value of (?P<it>.*) must be a number\."), lazy_gettext("the value of %(it)s must be a number.")),
    (re.compile(r"the value of (?P<it>.*) must not be negative\."), lazy_gettext("the value of %(it)s must not be negative.")),
    (
        re.compile(r"the value of (?P<it>.*) must not exceed (?P<n>\d+)\."),
        lazy_gettext("the value of %(it)s must not exceed %(n)s."),
    ),
)


def of(error: Refused | Invalid | Mapping[str, str]) -> dict[str, str]:
    """Complaints by field; what belongs to no field stands under ""."""
    if isinstance(error, Refused):
        return dict(messages.errors(error, languages.html_language()))
    found = error.errors if isinstance(error, Invalid) else error
    return {name: sentence(text) for name, text in found.items()}


def sentence(text: str) -> str:
    """A complaint of a Field in the reader's language."""
    label, colon, rest = text.partition(": ")
    for pattern, words in PATTERNS:
        if match := pattern.fullmatch(rest):
            return f"{_(label)}{colon}{str(words) % match.groupdict() if match.groupdict() else words}"
    return text


def whole(
    form: Mapping[str, str], name: str, errors: dict[str, str], *, low: int = 0, high: int = MOST, default: int | None = None
) -> Any:
    """A whole number from a form; writes a complaint when it is none, or out of bounds."""
    text = form.get(name, "").strip().replace(",", "")
    if not text and default is not None:
        return default
    try:
        value = integer(text)
    except ValueError:
        errors[name] = _("Give a whole number.")
        return text
    if not low <= value <= high:
        errors[name] = _("Give a number from %(low)s to %(high)s.", low=low, high=high)
    return value
