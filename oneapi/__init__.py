"""One API: a self-hosted gateway in front of every LLM vendor. This file is its table of contents."""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from oneapi import access, api, cli, config, lifecycle, migrate, operations, pages, state
from oneapi.db import Databases
from oneapi.relay import entry

__version__ = config.VERSION


def create_app(settings: config.Config | None = None, *, clock: Callable[[], float] = time.time) -> Flask:
    """The whole application: database opened and migrated, state loaded, relay mounted ahead of Flask's routing."""
    settings = settings or config.load()
    app = Flask(__name__, instance_path=str(Path(settings.instance_path).absolute()))
    app.secret_key = config.session_secret(settings)
    databases = Databases(settings, app)
    if settings.node_type == "master":
        migrate.upgrade(databases, settings, now=int(clock()))
    else:
        migrate.require(databases)
    app.extensions["oneapi"] = gateway = state.State(settings, databases, clock)
    gateway.refresh(force=True)
    access.init(app)
    api.init(app)
    pages.init(app)
    cli.init(app)
    operations.mount(app, entry.mount(app, gateway))
    return app


def start(app: Flask) -> None:
    """What runs beside the requests of a process: changes from other processes, jobs, the end. Called once, after a fork."""
    gateway = app.extensions["oneapi"]
    ledger = app.extensions["oneapi.relay"].ledger
    ledger.start()  # takes up what a dead process left
    lifecycle.at_exit(ledger.stop)
    for part in (importlib.import_module(f"oneapi.{n}") for n in ("fanout", "jobs") if importlib.util.find_spec(f"oneapi.{n}")):
        part.start(gateway)
        lifecycle.at_exit(part.stop)
