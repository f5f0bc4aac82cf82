"""The logs' own database is away: charges are written, and each log row follows exactly once when it is back."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import gevent
import hanging
import pytest
import servers
from asks import Got, post, until
from fake_vendor import FakeVendor, chat
from nodes import Node
from sqlalchemy import select

from oneapi.models import ledger, log
from oneapi.state import State

NOTE = "The database of the logs does not answer: log rows wait in the journal."


@pytest.fixture
def logs() -> Iterator[hanging.Server]:
    with hanging.server("mysql") as server:
        yield server
        server.go_on()


@pytest.fixture
def settings_of_environment(kind: str, logs: hanging.Server, tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path / "instance"
    folder.mkdir()
    with servers.fresh(kind, folder, "_logs_away") as dsn:
        where = {"SQLITE_PATH": str(folder / "one-api.db")} if kind == "sqlite" else {"SQL_DSN": dsn}
        environ = {"INSTANCE_PATH": str(folder), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"}
        yield environ | where | {"LOG_SQL_DSN": logs.dsn, "SQL_URGENT_TIMEOUT": "2"}


@pytest.fixture
def started(state: State, settings_of_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Node]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Node(settings_of_environment, workers=1, folder=tmp_path))


def readiness(node: Node) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def charged(state: State) -> list[str]:
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []
        return sorted(session.scalars(select(ledger.Entry.request_id).where(ledger.Entry.kind == "consume")))


def logged(state: State) -> list[str]:
    with state.databases.logs() as session:
        return sorted(session.scalars(select(log.Log.request_id).where(log.Log.type == log.Kind.CONSUME)))


def test_log_rows_wait_in_a_journal_while_their_database_is_away_and_follow_exactly_once(
    kind: str, state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node], logs: hanging.Server
) -> None:
    channel()
    vendor.always(chat("Hi", 1000, 0))
    olga = person("olga", quota=10**8)
    node = started()
    got: list[Got] = [post(node.url, olga.key) for _ in range(5)]
    if kind == "mysql":
        logs.hang()
    else:
        logs.end()
    asking = [gevent.spawn(post, node.url, olga.key) for _ in range(20)]
    got += [greenlet.get() for greenlet in asking]
    got += [post(node.url, olga.key) for _ in range(20)]
    assert [each.body for each in got if each.status != 200] == []
    status, ready = readiness(node)
    assert (status, ready["ready"], ready["database"], ready["note"]) == (200, True, True, NOTE)
    assert until(lambda: len(charged(state)) == 45)

    node.kill()
    if kind == "mysql":
        logs.go_on()
    else:
        logs.start()
        assert until(lambda: answers(state))
    node = started()
    assert post(node.url, olga.key).status == 200
    assert until(lambda: readiness(node) == (200, {"ready": True, "draining": False, "database": True, "journal": False}))
    assert until(lambda: answers(state) and len(logged(state)) == 46), node.output.read_text()[-3000:]
    assert logged(state) == charged(state)
    assert not list((Path(state.config.instance_path) / "journal").rglob("rejected.txt"))


def test_a_process_that_dies_between_a_charge_and_its_log_row_loses_neither(
    state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node], logs: hanging.Server
) -> None:
    channel()
    vendor.always(chat("Hi", 1000, 0))
    olga = person("olga", quota=10**8)
    node = started()
    assert post(node.url, olga.key).status == 200
    assert until(lambda: len(logged(state)) == 1)
    logs.hang()

    def ask() -> None:
        with suppress(OSError, http.client.HTTPException):  # the process dies
            post(node.url, olga.key)

    asking = [gevent.spawn(ask) for _ in range(5)]
    assert until(lambda: len(charged(state)) > 1)
    node.kill()
    gevent.joinall(asking, timeout=60)
    logs.go_on()
    started()
    assert until(lambda: len(logged(state)) > 1 and logged(state) == charged(state))


def answers(state: State) -> bool:
    """Whether this process, too, has found that the database is back."""
    return state.databases.log_deadline.answers()
