"""Texts that are encrypted at rest when ENCRYPTION_KEY is set. Code reads and writes them in clear; only the column is sealed."""

import base64
import hashlib
import logging
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

log = logging.getLogger(__name__)

PREFIX = "enc:"

_box: Any = None  # a MultiFernet; cryptography is 3 MB, and imported where somebody has a key
_first: Any = None  # a Fernet: of several, the one that seals


class Unreadable(str):
    """What stands in for a text that the present ENCRYPTION_KEY does not open; it is empty."""


def use(encryption_key: str) -> None:
    """The key of this process. A comma list seals with the first and opens with any, so that a key can be changed."""
    global _box, _first
    keys = [k.strip() for k in encryption_key.split(",") if k.strip()]
    _box = _first = None
    if keys:
        from cryptography.fernet import MultiFernet

        _box, _first = MultiFernet([_fernet(k) for k in keys]), _fernet(keys[0])
    open_.cache_clear()


@lru_cache(maxsize=8)
def _fernet(passphrase: str) -> Any:
    from cryptography.fernet import Fernet

    # A passphrase may be weak, so guessing it from a stolen database must cost time; once per process it costs us 50 ms.
    return Fernet(
        base64.urlsafe_b64encode(hashlib.scrypt(passphrase.encode(), salt=b"one-api channel keys", n=2**14, r=8, p=1, dklen=32))
    )


def seal(clear: str) -> str:
    return f"{PREFIX}{_box.encrypt(clear.encode()).decode()}" if _box and clear else clear


@lru_cache(maxsize=20_000)
def open_(stored: str) -> str:
    """The clear text, or Unreadable; a text without the prefix was never sealed."""
    if not stored.startswith(PREFIX):
        return stored
    if _box is None:
        return Unreadable()
    from cryptography.fernet import InvalidToken

    try:
        return str(_box.decrypt(stored.removeprefix(PREFIX)).decode())
    except InvalidToken:
        return Unreadable()


def stale(stored: str) -> bool:
    """Whether sealing it again would protect it better: it is in clear, or sealed with a former key that still opens it."""
    if _first is None or not stored:
        return False
    if not stored.startswith(PREFIX):
        return True
    from cryptography.fernet import InvalidToken

    try:
        _first.decrypt(stored.removeprefix(PREFIX))
    except InvalidToken:
        return not isinstance(open_(stored), Unreadable)
    return False


class Sealed(TypeDecorator[str]):
    """A long text column whose values are sealed on the way in and opened on the way out."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(mysql.LONGTEXT() if dialect.name in ("mysql", "mariadb") else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else seal(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else open_(value)
