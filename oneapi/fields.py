"""Field: one typed-in value, declared once; widget, parsing, storage text, API form and help follow from it."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

TRUE = {"true", "1", "on", "yes"}
FALSE = {"false", "0", "off", "no", ""}
LARGEST = 2**63 - 1  # of a database's whole numbers
MOST = 2**53  # of numbers that are counted or multiplied: JSON, JavaScript and floating point hold it exactly
_UNSTORABLE = re.compile("[\ud800-\udfff\0]")  # half characters and NUL, which databases refuse


def storable(text: str) -> str:
    """Return the text with a replacement character for each one that some database refuses."""
    return _UNSTORABLE.sub("\ufffd", text)


# A comma, a semicolon or the end of a line, as Chinese keyboards and spreadsheets write them too. Names contain none of these.
_SEPARATORS = re.compile("[,;\t\r\n\u2028\u2029\u3000\u3001\uff0c\uff1b\uff64\ufe10\ufe11\ufe50\ufe51\ufe54]+")


def names(text: str | None) -> list[str]:
    """Return the names in a typed or stored list: trimmed, in their order, each once."""
    return list(dict.fromkeys(name for part in _SEPARATORS.split(text or "") if (name := part.strip())))


def integer(text: str) -> int:
    """Return a whole number that a database can hold, written in ASCII digits; raises ValueError for anything else."""
    text = text.strip()
    if len(text) > 20 or not text.isascii() or not text.removeprefix("-").isdecimal() or abs(number := int(text)) > LARGEST:
        raise ValueError(text[:40])
    return number


def integers(text: str, most: int) -> list[int]:
    """Return the whole numbers of a comma list, at most so many; other entries are left out."""
    found = []
    for part in text.split(","):
        try:
            found.append(integer(part))
        except ValueError:
            continue
    return found[:most]


def parsed(text: str | bytes) -> Any:
    """Return the value of a JSON text; raises ValueError, also for one that is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class Invalid(ValueError):
    """A value that cannot be taken; `errors` maps field names to sentences that say what to mend."""

    def __init__(self, errors: Mapping[str, str]):
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class Field:
    """`name` is ours, `key` the name under which the value is stored and sent. `type` is str, int, float, bool or dict (JSON).

    `check` returns a sentence when it objects, else None. `choices` limits the value. A `secret` is never shown again.
    """

    name: str
    type: type
    default: Any
    label: str
    help: str = ""
    check: Callable[[Any], str | None] | None = None
    choices: tuple[Any, ...] = ()
    secret: bool = False
    key: str = ""
    required: bool = False
    section: str = ""
    multiline: bool = False

    @property
    def stored_as(self) -> str:
        return self.key or self.name

    def parse(self, text: str) -> Any:
        """The value behind a stored or typed text; raises Invalid with a sentence that names the field."""
        try:
            value = self._convert(text)
        except (ValueError, TypeError) as error:
            raise Invalid({self.name: f"{self.label}: {_complaint(self.type, text, error)}"}) from None
        return self.accept(value)

    def accept(self, value: Any) -> Any:
        """The value if it passes choices and check; raises Invalid."""
        if self.choices and value not in self.choices:
            raise Invalid({self.name: f"{self.label}: choose one of {', '.join(map(str, self.choices))}, not {value!r}."})
        complaint = self.check(value) if self.check else None
        if complaint:
            raise Invalid({self.name: f"{self.label}: {complaint}"})
        return value

    def text(self, value: Any) -> str:
        """The value as it is stored."""
        if self.type is bool:
            return "true" if value else "false"
        if self.type is dict:
            return json.dumps(value, ensure_ascii=False)
        return str(value).removesuffix(".0") if self.type is float else str(value)

    def _convert(self, text: str) -> Any:
        if self.type is bool:
            lowered = text.strip().lower()
            if lowered in TRUE or lowered in FALSE:
                return lowered in TRUE
            raise ValueError(text)
        if self.type is dict:
            value = parsed(text or "{}")
            if not isinstance(value, dict):
                raise ValueError("not an object")
            return value
        if self.type is int:
            return int(text.strip())
        if self.type is float:
            number = float(text.strip())
            if number != number or number in (float("inf"), float("-inf")):
                raise ValueError(text)
            return number
        return text


def _complaint(kind: type, text: str, error: Exception) -> str:
    shown = text if len(text) <= 40 else text[:37] + "..."
    if kind is dict:
        return f"give a JSON object ({error})."
    return f"give {({bool: 'true or false', int: 'a whole number', float: 'a number'}).get(kind, 'a text')}, not {shown!r}."


def from_form(fields: Iterable[Field], form: Mapping[str, str]) -> dict[str, Any]:
    """Values by name from an HTML form. Browsers omit unticked checkboxes, so an absent bool is False."""
    return _collect(fields, lambda f: form.get(f.stored_as, "" if f.type is bool else None))


def from_json(fields: Iterable[Field], data: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name from JSON; an absent key means unchanged and is left out."""
    return _collect(fields, lambda f: data.get(f.stored_as))


def _collect(fields: Iterable[Field], get: Callable[[Field], Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in fields:
        raw = get(field)
        if raw is None:
            continue
        try:
            values[field.name] = field.parse(raw if isinstance(raw, str) else field.text(raw))
        except Invalid as error:
            errors.update(error.errors)
    if errors:
        raise Invalid(errors)
    return values


def at_least(low: float, most: float = MOST) -> Callable[[Any], str | None]:
    """A check for numbers from `low` to `most`, which every database and every product of two settings can hold."""
    return lambda value: f"give {low:g} or more." if not value >= low else f"give {most} or less." if value > most else None


def between(low: float, high: float) -> Callable[[Any], str | None]:
    return lambda value: None if low <= value <= high else f"give a number from {low:g} to {high:g}."


def address(value: str) -> str | None:
    """A check for http and https addresses; empty is allowed."""
    if value and not value.startswith(("http://", "https://")):
        return "give an address that begins with http:// or https://."
    if value and not split_address(value).hostname:
        return "give an address with a host, such as https://example.com."
    return None


def split_address(value: str) -> SplitResult:
    """The parts of an address; all are empty when it cannot be read, as with an open bracket or a port of six digits."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


PRIVATE_NAMES = (".localhost", ".local", ".internal", ".lan", ".intranet", ".home", ".home.arpa", ".svc")


def is_private_host(host: str) -> bool:
    """Return whether a host is written so that it can only lie in a private network; no name is resolved.

    A name of one label, such as that of a service in a compose file, counts as private.
    """
    host = host.strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(PRIVATE_NAMES))
    return not (getattr(address, "ipv4_mapped", None) or address).is_global
