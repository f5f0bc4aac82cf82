"""E-mail addresses: their one spelling, domains of other letters, and senders with a name. Pure."""

import re
from email.utils import parseaddr
from unicodedata import normalize

LOCAL = re.compile(r"[^@\s\x00-\x20\x7f<>()\[\]\\,;:\"]{1,64}")
DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Za-z.:]+\]")


def sender(text: str) -> tuple[str, str] | None:
    """Return name and address of a sender such as `One API <noreply@example.com>`; None when it is not one.

    The name is "" for an address alone. The domain comes back in ASCII.
    """
    text = text.strip()
    if not text.isprintable():
        return None
    name, address = parseaddr(text) if text.endswith(">") else ("", text)
    local, at, domain = address.strip().rpartition("@")
    domain = ascii_domain(domain)
    if not at or ".." in address or not LOCAL.fullmatch(local) or not DOMAIN.fullmatch(domain):
        return None
    return name, f"{local}@{domain}"


def in_ascii(address: str) -> str:
    """Return an e-mail address with its domain in ASCII, as mail servers take it."""
    local, at, domain = address.strip().rpartition("@")
    return f"{local}{at}{ascii_domain(domain)}"


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
