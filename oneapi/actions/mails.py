"""Codes that prove an e-mail address: sent by mail, kept as digests, used once, worth nothing after a few wrong guesses."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from oneapi import notify
from oneapi.actions import Actor, act, passwords, record
from oneapi.db import Session
from oneapi.mailbox import ascii_domain, normal
from oneapi.messages import Refused
from oneapi.models import account, code, user
from oneapi.models.channel import split
from oneapi.models.user import User
from oneapi.notify import MailError
from oneapi.state import State

MINUTES = 10
ADDRESS = re.compile(r"[^@\s\x00-\x20<>()\[\]\\,;:\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.[A-Za-z0-9-]{2,}")
LONGEST = 50  # characters as typed
LONGEST_STORED = 191  # as wide as the column; a domain of other letters is longer in ASCII


def email_of(text: str) -> str:
    """Return the address in its one spelling; raises Refused when it is none."""
    email = normal(text)
    if len(text.strip()) > LONGEST or len(email) > LONGEST_STORED or not ADDRESS.fullmatch(email) or ".." in email:
        raise Refused("invalid_parameter", field="email")
    return email


@contextmanager
def counting(state: State, purpose: str, subject: str) -> Iterator[None]:
    """Count a guess before it is compared: many at once must not all be compared before the first one counts."""
    with act(state) as session:
        counted = code.attempt(session, purpose, subject)
    if not counted:
        raise wrong(purpose)
    try:
        yield
    except Refused as refusal:
        if refusal.code not in ("bad_code", "bad_reset"):
            with act(state) as session:
                code.forgive(session, purpose, subject)
        raise


def wrong(purpose: str) -> Refused:
    """The refusal of a code that is wrong, expired, used or guessed at too often."""
    return Refused("bad_reset" if purpose == "reset" else "bad_code", field="verification_code")


def take(session: Session, state: State, purpose: str, email: str, secret: str) -> str:
    """Use a code up in the caller's transaction and return its data; raises Refused."""
    data = code.take(session, purpose, email, secret.strip(), now=int(state.clock()))
    if data is None:
        raise wrong(purpose)
    return data


def _allowed_domains(text: str) -> set[str]:
    return {ascii_domain(domain.lower()) for domain in split(text)}


def send_code(state: State, actor: Actor, email: str) -> None:
    """Mail a code that proves this address; raises Refused, also when the mail server does.

    Whether an account has the address stays between the server and its owner, who is told in a mail.
    """
    email = email_of(email)
    now = state.settings
    domain = email.rpartition("@")[2]
    if now.email_domain_restriction_enabled and domain not in _allowed_domains(now.email_domain_whitelist):
        raise Refused("email_domain", field="email")
    secret = secrets.token_hex(3)
    with act(state) as session:
        taken = account.email_taken(session, email)
        if not taken:
            code.issue(session, "email", email, secret, expires_at=int(state.clock()) + MINUTES * 60)
    try:
        if taken:
            notify.mail(state, email, "email_known", actor.language, link=notify.link(state, "/reset"))
        else:
            notify.mail(state, email, "verification", actor.language, code=secret, minutes=MINUTES)
    except MailError as error:
        raise Refused("mail_failed", error=error) from error


def send_reset(state: State, actor: Actor, email: str) -> None:
    """Mail a link that leads to a new password. Whether anybody has this address is not told."""
    email = email_of(email)
    if not state.settings.smtp_server:
        raise Refused("mail_failed", error=MailError("no mail server is set up"))
    secret = secrets.token_hex(16)
    with act(state) as session:
        row = account.by_email(session, email)
        if row is None:
            return
        code.issue(session, "reset", email, secret, expires_at=int(state.clock()) + MINUTES * 60, data=str(row.id))
    link = notify.link(state, "/user/reset", email=email, token=secret)
    notify.mail_soon(state, email, "reset", actor.language, link=link, minutes=MINUTES)


def reset(state: State, actor: Actor, email: str, secret: str, password: str = "") -> str:
    """Give the account of a reset link a new password, the given or a made one, and return it. The link works once."""
    if not email or not secret:
        raise Refused("invalid_parameter", field="email")
    email = email_of(email)
    if password:
        passwords.check(password)
    chosen = password or passwords.generated()
    hashed = passwords.hashed(chosen)
    with counting(state, "reset", email), act(state, "users") as session:
        row = user.get(session, int(take(session, state, "reset", email, secret)))
        if row is None or normal(row.email or "") != email:
            raise Refused("bad_reset")
        _set_password(session, row, hashed)
        record(session, state, actor, "user.reset_password", row.id)
    return chosen


def _set_password(session: Session, row: User, hashed: str) -> None:
    """Set a password: a mail that arrived proves the address, and every session and the access token end."""
    proven = {"email": normal(row.email or ""), "email_verified": True}
    account.end_sessions(session, row, password=hashed, must_change_password=False, access_token_hash=None, **proven)


def bind_email(state: State, actor: Actor, email: str, secret: str) -> None:
    """Make a proven address the actor's own and tell the old address; raises Refused. The caller checks the password."""
    email = email_of(email)
    with counting(state, "email", email), act(state, "users") as session:
        take(session, state, "email", email, secret)
        if account.email_taken(session, email, but=actor.id):
            raise Refused("email_taken", field="email")
        row = user.get(session, actor.id)
        if row is None:
            raise Refused("user_missing")
        before, name = row.email or "", row.username or ""
        account.bind(session, actor.id, email=email, email_verified=True)
        record(session, state, actor, "user.bind_email", actor.id, before={"email": before}, after={"email": email})
    if before and normal(before) != email:
        notify.mail_soon(state, before, "email_changed", actor.language, name=name, email=email)
