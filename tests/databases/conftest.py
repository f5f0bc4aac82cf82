"""Every test here runs on each kind of database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import servers
from pair import Pair

from oneapi.config import Config
from oneapi.db import Databases


@pytest.fixture(params=servers.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def settings(kind: str, tmp_path: Path) -> Iterator[Config]:
    """A configuration that names an empty database."""
    with servers.fresh(kind, tmp_path) as dsn:
        yield servers.configured(tmp_path, SQL_DSN=dsn)


@pytest.fixture
def databases(settings: Config) -> Iterator[Databases]:
    with servers.opened(settings) as databases:
        yield databases


@pytest.fixture
def legacy(databases: Databases) -> Databases:
    """A database as the Go project left it."""
    servers.build_legacy(databases.engine)
    databases.engine.dispose()
    return databases


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """pair(REDIS_CONN_STRING=...) is two processes on one SQLite file."""
    made: list[Pair] = []
    with ExitStack() as stack:

        def make(**variables: str) -> Pair:
            made.append(Pair(stack, tmp_path, **variables))
            made[-1].start()
            return made[-1]

        yield make
        for one in made:
            for part in one.fanouts:
                part.stop()
