"""Commands for what runs: job, node."""

from datetime import UTC, datetime

import click
from flask import current_app

from oneapi import config, fanout, migrate
from oneapi.cli.opening import opened, plainly
from oneapi.models import ledger


@click.command()
@click.argument("name")
@plainly
def job(name: str) -> None:
    """Run one of the periodic jobs now."""
    from oneapi import create_app as whole  # above us in the list of imports
    from oneapi import jobs

    if name not in jobs.BY_NAME:
        raise click.ClickException(f"There is no job {name!r}; there are {', '.join(sorted(jobs.BY_NAME))}.")
    app = current_app if "oneapi.relay" in current_app.extensions else whole(opened()[0])
    outcome = jobs.run(app.extensions["oneapi"], name)
    click.echo(f"{name}: {outcome}")
    if outcome != "done":
        click.get_current_context().exit(1)


@click.command()
@plainly
def node() -> None:
    """Say which version, databases and Redis this node uses, and which processes are alive."""
    settings, databases = opened()
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
