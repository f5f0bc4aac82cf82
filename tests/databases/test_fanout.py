"""What one process changes, the others notice: with Redis at once, without it or while it is away within two seconds."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest
import servers
from gevent.server import StreamServer
from pair import Pair, eventually

from oneapi import fanout
from oneapi.config import Config

REDIS = 6379


def redis_url() -> str:
    servers.needs("redis", REDIS)
    return f"redis://127.0.0.1:{REDIS}/0"


def test_without_redis_a_change_travels_by_the_database(pair: Callable[..., Pair]) -> None:
    two = pair()
    two.rename("Renamed")
    assert not two.heard("Renamed")
    eventually(lambda: two.heard("Renamed"), 2.5)


def test_with_redis_a_change_travels_before_the_next_look_at_the_database(
    pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "REFRESH_SECONDS", 3600)  # nobody looks at the database by themselves
    two = pair(REDIS_CONN_STRING=redis_url())
    eventually(lambda: all(part.listening for part in two.fanouts))
    two.rename("Renamed")
    eventually(lambda: two.heard("Renamed"))


def test_a_change_that_redis_was_not_told_of_is_seen_within_two_seconds(pair: Callable[..., Pair]) -> None:
    two = pair(REDIS_CONN_STRING=redis_url())
    eventually(lambda: all(part.listening for part in two.fanouts))
    two.states[0].publish = lambda: None  # the process ended, or lost its Redis, between the commit and the telling
    two.rename("Renamed")
    eventually(lambda: two.heard("Renamed"), 2.5)


def test_nodes_may_be_written_without_a_scheme(pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    servers.needs("redis", REDIS)
    monkeypatch.setattr(fanout, "REFRESH_SECONDS", 3600)
    two = pair(REDIS_CONN_STRING=f"127.0.0.1:{REDIS}")
    eventually(lambda: all(part.listening for part in two.fanouts))
    two.rename("Renamed")
    eventually(lambda: two.heard("Renamed"))


def test_while_redis_is_away_the_database_is_asked_and_later_redis_again(pair: Callable[..., Pair]) -> None:
    servers.needs("redis", REDIS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    two = pair(REDIS_CONN_STRING=f"redis://127.0.0.1:{port}/0")
    two.rename("While away")
    eventually(lambda: two.heard("While away"))
    assert not any(part.listening for part in two.fanouts)
    open_links: list[socket.socket] = []
    relay = StreamServer(("127.0.0.1", port), lambda client, _: pipe(client, open_links))
    relay.start()
    try:
        eventually(lambda: all(part.listening for part in two.fanouts))
        two.rename("Back")
        eventually(lambda: two.heard("Back"))
    finally:
        relay.stop()
        for link in open_links:
            link.close()
    eventually(lambda: not any(part.listening for part in two.fanouts))
    two.rename("Away again")
    eventually(lambda: two.heard("Away again"))


def pipe(client: socket.socket, open_links: list[socket.socket]) -> None:
    """Carry bytes between a client and the real Redis."""
    with socket.create_connection(("127.0.0.1", REDIS)) as server:
        open_links += [client, server]
        back = gevent.spawn(copy, server, client)
        copy(client, server)
        back.kill()


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        return


def test_a_database_that_is_away_for_a_while_ends_nothing(pair: Callable[..., Pair]) -> None:
    two = pair()
    path = Path(str(two.states[1].databases.url.database))
    two.states[1].databases.dispose()
    hidden = path.with_name(f"hidden-{os.getpid()}")
    hidden.mkdir()
    for part in path.parent.glob("one-api.db*"):
        part.rename(hidden / part.name)
    path.mkdir()  # a folder in place of the file: nothing can be opened there
    gevent.sleep(1.3)
    path.rmdir()
    for part in hidden.iterdir():
        part.rename(path.parent / part.name)
    two.rename("Afterwards")
    eventually(lambda: two.heard("Afterwards"))


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, "NoneType"),
        ({"REDIS_CONN_STRING": "redis://:pw@h:1/2"}, "Redis"),
        ({"REDIS_CONN_STRING": "rediss://h:1"}, "Redis"),
        ({"REDIS_CONN_STRING": "h1:26379,h2:26379", "REDIS_MASTER_NAME": "main", "REDIS_PASSWORD": "pw"}, "Redis"),
    ],
)
def test_every_form_of_address_makes_a_client(tmp_path: Path, variables: dict[str, str], kind: str) -> None:
    settings: Config = servers.configured(tmp_path, **variables)
    made = fanout.client(settings)
    assert type(made).__name__ == kind
    if "REDIS_MASTER_NAME" in variables:
        pool = made.connection_pool
        assert pool.service_name == "main"
        assert [(s.connection_pool.connection_kwargs["host"]) for s in pool.sentinel_manager.sentinels] == ["h1", "h2"]
