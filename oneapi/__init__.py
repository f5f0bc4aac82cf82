"""One API: a self-hosted gateway in front of every LLM vendor. This file is its table of contents."""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from oneapi import access, api, cli, config, lifecycle, migrate, operations, pages, state
from oneapi.db import Databases
from oneapi.relay import entry, journal

__version__ = config.VERSION


def create_app(settings: config.Config | None = None, *, clock: Callable[[], float] = time.time) -> Flask:
    """The whole application: database opened and migrated, state loaded, relay mounted ahead of Flask's routing."""
    settings = settings or config.load()
    app, databases = _opened(settings, int(clock()))
    app.extensions["oneapi"] = gateway = state.State(settings, databases, clock)
    gateway.refresh(force=True)
    access.init(app)
    api.init(app)
    pages.init(app)
    cli.init(app)
    operations.mount(app, entry.mount(app, gateway))
    return app


def prepare(settings: config.Config) -> None:
    """Meet what can stop a start, before there are workers; raises Invalid or Unfit. gunicorn's master calls it."""
    _, databases = _opened(settings, int(time.time()))
    databases.dispose()


def _opened(settings: config.Config, now: int) -> tuple[Flask, Databases]:
    """An application without anything in it, and its databases, brought up to date."""
    app = Flask(__name__, instance_path=str(Path(settings.instance_path).absolute()))
    app.secret_key = config.session_secret(settings)
    databases = Databases(settings, app)
    journal.check(settings.instance_path)
    if settings.node_type == "master":
        migrate.upgrade(databases, settings, now=now)
    else:
        migrate.require(databases)
    migrate.meet_charsets(databases)
    return app, databases


def start(app: Flask) -> None:
    """What runs beside the requests of a process: changes from other processes, jobs, the end. Called once, after a fork."""
    gateway = app.extensions["oneapi"]
    ledger = app.extensions["oneapi.relay"].ledger
    ledger.start()  # takes up what a dead process left
    for part in (importlib.import_module(f"oneapi.{n}") for n in ("fanout", "jobs") if importlib.util.find_spec(f"oneapi.{n}")):
        part.start(gateway)
        lifecycle.at_exit(part.stop)
    lifecycle.at_exit(ledger.stop)  # the last registered is called first: charges come before everything else
