"""Commands for operators: flask db-check, create-user, channels export, backup, ledger verify and the like."""

import logging
import os
from pathlib import Path

import click
from flask import Flask

from oneapi import config, db, migrate
from oneapi.cli.archive import archive
from oneapi.cli.channels import channels_group
from oneapi.cli.databases import backup, db_check, db_convert_charset, db_upgrade, ledger_group, log_indexes
from oneapi.cli.importing import import_database
from oneapi.cli.options import set_option
from oneapi.cli.people import create_token, create_user, reset_root_password
from oneapi.cli.prices import price_book
from oneapi.cli.running import job, node
from oneapi.db import Databases


def create_app(settings: config.Config | None = None) -> Flask:
    """An application with nothing but the commands: it serves nobody and changes no database by being loaded."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    settings = settings or config.load()
    settings.sql_timeout = settings.sql_urgent_timeout = 0  # a command takes as long as it needs
    app = Flask("oneapi", instance_path=str(Path(settings.instance_path).absolute()))
    app.extensions["oneapi.offline"] = (settings, Databases(settings, app))
    init(app)
    return app


def wanted() -> bool:
    """Whether flask looks for a command just now, and not for an application to serve (`flask run`, `routes`, `shell`)."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name not in ("run", "routes", "shell")


ledger_group.add_command(archive)

COMMANDS: tuple[click.Command, ...] = (
    db_check, db_upgrade, db_convert_charset,
    log_indexes, backup, ledger_group, reset_root_password, create_user, create_token, channels_group, job,
    node, set_option, price_book, import_database,
)  # fmt: skip


def init(app: Flask) -> None:
    """Add the commands, and flask-migrate's `flask db` for those who write revisions, to an application."""
    if os.environ.get("FLASK_RUN_FROM_CLI"):  # a server needs neither it nor the 8 MB of Alembic
        from flask_migrate import Migrate

        Migrate(app, db.db, directory=str(migrate.FOLDER))
    for command in COMMANDS:
        app.cli.add_command(command)
