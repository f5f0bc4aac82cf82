"""Redis servers of a test's own, as processes on free ports: one alone, a master that sentinels watch, a cluster."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

PASSWORD = "of the servers, not of the sentinels"
MASTER = "our-master"
SLOTS = 16384


def need() -> None:
    """Skip where there is no redis-server to start, but fail where everything must be tested."""
    if shutil.which("redis-server"):
        return
    if os.environ.get("CI") == "true":
        pytest.fail("CI must test Redis Sentinel and Cluster, but there is no redis-server")
    pytest.skip("no redis-server on this machine")


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def eventually(claim: object, seconds: float = 20.0) -> None:
    """Wait until a function says yes; what Redis says meanwhile does not matter."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if claim():  # type: ignore[operator]
                return
        except (redis.RedisError, OSError):
            pass
        time.sleep(0.05)
    raise AssertionError("it never came true")


class Server:
    """One process; `stop` ends it at once, as a crash would."""

    def __init__(self, folder: Path, port: int, *options: str, config: Path | None = None, password: str = PASSWORD):
        self.port, self.folder = port, folder
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["redis-server", *([str(config), "--sentinel"] if config else [])]
        command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--daemonize", "no"]
        command += [] if config else ["--save", "", "--appendonly", "no"]
        command += ["--requirepass", password, "--masterauth", password] if password else []
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = redis.Redis("127.0.0.1", port, password=password or None, socket_timeout=20)
        eventually(self.client.ping)

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait(30)


@contextmanager
def alone(folder: Path, port: int = 0, password: str = PASSWORD) -> Iterator[Server]:
    need()
    server = Server(folder / "alone", port or free_ports(1)[0], password=password)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def watched(folder: Path) -> Iterator[tuple[str, list[Server]]]:
    """The addresses of three sentinels, and a master and its replica, which takes over when the master is gone."""
    need()
    ports = free_ports(5)
    with ExitStack() as stack:
        master = Server(folder / "master", ports[0])
        stack.callback(master.stop)
        replica = Server(folder / "replica", ports[1], "--replicaof", f"127.0.0.1 {master.port}")
        stack.callback(replica.stop)
        eventually(lambda: replica.client.info("replication")["master_link_status"] == "up")
        for port in ports[2:]:
            watcher = Server(folder / f"sentinel-{port}", port, config=_sentinel(folder, port, master.port), password="")
            stack.callback(watcher.stop)
            eventually(lambda w=watcher: w.client.sentinel_master(MASTER)["num-slaves"] == 1)  # type: ignore[misc]
        yield ",".join(f"127.0.0.1:{port}" for port in ports[2:]), [master, replica]


def _sentinel(folder: Path, port: int, master: int) -> Path:
    path = folder / f"sentinel-{port}.conf"
    lines = [
        f"sentinel monitor {MASTER} 127.0.0.1 {master} 2", f'sentinel auth-pass {MASTER} "{PASSWORD}"',
        f"sentinel down-after-milliseconds {MASTER} 1000", f"sentinel failover-timeout {MASTER} 5000",
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[Server]]]:
    """The addresses of a cluster of three masters without replicas, and the servers."""
    need()
    ports, buses = free_ports(3), free_ports(3)
    with ExitStack() as stack:
        servers = []
        for port, bus in zip(ports, buses, strict=True):
            options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000")
            servers.append(Server(folder / f"node-{port}", port, *options))
            stack.callback(servers[-1].stop)
        for at, server in enumerate(servers):
            first, last = SLOTS * at // 3, SLOTS * (at + 1) // 3 - 1
            server.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            server.client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], buses[0])
        for server in servers:
            eventually(lambda s=server: s.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")  # type: ignore[misc]
        yield ",".join(f"127.0.0.1:{port}" for port in ports), servers
