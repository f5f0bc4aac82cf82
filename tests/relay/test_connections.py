"""A stream that the event loop copies has no greenlet, and is a connection like any other all the same."""

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
import pytest
from asks import until
from gevent.event import Event
from gevent.pool import Pool
from wires import Conversation, Wire, chunk

from oneapi import logs
from oneapi.connections import Server
from oneapi.handler import Handler
from oneapi.relay.pump import Passthrough
from oneapi.relay.transport import Route, open_stream
from oneapi.wire import Request

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PLACES = 2


class Book:
    error, media, final, surplus = None, False, False, 0

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str | None]] = []

    def see(self, data: bytes) -> None:
        pass

    def done(self, outcome: str) -> None:
        gevent.sleep(0.01)
        self.outcomes.append((outcome, logs.request_id.get()))


class Lines(list[str]):
    def write(self, line: str) -> None:
        self.append(line)


class Service:
    """A server for a vendor that says one event, and the others when `go_on` is set."""

    def __init__(self) -> None:
        self.book, self.go_on, self.lines = Book(), Event(), Lines()
        self.vendor = Wire(self.talk)
        options = {"log": self.lines, "error_log": None, "handler_class": Handler}
        self.server = Server(("127.0.0.1", 0), self.app, spawn=Pool(PLACES), **options)
        self.pool = self.server.pool

    def talk(self, conversation: Conversation) -> None:
        while conversation.request():
            conversation.send(HEAD + chunk(b"data: 1\n\n"))
            self.go_on.wait()
            conversation.send(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        logs.request_id.set("request-7")
        incoming = open_stream(Request(self.vendor.url, {}), Route(verify=False), environ["oneapi.client"])
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return Passthrough(incoming, self.book)

    def begun(self) -> socket.socket:
        """A client that has its first event."""
        client = socket.create_connection(("127.0.0.1", self.server.server_port), timeout=30)
        client.sendall(GET)
        assert heard(client, b"data: 1\n\n\r\n").endswith(b"data: 1\n\n\r\n")
        gevent.sleep(0.01)
        return client


def heard(client: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end) and (more := client.recv(65536)):
        data += more
    return data


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    with made.vendor:
        made.server.start()
        yield made
        made.go_on.set()
        made.server.stop(timeout=1)


def test_a_running_stream_has_a_place_and_no_greenlet(service: Service) -> None:
    pool = service.pool
    with service.begun() as client:
        assert (len(pool.greenlets), len(pool), pool.free_count()) == (0, 1, PLACES - 1)
        assert service.lines == [] and service.book.outcomes == []
        service.go_on.set()
        assert heard(client, b"0\r\n\r\n").endswith(b"0\r\n\r\n")
        assert service.book.outcomes == [("complete", "request-7")]
        assert until(lambda: len(service.lines) == 1) and '"GET / HTTP/1.1" 200' in service.lines[0]
        client.sendall(GET)
        assert heard(client, b"0\r\n\r\n").count(b"data: [DONE]") == 1
        assert len(pool) == 1
    assert until(lambda: len(pool) == 0) and pool._semaphore.counter == PLACES
    assert len(service.book.outcomes) == 2 and service.vendor.connections == 1
    assert not pool.addresses.known and not pool.addresses.public


def test_streams_take_places_from_others(service: Service) -> None:
    with service.begun(), service.begun(), socket.create_connection(("127.0.0.1", service.server.server_port)) as third:
        third.sendall(GET)
        third.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.recv(1)
        service.go_on.set()
        third.settimeout(10)
        gevent.sleep(0.05)
    assert until(lambda: len(service.pool) == 0) and service.pool._semaphore.counter == PLACES


def test_a_client_that_leaves_frees_its_place(service: Service) -> None:
    service.begun().close()
    assert until(lambda: len(service.pool) == 0) and service.pool._semaphore.counter == PLACES
    assert service.book.outcomes == [("client_left", "request-7")]


def test_whoever_ends_the_server_waits_for_its_streams(service: Service) -> None:
    with service.begun() as client:
        assert service.pool.join(timeout=0.1) is False
        waiting = gevent.spawn(service.pool.join, 10)
        service.go_on.set()
        assert heard(client, b"0\r\n\r\n").endswith(b"0\r\n\r\n")
    assert waiting.get() is True


def test_a_stream_that_is_cut_off_is_settled(service: Service) -> None:
    with service.begun() as client:
        service.pool.kill(timeout=1)
        assert client.recv(100) == b""
    assert service.book.outcomes == [("client_left", "request-7")]
    assert until(lambda: len(service.pool) == 0) and service.pool._semaphore.counter == PLACES
