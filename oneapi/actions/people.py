"""Accounts as administrators manage them: nobody acts on their own level or above, and every act is written down."""

from collections.abc import Mapping
from typing import Any

from oneapi.actions import SYSTEM, Actor, accounts, act, amount, passwords, record, topups, write_log
from oneapi.db import Session
from oneapi.mailbox import normal
from oneapi.messages import Refused
from oneapi.models import account, ledger, log, user
from oneapi.models.user import Role, Status, User
from oneapi.state import State

LONGEST_GROUP = 32  # characters
WRITABLE = ("username", "password", "display_name", "email", "role", "status", "group")


def readable(state: State, actor: Actor, id: int) -> User:
    """An account that the actor may read; raises Refused."""
    if not id:
        raise Refused("id_missing")
    with state.databases.transaction() as session:
        row = session.get(User, id)
    if row is None:
        raise Refused("not_found")
    if row.role >= actor.role and actor.role != Role.ROOT:
        raise Refused("no_right_to_read")
    return row


def create(
    state: State, actor: Actor, values: Mapping[str, Any], *, email: str = "", role: int = Role.USER, quota: int | None = None
) -> User:
    """Make an account in one transaction; raises Refused. Without a quota it gets what new users get."""
    if not values.get("username") or not values.get("password"):
        raise Refused("invalid_parameter", field="username" if not values.get("username") else "password")
    email = normal(email)
    accounts.check_names({**values, "email": email})
    if max(values.get("role") or Role.USER, role) >= actor.role and actor != SYSTEM:
        raise Refused("no_right_to_create", field="role")
    if quota is not None:
        topups.check_quota(quota)
    username, display = values["username"].strip(), values.get("display_name") or values["username"]
    row = User(username=username, display_name=display, password=passwords.hashed(values["password"]))
    row.role, row.email = role, email or None
    if values.get("group"):
        row.group = _group(state, values["group"])
    with act(state, "users", "tokens") as session:
        if email and account.email_taken(session, email):
            raise Refused("email_taken", field="email")
        if not accounts.open_account(session, state, row):
            raise Refused("username_taken", field="username")
        record(session, state, actor, "user.create", row.id, after={"username": username, "role": row.role})
        if quota is not None:
            _set_quota(session, state, actor, row, quota)
    return row


def _group(state: State, name: str) -> str:
    if name not in state.settings.group_ratio or len(name) > LONGEST_GROUP:
        raise Refused("unknown_group", field="group", group=name)
    return name


def update(state: State, actor: Actor, id: int, values: Mapping[str, Any]) -> User:
    """Change an account; raises Refused. `quota` makes the balance exactly that much."""
    row = _found(state, id)
    wanted = {name: values[name] for name in WRITABLE if name in values}
    if wanted.get("email"):
        wanted["email"] = normal(wanted["email"])
    changed = {name: value for name, value in wanted.items() if name == "password" or value != getattr(row, name)}
    _may_change(actor, row, changed)
    accounts.check_names(changed)
    if "group" in changed:
        _group(state, changed["group"])
    if "email" in changed:
        changed |= _email(state, row, changed["email"])
    if changed:
        row = accounts.store(state, actor, id, changed, action="user.update")
    if "quota" in values:
        set_quota(state, actor, id, values["quota"])
    return row


def _email(state: State, row: User, email: str) -> dict[str, Any]:
    """The columns for a new address; another spelling of the same one keeps what was verified. Raises Refused."""
    if normal(row.email or "") == email:
        return {"email": email or None}
    with state.databases.transaction() as session:
        if email and account.email_taken(session, email, but=row.id):
            raise Refused("email_taken", field="email")
    return {"email": email or None, "email_verified": False}


def _found(state: State, id: int) -> User:
    with state.databases.transaction() as session:
        row = user.get(session, id)
    if row is None:
        raise Refused("user_missing")
    return row


def _may_change(actor: Actor, row: User, changed: Mapping[str, Any]) -> None:
    if actor.role != Role.ROOT:
        if row.role >= actor.role:
            raise Refused("no_right_to_change")
        if changed.get("role", 0) >= actor.role:
            raise Refused("no_right_to_raise", field="role")
    if changed.get("role", row.role) not in (Role.USER, Role.ADMIN, Role.ROOT):
        raise Refused("invalid_parameter", field="role")
    if changed.get("status", row.status) not in (Status.ENABLED, Status.DISABLED):
        raise Refused("invalid_parameter", field="status")
    if row.role == Role.ROOT and "role" in changed:
        raise Refused("cannot_demote_root", field="role")
    if row.role == Role.ROOT and "status" in changed:
        raise Refused("cannot_disable_root", field="status")


def set_quota(state: State, actor: Actor, id: int, quota: int) -> None:
    """Make a balance exactly this much, and write down what it was."""
    topups.check_quota(quota)
    with act(state) as session:
        row = user.get(session, id)
        if row is None:
            raise Refused("user_missing")
        _set_quota(session, state, actor, row, quota)


def _set_quota(session: Session, state: State, actor: Actor, row: User, quota: int) -> None:
    if quota == ledger.balance(session, row.id):
        return
    before = ledger.set_balance(session, row.id, quota, now=int(state.clock()), actor=actor.id, note=f"by {actor.name}")
    session.refresh(row)
    text = f"管理员将用户额度从 {amount(state, before)}修改为 {amount(state, quota)}"
    write_log(session, state, log.Kind.MANAGE, text, user_id=row.id, username=row.username or "")
    record(session, state, actor, "user.set_quota", row.id, before={"quota": before}, after={"quota": quota})


def delete(state: State, actor: Actor, id: int) -> None:
    row = _found(state, id)
    if row.role >= actor.role:
        raise Refused("no_right_to_delete")
    accounts.close(state, actor, id)


def manage(state: State, actor: Actor, username: str, action: str) -> User:
    """Do one of ACTIONS to the account with this user name; raises Refused."""
    with state.databases.transaction() as session:
        row = account.by_username(session, username) if username else None
    if row is None or row.username != username:  # collations of MySQL find other spellings
        raise Refused("user_missing")
    if row.role >= actor.role and actor.role != Role.ROOT:
        raise Refused("no_right_to_change")
    if action == "delete":
        if row.role == Role.ROOT:
            raise Refused("cannot_remove_root")
        accounts.close(state, actor, row.id)
        with state.databases.transaction() as session:
            return session.get(User, row.id) or row
    if action not in ACTIONS:
        raise Refused("unknown_action", field="action", action=action)
    return accounts.store(state, actor, row.id, ACTIONS[action](actor, row), action=f"user.{action}")


def _disable(actor: Actor, row: User) -> dict[str, Any]:
    if row.role == Role.ROOT:
        raise Refused("cannot_disable_root")
    return {"status": Status.DISABLED}


def _promote(actor: Actor, row: User) -> dict[str, Any]:
    if actor.role != Role.ROOT:
        raise Refused("only_root_promotes")
    if row.role >= Role.ADMIN:
        raise Refused("already_admin")
    return {"role": Role.ADMIN}


def _demote(actor: Actor, row: User) -> dict[str, Any]:
    if row.role == Role.ROOT:
        raise Refused("cannot_demote_root")
    if row.role == Role.USER:
        raise Refused("already_common")
    return {"role": Role.USER}


ACTIONS = {
    "disable": _disable,
    "enable": lambda actor, row: {"status": Status.ENABLED},
    "promote": _promote,
    "demote": _demote,
}
