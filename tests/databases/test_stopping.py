"""Streams that outlast the grace period of a process that stops are charged, logged and leave no lease, on every database."""

import http.client
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import pytest
import servers
from asks import CHAT, PATH, post
from fake_vendor import FakeVendor, chat, stream
from nodes import Node
from sqlalchemy import func, select

from oneapi.models import ledger, log
from oneapi.state import State


@pytest.fixture
def settings_of_environment(kind: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path / "instance"
    folder.mkdir()
    with servers.fresh(kind, folder, "_stopping") as dsn:
        where = {"SQLITE_PATH": str(folder / "one-api.db")} if kind == "sqlite" else {"SQL_DSN": dsn}
        environ = {"INSTANCE_PATH": str(folder), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"}
        yield environ | where | {"GRACEFUL_TIMEOUT": "1"}


@pytest.fixture
def started(state: State, settings_of_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[int], Node]]:
    """Starts gunicorn with a number of workers, or app.py for 0."""
    nodes: list[Node] = []

    def start(workers: int) -> Node:
        nodes.append(Node(settings_of_environment, workers=workers, folder=tmp_path))
        nodes[-1].start()
        return nodes[-1]

    yield start
    for node in nodes:
        node.kill()


@dataclass
class Begun:
    """A streamed response whose first words have come."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def begun(node: Node, key: str) -> Begun:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(node.url).port, timeout=60)
    headers = {"Authorization": f"Bearer sk-{key}", "Content-Type": "application/json"}
    connection.request("POST", PATH, json.dumps(CHAT | {"stream": True}), headers)
    response, data = connection.getresponse(), b""
    while b"word" not in data:
        piece = response.read1(65536)
        assert piece, data
        data += piece
    return Begun(connection, response)


@pytest.mark.parametrize(("workers", "number"), [(2, signal.SIGTERM), (2, signal.SIGINT), (0, signal.SIGTERM)])
def test_streams_that_outlast_the_grace_period_are_charged_logged_and_leave_no_lease(
    state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[int], Node], workers: int, number: int
) -> None:
    channel()
    vendor.always(stream("word " * 1000, 1000, 100), pause=0.1)
    olga = person("olga", quota=10**8, remain=10**8)
    node = started(workers)
    streams = [begun(node, olga.key) for _ in range(20)]
    vendor.always(chat(), delay=60)
    whole = [gevent.spawn(suppressed, node, olga.key) for _ in range(3)]
    vendor.was_asked(23)
    assert node.stop(number) == 0, node.output.read_text()[-3000:]
    for each in streams:
        each.close()
    gevent.joinall(whole, timeout=60)
    with state.databases.transaction() as session:
        charged = list(session.scalars(select(ledger.Entry.request_id).where(ledger.Entry.kind == "consume")))
        assert session.scalar(select(func.count()).select_from(ledger.Lease)) == 0
        assert session.scalar(select(func.count()).select_from(ledger.Worker)) == 0
        assert ledger.differences(session) == []
    with state.databases.logs() as session:
        rows = session.scalars(select(log.Log).where(log.Log.type == log.Kind.CONSUME)).all()
        assert all(row.quota > 0 and json.loads(row.detail or "")["end"] == "client_left" for row in rows)
        logged = [row.request_id for row in rows]
    assert sorted(charged) == sorted(logged) == sorted(each.response.headers["x-request-id"] for each in streams)


def suppressed(node: Node, key: str) -> None:
    """A request that is under way when its process ends."""
    with suppress(OSError, http.client.HTTPException):
        post(node.url, key, timeout=60)
