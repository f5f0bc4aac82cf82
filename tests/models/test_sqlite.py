"""Writers of one process queue for a SQLite file, whatever number of threads there is."""

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import servers
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from oneapi.db import Databases, begin_immediate


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    with servers.opened(servers.configured(tmp_path, SQLITE_BUSY_TIMEOUT="1500")) as databases:
        with databases.transaction() as session:
            session.execute(text("CREATE TABLE counters (n INTEGER)"))
            session.execute(text("INSERT INTO counters VALUES (0)"))
        yield databases


def add_one(databases: Databases, *, rest: float = 0.0, immediate: bool = False) -> None:
    with databases.transaction() as session:
        if immediate:
            begin_immediate(session)
        session.execute(text("UPDATE counters SET n = n + 1"))
        gevent.sleep(rest)


def count(databases: Databases) -> int:
    with databases.transaction() as session:
        return int(session.execute(text("SELECT n FROM counters")).scalar_one())


@pytest.mark.parametrize("immediate", [True, False])
def test_more_writers_than_threads_all_write(databases: Databases, immediate: bool) -> None:
    writers = [gevent.spawn(add_one, databases, rest=0.002, immediate=immediate) for _ in range(60)]
    gevent.joinall(writers, raise_error=True)
    assert count(databases) == 60


def test_readers_do_not_queue(databases: Databases) -> None:
    writer = gevent.spawn(add_one, databases, rest=0.5)
    gevent.sleep(0.1)
    assert count(databases) == 0
    assert not writer.dead
    writer.join()
    assert count(databases) == 1


def test_a_writer_inside_another_fails_in_time_and_leaves_the_file_free(databases: Databases) -> None:
    with databases.transaction() as session:
        session.execute(text("UPDATE counters SET n = n + 1"))
        with pytest.raises(OperationalError, match="database is locked"):
            add_one(databases)
    add_one(databases)
    assert count(databases) == 2


def test_a_killed_writer_leaves_the_file_free(databases: Databases) -> None:
    writer = gevent.spawn(add_one, databases, rest=60)
    gevent.sleep(0.1)
    writer.kill()
    add_one(databases)
    assert count(databases) == 1


def test_a_statement_that_fails_leaves_the_file_free(databases: Databases) -> None:
    with pytest.raises(OperationalError), databases.transaction() as session:
        session.execute(text("INSERT INTO nowhere VALUES (1)"))
    add_one(databases)
    assert count(databases) == 1
