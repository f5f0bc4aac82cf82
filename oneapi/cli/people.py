"""Commands for people and their tokens: reset-root-password, create-user, create-token."""

from datetime import UTC, datetime, timedelta

import click

from oneapi.actions import SYSTEM, Actor, accounts, passwords, people, tokens
from oneapi.cli.opening import plainly, ready_state
from oneapi.models import Missing, user
from oneapi.models.user import Role, Status, User
from oneapi.state import State

ROLES = {"user": Role.USER, "admin": Role.ADMIN, "root": Role.ROOT}


def _ask_password() -> str:
    return click.prompt("New password", hide_input=True, confirmation_prompt=True)


def _named(state: State, username: str) -> User:
    with state.databases.transaction() as session:
        row = user.by_login(session, username)
    if row is None:
        raise Missing("user", username)
    return row


def _root(state: State) -> User:
    with state.databases.transaction() as session:
        row = user.first_root(session)
    if row is None:
        raise click.ClickException("Nobody is root; name the account that is to be root with --username.")
    return row


@click.command("reset-root-password")
@click.option("--password", help="The new password; asked for when left out.")
@click.option("--username", help="Who is to be root; left out, whoever is.")
@plainly
def reset_root_password(password: str | None, username: str | None) -> None:
    """Give root a new password and end root's sessions. With --username, that account becomes root."""
    state = ready_state()
    row = _named(state, username) if username else _root(state)
    password = password or _ask_password()
    passwords.check(password)
    changed = {"password": password, "role": int(Role.ROOT), "status": int(Status.ENABLED)}
    accounts.store(state, SYSTEM, row.id, changed, action="user.reset_root_password")
    click.echo(f"{row.username} is root and has the new password.")


@click.command("create-user")
@click.argument("username")
@click.option("--password", help="Asked for when left out.")
@click.option("--display-name", default="")
@click.option("--email", default="")
@click.option("--group", default="default", show_default=True)
@click.option("--role", type=click.Choice(list(ROLES)), default="user", show_default=True)
@click.option("--quota", type=click.IntRange(min=0), help="Balance in units of quota; left out, what new users get.")
@plainly
def create_user(username: str, password: str | None, email: str, role: str, quota: int | None, **more: str) -> None:
    """Make an account."""
    state = ready_state()
    values = {"username": username, "password": password or _ask_password(), **more}
    row = people.create(state, SYSTEM, values, email=email, role=int(ROLES[role]), quota=quota)
    click.echo(f"user {row.id}: {username}")


@click.command("create-token")
@click.argument("username")
@click.option("--name", default="command line", show_default=True)
@click.option("--quota", type=click.IntRange(min=0), default=0, help="Budget in units of quota.")
@click.option("--unlimited", is_flag=True, help="No budget of its own: the owner's balance is the limit.")
@click.option("--days", type=click.IntRange(min=1), help="Days until it expires; left out, never.")
@click.option("--models", default="", help="Comma list of the only models it may use.")
@click.option("--subnet", default="", help="Comma list of the only networks it may be used from.")
@plainly
def create_token(username: str, quota: int, unlimited: bool, days: int | None, **more: str) -> None:
    """Make a token for an account and print its key, which is shown only now."""
    state = ready_state()
    row = _named(state, username)
    expires = int((datetime.now(UTC) + timedelta(days=days)).timestamp()) if days else -1
    values = {**more, "remain_quota": quota, "unlimited_quota": unlimited, "expired_time": expires}
    made = tokens.create(state, Actor(row.id, row.username or "", row.role), values, by=SYSTEM)
    click.echo(f"sk-{made.key}")
