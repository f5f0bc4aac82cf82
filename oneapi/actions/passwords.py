"""Passwords: their rules, and bcrypt off the event loop, where a hash takes fifty milliseconds."""

import secrets
from typing import Any

import bcrypt
import gevent

from oneapi.messages import Refused

SHORTEST, LONGEST = 8, 20
COST = 10
KEPT = "$I_LOVE_U"  # meant "unchanged" in the old project, so nobody may have it
_NOBODY = b"$2b$10$CwTycUXWue0Thq9StjUM0uJ8Dr8sQ0C5L7RsyXD1t4KXPxIsuH/1W"


def check(password: str) -> None:
    """Raise Refused for a password that nobody may choose."""
    if not SHORTEST <= len(password) <= LONGEST or len(password.encode()) > 72 or password == KEPT:
        raise Refused("password_length", field="password", shortest=SHORTEST, longest=LONGEST)


def hashed(password: str) -> str:
    return _aside(bcrypt.hashpw, password.encode(), bcrypt.gensalt(COST)).decode()


def matches(password: str, stored: str | None) -> bool:
    """Whether it is the password; takes as long when there is nobody to compare with."""
    given = password.encode()[:72]
    try:
        return bool(_aside(bcrypt.checkpw, given, (stored or "").encode() or _NOBODY)) and bool(stored)
    except ValueError:
        return False  # what is stored is no bcrypt hash


def generated() -> str:
    """Twelve hex digits, as a reset has always given them."""
    return secrets.token_hex(6)


def _aside(function: Any, *arguments: Any) -> Any:
    return gevent.get_hub().threadpool.apply(function, arguments)
