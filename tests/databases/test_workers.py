"""Several processes on one balance: nothing is lost, doubled or reserved for ever, on every kind of database."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
import servers
from asks import CHAT, post, until, words
from fake_vendor import FakeVendor, chat, stream
from gevent.event import Event
from nodes import Node
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from oneapi.models import ledger
from oneapi.state import State

STREAMED = CHAT | {"stream": True}


@pytest.fixture
def settings_of_environment(kind: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path / "instance"
    folder.mkdir()
    with servers.fresh(kind, folder, "_workers") as dsn:
        where = {"SQLITE_PATH": str(folder / "one-api.db")} if kind == "sqlite" else {"SQL_DSN": dsn}
        yield {"INSTANCE_PATH": str(folder), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"} | where


@pytest.fixture
def workers() -> int:
    return 4


ONE_AND_FOUR = pytest.mark.parametrize("workers", [1, 4])


@pytest.fixture
def started(state: State, settings_of_environment: dict[str, str], tmp_path: Path, workers: int) -> Iterator[Callable[[], Node]]:
    """Starts workers behind one port, which then know what the test has made so far."""
    nodes: list[Node] = []

    def start() -> Node:
        nodes.append(Node(settings_of_environment, workers=workers, folder=tmp_path))
        nodes[-1].start()
        return nodes[-1]

    yield start
    for node in nodes:
        node.kill()


def sums(state: State) -> dict[str, int]:
    """What the books say; they must explain every balance."""
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []
        rows = select(func.count(), func.coalesce(func.sum(ledger.Entry.amount), 0), func.sum(ledger.Entry.written_off))
        count, spent, off = session.execute(rows.where(ledger.Entry.kind == "consume")).one()
        held = session.scalar(select(func.coalesce(func.sum(ledger.Lease.amount - ledger.Lease.spent), 0)))
    return {"requests": int(count), "spent": -int(spent), "written_off": int(off or 0), "held": int(held or 0)}


@ONE_AND_FOUR
def test_two_hundred_at_once_pay_for_exactly_a_hundred_whichever_worker_serves_them(
    state: State, vendor: FakeVendor, channel: Any, person: Any, setting: Any, started: Callable[[], Node]
) -> None:
    setting(CallPrice={"gpt-4o-mini": 0.002})
    channel()
    vendor.always(chat(), delay=0.02)
    crowd = person("crowd", quota=100_000, remain=150_000)
    node = started()
    greenlets = [gevent.spawn(post, node.url, crowd.key) for _ in range(200)]
    answered = [greenlet.get() for greenlet in greenlets]
    statuses, others = [got.status for got in answered], [got.body for got in answered if got.status not in (200, 429)]
    found = sums(state)
    assert (statuses.count(200), statuses.count(429), others) == (100, 100, []), node.output.read_text()[-3000:]
    assert len(vendor.asked) == 100
    assert (found["requests"], found["spent"], found["written_off"]) == (100, 100_000, 0)
    with state.databases.transaction() as session:
        assert ledger.balance(session, crowd.id) == 0


@ONE_AND_FOUR
def test_killed_workers_lose_no_charge_double_none_and_hold_nothing_for_ever(
    state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node]
) -> None:
    channel()
    short = stream("one two three four five", 1000, 100)
    vendor.says(*[short] * 20, pause=0.01).always(stream("on and " * 300, 1000, 100), pause=0.2)  # these are still talking then
    olga = person("olga", quota=10**8)
    node = started()
    results: list[Any] = []

    def ask() -> None:
        try:
            results.append(post(node.url, olga.key, STREAMED))
        except OSError:
            results.append(None)  # its worker was killed before it answered

    greenlets = [gevent.spawn(ask) for _ in range(50)]
    assert until(lambda: len(vendor.asked) == 50 and len(results) >= 10)
    for worker in node.workers():
        os.kill(worker, signal.SIGKILL)
    gevent.joinall(greenlets, timeout=60)
    vendor.always(short)
    whole = [got for got in results if got and got.status == 200 and got.body.endswith(b"data: [DONE]\n\n")]
    assert len(results) == 50 and 0 < len(whole) < 50
    assert all(words(got.body) == "onetwothreefourfive" for got in whole)

    assert until(lambda: answers(node, olga.key))  # the workers that took their places
    assert until(lambda: held_by_the_dead(state) == 0)
    served = sums(state)["requests"] - 1
    assert len(whole) <= served <= 50  # a charge may be durable whose last byte was never sent
    charged = {got.headers["x-request-id"] for got in whole}
    with state.databases.transaction() as session:
        rows = list(session.scalars(select(ledger.Entry.request_id).where(ledger.Entry.request_id.in_(charged))))
    assert sorted(rows) == sorted(charged)


def test_workers_killed_in_a_burst_have_charged_every_answer(
    state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node]
) -> None:
    """Where answers do not wait for the database: what it does not have stands in a file."""
    channel()
    vendor.always(chat())
    olga = person("olga", quota=10**8)
    node = started()
    whole: list[str] = []
    ending = Event()

    def ask() -> None:
        while not ending.is_set():
            with suppress(OSError):  # its worker is killed
                got = post(node.url, olga.key)
                if got.whole and got.status == 200:
                    whole.append(got.headers["x-request-id"])

    greenlets = [gevent.spawn(ask) for _ in range(4)]
    assert until(lambda: len(whole) >= 100)
    for worker in node.workers():
        os.kill(worker, signal.SIGKILL)
    ending.set()
    gevent.joinall(greenlets, timeout=60)

    def uncharged() -> set[str]:
        with state.databases.transaction() as session:
            return set(whole) - set(session.scalars(select(ledger.Entry.request_id)))

    assert until(lambda: not uncharged())
    assert until(lambda: held_by_the_dead(state) == 0)
    assert sums(state)["requests"] >= len(whole)


def answers(node: Node, key: str) -> bool:
    try:
        return post(node.url, key, STREAMED).status == 200
    except OSError:
        return False


def held_by_the_dead(state: State) -> int:
    with state.databases.transaction() as session:
        living = [w.id for w in session.scalars(select(ledger.Worker)) if os.path.exists(f"/proc/{w.pid}")]
        dead = select(func.count()).select_from(ledger.Lease).where(ledger.Lease.worker.not_in(living))
        return session.scalar(dead) or 0


def test_an_orderly_end_finishes_what_was_begun_and_gives_everything_back(
    state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node]
) -> None:
    channel()
    vendor.always(stream("one two three", 1000, 100), pause=0.1)
    olga = person("olga", quota=10**8)
    node = started()
    running = [gevent.spawn(post, node.url, olga.key, STREAMED) for _ in range(8)]
    assert until(lambda: len(vendor.asked) == 8)
    assert node.stop() == 0
    assert all(greenlet.get().body.endswith(b"data: [DONE]\n\n") for greenlet in running)
    assert sums(state)["held"] == 0


def break_connections(state: State, kind: str) -> None:
    """End every connection to the test's database, as a restart of the server does; not those of this process."""
    name, engine = state.databases.url.database, servers.server(kind)
    with engine.connect() as connection:
        if kind == "mysql":
            rows = (
                connection.exec_driver_sql(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'").scalars().all()
            )
            for id in rows:
                with suppress(OperationalError):  # it may have ended since: unknown thread id
                    connection.exec_driver_sql(f"KILL HARD {id}")
        else:
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    engine.dispose()


def test_a_database_that_breaks_off_again_and_again_loses_no_charge(
    kind: str, state: State, vendor: FakeVendor, channel: Any, person: Any, started: Callable[[], Node]
) -> None:
    if kind == "sqlite":
        pytest.skip("a file has no connections that break; tests/relay/test_ledger.py locks it instead")
    channel()
    vendor.always(stream("one two three", 1000, 100), pause=0.02)
    olga = person("olga", quota=10**8)
    node = started()
    assert until(lambda: answers(node, olga.key))
    results: list[Any] = []

    def ask(number: int) -> None:
        gevent.sleep(number * 0.03)
        results.append(post(node.url, olga.key, STREAMED))

    greenlets = [gevent.spawn(ask, number) for number in range(60)]
    for _ in range(8):
        gevent.sleep(0.2)
        break_connections(state, kind)
    gevent.joinall(greenlets, timeout=60, raise_error=True)
    whole = [got for got in results if got.status == 200 and got.body.endswith(b"data: [DONE]\n\n")]
    assert len(results) == 60 and {got.status for got in results} <= {200, 503} and len(whole) > 20
    assert all(got in whole or got.status == 503 for got in results)
    assert until(lambda: requests_of(state) == len(whole) + 1)
    node.stop()
    found = sums(state)
    assert (found["requests"], found["spent"]) == (len(whole) + 1, 105 * (len(whole) + 1))


def requests_of(state: State) -> int:
    with state.databases.transaction() as session:
        return session.scalar(select(func.count()).where(ledger.Entry.kind == "consume")) or 0
