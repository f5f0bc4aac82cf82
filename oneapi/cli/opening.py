"""What every command begins with: the databases, the state, and an end in one sentence when something went wrong."""

import functools
from collections.abc import Callable
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from oneapi import config, fanout, migrate
from oneapi.db import Databases, Unfit
from oneapi.fields import Invalid
from oneapi.messages import Refused
from oneapi.models import Missing
from oneapi.state import State


def opened() -> tuple[config.Config, Databases]:
    if "oneapi" in current_app.extensions:
        state: State = current_app.extensions["oneapi"]
        return state.config, state.databases
    return current_app.extensions["oneapi.offline"]


def ready_state() -> State:
    """The state of the application; made when only the commands were loaded."""
    if "oneapi" not in current_app.extensions:
        settings, databases = opened()
        migrate.require(databases)
        state = State(settings, databases)
        state.refresh(force=True)
        state.publish = lambda: fanout.tell(settings)
        current_app.extensions["oneapi"] = state
    return current_app.extensions["oneapi"]


def plainly(function: Callable[..., None]) -> Callable[..., None]:
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
