"""Every test here runs on each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import servers

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
