"""Streams passed through: untouched bytes, settled before the end is seen, cancelled when the client leaves."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIHandler
from wires import Alone, Conversation, Wire, certificate, chunk, serving, tls_server, wire

from oneapi.handler import Handler
from oneapi.relay import pump
from oneapi.relay.pump import Passthrough
from oneapi.relay.transport import Route, Timeouts, open_stream
from oneapi.wire import Request

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EVENTS = [b'data: {"n":1}\n\n', b'data: {"n":2,"text":"data: [DONE]"}\n\n', b'data: {"usage":{}}\n\n', b"data: [DONE]\n\n"]
FRAMES = b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"


class Book:
    """An observer that remembers, and that takes a moment to settle."""

    def __init__(self, seconds: float = 0) -> None:
        self.seen, self.error = b"", None
        self.media, self.final, self.surplus = False, False, 0
        self.outcomes: list[str] = []
        self.begun, self.settled = threading.Event(), threading.Event()
        self.seconds = seconds

    def see(self, data: bytes) -> None:
        self.seen += data

    def done(self, outcome: str) -> None:
        self.begun.set()
        gevent.sleep(self.seconds)
        self.outcomes.append(outcome)
        self.settled.set()


def app(vendor: Wire, book: Any, route: Route | None = None, **options: Any) -> Any:
    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        incoming = open_stream(Request(vendor.url, {}), route or Route(verify=False), environ.get("oneapi.client"))
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return Passthrough(incoming, book, **options)

    return wsgi


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        more = sock.recv(65536)
        if not more:
            break
        data += more
    return data


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def dechunked(body: bytes) -> bytes:
    pieces, at = [], 0
    while at < len(body):
        line = body.index(b"\r\n", at)
        length = int(body[at:line], 16)
        pieces.append(body[line + 2 : line + 2 + length])
        at = line + 4 + length
        if not length:
            break
    return b"".join(pieces)


@pytest.fixture(params=["hub", "alone", "tls", "generator", "standard"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The ways a stream may take: the hub pump without and with a greenlet and over TLS, our handler's loop, and another
    WSGI handler."""
    tls = tls_server(certificate(tmp_path)) if request.param == "tls" else None

    def build(*pieces: bytes, close: bool = False, pause: float = 0.003) -> Wire:
        return wire(*pieces, close=close, tls=tls, pause=pause)

    options = {"edit": lambda data: data} if request.param == "generator" else {}
    yield build, options, {"standard": WSGIHandler, "alone": Alone}.get(request.param, Handler)


def test_a_stream_arrives_whole_and_both_connections_can_be_used_again(way: Any) -> None:
    build, options, handler = way
    book = Book()
    with build(HEAD, *map(chunk, EVENTS), b"0\r\n\r\n") as vendor, serving(app(vendor, book, **options), handler) as port:
        with connect(port) as client:
            for _ in range(3):
                client.sendall(GET)
                answer = read_until(client, b"0\r\n\r\n")
                assert dechunked(body_of(answer)) == b"".join(EVENTS)
        assert vendor.connections == 1
    assert book.outcomes == ["complete"] * 3
    assert book.seen == b"".join(EVENTS) * 3


def test_the_hub_pump_leaves_the_chunks_as_they_are() -> None:
    frames = b"3;ext=1\r\nabc\r\n1\r\nd\r\n" + FRAMES
    with wire(HEAD + frames) as vendor, serving(app(vendor, Book())) as port, connect(port) as client:
        client.sendall(GET)
        assert body_of(read_until(client, b"0\r\n\r\n")) == frames


@pytest.mark.parametrize("edit", [None, lambda data: data], ids=["hub", "generator"])
def test_a_stream_reads_the_same_wherever_the_vendors_bytes_are_cut(edit: Any) -> None:
    cuts = iter(range(1, len(FRAMES)))

    def script(talk: Conversation) -> None:
        while talk.request():
            cut = next(cuts)
            talk.send(HEAD, FRAMES[:cut], FRAMES[cut:], pause=0.001)

    for_each: list[Book] = []

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        for_each.append(Book())
        return app(vendor, for_each[-1], edit=edit)(environ, start_response)

    with Wire(script) as vendor, serving(wsgi) as port, connect(port) as client:
        for cut in range(1, len(FRAMES)):
            client.sendall(GET)
            assert dechunked(body_of(read_until(client, b"0\r\n\r\n"))) == b"".join(EVENTS), cut
    assert {tuple(book.outcomes) for book in for_each} == {("complete",)}
    assert {book.seen for book in for_each} == {b"".join(EVENTS)}


@pytest.mark.parametrize(
    "pieces",
    [
        [*map(chunk, EVENTS), b"0\r\n\r\n"],
        [FRAMES],
        [*map(chunk, EVENTS[:-1]), chunk(b"data: [DO"), chunk(b"NE]\n\n"), b"0\r\n\r\n"],
        [*map(chunk, EVENTS[:-1]), chunk(b"data: [DONE]"), b"0\r\n\r\n"],
        [*map(chunk, EVENTS[:-1]), chunk(b"data:[DONE]\n\n"), b"0\r\n\r\n"],
        [*map(chunk, EVENTS[:-1]), b"0\r\n\r\n"],
    ],
    ids=["pieces", "at once", "split", "no newline", "no space", "no mark"],
)
def test_the_end_is_not_seen_before_it_is_settled(way: Any, pieces: list[bytes]) -> None:
    build, options, handler = way
    book = Book(seconds=0.15)
    with build(HEAD, *pieces) as vendor, serving(app(vendor, book, **options), handler) as port, connect(port) as client:
        client.sendall(GET)
        assert book.begun.wait(20)
        client.setblocking(False)
        early = b""
        while not book.settled.is_set():
            try:
                early += client.recv(65536)
            except BlockingIOError:
                time.sleep(0.005)
            if b"NE]" in early.replace(b'"data: [DONE]"', b"") or early.endswith(b"0\r\n\r\n"):
                assert book.settled.is_set()
        client.setblocking(True)
        assert (early + read_until(client, b"0\r\n\r\n")).endswith(b"0\r\n\r\n") or early.endswith(b"0\r\n\r\n")
    assert book.outcomes == ["complete"]


@pytest.mark.parametrize("mark", [[b"data: [DONE]\n\n"], [b"data: [DONE]\r\n", b"\r\n"], [b"data: [DONE]\r", b"\n\r", b"\n"]])
def test_the_end_is_sent_at_once_although_the_vendor_keeps_the_body_open(way: Any, mark: list[bytes]) -> None:
    build, options, handler = way
    book = Book()
    with build(HEAD, *map(chunk, [*EVENTS[:-1], *mark]), b"0\r\n\r\n", pause=0.3) as vendor:
        with serving(app(vendor, book, **options), handler) as port, connect(port) as client:
            client.sendall(GET)
            answer = read_until(client, b"\r\ndata: [DONE]")
            assert book.outcomes == ["complete"] and not answer.endswith(b"0\r\n\r\n")
            assert read_until(client, b"0\r\n\r\n").endswith(b"0\r\n\r\n")


def test_a_last_event_that_carries_the_usage_is_held_until_it_is_whole() -> None:
    final = [b"event: response.comp", b'leted\ndata: {"usage":', b'{"input_tokens":3}}', b"\n\n"]
    seen: list[bytes] = []

    class Reader(Book):
        def done(self, outcome: str) -> None:
            seen.append(self.seen)
            super().done(outcome)

    book = Reader(seconds=0.1)
    with wire(HEAD, chunk(b"event: x\ndata: 1\n\n"), *map(chunk, final), b"0\r\n\r\n", pause=0.03) as vendor:
        with serving(app(vendor, book, marks=pump.RESPONSES_END_MARKS)) as port, connect(port) as client:
            client.sendall(GET)
            assert b"".join(final) in dechunked(body_of(read_until(client, b"0\r\n\r\n")))
    assert seen == [b"event: x\ndata: 1\n\n" + b"".join(final)]


# ---- clients that leave, and slow ones


def endless(gone: threading.Event, piece: bytes, pause: float) -> Wire:
    def script(talk: Conversation) -> None:
        talk.request()
        try:
            talk.send(HEAD)
            while True:
                talk.send(chunk(piece))
                time.sleep(pause)
        except OSError:
            gone.set()
            raise

    return Wire(script)


@pytest.mark.parametrize("options", [{}, {"edit": lambda data: data}], ids=["hub", "generator"])
def test_a_client_that_hangs_up_cancels_the_vendors_work(options: dict[str, Any]) -> None:
    gone, book = threading.Event(), Book()
    with endless(gone, b"data: 1\n\n", 0.01) as vendor, serving(app(vendor, book, **options)) as port:
        with connect(port) as client:
            client.sendall(GET)
            read_until(client, b"data: 1")
        assert gone.wait(20) and book.settled.wait(20)
    assert book.outcomes == ["client_left"]


@pytest.mark.parametrize("options", [{}, {"edit": lambda data: data}], ids=["hub", "generator"])
@pytest.mark.parametrize("said", [b"", chunk(b"data: 1\n\n")], ids=["before the first", "before the next"])
def test_a_hang_up_is_noticed_while_the_vendor_is_silent(said: bytes, options: dict[str, Any]) -> None:
    gone, book = threading.Event(), Book()

    def script(talk: Conversation) -> None:
        talk.request()
        talk.send(HEAD + said)
        if talk.gone():
            gone.set()

    with Wire(script) as vendor, serving(app(vendor, book, **options)) as port:
        with connect(port) as client:
            client.sendall(GET)
            if said or not options:
                read_until(client, said or b"\r\n\r\n")
            else:
                time.sleep(0.05)
        assert gone.wait(20) and book.settled.wait(20)
    assert book.outcomes == ["client_left"]


def test_a_next_request_sent_early_is_no_hang_up_and_is_answered() -> None:
    with wire(HEAD, *map(chunk, EVENTS), b"0\r\n\r\n", pause=0.05) as vendor, serving(app(vendor, Book())) as port:
        with connect(port) as client:
            client.sendall(GET)
            read_until(client, b'"n":1')
            client.sendall(GET)
            assert read_until(client, b"0\r\n\r\n") and read_until(client, b"0\r\n\r\n").endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("options", [{}, {"edit": lambda data: data}], ids=["hub", "generator"])
def test_a_slow_client_slows_the_vendor_down_and_loses_nothing(options: dict[str, Any]) -> None:
    sent: list[int] = [0]
    piece = chunk(b"data: " + b"x" * 65_000 + b"\n\n")

    def script(talk: Conversation) -> None:
        talk.request()
        talk.send(HEAD)
        for _ in range(600):
            talk.send(piece)
            sent[0] += 1
        talk.send(b"0\r\n\r\n")

    book = Book()
    with Wire(script) as vendor, serving(app(vendor, book, **options)) as port, connect(port) as client:
        client.sendall(GET)
        seen = -1
        while sent[0] != seen:  # until nothing moves any more
            seen = sent[0]
            time.sleep(0.2)
        assert 0 < seen < 600
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += client.recv(1 << 20)
        assert len(dechunked(body_of(received))) == 600 * 65_008
    assert book.outcomes == ["complete"]


@pytest.mark.parametrize("options", [{}, {"edit": lambda data: data}], ids=["hub", "generator"])
def test_a_client_that_stops_reading_is_given_up(options: dict[str, Any]) -> None:
    gone, book = threading.Event(), Book()
    with endless(gone, b"x" * 200_000, 0) as vendor, serving(app(vendor, book, **options), send_seconds=0.3) as port:
        with connect(port) as client:
            client.sendall(GET)
            assert gone.wait(20) and book.settled.wait(20)
    assert book.outcomes == ["client_left"]


def test_closing_a_stream_that_was_never_begun_settles_it() -> None:
    book = Book()
    with wire(HEAD + FRAMES) as vendor:
        body = Passthrough(open_stream(Request(vendor.url, {})), book)
        body.close()
        body.close()
    assert book.outcomes == ["client_left"]


# ---- vendors that break


@pytest.mark.parametrize(
    ("pieces", "outcome", "words"),
    [
        ([chunk(EVENTS[0])], "vendor_broke", True),
        ([chunk(EVENTS[0]) + b"5\r\nda"], "vendor_broke", False),
        ([chunk(EVENTS[0]), b"zz\r\n"], "vendor_broke", False),
        ([], "vendor_broke", True),
    ],
    ids=["between chunks", "inside a chunk", "bad framing", "at once"],
)
def test_a_stream_that_breaks_is_settled_and_says_so_if_it_can(way: Any, pieces: list[bytes], outcome: str, words: bool) -> None:
    build, options, handler = way
    book = Book()
    farewell = {"farewell": lambda how: b"data: error " + how.encode() + b"\n\n"}
    with build(HEAD, *pieces, close=True) as vendor:
        with serving(app(vendor, book, **options, **farewell), handler) as port, connect(port) as client:
            client.sendall(GET)
            answer = read_until(client, b"0\r\n\r\n")
    assert book.outcomes == [outcome]
    if words or options or handler is WSGIHandler:
        assert answer.endswith(chunk(b"data: error " + outcome.encode() + b"\n\n") + b"0\r\n\r\n")
    else:
        assert not answer.endswith(b"0\r\n\r\n")


def test_a_stream_that_breaks_without_words_ends_without_an_end(way: Any) -> None:
    build, options, handler = way
    book = Book()
    with build(HEAD, chunk(EVENTS[0]), close=True) as vendor:
        with serving(app(vendor, book, **options), handler) as port, connect(port) as client:
            client.sendall(GET)
            answer = read_until(client, b"0\r\n\r\n")
    assert (book.outcomes, answer.endswith(chunk(EVENTS[0]))) == (["vendor_broke"], True)


def test_a_vendor_that_breaks_after_its_last_event_has_completed(way: Any) -> None:
    build, options, handler = way
    book = Book()
    with build(HEAD, *map(chunk, EVENTS), close=True, pause=0.02) as vendor:
        with serving(app(vendor, book, **options), handler) as port, connect(port) as client:
            client.sendall(GET)
            answer = read_until(client, b"0\r\n\r\n")
    assert book.outcomes == ["complete"]
    assert dechunked(body_of(answer)) == b"".join(EVENTS) and answer.endswith(b"0\r\n\r\n")


def test_silence_in_the_middle_is_an_idle_timeout(way: Any) -> None:
    build, options, handler = way
    book = Book()
    route = Route(timeouts=Timeouts(idle=0.2), verify=False)
    with build(HEAD, chunk(EVENTS[0])) as vendor:
        with serving(app(vendor, book, route, **options), handler) as port, connect(port) as client:
            client.sendall(GET)
            assert not read_until(client, b"0\r\n\r\n").endswith(b"0\r\n\r\n")
    assert book.outcomes == ["idle_timeout"]


def test_a_fault_of_the_observer_is_not_lost_in_the_event_loop() -> None:
    class Faulty(Book):
        def see(self, data: bytes) -> None:
            raise RuntimeError("a fault")

    gone, book = threading.Event(), Faulty()
    with endless(gone, b"data: 1\n\n", 0.01) as vendor, serving(app(vendor, book)) as port, connect(port) as client:
        client.sendall(GET)
        assert not read_until(client, b"0\r\n\r\n").endswith(b"0\r\n\r\n")
        assert gone.wait(20) and book.settled.wait(20)


# ---- bodies that cannot be copied as they are


@pytest.mark.parametrize("body", [b"Content-Length: %d\r\n\r\n" % len(b"".join(EVENTS)), b"\r\n"], ids=["length", "until close"])
def test_a_body_that_is_not_chunked_is_passed_on(body: bytes) -> None:
    book = Book()
    with wire(b"HTTP/1.1 200 OK\r\n" + body, *EVENTS, close=True) as vendor, serving(app(vendor, book)) as port:
        with connect(port) as client:
            client.sendall(GET)
            assert dechunked(body_of(read_until(client, b"0\r\n\r\n"))) == b"".join(EVENTS)
    assert book.outcomes == ["complete"]


def test_an_edited_stream_hides_what_the_client_did_not_ask_for() -> None:
    book, kept = Book(), bytearray()

    def edit(data: bytes) -> bytes:
        """Whole events only, without the one that reports usage."""
        nonlocal kept
        kept += data
        *events, rest = bytes(kept).split(b"\n\n")
        kept = bytearray(rest)
        return b"".join(event + b"\n\n" for event in events if b'"usage"' not in event) + (b"" if data else rest)

    with wire(HEAD, *map(chunk, EVENTS), b"0\r\n\r\n") as vendor, serving(app(vendor, book, edit=edit)) as port:
        with connect(port) as client:
            client.sendall(GET)
            assert dechunked(body_of(read_until(client, b"0\r\n\r\n"))) == EVENTS[0] + EVENTS[1] + EVENTS[3]
    assert (book.seen, book.outcomes) == (b"".join(EVENTS), ["complete"])
