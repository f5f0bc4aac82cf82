"""Logs in a database of their own: each log row is written exactly once, whatever happens between it and its charge."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from asks import post, until
from fake_vendor import FakeVendor, chat
from sqlalchemy import select

from oneapi.models import ledger, log, user
from oneapi.models.settlement import Row
from oneapi.relay.journal import Journal
from oneapi.state import State

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def settings_of_environment(settings_of_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return settings_of_environment | {"LOG_SQL_DSN": f"sqlite:///{tmp_path / 'logs.db'}", "SQLITE_BUSY_TIMEOUT": "50"}


def row(number: int, user_id: int, cost: int = 10) -> Row:
    id = f"r{number}"
    explained = {"user_id": user_id, "type": 2, "content": id, "quota": cost, "created_at": 5, "request_id": id}
    return Row(id, 5, user_id, 1, 1, "gpt-4o-mini", cost, log=explained)


def shown(rows: list[log.Log]) -> list[tuple[str, int]]:
    return sorted((each.request_id, each.quota) for each in rows)


@pytest.mark.parametrize("part", ["", "logs"])
def test_a_replay_writes_what_is_missing_and_nothing_twice(
    state: State, alice: Any, logged: Any, books: Any, part: str
) -> None:
    """Of three charges one is written and logged, one is written and not logged, and one is neither."""
    gateway_ledger = state.gateway.ledger
    gateway_ledger._store.write([row(1, alice.id), row(2, alice.id)], [])
    gateway_ledger._store.write_logs([row(1, alice.id)])
    kept = Journal(state.config.instance_path, "dead:1:x", part)
    kept.append([row(1, alice.id), row(2, alice.id), *([] if part else [row(3, alice.id)])])
    gateway_ledger.start()
    expected = [("r1", 10), ("r2", 10)] if part else [("r1", 10), ("r2", 10), ("r3", 10)]
    assert until(lambda: shown(logged()) == expected)
    kept.append([row(1, alice.id), row(2, alice.id)])
    assert until(lambda: not list((Path(state.config.instance_path) / "journal").rglob("*.jsonl")))
    assert shown(logged()) == expected
    assert books()["requests"] == len(expected)


def test_a_log_row_that_follows_its_charge_says_what_was_written_off(state: State, person: Any, logged: Any) -> None:
    poor = person("poor", quota=7)
    state.gateway.ledger._store.write([row(1, poor.id)], [])
    with state.databases.transaction() as session:
        assert session.scalars(select(ledger.Entry.written_off).where(ledger.Entry.request_id == "r1")).one() == 3
        assert session.get_one(user.User, poor.id).quota == 0
    Journal(state.config.instance_path, "dead:1:x").append([row(1, poor.id)])
    state.gateway.ledger.start()
    assert until(lambda: shown(logged()) == [("r1", 7)])
    assert "written off" in logged()[0].content


def test_answers_go_on_while_the_logs_are_locked_and_their_rows_follow(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, state: State, logged: Any, books: Any
) -> None:
    channel()
    vendor.always(chat("Hi", 1000, 0))
    assert post(served, alice.key).status == 200
    blocker = sqlite3.connect(str(state.databases.log_url.database), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    ids = [post(served, alice.key).headers["x-request-id"] for _ in range(5)]
    assert books()["requests"] == 6
    blocker.execute("ROLLBACK")
    blocker.close()
    assert until(lambda: len(logged()) == 6)
    assert {each.request_id for each in logged()} >= set(ids)
