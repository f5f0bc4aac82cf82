"""The server's handler against raw bytes: framing that could be read in two ways, limits, and an orderly end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from gevent.pywsgi import WSGIHandler
from wires import chunk, exchange, serving

from oneapi import lifecycle
from oneapi.handler import Handler

HOST = b"Host: a\r\n"
CLOSE = b"Connection: close\r\n"


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Says what it understood, one fact a line."""
    body = environ["wsgi.input"].read()
    facts = [environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], body.decode("latin-1")]
    facts += [f"{key}={environ[key]}" for key in sorted(environ) if key.startswith(("HTTP_", "CONTENT_"))]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join(facts).encode("latin-1")]


def status(answer: bytes) -> int:
    return int(answer[9:12]) if answer else 0


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


# ---- requests in


def test_a_request_is_understood() -> None:
    head = b"POST /v1/a%20b/%E4%BD%A0?x=%31&y HTTP/1.1\r\nHost: a:1\r\nAccept:  */*  \r\nX-One: 1\r\nx-one: 2\r\nCookie: a=1\r\n"
    head += b"Cookie: b=2\r\nX_Forwarded_For: evil\r\nContent-Type: text/x\r\nContent-Length: 5\r\n" + CLOSE + b"\r\nhello"
    with serving(echo) as port:
        answer = exchange(port, head)
    assert answer.partition(b"\r\n\r\n")[2].decode().split("\n") == [
        "POST", "/v1/a b/你", "x=%31&y", "hello", "CONTENT_LENGTH=5", "CONTENT_TYPE=text/x",
        "HTTP_ACCEPT=*/*", "HTTP_CONNECTION=close", "HTTP_COOKIE=a=1; b=2", "HTTP_HOST=a:1", "HTTP_X_ONE=1,2",
    ]  # fmt: skip


REQUEST = b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"


@pytest.mark.parametrize("request_bytes", [REQUEST, CHUNKED], ids=["length", "chunked"])
def test_requests_read_the_same_wherever_they_are_cut(request_bytes: bytes) -> None:
    with serving(echo) as port:
        for cut in range(1, len(request_bytes)):
            answer = exchange(port, request_bytes[:cut], request_bytes[cut:] + LAST, pause=0.001)
            assert statuses(answer) == [200, 200], cut
            assert b"\nhello world\n" in answer and b"GET\n/last\n" in answer, cut


def test_requests_sent_at_once_are_answered_in_order() -> None:
    many = b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d" % (n, n) for n in range(20))
    with serving(echo) as port:
        answer = exchange(port, many + CHUNKED + LAST)
    assert statuses(answer) == [200] * 22
    places = [answer.index(b"POST\n/%d\n\n%02d\n" % (n, n)) for n in range(20)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("head", "refused"),
    [
        # Which of two lengths counts?
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400),
        # What is a number?
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5_0\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xb2\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n", 400),
        # Where does a line or a name end?
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\nTransfer-Encoding: chunked\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\rY: 2\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\tfolded\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: a\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: 1\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\xe9: 1\r\n", 400),
        # Whose request is it?
        (b"GET / HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@a\r\n", 400),
        # What is asked for?
        (b"GET  / HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n", 400),
        (b"GET /\tx HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET /#x HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET example HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET http:///x HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET http://u@h/x HTTP/1.1\r\nHost: a\r\n", 400),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GE(T / HTTP/1.1\r\nHost: a\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n", 400),
        (b"GET / HTTP/1.2\r\nHost: a\r\n", 400),
        (b"GET / http/1.1\r\nHost: a\r\n", 400),
        (b"GET /\r\nHost: a\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n", 400),
        # How much is too much?
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 101, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: a-miracle\r\n", 417),
    ],
)  # fmt: skip
def test_what_two_parsers_could_read_in_two_ways_is_refused_and_ends_the_connection(head: bytes, refused: int) -> None:
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    with serving(echo) as port:
        answer = exchange(port, head + b"\r\n" + smuggled)
    assert statuses(answer) == [refused]
    assert b"Connection: close\r\n" in answer and b"smuggled" not in answer


@pytest.mark.parametrize("body", [b"x\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhelloX0\r\n\r\n", b"-1\r\n\r\n"])
def test_a_badly_chunked_body_is_refused_and_ends_the_connection(body: bytes) -> None:
    with serving(echo) as port:
        answer = exchange(port, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body + LAST)
    assert statuses(answer) == [400]


def test_a_url_as_target_names_the_host() -> None:
    with serving(echo) as port:
        answer = exchange(port, b"GET http://real:1/x?y=1 HTTP/1.1\r\nHost: other\r\n" + CLOSE + b"\r\n")
        options = exchange(port, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n" + CLOSE + b"\r\n")
    assert b"GET\n/x\ny=1\n" in answer and b"HTTP_HOST=real:1" in answer
    assert b"OPTIONS\n*\n" in options


# ---- bodies


def test_short_bodies_are_there_as_bytes_and_long_ones_are_read_as_they_come() -> None:
    seen = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        seen.append((environ.get("oneapi.body"), stream.readline(), len(stream.read(3)), len(stream.read()), stream.read()))
        start_response("200 OK", [])
        return [b"ok"]

    body = b"line\n" + b"x" * 300_000
    with serving(app, inline=1000) as port:
        for length in (10, 1000, 1001, 300_000):
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
            assert statuses(exchange(port, head + body[:length] + LAST)) == [200, 200]
    lengths = [(body[:length] if length <= 1000 else None, b"line\n", 3, length - 8, b"") for length in (10, 1000, 1001, 300_000)]
    assert [entry for entry in seen if entry[1]] == lengths


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    ask = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n" + CLOSE + b"\r\n"
    with serving(echo) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(ask)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hello")
        assert b"\nhello\n" in sock.recv(65536)


def test_a_client_that_asks_first_with_too_much_is_refused_before_it_sends() -> None:
    ask = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
    with serving(echo, body=1000) as port:
        assert statuses(exchange(port, ask)) == [413]


def test_a_chunked_body_beyond_the_cap_is_refused_while_it_comes() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(echo, body=1000) as port:
        assert statuses(exchange(port, head, *[chunk(b"x" * 300)] * 5)) == [413]


def unread(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("401 Unauthorized", [("Content-Length", "2")])
    return [b"no"]


@pytest.mark.parametrize(("size", "after"), [(2000, [401, 401]), (3_000_000, [401])])
def test_a_body_nobody_read_does_not_become_the_next_request(size: int, after: list[int]) -> None:
    body = (b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n" * (size // 29 + 1))[:size]
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    with serving(unread, inline=100) as port:
        assert statuses(exchange(port, head + body + LAST)) == after


# ---- answers out


def answers(head: list[tuple[str, str]], pieces: Any, code: str = "200 OK") -> Any:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(code, head)
        return pieces() if callable(pieces) else pieces

    return app


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
TWO = GET + LAST


@pytest.mark.parametrize("handler", [Handler, WSGIHandler], ids=["lean", "standard"])
@pytest.mark.parametrize(
    ("app", "body"),
    [
        (answers([], [b"hello"]), b"hello"),
        (answers([], [b"he", b"", b"llo"]), b"hello"),
        (answers([], []), b""),
        (answers([("Content-Length", "5")], [b"hello"]), b"hello"),
        (answers([("Content-Length", "5")], lambda: iter([b"he", b"llo"])), b"hello"),
        (answers([], lambda: iter([b"he", b"", b"llo"])), b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (answers([], lambda: iter([])), b"0\r\n\r\n"),
        (answers([], [b""], "204 No Content"), b""),
        (answers([], [], "304 Not Modified"), b""),
    ],
)
def test_answers_are_framed_so_that_the_next_one_is_found(app: Any, body: bytes, handler: type) -> None:
    with serving(app, handler) as port:
        answer = exchange(port, TWO)
    first, second = answer.split(b"HTTP/1.1 ")[1:]
    if handler is Handler and b"Content-Length: 0" in first:
        body = b""
    assert (first.partition(b"\r\n\r\n")[2], second.partition(b"\r\n\r\n")[2]) == (body, body)
    assert b"\r\nDate: " in first


def test_a_head_request_gets_the_head_alone() -> None:
    head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    for app in (answers([], [b"hello"]), answers([("Content-Length", "5")], lambda: iter([b"hello"]))):
        with serving(app) as port:
            answer = exchange(port, head + head.replace(b"\r\n\r\n", b"\r\n" + CLOSE + b"\r\n"))
        assert statuses(answer) == [200, 200]
        assert answer.endswith(b"\r\n\r\n") and answer.count(b"Content-Length: 5\r\n") == 2


@pytest.mark.parametrize("pieces", [[b"hell"], [b"hello!"], lambda: iter([b"hel"]), lambda: iter([b"hello", b"!"])])
def test_a_body_that_does_not_match_its_length_ends_the_connection(pieces: Any) -> None:
    with serving(answers([("Content-Length", "5")], pieces)) as port:
        assert statuses(exchange(port, TWO)) == [200]


def test_http_1_0_gets_no_chunks_and_keeps_the_connection_only_when_it_asks() -> None:
    stream = answers([], lambda: iter([b"he", b"llo"]))
    with serving(stream) as port:
        assert exchange(port, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").endswith(b"\r\n\r\nhello")
    with serving(answers([], [b"hello"])) as port:
        assert statuses(exchange(port, b"GET / HTTP/1.0\r\n\r\n" * 2)) == [200]
        kept = exchange(port, b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + b"GET / HTTP/1.0\r\n\r\n")
    assert statuses(kept) == [200, 200] and b"Connection: keep-alive\r\n" in kept


def test_an_application_may_write_and_may_start_late() -> None:
    def writes(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"one")
        write(b"two")
        return [b"three"]

    def late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"one"
        yield b"two"

    with serving(writes) as port:
        answer = exchange(port, TWO)
        assert statuses(answer) == [200, 200] and answer.count(chunk(b"one") + chunk(b"two") + chunk(b"three")) == 2
    with serving(late) as port:
        assert exchange(port, TWO).count(chunk(b"one") + chunk(b"two") + b"0\r\n\r\n") == 2


def test_a_fault_of_the_application_is_a_500_or_a_visible_break() -> None:
    def before(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError("before")

    def amid() -> Iterable[bytes]:
        yield b"one"
        raise RuntimeError("amid")

    with serving(before) as port:
        assert statuses(exchange(port, TWO)) == [500]
    with serving(answers([], amid)) as port:
        answer = exchange(port, TWO)
    assert statuses(answer) == [200] and answer.endswith(chunk(b"one"))


@pytest.mark.parametrize("header", [("X", "a\r\nB: c"), ("X\r\nY", "a"), ("X", "a\nb")])
def test_an_answer_cannot_be_split_by_a_header(header: tuple[str, str]) -> None:
    with serving(answers([header], [b"x"])) as port:
        assert statuses(exchange(port, GET)) == [500]


def test_the_body_is_closed_however_it_ends() -> None:
    closed = threading.Event()

    class Body:
        def __iter__(self) -> Any:
            while True:
                yield b"x" * 100_000

        def close(self) -> None:
            closed.set()

    with serving(answers([], Body), send_seconds=0.3) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(GET)
            assert sock.recv(100)
        assert closed.wait(20)
        closed.clear()
        with socket.create_connection(("127.0.0.1", port)) as sock:  # one that stays and does not read
            sock.sendall(GET)
            assert closed.wait(20)


# ---- time


@pytest.mark.parametrize("begun", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_slow_head_ends_the_connection(begun: bytes) -> None:
    with serving(echo, idle_seconds=0.2, head_seconds=0.2) as port:
        assert exchange(port, begun, seconds=5) == b""


def test_dripping_a_head_does_not_win_time() -> None:
    with serving(echo, head_seconds=0.3) as port:
        start = b"GET / HTTP/1.1\r\n"
        answer = exchange(port, start, *[b"X: 1\r\n"] * 30, b"Host: a\r\n" + CLOSE + b"\r\n", pause=0.05)
    assert answer == b""


def test_a_body_that_stops_is_a_408() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n"
    with serving(echo, body_pause_seconds=0.2) as port:
        exchange(port, head + b"x" * 10)
    with serving(echo) as port:
        assert statuses(exchange(port, head + b"x" * 10, half_close=True)) == [408]
    with serving(echo, inline=100) as port:
        assert statuses(exchange(port, head + b"x" * 10, half_close=True)) == [408]


# ---- the process

PROGRAM = """
import sys, time
from gevent import monkey; monkey.patch_all()
sys.path[:0] = {path!r}
from oneapi import server, lifecycle
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/slow":
        def body():
            yield b"begun"
            time.sleep(1)
            yield b"ended" + str(server.draining()).encode()
        return body()
    return [b"ok"]
@server.at_exit
def _(): print("flushed", flush=True)
@server.at_exit
def _(): raise RuntimeError("a callback that fails does not stop the next")
if __name__ == "__main__":
    server.serve(app, server.listen("127.0.0.1", {port}), grace_seconds={grace})
    print("stopped", flush=True)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def connected(port: int) -> socket.socket:
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while more := sock.recv(65536):
        data += more
    return data


def stopping(process: subprocess.Popen[bytes], port: int) -> bytes:
    """What a stream says that was begun before SIGTERM; an idle connection meanwhile is closed."""
    with connected(port) as idle, connected(port) as busy:
        idle.sendall(GET)
        assert idle.recv(1000).endswith(b"ok")
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        data = b""
        while b"begun" not in data:
            data += busy.recv(1000)
        process.send_signal(signal.SIGTERM)
        assert read_all(idle) == b""
        return data + read_all(busy)


def test_sigterm_finishes_what_was_begun_then_runs_the_callbacks(tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(path=sys.path, port=port, grace=10))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        answer = stopping(process, port)
        out, err = process.communicate(timeout=30)
    assert answer.endswith(chunk(b"begun") + chunk(b"endedTrue") + b"0\r\n\r\n")
    assert (out.split(), process.returncode) == ([b"flushed", b"stopped"], 0)
    assert b"a callback that fails" in err


def test_the_grace_period_has_an_end(tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(path=sys.path, port=port, grace=0.2))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        answer = stopping(process, port)
        out, err = process.communicate(timeout=30)
    assert b"ended" not in answer and b"cut off" in err
    assert out.split() == [b"flushed", b"stopped"]


@pytest.mark.parametrize("handler", ["lean", "standard"])
def test_gunicorn_serves_with_our_worker_and_ends_in_order(tmp_path: Path, handler: str) -> None:
    port = free_port()
    (tmp_path / "program.py").write_text(PROGRAM.format(path=sys.path, port=port, grace=1))
    (tmp_path / "conf.py").write_text(
        f"import sys; sys.path[:0] = {[*sys.path, str(tmp_path)]!r}\n"
        "from gevent import monkey; monkey.patch_all()\n"
        "from oneapi import lifecycle\n"
        "worker_class = 'oneapi.worker.Worker'\n"
        "graceful_timeout = 10\n"
        "def worker_exit(server, worker): lifecycle.run_exit_callbacks()\n"
    )
    command = [sys.executable, "-m", "gunicorn", "-c", str(tmp_path / "conf.py"), "-b", f"127.0.0.1:{port}", "program:app"]
    environ = {**os.environ, "SERVER_HANDLER": handler}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, cwd=tmp_path) as process:
        if handler == "lean":
            answer = stopping(process, port)
            assert answer.endswith(chunk(b"begun") + chunk(b"endedTrue") + b"0\r\n\r\n")
        else:
            with connected(port) as sock:
                sock.sendall(GET)
                assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
            process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert out.split() == [b"flushed"]


def test_the_last_registered_callback_runs_first_and_each_runs_once() -> None:
    ran: list[int] = []
    lifecycle.at_exit(lambda: ran.append(1))
    lifecycle.at_exit(lambda: ran.append(2))
    lifecycle.run_exit_callbacks()
    lifecycle.run_exit_callbacks()
    assert ran == [2, 1]
