"""Every test here runs on each kind of database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redises
import servers
from pair import Pair

from oneapi.config import Config
from oneapi.db import Databases

FORMS = ("url", "node", "sentinel", "cluster")


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


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[dict[str, str], list[redises.Server]]]:
    """The variables that name the servers, and the servers."""
    password = {"REDIS_PASSWORD": redises.PASSWORD}
    if request.param == "sentinel":
        with redises.watched(tmp_path) as (nodes, processes):
            yield password | {"REDIS_CONN_STRING": nodes, "REDIS_MASTER_NAME": redises.MASTER}, processes
    elif request.param == "cluster":
        with redises.cluster(tmp_path) as (nodes, processes):
            yield password | {"REDIS_CONN_STRING": nodes}, processes
    else:
        with redises.alone(tmp_path) as process:
            where = f"127.0.0.1:{process.port}"
            url = f"redis://:{redises.PASSWORD.replace(' ', '%20')}@{where}/0"
            yield ({"REDIS_CONN_STRING": url} if request.param == "url" else password | {"REDIS_CONN_STRING": where}), [process]
