"""Rate and concurrency limits of several hosts with one Redis: counted together, per host while Redis is away."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest
import redises
import servers
from asks import post
from fake_vendor import FakeVendor, chat
from nodes import Node
from pair import eventually

from oneapi.relay.limits import Board, Ticket
from oneapi.relay.limits_redis import RedisLimits
from oneapi.relay.refusal import Refused
from oneapi.state import Caller, Limits

Host = Callable[[], RedisLimits]


def someone(id: int = 1, **values: int) -> Caller:
    """A caller whose API key and user have these limits."""
    limits = ((f"token:{id}", Limits(**values)), (f"user:{id}", Limits(**values)))
    return Caller(id, id, "", "", 1, -1, True, None, (), "", "default", 1, 1, limits)


def admitted(where: RedisLimits, caller: Caller, estimate: int = 0) -> Ticket | None:
    try:
        return where.enter(caller, estimate)
    except Refused as refused:
        assert refused.status == 429
        return None


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Callable[..., list[RedisLimits]]]:
    """hosts(2, REDIS_CONN_STRING=...) is what one process of each of two hosts has."""
    made: list[RedisLimits] = []

    def make(count: int, **variables: str) -> list[RedisLimits]:
        for _ in range(count):
            folder = tmp_path / f"host-{len(made)}"
            made.append(RedisLimits(servers.configured(folder, **variables), Board(str(folder))))
        return made[-count:]

    yield make
    for one in made:
        one.stop()


def test_each_limit_holds_for_all_hosts_together(form: Any, hosts: Any) -> None:
    here, there = hosts(2, **form[0])
    for id in (1, 2, 3):  # in a cluster their counters are on different servers
        tickets = [admitted(where, someone(id, rpm=20)) for _ in range(20) for where in (here, there)]
        assert sum(ticket is not None for ticket in tickets) == 20
        tickets = [admitted(where, someone(10 + id, tpm=1000), 100) for _ in range(10) for where in (here, there)]
        assert sum(ticket is not None for ticket in tickets) == 10
        busy = someone(20 + id, concurrency=3)
        running = [admitted(where, busy) for where in (here, there, here, there, here)]
        assert [ticket is not None for ticket in running] == [True, True, True, False, False]
        running[1].done(0)
        eventually(lambda busy=busy: admitted(here, busy) is not None)
        assert admitted(there, busy) is None


def test_tokens_are_corrected_to_what_was_used(tmp_path: Path, hosts: Any) -> None:
    with redises.alone(tmp_path, password="") as server:
        here, there = hosts(2, REDIS_CONN_STRING=f"redis://127.0.0.1:{server.port}/0")
        ticket = here.enter(someone(tpm=1000), 900)
        assert dict(ticket.headers)["x-ratelimit-remaining-tokens"] == "100"
        ticket.done(300)
        headers = dict(here.enter(someone(tpm=1000), 100).headers)
        assert headers["x-ratelimit-remaining-tokens"] == "600" and headers["x-ratelimit-limit-tokens"] == "1000"
        assert admitted(there, someone(tpm=1000), 601) is None


def test_a_request_with_limits_is_one_command_and_one_without_is_none(
    tmp_path: Path, app: Any, served: str, channel: Any, person: Any
) -> None:
    """The end of a request is one more, which nobody waits for."""
    with redises.alone(tmp_path, password="") as server:
        config = app.extensions["oneapi"].config
        config.redis_conn_string = f"redis://127.0.0.1:{server.port}/0"
        channel()
        free, busy = person("free"), person("busy", requests_per_minute=100, concurrency=5)
        assert post(served, free.key).status == 200
        assert app.extensions["oneapi.relay"]._board is None, "Redis is not even connected to"
        assert post(served, busy.key).status == 200
        before = calls(server)
        for _ in range(5):
            assert post(served, busy.key).status == 200
            assert post(served, free.key).status == 200
        eventually(lambda: calls(server) == before + 10)
        assert "cmdstat_scan" not in server.client.info("commandstats")
        app.extensions["oneapi.relay"].board.stop()


def calls(server: redises.Server) -> int:
    """Scripts that were run to admit a request or to end it."""
    return int(server.client.info("commandstats")["cmdstat_eval"]["calls"])


def test_each_host_counts_by_itself_while_redis_is_away(
    tmp_path: Path, hosts: Any, caplog: pytest.LogCaptureFixture
) -> None:
    port = redises.free_ports(1)[0]
    with redises.alone(tmp_path, port, password="") as server:
        here, there = hosts(2, REDIS_CONN_STRING=f"redis://127.0.0.1:{port}/0")
        before = here.enter(someone(concurrency=2), 0)
        server.process.send_signal(signal.SIGSTOP)
        caplog.clear()
        tickets = [admitted(where, someone(2, rpm=3)) for _ in range(5) for where in (here, there)]
        assert sum(ticket is not None for ticket in tickets) == 6, "three for each host"
        before.done(0)
        server.process.send_signal(signal.SIGCONT)
        eventually(lambda: here._answers and there._answers)
        tickets = [admitted(where, someone(3, rpm=3)) for _ in range(5) for where in (here, there)]
        assert sum(ticket is not None for ticket in tickets) == 3
        eventually(lambda: server.client.hlen("oneapi:limits:{1}:token:1:running") == 0)
    assert all(admitted(here, someone(4, rpm=3)) is not None for _ in range(3)), "the server is gone"
    lost = [line for line in caplog.messages if "Redis does not answer" in line]
    assert 2 <= len(lost) <= 4, "one line for each host and time"


def test_redis_may_be_away_at_the_start(tmp_path: Path, hosts: Any, caplog: pytest.LogCaptureFixture) -> None:
    port = redises.free_ports(1)[0]
    (here,) = hosts(1, REDIS_CONN_STRING=f"127.0.0.1:{port}")
    caplog.set_level(logging.WARNING)
    assert [admitted(here, someone(rpm=2)) is not None for _ in range(3)] == [True, True, False]
    with redises.alone(tmp_path, port, password="") as server:
        eventually(lambda: here._answers)
        assert admitted(here, someone(rpm=2)) is not None
        assert server.client.hget("oneapi:limits:{1}:token:1", "r") == b"1"


@pytest.fixture
def settings_of_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path / "instance"
    yield {"INSTANCE_PATH": str(folder), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"}


@pytest.fixture
def two(settings_of_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., list[Node]]]:
    """Two nodes with one database and one Redis, each with an instance folder of its own, as two hosts have."""
    with ExitStack() as stack:

        def start(**variables: str) -> list[Node]:
            shared = settings_of_environment | {
                "SQLITE_PATH": str(Path(settings_of_environment["INSTANCE_PATH"]) / "one-api.db")
            }
            return [
                stack.enter_context(Node(shared | {"INSTANCE_PATH": str(tmp_path / name)} | variables, folder=tmp_path))
                for name in ("first", "second")
            ]

        yield start


def test_two_hosts_let_twenty_of_forty_through_and_a_dead_one_holds_nothing(
    app: Any, tmp_path: Path, two: Any, vendor: FakeVendor, channel: Any, person: Any
) -> None:
    channel()
    busy, slow = person("busy", requests_per_minute=20), person("slow", concurrency=3)
    with redises.alone(tmp_path, password="") as server:
        first, second = two(REDIS_CONN_STRING=f"redis://127.0.0.1:{server.port}/0")
        greenlets = [gevent.spawn(post, node.url, busy.key) for _ in range(20) for node in (first, second)]
        assert sorted(greenlet.get().status for greenlet in greenlets) == [200] * 20 + [429] * 20
        asked = len(vendor.asked)
        vendor.always(chat(), delay=100)
        running = [gevent.spawn(post, node.url, slow.key, timeout=120) for node in (first, first, second)]
        vendor.was_asked(asked + 3)
        vendor.always(chat())
        assert post(second.url, slow.key).status == 429
        first.kill()
        eventually(lambda: post(second.url, slow.key).status == 200, 30)
        gevent.killall(running)


def test_a_request_that_takes_long_stays_counted(tmp_path: Path, hosts: Any) -> None:
    with redises.alone(tmp_path, password="") as server:
        (here,) = hosts(1, REDIS_CONN_STRING=f"redis://127.0.0.1:{server.port}/0")
        ticket = here.enter(someone(concurrency=1), 0)

        def until() -> int:
            (held,) = server.client.hvals("oneapi:limits:{1}:token:1:running")
            return int(held.split()[1])

        first = until()
        eventually(lambda: until() > first)
        assert admitted(here, someone(concurrency=1)) is None
        ticket.done(0)
        eventually(lambda: admitted(here, someone(concurrency=1)) is not None)
