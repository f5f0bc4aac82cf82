"""More requests at the same time than a process has database connections, on every kind of database."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest
import servers
from asks import until
from flask import Flask

from oneapi.models import log, pool
from oneapi.models.redemption import Redemption
from oneapi.models.redemption import Status as CodeStatus

AT_ONCE = 48  # SQLite has 32 connections, the others 20


@pytest.fixture(params=["together", "apart"])
def app(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The whole application without rate limits; `apart`, its logs have a database of their own."""
    with ExitStack() as stack:
        environ = {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": "", "SESSION_SECRET": "a test's own"}
        environ |= dict.fromkeys(("GLOBAL_API_RATE_LIMIT", "GLOBAL_WEB_RATE_LIMIT", "CRITICAL_RATE_LIMIT"), "0")
        environ["SQL_DSN"] = stack.enter_context(servers.fresh(kind, tmp_path, "_pool"))
        if request.param == "apart":
            environ["LOG_SQL_DSN"] = stack.enter_context(servers.fresh(kind, tmp_path, "_pool_logs"))
        with servers.application(environ) as made:
            yield made


def at_once(ask: Callable[[int], Any]) -> list[Any]:
    asking = [gevent.spawn(ask, number) for number in range(AT_ONCE)]
    gevent.joinall(asking, raise_error=True)
    return [greenlet.value for greenlet in asking]


def test_more_requests_than_connections_are_all_answered(app: Flask, alice: Any) -> None:
    sent = {"Authorization": alice.token}
    kinds: list[Callable[[Any], Any]] = [
        lambda client: client.post("/api/user/topup", json={"key": "no such code"}, headers=sent),
        lambda client: client.get("/api/user/aff", headers=sent),
        lambda client: client.post("/api/token/", json={"name": "new"}, headers=sent),
        lambda client: client.post("/api/user/login", json={"username": "alice", "password": "wrong password"}),
        lambda client: client.get("/readyz"),
        lambda client: client.get("/api/user/self", headers=sent),
    ]
    got = at_once(lambda number: (number % len(kinds), kinds[number % len(kinds)](app.test_client()).status_code))
    assert Counter(got) == {(kind, 200): AT_ONCE // len(kinds) for kind in range(len(kinds))}


def test_what_is_added_at_once_is_added_once_each_and_logged(app: Flask, state: Any, alice: Any, balance: Any) -> None:
    before = balance(alice.id)
    with state.databases.transaction() as session:
        for number in range(AT_ONCE):
            row = Redemption(user_id=1, key=f"{number:032}", status=CodeStatus.ENABLED, name="gift", quota=7, created_time=1)
            session.add(row)

    def redeem(number: int) -> Any:
        return app.test_client().post("/api/user/topup", json={"key": f"{number:032}"}, headers={"Authorization": alice.token})

    assert [answer.get_json() for answer in at_once(redeem)] == [{"success": True, "message": "", "data": 7}] * AT_ONCE
    assert balance(alice.id) == before + 7 * AT_ONCE
    with state.databases.logs() as session:
        rows = session.query(log.Log).filter_by(user_id=alice.id, type=log.Kind.TOPUP).count()
    assert rows == AT_ONCE


def test_a_full_pool_is_a_503_and_the_process_stays_ready(app: Flask, state: Any, alice: Any) -> None:
    with ExitStack() as stack:
        for _ in range(most(state)):
            gevent.spawn(lambda: stack.enter_context(state.databases.engine.connect())).get()
        asked = [
            gevent.spawn(app.test_client().get, "/api/user/self", headers={"Authorization": alice.token}),
            gevent.spawn(app.test_client().post, "/api/user/login", json={"username": "alice", "password": alice.password}),
            gevent.spawn(app.test_client().get, "/login"),
        ]
        ready = app.test_client().get("/readyz")
        assert (ready.status_code, ready.get_json()["database"]) == (200, True)
        gevent.joinall(asked, raise_error=True)
        answers = [greenlet.value for greenlet in asked]
        assert [answer.status_code for answer in answers] == [503, 503, 200]
        for answer in answers[:2]:
            assert answer.get_json()["success"] is False and "again" in answer.get_json()["message"]
            assert answer.headers["Retry-After"] == str(round(pool.WAIT_SECONDS))
    assert until(lambda: app.test_client().get("/api/user/self", headers={"Authorization": alice.token}).status_code == 200)


def most(state: Any) -> int:
    """How many connections the pool gives out."""
    found = state.databases.engine.pool
    return int(found.size() + found._max_overflow)
