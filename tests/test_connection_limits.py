"""Limits on the connections of clients: which are counted, which idle one is closed first, and that busy ones are not."""

import json
import os
import re
import resource
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest
from asks import until
from gevent.event import Event
from gevent.pool import Pool
from wires import certificate, exchange, tls_server

from oneapi import config, proxies
from oneapi.caps import Address, Addresses, Caps
from oneapi.connections import Connections, Server
from oneapi.handler import Handler
from oneapi.server import limit_connections

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
PUBLIC, OTHER, PRIVATE, PROXY = "203.0.113.9", "198.51.100.7", "192.168.1.7", "10.9.9.9"
UNIX = ""  # a Unix socket has no address
TRUSTED = proxies.networks("10.9.9.0/24")


class Service:
    """A server whose requests for /slow wait for `go_on`."""

    def __init__(self, caps: Caps, total: int, **limits: float):
        self.go_on = Event()
        kind = type("TestServer", (Server,), {"caps": caps})
        handler = type("TestHandler", (Handler,), {"limits": replace(Handler.limits, **limits)})
        self.server = kind(("127.0.0.1", 0), self.app, spawn=Pool(total), log=None, error_log=None, handler_class=handler)
        self.pool: Connections = self.server.pool
        self.clients: list[socket.socket] = []

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.go_on.wait()
        start_response("200 OK", [])
        return [b"ok"]

    def client(self, ip: str, sends: bytes = b"") -> socket.socket:
        """A client that connects from an address, and what it sends first."""
        theirs, ours = socket.socketpair()
        self.clients.append(theirs)
        theirs.settimeout(20)
        theirs.sendall(sends)
        self.server.do_handle(ours, (ip, 40000) if ip else "")
        return theirs

    def resting(self, ip: str) -> socket.socket:
        """A client that has had one answer."""
        client = self.client(ip, GET)
        assert answered(client) == 200
        assert until(lambda: self.entry(ip).idle)
        return client

    def entry(self, ip: str) -> Address:
        return self.pool.addresses.of((ip, 1) if ip else "")

    def busy(self, ip: str) -> socket.socket:
        client = self.client(ip, SLOW)
        assert until(lambda: not self.entry(ip).idle)
        return client


@contextmanager
def running(address: int = 0, total: int = 100, **limits: float) -> Iterator[Service]:
    service = Service(Caps(address, TRUSTED), total, **limits)
    service.server.start()
    try:
        yield service
    finally:
        service.go_on.set()
        service.server.stop(timeout=1)
        for client in service.clients:
            client.close()


def answered(client: socket.socket) -> int:
    """The status of the next answer; 0 when the connection was closed instead."""
    data = b""
    while not data.endswith((b"ok", b"}")) and (more := client.recv(65536)):
        data += more
    return int(data[9:12]) if data else 0


def again(client: socket.socket) -> int:
    """The status of another request on the same connection; 0 when it was closed."""
    try:
        client.sendall(GET)
        return answered(client)
    except OSError:
        return 0


# ---- one address


def test_the_longest_resting_connection_of_an_address_is_closed_first() -> None:
    with running(address=3) as service:
        first, second, third, other = (service.resting(ip) for ip in (PUBLIC, PUBLIC, PUBLIC, OTHER))
        assert again(first) == 200  # now the second has rested longest
        fourth = service.client(PUBLIC, GET)
        assert answered(fourth) == 200
        assert second.recv(1) == b""
        assert [again(client) for client in (first, third, fourth, other)] == [200] * 4


def test_connections_that_have_sent_nothing_or_half_a_head_are_idle() -> None:
    with running(address=2) as service:
        silent, half = service.client(PUBLIC), service.client(PUBLIC, b"GET / HT")
        assert until(lambda: len(service.entry(PUBLIC).idle) == 2)
        gevent.sleep(0)
        assert [answered(service.client(PUBLIC, GET)) for _ in range(2)] == [200, 200]
        assert silent.recv(1) == b"" and half.recv(1) == b""


def test_busy_connections_stay_and_the_address_is_told_why_it_gets_no_more() -> None:
    with running(address=2) as service:
        busy = [service.busy(PUBLIC), service.busy(PUBLIC)]
        refused = service.client(PUBLIC, GET)
        said = b""
        while more := refused.recv(65536):
            said += more
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ") and b"Connection: close" in head
        assert json.loads(body)["error"]["code"] == "too_many_connections"
        assert answered(service.client(OTHER, GET)) == 200
        service.go_on.set()
        assert [answered(client) for client in busy] == [200, 200]
        assert answered(service.client(PUBLIC, GET)) == 200  # one of them rests by now


def test_a_connection_whose_request_has_arrived_is_not_idle() -> None:
    with running(address=1) as service:
        client = service.resting(PUBLIC)
        client._sock.send(GET)  # type: ignore[attr-defined]  # without letting the server run
        assert answered(service.client(PUBLIC, GET)) == 429
        assert answered(client) == 200


def test_counts_end_with_the_connections() -> None:
    with running(address=3, total=5) as service:
        clients = [service.resting(ip) for ip in (PUBLIC, PUBLIC, PUBLIC, PUBLIC, PRIVATE, PROXY, PUBLIC)]
        for client in clients:
            client.close()
        assert until(lambda: not len(service.pool))
        addresses = service.pool.addresses
        assert not addresses.known and not addresses.public and not addresses.trusted and not addresses.proxies.open
        assert service.pool._semaphore.counter == 5 and not service.pool.parting


def test_an_address_with_one_connection_is_counted_when_that_is_replaced() -> None:
    with running(address=1) as service:
        first = service.resting(PUBLIC)
        second = service.busy(PUBLIC)
        assert first.recv(1) == b"" and service.entry(PUBLIC).open == 1
        assert answered(service.client(PUBLIC, GET)) == 429
        service.go_on.set()
        assert answered(second) == 200


def test_an_ipv6_client_is_counted_by_its_64_bit_network() -> None:
    with running(address=2) as service:
        first = service.resting("2001:db8:1:2::1")
        service.resting("2001:db8:1:2:ffff::9"), service.resting("2001:db8:1:3::1")
        third = service.resting("2001:db8:1:2::3")
        assert first.recv(1) == b"" and again(third) == 200


# ---- proxies


def test_trusted_proxies_and_unix_sockets_have_no_limit() -> None:
    with running(address=1) as service:
        clients = [service.resting(PROXY) for _ in range(3)]
        clients += [service.resting(UNIX) for _ in range(2)]
        assert [again(client) for client in clients] == [200] * 5


def test_a_private_address_may_be_a_proxy_and_only_its_idle_connections_are_closed() -> None:
    with running(address=2) as service:
        busy = [service.busy(PRIVATE) for _ in range(3)]
        idle = service.client(PRIVATE, GET)
        assert answered(idle) == 200 and idle.recv(1) == b""
        service.go_on.set()
        assert [answered(client) for client in busy] == [200] * 3


def test_connections_that_come_at_once_are_cut_down_to_the_limit_when_they_rest() -> None:
    with running(address=2) as service:
        clients = [service.client(PRIVATE) for _ in range(6)]
        entry = service.entry(PRIVATE)
        assert entry.open == 6  # none of them has run yet
        assert until(lambda: entry.open == 2 and len(service.pool) == 2)
        assert [again(client) for client in clients] == [0, 0, 0, 0, 200, 200]


def test_the_proxies_of_our_deployments_are_not_limited() -> None:
    text = (Path(__file__).parent.parent / "deploy" / "compose.yaml").read_text()
    networks = proxies.networks(re.findall(r"TRUSTED_PROXIES: (\S+)", text)[0])
    pool = Connections(1000)
    composed = Addresses(pool, Caps(trusted=networks), 1000)
    assert composed.of(("172.18.0.5", 1)).most == float("inf")
    local = Addresses(pool, Caps(trusted=proxies.networks(config.load({}).trusted_proxies)), 1000)
    assert local.of(("127.0.0.1", 1)).most == local.of(("::1", 1, 0, 0)).most == float("inf")
    assert not local.of(("10.1.2.3", 1)).firm and local.of((PUBLIC, 1)).firm


# ---- all together


def test_at_the_total_the_longest_resting_one_is_closed_and_those_of_proxies_last() -> None:
    with running(total=3) as service:
        proxy, first, second = (service.resting(ip) for ip in (PROXY, PUBLIC, OTHER))
        third, fourth = service.resting(OTHER), service.resting(PUBLIC)
        assert first.recv(1) == b"" and second.recv(1) == b""
        assert [again(client) for client in (proxy, third, fourth)] == [200] * 3


def test_where_all_are_busy_the_next_waits_until_one_rests() -> None:
    with running(total=1) as service:
        port = service.server.server_port
        with (
            socket.create_connection(("127.0.0.1", port), 20) as busy,
            socket.create_connection(("127.0.0.1", port), 20) as next_,
        ):
            busy.sendall(SLOW)
            next_.sendall(GET)
            assert until(lambda: service.pool.blocked)
            service.go_on.set()
            assert answered(busy) == 200
            assert answered(next_) == 200
            assert busy.recv(1) == b""


def test_a_process_keeps_descriptors_for_providers_and_the_database() -> None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert Caps(reserved=100).total(10**9) == (soft - 100) // 2
    assert Caps().total(50) == 50
    assert Addresses(None, Caps(1000), 400).most == 200  # one address never takes every place


def test_the_configuration_sets_the_limits() -> None:
    before = Server.caps
    settings = config.load({"MAX_CONNECTIONS_PER_ADDRESS": "7", "TRUSTED_PROXIES": "10.9.9.0/24", "SQL_MAX_OPEN_CONNS": "50"})
    try:
        limit_connections(settings)
        assert Server.caps == Caps(7, TRUSTED, 228)
    finally:
        Server.caps = before


def test_where_files_run_out_an_idle_connection_is_closed_for_the_next(caplog: pytest.LogCaptureFixture) -> None:
    with running() as service, socket.socket() as client:
        idle = service.resting(PUBLIC)
        client.settimeout(20)
        free = os.dup(0)
        os.close(free)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        try:
            client.connect(("127.0.0.1", service.server.server_port))
            client.sendall(GET)
            assert answered(client) == 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert idle.recv(1) == b""
    assert [r.getMessage().split(" connections")[0] for r in caplog.records] == ["event=accept_failed error=EMFILE"]


# ---- time


def test_a_new_connection_must_send_soon_and_a_used_one_may_rest_longer() -> None:
    with running(first_seconds=0.2) as service:
        used = service.resting(PUBLIC)
        assert service.client(PUBLIC).recv(1) == b""
        assert again(used) == 200


def test_a_tls_handshake_that_is_not_begun_ends(tmp_path: Path) -> None:
    kind = type("TestServer", (Server,), {"handshake_seconds": 0.2})
    options = {"log": None, "error_log": None, "handler_class": Handler}
    context = tls_server(certificate(tmp_path))
    server = kind(
        ("127.0.0.1", 0), lambda environ, start: start("200 OK", []) and [b"ok"], spawn=Pool(2), ssl_context=context, **options
    )
    server.start()
    with socket.create_connection(("127.0.0.1", server.server_port), 20) as client:
        assert client.recv(1) == b""
    assert until(lambda: not len(server.pool))
    server.stop(timeout=1)


def test_the_standard_handler_counts_too() -> None:
    from gevent.pywsgi import WSGIHandler

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"ok"]

    server = Server(("127.0.0.1", 0), app, spawn=Pool(2), log=None, error_log=None, handler_class=WSGIHandler)
    server.start()
    for _ in range(4):
        assert b"ok" in exchange(server.server_port, b"GET / HTTP/1.0\r\n\r\n")
    assert until(lambda: not server.pool.addresses.known and server.pool._semaphore.counter == 2)
    server.stop(timeout=1)
