"""Failed requests on every kind of database: their rows, their hours, and the column that older databases lack."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest
import servers
from asks import CHAT, PATH
from fake_vendor import FakeVendor, Say
from flask import Flask
from sqlalchemy import func, inspect, select, text

from oneapi import migrate
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import account, ledger, log, usage
from oneapi.models.rollup import Hour

NOW = 1_700_000_000


@pytest.fixture(params=["together", "apart"])
def app(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The whole application; `apart`, its logs have a database of their own."""
    with ExitStack() as stack:
        environ = {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": "", "SESSION_SECRET": "a test's own"}
        environ["SQL_DSN"] = stack.enter_context(servers.fresh(kind, tmp_path, "_failures"))
        if request.param == "apart":
            environ["LOG_SQL_DSN"] = stack.enter_context(servers.fresh(kind, tmp_path, "_failures_logs"))
        with servers.application(environ) as made:
            yield made


def hours(state: Any) -> list[tuple[str, int, int, int, int]]:
    with state.databases.transaction() as session:
        rows = session.scalars(select(Hour).order_by(Hour.model_name, Hour.channel_id))
        return [(h.model_name, h.channel_id, h.requests, h.errors, h.quota) for h in rows]


def test_rows_and_hours_tell_the_same(
    app: Flask, state: Any, vendor: FakeVendor, channel: Any, alice: Any, root: Any, failed: Any, logged: Any
) -> None:
    lane, client = channel(), app.test_client()

    def ask(**more: Any) -> int:
        status: int = client.post(PATH, json=CHAT | more, headers=alice.headers).status_code
        return status

    vendor.says(Say(b"oops \xf0\x9f\x98\x80", status=500), Say(b"oops", status=500))
    assert [ask(), ask(), ask(), ask(model="unknown"), ask(model="good 模型\x00")] == [502, 502, 200, 503, 503]
    rows = failed()
    assert [row.model_name for row in rows] == ["gpt-4o-mini", "gpt-4o-mini", "unknown", "good 模型 "]
    assert {(row.type, row.quota, row.user_id, row.token_name) for row in rows} == {(6, 0, alice.id, "alice's")}
    assert json.loads(rows[0].detail or "")["attempts"][0]["channel"] == rows[0].channel_id == lane
    listed = client.get("/api/log/?type=6", headers={"Authorization": root.token}).get_json()["data"]
    assert [row["id"] for row in listed] == [row.id for row in reversed(rows)] and listed[3]["detail"]["status"] == 502
    (charged,) = logged()
    assert hours(state) == [("", 0, 0, 2, 0), ("gpt-4o-mini", lane, 1, 2, charged.quota)]
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []
        sums = usage.top(session, 0, 2**40, "channel_id")
        assert [(s.key, s.requests, s.errors) for s in sums] == [(lane, 1, 2)]
        (((name, total),), active) = usage.top_people(session, 0, 2**40)
        assert (name, total.requests, total.errors, active) == ("alice", 1, 4, 1)


def test_who_only_failed_was_served_nothing(app: Flask, state: Any, person: Any, failed: Any) -> None:
    poor = person("poor", quota=5, email="poor@example.com")
    app.test_client().post(PATH, json=CHAT, headers=poor.headers)
    assert len(failed()) == 1
    with state.databases.transaction() as session:
        assert usage.top_people(session, 0, 2**40) == ([], 0) and usage.top(session, 0, 2**40, "user_id") == []
        assert not usage.any_request(session)
        assert account.to_remind(session, 10**6, since=0) == []


def test_settlements_and_failures_count_into_one_hour_at_once(
    app: Flask, state: Any, vendor: FakeVendor, channel: Any, alice: Any, failed: Any, logged: Any
) -> None:
    lane, failures = channel(), app.extensions["oneapi.relay"].failures
    vendor.says(*(Say(b"oops", status=500) for _ in range(10)))

    def ask() -> None:
        app.test_client().post(PATH, json=CHAT, headers=alice.headers)
        failures.flush()

    gevent.joinall([gevent.spawn(ask) for _ in range(20)], raise_error=True)
    assert (len(failed()), len(logged())) == (10, 10)
    assert [row[:4] for row in hours(state)] == [("gpt-4o-mini", lane, 10, 10)]


def test_an_older_database_gets_the_column(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    insert = text("INSERT INTO usage_hours (hour, user_id, token_id, channel_id, model_name, requests, quota, prompt_tokens,"
                  " completion_tokens, elapsed_time) VALUES (:hour, 1, 1, 1, 'gpt-4o', 3, 4, 5, 6, 7)")  # fmt: skip
    with databases.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE usage_hours DROP COLUMN errors")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        connection.execute(insert, {"hour": 3600})
    assert not migrate.ready(databases)
    assert [line.partition(": ")[2] for line in migrate.plan(databases)] == [
        "add column usage_hours.errors", "note the revision 0004",
    ]  # fmt: skip
    migrate.upgrade(databases, settings, now=NOW)
    assert migrate.ready(databases) and migrate.plan(databases) == []
    with databases.engine.begin() as connection:
        connection.execute(insert, {"hour": 7200})  # a worker of the version before, which knows nothing of it
    with databases.transaction() as session:
        assert session.execute(select(Hour.requests, Hour.errors)).all() == [(3, 0), (3, 0)]


def test_an_adopted_database_has_it(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.engine.connect() as connection:
        assert "errors" in {column["name"] for column in inspect(connection).get_columns("usage_hours")}


def test_rows_of_failures_fall_to_the_retention_like_others(app: Flask, state: Any, alice: Any, failed: Any) -> None:
    app.test_client().post(PATH, json=CHAT, headers=alice.headers)
    assert len(failed()) == 1
    with state.databases.logs() as session:
        assert log.delete_before(session, int(state.clock()) + 10, 100) >= 1
        assert session.scalar(select(func.count()).select_from(log.Log).where(log.Log.type == log.Kind.ERROR)) == 0
