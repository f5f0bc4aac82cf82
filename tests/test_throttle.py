"""Limits: counted across processes in Redis, and in the process while there is none or it is away."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import bare
import pytest
import servers
from flask import Flask

from oneapi import config, throttle
from oneapi.relay import guesses
from oneapi.throttle import Limits

REDIS_PORT = 6379
GONE = "redis://127.0.0.1:1/0"


def limits(**environ: str) -> Limits:
    """What one process has."""
    return Limits(Flask("limits"), config.load(environ))


def test_two_processes_count_together_in_redis() -> None:
    servers.needs("redis", REDIS_PORT)
    here, there = (limits(REDIS_CONN_STRING=f"redis://127.0.0.1:{REDIS_PORT}/0") for _ in range(2))
    key = f"test:{os.getpid()}:{os.urandom(4).hex()}"
    assert [each.wait(2, 5, "T", key) > 0 for each in (here, there, here, there)] == [False, False, True, True]


def test_without_redis_each_process_counts_for_itself() -> None:
    here, there = limits(), limits()
    assert [each.wait(1, 60, "T", "k") > 0 for each in (here, there, here)] == [False, False, True]


WRONG = {"Authorization": "Bearer sk-wrong"}


def whole(folder: Path, **environ: str) -> AbstractContextManager[Flask]:
    return servers.application({"INSTANCE_PATH": str(folder), "LOG_DIR": "", **environ})


def test_wrong_keys_are_counted_together_in_redis(tmp_path: Path) -> None:
    servers.needs("redis", REDIS_PORT)
    redis = {"REDIS_CONN_STRING": f"redis://127.0.0.1:{REDIS_PORT}/0"}
    peer = {"REMOTE_ADDR": f"2001:db8:{os.getpid() % 65536:x}:{os.urandom(2).hex()}::1"}
    with whole(tmp_path / "here", **redis) as here, whole(tmp_path / "there", **redis) as there:
        clients = [here.test_client(), there.test_client()] * (guesses.MOST // 2 + 1)
        answers = [client.get("/v1/models", headers=WRONG, environ_overrides=peer).status_code for client in clients]
    assert answers == [401] * guesses.MOST + [429, 429]


def test_while_redis_is_away_each_process_counts_wrong_keys(tmp_path: Path) -> None:
    with whole(tmp_path, REDIS_CONN_STRING=GONE) as app:
        client = app.test_client()
        answers = [client.get("/v1/models", headers=WRONG).status_code for _ in range(guesses.MOST + 1)]
    assert answers == [401] * guesses.MOST + [429]


def test_while_redis_is_away_the_process_counts() -> None:
    here = limits(REDIS_CONN_STRING=GONE)
    assert [here.wait(1, 60, "T", "k") > 0 for _ in range(2)] == [False, True]
    assert here.full(1, 60, "T", "k") > 0


def test_asking_does_not_count() -> None:
    here = limits()
    assert [here.full(1, 60, "T", "k") for _ in range(3)] == [0, 0, 0]
    assert here.wait(1, 60, "T", "k") == 0 and 1 <= here.full(1, 60, "T", "k") <= 60


def test_requests_are_limited_while_redis_is_away(tmp_path: Path) -> None:
    app = bare.app(tmp_path, REDIS_CONN_STRING=GONE, GLOBAL_API_RATE_LIMIT="2")
    client = app.test_client()
    assert [client.get("/api/status").status_code for _ in range(3)] == [200, 200, 429]
    app.extensions["oneapi"].databases.dispose()


@pytest.mark.parametrize(
    "environ, uri",
    [
        ({}, ""),
        ({"REDIS_CONN_STRING": "h:1", "REDIS_PASSWORD": "p"}, "redis://h:1"),
        ({"REDIS_CONN_STRING": "redis://h:1/2"}, "redis://h:1/2"),
        ({"REDIS_CONN_STRING": "a:1,b:2", "REDIS_MASTER_NAME": "m", "REDIS_PASSWORD": "p@"}, "redis+sentinel://a:1,b:2/m"),
        ({"REDIS_CONN_STRING": "a:1,b:2", "REDIS_PASSWORD": "p"}, "redis+cluster://a:1,b:2"),
    ],
)
def test_every_form_of_redis_has_an_address(environ: dict[str, str], uri: str) -> None:
    assert throttle.storage_uri(config.load(environ)) == uri
