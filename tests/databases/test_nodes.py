"""What is switched off in one process is refused by all others within two seconds."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import servers
from asks import post
from fake_vendor import FakeVendor
from nodes import Node
from sqlalchemy import update

from oneapi.models import ability, token, user, version
from oneapi.state import State

SECONDS = 2.0
SLACK = 1.5  # of a machine that is busy with other things


@pytest.fixture
def settings_of_environment(kind: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path / "instance"
    folder.mkdir()
    with servers.fresh(kind, folder, "_nodes") as dsn:
        where = {"SQLITE_PATH": str(folder / "one-api.db")} if kind == "sqlite" else {"SQL_DSN": dsn}
        yield {"INSTANCE_PATH": str(folder), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"} | where


def change(state: State, topic: str, table: Any, id_: Any, **values: Any) -> None:
    with state.databases.transaction() as session:
        session.execute(update(table).where(id_).values(**values))
        if topic == "channels":
            ability.set_enabled(session, 1, values["status"] == 1)
        version.bump(session, topic)
    state.changed()


def takes(check: Callable[[], bool]) -> float:
    """Seconds until every one of eight answers in a row, from whichever worker, passes the check."""
    began = time.monotonic()
    while time.monotonic() - began < 15:
        if all(check() for _ in range(8)):
            return time.monotonic() - began
        gevent.sleep(0.05)
    return 99.0


def test_whatever_is_disabled_here_is_refused_there(
    state: State,
    vendor: FakeVendor,
    channel: Any,
    person: Any,
    setting: Any,
    settings_of_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    from oneapi.models.channel import Channel

    channel()
    anna = person("anna")
    with Node(settings_of_environment, workers=2, folder=tmp_path) as node:
        assert takes(lambda: post(node.url, anna.key).status == 200) < 15
        for topic, table, where, refused in (
            ("channels", Channel, Channel.id == 1, 503),
            ("tokens", token.Token, token.Token.user_id == anna.id, 401),
            ("users", user.User, user.User.id == anna.id, 403),
        ):
            change(state, topic, table, where, status=2)
            assert takes(lambda want=refused: post(node.url, anna.key).status == want) < SECONDS + SLACK, topic
            change(state, topic, table, where, status=1)
            assert takes(lambda: post(node.url, anna.key).status == 200) < SECONDS + SLACK, topic
        setting(GroupLimits={"default": {"rpm": 1}})
        assert takes(lambda: post(node.url, anna.key).status == 429) < SECONDS + SLACK


def test_workers_count_limits_together(
    state: State, vendor: FakeVendor, channel: Any, person: Any, settings_of_environment: dict[str, str], tmp_path: Path
) -> None:
    channel()
    busy = person("busy", requests_per_minute=10)
    with Node(settings_of_environment, workers=2, folder=tmp_path) as node:
        greenlets = [gevent.spawn(post, node.url, busy.key) for _ in range(30)]
        assert sorted(greenlet.get().status for greenlet in greenlets) == [200] * 10 + [429] * 20
