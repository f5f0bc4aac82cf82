"""A database server that hangs: requests with a cached key and lease are served, and each is charged once."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import hanging
import pytest
from asks import CHAT, Got, post, until
from fake_vendor import FakeVendor, chat, stream
from nodes import Node
from sqlalchemy import func, select

from oneapi.models import ledger, log
from oneapi.state import State


@pytest.fixture(params=["mysql", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def database(kind: str) -> Iterator[hanging.Server]:
    with hanging.server(kind) as server:
        yield server
        server.go_on()


@pytest.fixture
def settings_of_environment(database: hanging.Server, tmp_path: Path) -> dict[str, str]:
    return {
        "INSTANCE_PATH": str(tmp_path / "instance"), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret",
        "SQL_DSN": database.dsn, "SQL_URGENT_TIMEOUT": "2",
    }  # fmt: skip


@pytest.fixture
def started(state: State, settings_of_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Node]]:
    """Starts a process, which then has seen every change that the test made so far."""
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


def test_requests_go_on_while_the_database_hangs_and_each_is_charged_once(
    state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node], database: hanging.Server
) -> None:
    channel()
    vendor.always(chat("Hi", 1000, 0))
    olga, otto = person("olga", quota=10**8), person("otto", quota=10**8)
    node = started()
    got: list[Got] = [post(node.url, olga.key)]
    assert readiness(node)[0] == 200

    database.hang()
    vendor.always(stream("Hi you", 1000, 0))
    asking = [gevent.spawn(post, node.url, olga.key, CHAT | {"stream": True}) for _ in range(20)]
    strangers = [gevent.spawn(post, node.url, otto.key) for _ in range(5)]
    status, ready = readiness(node)
    assert (status, ready["ready"], ready["database"]) == (503, False, False)
    got += [greenlet.get() for greenlet in asking]
    vendor.always(chat("Hi", 1000, 0))
    got += [post(node.url, olga.key) for _ in range(20)]
    assert [each.body for each in got if each.status != 200 or not each.whole] == [], node.output.read_text()[-3000:]
    refused = [greenlet.get() for greenlet in strangers]
    assert {(each.status, each.json["error"]["code"]) for each in refused} == {(503, "database_unavailable")}
    assert len(vendor.asked) == len(got) == 41
    assert list((Path(state.config.instance_path) / "journal").glob("*.jsonl"))

    database.go_on()
    assert until(lambda: readiness(node) == (200, {"ready": True, "draining": False, "database": True, "journal": False}))
    assert post(node.url, otto.key).status == 200
    assert until(lambda: len(charged(state)) == 42)
    assert {each.headers["x-request-id"] for each in got} <= set(charged(state))
    with state.databases.logs() as session:
        logged = list(session.scalars(select(log.Log.request_id).where(log.Log.type == log.Kind.CONSUME)))
    assert sorted(logged) == sorted(charged(state))
    assert node.stop() == 0
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []
        assert session.scalar(select(func.count()).select_from(ledger.Lease)) == 0


def charged(state: State) -> list[str]:
    with state.databases.transaction() as session:
        return list(session.scalars(select(ledger.Entry.request_id).where(ledger.Entry.kind == "consume")))


def test_a_process_that_is_told_to_stop_while_the_database_hangs_keeps_its_charges(
    state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node],
    database: hanging.Server,
) -> None:  # fmt: skip
    channel()
    vendor.always(chat("Hi", 1000, 0))
    olga = person("olga", quota=10**8)
    node = started()
    assert post(node.url, olga.key).status == 200
    database.hang()
    asking = [gevent.spawn(post, node.url, olga.key) for _ in range(10)]
    vendor.was_asked(11)
    assert node.stop() == 0
    assert [greenlet.get().status for greenlet in asking] == [200] * 10
    database.go_on()
    again = started()
    assert until(lambda: len(charged(state)) == 11)
    assert until(lambda: sum_of_leases(state) == 0)
    assert again.stop() == 0
    with state.databases.transaction() as session:
        assert ledger.differences(session) == [] and ledger.balance(session, olga.id) == 10**8 - 11 * 75


def sum_of_leases(state: State) -> int:
    with state.databases.transaction() as session:
        return session.scalar(select(func.coalesce(func.sum(ledger.Lease.amount - ledger.Lease.spent), 0))) or 0
