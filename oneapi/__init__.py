"""One API: a self-hosted gateway in front of every LLM vendor. This file is its table of contents."""

import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from oneapi import access, api, config, migrate, pages, state
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
    app.extensions["oneapi"] = gateway = state.State(settings, databases, clock)
    gateway.refresh(force=True)
    access.init(app)
    api.init(app)
    pages.init(app)
    entry.mount(app, gateway)
    return app
