"""One's own account: registering, signing in, changing and closing it, and being invited."""

import hashlib
import secrets
import string
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from oneapi import proxies
from oneapi.actions import Actor, act, amount, passwords, record, tokens, write_log
from oneapi.actions.mails import counting, email_of, take
from oneapi.db import Session
from oneapi.mailbox import normal
from oneapi.messages import Refused
from oneapi.models import account, code, ledger, log, token, user
from oneapi.models.account import IDENTITIES
from oneapi.models.user import Role, Status, User
from oneapi.state import State

LONGEST_USERNAME, LONGEST_DISPLAY_NAME, LONGEST_EMAIL = 12, 20, 50
LETTERS = string.ascii_letters + string.digits
GONE_SECONDS = 10 * 365 * 86400  # how long an account's e-mail and identities earn no second gift
MOST_COMPARED = 4  # passwords that are compared when several accounts have an e-mail address
GONE_PLACE_SECONDS = 180 * 86400  # the same for the network it was closed from


def sign_in(state: State, name: str, password: str, *, ip: str) -> User:
    """The account behind a name or e-mail address and a password; raises Refused.

    Root's first password is known to everybody, so it is refused to addresses of the internet: else a new installation would
    belong to whoever signs in first.
    """
    if not state.settings.password_login_enabled:
        raise Refused("login_off")
    with state.databases.transaction() as session:
        found = user.with_login(session, name.strip())
    if len(found) > 1:
        raise _ambiguous(found, password)
    row = found[0] if found else None
    if not passwords.matches(password, row.password if row else None) or row is None or row.status != Status.ENABLED:
        raise Refused("bad_login")
    if password == user.FACTORY_PASSWORD and row.role == Role.ROOT and not proxies.is_private(ip):
        raise Refused("first_password_is_local")
    if password == user.FACTORY_PASSWORD and row.role == Role.ROOT and not row.must_change_password:
        with act(state, "users") as session:
            user.examined(session, row.id, factory=True)
        row.must_change_password = True
    return row


def _ambiguous(found: list[User], password: str) -> Refused:
    """The refusal of an e-mail address that several accounts have. Only who knows the password of one learns that."""
    known = any(passwords.matches(password, row.password) for row in found[:MOST_COMPARED])
    return Refused("email_ambiguous", field="username") if known else Refused("bad_login")


def check_names(values: Mapping[str, Any], *, refusal: str = "invalid_input") -> None:
    """Raise Refused for a user name or display name that is too long, or a bad password."""
    for name, longest in (("username", LONGEST_USERNAME), ("display_name", LONGEST_DISPLAY_NAME), ("email", LONGEST_EMAIL)):
        if len(values.get(name) or "") > longest:
            raise Refused(refusal, field=name)
    if values.get("password"):
        try:
            passwords.check(values["password"])
        except Refused:
            raise Refused(refusal, field="password") from None


def register(state: State, actor: Actor, values: Mapping[str, Any]) -> User:
    """A new account from the registration form; raises Refused."""
    now = state.settings
    if not now.register_enabled:
        raise Refused("register_off")
    if not now.password_register_enabled:
        raise Refused("password_register_off")
    username = (values.get("username") or "").strip()
    if not username or not values.get("password"):
        raise Refused("invalid_input", field="username" if not username else "password")
    check_names(values)
    if not now.email_verification_enabled:
        return _register(state, actor, username, values, "")
    if not values.get("email") or not values.get("verification_code"):
        raise Refused("email_and_code_needed", field="email")
    email = email_of(values["email"])
    with counting(state, "email", email):
        return _register(state, actor, username, values, email)


def _register(state: State, actor: Actor, username: str, values: Mapping[str, Any], email: str) -> User:
    hashed = passwords.hashed(values["password"])
    with act(state, "users", "tokens") as session:
        if email:
            take(session, state, "email", email, values["verification_code"])
            if account.email_taken(session, email):
                raise Refused("email_taken", field="email")
        row = User(username=username, display_name=username, password=hashed, email=email or None, email_verified=bool(email))
        inviter = account.by_aff_code(session, (values.get("aff_code") or "").strip())
        if not open_account(session, state, row, inviter=inviter, ip=actor.ip):
            raise Refused("username_taken", field="username")
    return row


def open_account(session: Session, state: State, row: User, *, inviter: User | None = None, ip: str = "") -> bool:
    """Insert an account with its gifts, its invitation code and its first token; False when the user name is taken."""
    now = int(state.clock())
    row.role, row.status, row.quota, row.created_time = row.role or Role.USER, Status.ENABLED, 0, now
    row.group, row.session_epoch = row.group or "default", 0
    row.inviter_id = inviter.id if inviter else 0
    if not account.add(session, row):
        return False
    while not account.set_aff_code(session, row.id, "".join(secrets.choice(LETTERS) for _ in range(4))):
        pass
    known = marks(row)  # whoever closed an account, or only took this identity off it, gets no gifts for coming back
    if not code.known(session, "gone", known + marks(User(), ip), now=now):
        _give(session, state, row, inviter)
    for mark in known:
        code.issue(session, "gone", mark, mark, expires_at=now + GONE_SECONDS)
    tokens.ensure_default(session, row.id, now)
    session.refresh(row)
    return True


def _give(session: Session, state: State, row: User, inviter: User | None) -> None:
    now = state.settings
    gifts = [(row, now.quota_for_new_user, "新用户注册赠送")]
    if inviter is not None:
        gifts += [(row, now.quota_for_invitee, "使用邀请码赠送"), (inviter, now.quota_for_inviter, "邀请用户赠送")]
    for whom, quota, why in gifts:
        if quota > 0:
            text = f"{why} {amount(state, quota)}"
            with suppress(ledger.TooMuch):  # an inviter who has that much gets no more, and the new user registers all the same
                ledger.move(session, whom.id, quota, kind="gift", now=int(state.clock()), note=text)
                write_log(session, state, log.Kind.SYSTEM, text, user_id=whom.id, username=whom.username or "")


def marks(row: User, ip: str = "") -> list[str]:
    """What a returning person is known by, each as a digest: verified e-mail, identities elsewhere, network."""
    known = {column: getattr(row, column) for column in IDENTITIES}
    known["email"] = normal(row.email) if row.email and row.email_verified else None
    known["place"] = proxies.neighbourhood(ip)
    return [hashlib.sha256(f"{name}:{value}".encode()).hexdigest() for name, value in known.items() if value]


def update_self(state: State, actor: Actor, values: Mapping[str, Any]) -> User:
    """Change one's own user name, display name or password; empty ones stay. A new password ends all other sessions.

    A new password needs the current one as `current_password`, unless the account has none or must choose its first one.
    """
    wanted = {name: values[name] for name in ("username", "display_name", "password") if values.get(name)}
    with state.databases.transaction() as session:
        row = session.get(User, actor.id)
    if row is None:
        raise Refused("user_missing")
    changed = {name: value for name, value in wanted.items() if name == "password" or value != getattr(row, name)}
    check_names(changed, refusal="invalid_input_because")
    if "password" in changed and row.password and not row.must_change_password:
        confirm(state, actor, values.get("current_password") or "")
    if "password" in changed and row.must_change_password and passwords.matches(changed["password"], row.password):
        raise Refused("password_unchanged", field="password")
    return store(state, actor, actor.id, changed, action="user.update_self")


def confirm(state: State, actor: Actor, password: str) -> None:
    """Raise Refused unless this is the actor's password, or the account has none, as after a sign-in through a provider."""
    with state.databases.transaction() as session:
        row = user.get(session, actor.id)
    if row is None or (row.password and not passwords.matches(password, row.password)):
        raise Refused("wrong_password", field="current_password")


def store(state: State, actor: Actor, id: int, changed: Mapping[str, Any], *, action: str) -> User:
    """Write checked columns of an account; user names stay unique.

    A new password, role or status ends every session. A new password and disabling end the access token too, except that the
    first password replaces one that everybody knows: an access token of that time comes from INITIAL_ROOT_ACCESS_TOKEN.
    """
    columns = dict(changed)
    if "password" in columns:
        columns |= {"password": passwords.hashed(columns["password"]), "must_change_password": False}
    with act(state, "users") as session:
        row = user.get(session, id)
        if row is None:
            raise Refused("user_missing")
        before = {name: getattr(row, name) for name in changed}
        username = columns.pop("username", None)
        if username and not account.rename(session, row, username):
            raise Refused("username_taken", field="username")
        if {"password", "role", "status"} & {name for name in columns if columns[name] != before.get(name)}:
            columns |= {"session_epoch": (row.session_epoch or 0) + 1, "ended_sessions": None}
        if columns.get("status", Status.ENABLED) != Status.ENABLED or ("password" in columns and not row.must_change_password):
            columns["access_token_hash"] = None
        if columns:
            account.bind(session, id, **columns)
        session.refresh(row)
        record(session, state, actor, action, id, before=before, after={name: getattr(row, name) for name in changed})
    return row


def close(state: State, actor: Actor, id: int, *, action: str = "user.delete") -> None:
    """Close an account: e-mail and identities are free again, keys stop working, the books stay."""
    now = int(state.clock())
    with act(state, "users", "tokens") as session:
        row = user.get(session, id)
        if row is None:
            raise Refused("user_missing")
        if row.role == Role.ROOT:
            raise Refused("cannot_delete_root")
        known, before = marks(row), {"username": row.username, "status": row.status}
        if not account.close(session, row):
            raise Refused("user_missing")
        for mark in known:
            code.issue(session, "gone", mark, mark, expires_at=now + GONE_SECONDS)
        for mark in marks(User(), actor.ip) if actor.id == id else ():
            code.issue(session, "gone", mark, mark, expires_at=now + GONE_PLACE_SECONDS)
        token.remove_all(session, id)
        record(session, state, actor, action, id, before=before)


def close_self(state: State, actor: Actor) -> None:
    if actor.role != Role.ROOT and not state.settings.self_deletion_enabled:
        raise Refused("self_deletion_off")
    close(state, actor, actor.id, action="user.delete_self")


def end_session(state: State, id: int, session_id: str, *, seconds: int) -> None:
    """End one session of an account; `seconds` is how long its cookies stay valid."""
    now = int(state.clock())
    with act(state) as session:
        account.end_session(session, id, session_id, now=now, expires_at=now + seconds)


def end_sessions(state: State, actor: Actor) -> None:
    """End every session of the actor's account; its access token keeps working."""
    with act(state) as session:
        row = user.get(session, actor.id)
        if row is None:
            raise Refused("user_missing")
        account.end_sessions(session, row)
        record(session, state, actor, "user.end_sessions", actor.id)


def new_access_token(state: State, actor: Actor) -> str:
    """A new access token in place of the old one; only its digest is kept, so this is the only time it is seen."""
    token = secrets.token_hex(16)
    with act(state) as session:
        account.bind(session, actor.id, access_token_hash=code.digest(token))
        record(session, state, actor, "user.access_token", actor.id)
    return token


def aff_code(state: State, actor: Actor) -> str:
    """One's own invitation code, made at the first asking."""
    with act(state) as session:
        while True:
            row = user.get(session, actor.id)
            if row is None:
                raise Refused("user_missing")
            if row.aff_code:
                return row.aff_code
            account.set_aff_code(session, row.id, "".join(secrets.choice(LETTERS) for _ in range(4)))
            session.refresh(row)
