"""E-mail addresses in one spelling: how they are written, and the column by which they are found."""

from typing import Any
from unicodedata import normalize

from sqlalchemy import Computed
from sqlalchemy.ext.compiler import compiles


class Folded(Computed):
    """A generated column: virtual, except on PostgreSQL, whose versions before 18 have stored ones only."""

    inherit_cache = True


@compiles(Folded)  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
def _virtual(column: Folded, compiler: Any, **_: Any) -> str:
    return f"GENERATED ALWAYS AS ({column.sqltext}) VIRTUAL"


@compiles(Folded, "postgresql")  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
def _stored(column: Folded, compiler: Any, **_: Any) -> str:
    return f"GENERATED ALWAYS AS ({column.sqltext}) STORED"


def normal(address: str) -> str:
    """Return the one spelling of an e-mail address: trimmed, in lower case, its domain in ASCII (IDNA)."""
    local, at, domain = normalize("NFC", address).strip().lower().rpartition("@")
    return f"{local}{at}{ascii_domain(domain)}"


def ascii_domain(domain: str) -> str:
    """Return a domain in the ASCII form of RFC 5891; one that has none comes back as it is."""
    if domain.isascii():
        return domain
    import idna  # here, because its tables are of use for such domains only

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain


def spellings(address: str) -> list[str]:
    """Return the spellings by which rows with this address can be found: its domain in ASCII and in letters."""
    local, at, domain = normal(address).rpartition("@")
    return [f"{local}{at}{domain}", *([f"{local}{at}{letters}"] if (letters := _letters(domain)) != domain else [])]


def _letters(domain: str) -> str:
    if "xn--" not in domain:
        return domain
    import idna

    try:
        return idna.decode(domain)
    except idna.IDNAError:
        return domain
