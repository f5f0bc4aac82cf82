"""Commands for databases: db-check, db-upgrade, db-convert-charset, log-indexes, backup, ledger verify."""

from datetime import UTC, datetime
from pathlib import Path

import click

from oneapi import db, migrate
from oneapi.cli.opening import opened, plainly
from oneapi.models import ledger
from oneapi.relay import journal


@click.command("db-check")
@plainly
def db_check() -> None:
    """Say what an upgrade would do to the database, without doing it, and which e-mail addresses several accounts have."""
    databases = opened()[1]
    lines = migrate.plan(databases)
    click.echo("\n".join(lines) or "Nothing to do: the database is of this version.")
    for line in (*migrate.charset_lines(databases), *migrate.shared_emails(databases)):
        click.echo(line)


@click.command("db-upgrade")
@plainly
def db_upgrade() -> None:
    """Adopt, create or upgrade the database, as the start of a master node does."""
    settings, databases = opened()
    lines = migrate.plan(databases)
    migrate.upgrade(databases, settings, now=int(datetime.now(UTC).timestamp()))
    click.echo("\n".join(lines) or "Nothing to do: the database is of this version.")


@click.command("db-convert-charset")
@plainly
def db_convert_charset() -> None:
    """Make the tables of a MySQL database utf8mb4, one after the other. It can be stopped and started again."""
    for line in migrate.convert_charsets(opened()[1]):
        click.echo(line)
    click.echo("Every table is utf8mb4. Restart the servers that run.")


@click.command("log-indexes")
@plainly
def log_indexes() -> None:
    """Make the indexes that large tables, above all the logs, still lack. It can be stopped and started again."""
    databases = opened()[1]
    migrate.require(databases)
    for name in migrate.log_indexes(databases):
        click.echo(f"making {name}")
    click.echo("Every index is there.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite the file.")
@plainly
def backup(file: Path, force: bool) -> None:
    """Copy the SQLite database to FILE while it is in use, and check the copy."""
    databases = opened()[1]
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
@plainly
def verify() -> None:
    """Compare every balance with its ledger; one line for each that differs, and exit code 1."""
    settings, databases = opened()
    migrate.require(databases)
    with databases.transaction() as session:
        found = ledger.differences(session)
    for path, count in journal.rejected(settings.instance_path):
        click.echo(f"{path}: {count} lines of the journal could not be stored. Charge them by hand, then delete the file.")
    for id, has, explained in found:
        click.echo(f"user {id}: the balance is {has}, the ledger explains {explained}: {has - explained:+d}")
    if found:
        click.get_current_context().exit(1)
    click.echo("Every balance is explained.")
