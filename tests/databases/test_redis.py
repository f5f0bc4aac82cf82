"""Every form of REDIS_CONN_STRING against real servers: one alone, sentinels with a failover, a cluster that goes and comes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
import redises
import servers
from flask import Flask
from pair import Pair, eventually

from oneapi import fanout, throttle
from oneapi.config import Config


def settings_of(folder: Path, variables: dict[str, str]) -> Config:
    return servers.configured(folder, **variables)


def limits(config: Config) -> throttle.Limits:
    """What one process has."""
    return throttle.Limits(Flask("limits"), config)


def test_a_change_travels_and_limits_are_counted_together(
    form: Any, tmp_path: Path, pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, _ = form
    monkeypatch.setattr(fanout, "REFRESH_SECONDS", 3600)  # nobody looks at the database by themselves
    two = pair(**variables)
    assert fanout.health(two.settings) == "answers"
    eventually(lambda: all(part.listening for part in two.fanouts))
    two.rename("Renamed")
    eventually(lambda: two.heard("Renamed"))
    gevent.sleep(fanout.TIMEOUT + 0.5)  # long enough for a ping over the silent connection
    assert all(part.listening for part in two.fanouts)
    fanout.tell(two.settings)  # as the command line does
    here, there = limits(two.settings), limits(two.settings)
    for key in ("alice", "bob", "carol"):  # in a cluster they live on different servers
        assert [each.wait(2, 60, "T", key) > 0 for each in (here, there, here, there)] == [False, False, True, True]
        assert here.full(2, 60, "T", key) > 0


def test_when_the_master_is_gone_its_replica_carries_on(tmp_path: Path, pair: Callable[..., Pair]) -> None:
    with redises.watched(tmp_path) as (nodes, (master, replica)):
        two = pair(REDIS_CONN_STRING=nodes, REDIS_MASTER_NAME=redises.MASTER, REDIS_PASSWORD=redises.PASSWORD)
        eventually(lambda: all(part.listening for part in two.fanouts))
        here = limits(two.settings)
        assert here.wait(1, 60, "T", "alice") == 0
        master.stop()
        two.rename("While there is no master")
        eventually(lambda: two.heard("While there is no master"))
        assert here.wait(5, 60, "T", "bob") == 0, "counted in this process meanwhile"
        redises.eventually(lambda: replica.client.info("replication")["role"] == "master")
        eventually(lambda: all(part.listening for part in two.fanouts), 20)
        two.rename("Under the new one")
        eventually(lambda: two.heard("Under the new one"))
        here.retry_at = 0.0
        eventually(lambda: here.wait(9, 60, "T", "carol") == 0 and replica.client.keys("*carol*") != [])


def test_a_cluster_may_be_away_at_the_start_and_come_later(tmp_path: Path, pair: Callable[..., Pair]) -> None:
    port = redises.free_ports(1)[0]
    variables = {"REDIS_CONN_STRING": f"127.0.0.1:{port},127.0.0.1:{port}"}
    two = pair(**variables)
    here = limits(two.settings)
    assert [here.wait(1, 60, "T", "alice") > 0 for _ in range(2)] == [False, True], "the process counts by itself"
    two.rename("Without")
    eventually(lambda: two.heard("Without"))
    assert fanout.health(two.settings).startswith("does not answer")
    redises.need()
    options = ("--cluster-enabled", "yes", "--cluster-port", str(redises.free_ports(1)[0]))
    node = redises.Server(tmp_path / "late", port, *options, password="")
    try:
        node.client.execute_command("CLUSTER ADDSLOTSRANGE", 0, redises.SLOTS - 1)
        redises.eventually(lambda: node.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        eventually(lambda: all(part.listening for part in two.fanouts), 20)
        here.retry_at = 0.0
        assert here.wait(1, 60, "T", "bob") == 0 and node.client.keys("*bob*")
    finally:
        node.stop()
    two.rename("Gone again")
    eventually(lambda: two.heard("Gone again"))
    assert here.wait(1, 60, "T", "carol") == 0
