"""The command import: take over the database of one-api, new-api or one-hub."""

from contextlib import nullcontext
from datetime import UTC, datetime

import click

from oneapi import migrate, settings
from oneapi.cli.opening import opened, plainly
from oneapi.models import importing


@click.command("import")
@click.argument("project", type=click.Choice(importing.PROJECTS))
@click.argument("dsn")
@click.option("--apply", is_flag=True, help="Write; without it the command only reports what it would do.")
@click.option("--logs", is_flag=True, help="Copy the logs too, which may be many.")
@plainly
def import_database(project: str, dsn: str, apply: bool, logs: bool) -> None:
    """Copy users, API keys, channels, redemption codes and options of another project. A second run changes nothing.

    DSN is a SQLite file, or an address of MySQL or PostgreSQL as in SQL_DSN. Nothing in that database is changed.
    """
    _, databases = opened()
    migrate.require(databases)
    source = importing.opened(dsn)
    with migrate.explained(source, "import"), databases.transaction() as session:
        own = databases.logs() if logs and databases.separate_logs else nullcontext(session)
        with own as log_session:
            now = int(datetime.now(UTC).timestamp())
            run = importing.Import(session, source, project, now=now, hash_of=migrate.hash_of)
            lines = run.run({field.stored_as for field in settings.FIELDS}, logs=log_session if logs else None)
            if not apply:
                session.rollback()
                log_session.rollback()
    click.echo("\n".join(lines) or "There is nothing to import.")
    click.echo("Imported." if apply else "Nothing was written: this was a trial. Run it again with --apply.")
