"""Commands for operators: flask db-check, create-user, channels export, backup, ledger verify and the like."""

import functools
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from oneapi import config, db, fanout, migrate
from oneapi.actions import SYSTEM, Actor, accounts, passwords, people, tokens, transfer
from oneapi.db import Databases, Unfit
from oneapi.fields import Invalid
from oneapi.messages import Refused
from oneapi.models import Missing, channel, ledger, user
from oneapi.models.user import Role, Status, User
from oneapi.state import State

ROLES = {"user": Role.USER, "admin": Role.ADMIN, "root": Role.ROOT}


def create_app(settings: config.Config | None = None) -> Flask:
    """An application with nothing but the commands: it serves nobody and changes no database by being loaded."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    settings = settings or config.load()
    app = Flask("oneapi", instance_path=str(Path(settings.instance_path).absolute()))
    app.extensions["oneapi.offline"] = (settings, Databases(settings, app))
    init(app)
    return app


def wanted() -> bool:
    """Whether flask looks for a command just now, and not for an application to serve (`flask run`, `routes`, `shell`)."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name not in ("run", "routes", "shell")


def _opened() -> tuple[config.Config, Databases]:
    if "oneapi" in current_app.extensions:
        state: State = current_app.extensions["oneapi"]
        return state.config, state.databases
    return current_app.extensions["oneapi.offline"]


def _state() -> State:
    """The state of the application; made when only the commands were loaded."""
    if "oneapi" not in current_app.extensions:
        settings, databases = _opened()
        migrate.require(databases)
        state = State(settings, databases)
        state.refresh(force=True)
        state.publish = lambda: fanout.tell(settings)
        current_app.extensions["oneapi"] = state
    return current_app.extensions["oneapi"]


def _plainly(function: Callable[..., None]) -> Callable[..., None]:
    """Tell what went wrong in a sentence and end with 1."""

    @with_appcontext
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except Refused as error:
            raise click.ClickException(error.text()) from None
        except (Invalid, Unfit, Missing, OSError) as error:
            raise click.ClickException(str(error)) from None

    return inner


# Databases


@click.command("db-check")
@_plainly
def db_check() -> None:
    """Say what an upgrade would do to the database, without doing it."""
    lines = migrate.plan(_opened()[1])
    click.echo("\n".join(lines) or "Nothing to do: the database is of this version.")


@click.command("db-upgrade")
@_plainly
def db_upgrade() -> None:
    """Adopt, create or upgrade the database, as the start of a master node does."""
    settings, databases = _opened()
    lines = migrate.plan(databases)
    migrate.upgrade(databases, settings, now=int(datetime.now(UTC).timestamp()))
    click.echo("\n".join(lines) or "Nothing to do: the database is of this version.")


@click.command("log-indexes")
@_plainly
def log_indexes() -> None:
    """Make the indexes that large tables, above all the logs, still lack. It can be stopped and started again."""
    databases = _opened()[1]
    migrate.require(databases)
    for name in migrate.log_indexes(databases):
        click.echo(f"making {name}")
    click.echo("Every index is there.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite the file.")
@_plainly
def backup(file: Path, force: bool) -> None:
    """Copy the SQLite database to FILE while it is in use, and check the copy."""
    databases = _opened()[1]
    logs = file.with_name(f"{file.stem}-logs{file.suffix}")
    copies = {databases.log_url: logs, databases.url: file}  # one and the same when there is no database for logs
    for to in copies.values():
        if to.exists() and not force:
            raise click.ClickException(f"{to} exists; give another name or --force.")
    for at, to in copies.items():
        db.backup(at, to)
        click.echo(f"{to} holds {at.database}")


@click.group("ledger")
def ledger_group() -> None:
    """The books of all balances."""


@ledger_group.command()
@_plainly
def verify() -> None:
    """Compare every balance with its ledger; one line for each that differs, and exit code 1."""
    databases = _opened()[1]
    migrate.require(databases)
    with databases.transaction() as session:
        found = ledger.differences(session)
    for id, has, explained in found:
        click.echo(f"user {id}: the balance is {has}, the ledger explains {explained}: {has - explained:+d}")
    if found:
        click.get_current_context().exit(1)
    click.echo("Every balance is explained.")


# People and tokens


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
@_plainly
def reset_root_password(password: str | None, username: str | None) -> None:
    """Give root a new password and end root's sessions. With --username, that account becomes root."""
    state = _state()
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
@_plainly
def create_user(username: str, password: str | None, email: str, role: str, quota: int | None, **more: str) -> None:
    """Make an account."""
    state = _state()
    row = people.create(state, SYSTEM, {"username": username, "password": password or _ask_password(), **more})
    changed: dict[str, Any] = {"email": email} if email else {}
    changed |= {"role": int(ROLES[role])} if role != "user" else {}
    changed |= {"quota": quota} if quota is not None else {}
    if changed:
        people.update(state, SYSTEM, row.id, changed)
    click.echo(f"user {row.id}: {username}")


@click.command("create-token")
@click.argument("username")
@click.option("--name", default="command line", show_default=True)
@click.option("--quota", type=click.IntRange(min=0), default=0, help="Budget in units of quota.")
@click.option("--unlimited", is_flag=True, help="No budget of its own: the owner's balance is the limit.")
@click.option("--days", type=click.IntRange(min=1), help="Days until it expires; left out, never.")
@click.option("--models", default="", help="Comma list of the only models it may use.")
@click.option("--subnet", default="", help="Comma list of the only networks it may be used from.")
@_plainly
def create_token(username: str, quota: int, unlimited: bool, days: int | None, **more: str) -> None:
    """Make a token for an account and print its key, which is shown only now."""
    state = _state()
    row = _named(state, username)
    expires = int((datetime.now(UTC) + timedelta(days=days)).timestamp()) if days else -1
    values = {**more, "remain_quota": quota, "unlimited_quota": unlimited, "expired_time": expires}
    made = tokens.create(state, Actor(row.id, row.username or "", row.role), values, by=SYSTEM)
    click.echo(f"sk-{made.key}")


# Channels


@click.group("channels")
def channels_group() -> None:
    """Take channels from one installation to another."""


def _is_yaml(file: Path) -> bool:
    if file.suffix not in (".json", ".yaml", ".yml"):
        raise click.ClickException("Name a file that ends in .json, .yaml or .yml.")
    return file.suffix != ".json"


@channels_group.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-keys", is_flag=True, help="Write the vendors' keys too; keep such a file to yourself.")
@_plainly
def export(file: Path, with_keys: bool) -> None:
    """Write every channel to FILE, as JSON or YAML by its ending."""
    import yaml  # here and in `_read`: no server needs it

    as_yaml = _is_yaml(file)
    found = transfer.exported(_state(), with_keys=with_keys)
    text = (
        yaml.safe_dump(found, allow_unicode=True, sort_keys=False) if as_yaml else json.dumps(found, ensure_ascii=False, indent=2)
    )
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text.rstrip("\n") + "\n")
    click.echo(f"{len(found)} channels in {file}" + ("" if with_keys else ", without their keys"))


@channels_group.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--replace", is_flag=True, help="Change a channel of the same name and type; its key stays if none is given.")
@_plainly
def import_(file: Path, replace: bool) -> None:
    """Add the channels of FILE. Those that do not pass the checks are named, and the exit code is 1."""
    found, state, failed = _read(file), _state(), 0
    for values in found:
        try:
            transfer.take_in(state, values, replace=replace)
        except (Refused, Invalid, TypeError, ValueError) as error:
            failed += 1
            click.echo(f"{values.get('name')}: {error.text() if isinstance(error, Refused) else error}", err=True)
    click.echo(f"{len(found) - failed} of {len(found)} channels")
    if failed:
        click.get_current_context().exit(1)


def _read(file: Path) -> list[dict[str, Any]]:
    import yaml

    text = file.read_text("utf-8")
    try:
        found = yaml.safe_load(text) if _is_yaml(file) else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from None
    if not isinstance(found, list) or not all(isinstance(values, dict) for values in found):
        raise click.ClickException(f"{file} must hold a list of channels.")
    return found


@channels_group.command()
@_plainly
def unseal() -> None:
    """Write the keys back in clear, before ENCRYPTION_KEY is given up."""
    with _state().databases.transaction() as session:
        opened, closed = channel.unseal_all(session)
    click.echo(f"{opened} keys are stored in clear now.")
    if closed:
        raise click.ClickException(f"{closed} keys were sealed with another ENCRYPTION_KEY and stay as they are.")


# The rest


@click.command()
@click.argument("name")
@_plainly
def job(name: str) -> None:
    """Run one of the periodic jobs now."""
    from oneapi import create_app as whole  # above us in the list of imports
    from oneapi import jobs

    if name not in jobs.BY_NAME:
        raise click.ClickException(f"There is no job {name!r}; there are {', '.join(sorted(jobs.BY_NAME))}.")
    app = current_app if "oneapi.relay" in current_app.extensions else whole(_opened()[0])
    outcome = jobs.run(app.extensions["oneapi"], name)
    click.echo(f"{name}: {outcome}")
    if outcome != "done":
        click.get_current_context().exit(1)


@click.command()
@_plainly
def node() -> None:
    """Say which version, databases and Redis this node uses, and which processes are alive."""
    settings, databases = _opened()
    ready = migrate.ready(databases)
    click.echo(f"version {config.VERSION}, {settings.node_type}")
    for label, at in (("database", databases.url), ("logs", databases.log_url)):
        click.echo(f"{label} {at.render_as_string(hide_password=True)}")
    click.echo("the database is of this version" if ready else "the database is not ready: see `flask db-check`")
    click.echo(f"redis {fanout.health(settings)}")
    if not ready:
        return
    with databases.transaction() as session:
        for worker in ledger.workers(session):
            seen = datetime.fromtimestamp(worker.alive_at, UTC).isoformat(timespec="seconds")
            click.echo(f"process {worker.pid} on {worker.host}, version {worker.version}, last seen {seen}")


COMMANDS: tuple[click.Command, ...] = (
    db_check, db_upgrade, log_indexes, backup, ledger_group, reset_root_password, create_user, create_token, channels_group, job,
    node,
)  # fmt: skip


def init(app: Flask) -> None:
    """Add the commands, and flask-migrate's `flask db` for those who write revisions, to an application."""
    if os.environ.get("FLASK_RUN_FROM_CLI"):  # a server needs neither it nor the 8 MB of Alembic
        from flask_migrate import Migrate

        Migrate(app, db.db, directory=str(migrate.FOLDER))
    for command in COMMANDS:
        app.cli.add_command(command)
