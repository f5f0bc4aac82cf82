"""What the tests of the management API share: a client that speaks for one of the cast."""

from collections.abc import Callable, Iterator
from typing import Any

import bare
import pytest
from contract import Api
from flask import Flask


@pytest.fixture
def environ() -> dict[str, str]:
    """More environment for the app under test; override to change it."""
    return {}


@pytest.fixture
def app(tmp_path: Any, clock: Callable[[], float], environ: dict[str, str]) -> Iterator[Flask]:
    """The management API alone, on an empty database."""
    made = bare.app(tmp_path, clock, cast=False, **environ)
    yield made
    made.extensions["oneapi"].databases.dispose()


@pytest.fixture
def as_(app: Flask) -> Callable[..., Api]:
    """as_(alice)("GET", "/api/token/"); as_() is a visitor."""
    return lambda person=None: Api(app, person.token if person else "")


@pytest.fixture
def put(state: Any) -> Callable[..., None]:
    """Set settings: put(RegisterEnabled="false")."""
    from oneapi.actions import SYSTEM, options

    return lambda **values: options.save(state, SYSTEM, values)
