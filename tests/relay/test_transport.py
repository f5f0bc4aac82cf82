"""The transport against real sockets: every framing, every way to fail, pools, time-outs, TLS and proxies."""

import base64
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent import socket as gsocket
from wires import Conversation, Wire, certificate, chunk, tls_server, wire

from oneapi.relay import dial, transport
from oneapi.relay.dial import Proxies
from oneapi.relay.sockets import Link
from oneapi.relay.transport import ClientLeft, Route, Timeouts, open_stream, send
from oneapi.wire import File, Request, VendorError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = OK + b'Content-Length: 11\r\n\r\n{"ok":true}'
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + b"0\r\n\r\n"
QUICK = Route(timeouts=Timeouts(connect=2, first_byte=0.3, idle=0.3))


@pytest.fixture(autouse=True)
def _fresh_pools() -> Iterator[None]:
    yield
    transport.forget_connections()


def failure(request: Request, route: Route = QUICK) -> VendorError:
    with pytest.raises(VendorError) as caught:
        send(request, route)
    return caught.value


# ---- requests


def test_a_request_travels_as_json_with_the_headers_a_vendor_expects() -> None:
    with wire(WHOLE) as vendor:
        send(Request(f"{vendor.url}/v1/chat?a=1&b=%20", {"model": "é", "n": 1}, {"Authorization": "Bearer k"}))
        head, _, body = vendor.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat?a=1&b=%20 HTTP/1.1"
    assert sorted(lines[1:]) == sorted(
        [
            f"Host: 127.0.0.1:{vendor.port}",
            "Authorization: Bearer k",
            "Accept: */*",
            "Accept-Encoding: identity",
            "User-Agent: one-api",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
    )
    assert body == '{"model":"é","n":1}'.encode()


def test_headers_of_the_request_win_except_those_that_frame_it() -> None:
    headers = {"content-type": "text/x", "ACCEPT": "text/event-stream", "Content-Length": "99", "Transfer-Encoding": "chunked"}
    with wire(WHOLE) as vendor:
        send(Request(vendor.url, b"abc", headers | {"Connection": "close", "Host": "elsewhere"}, method="PUT"))
        head, _, body = vendor.requests[0].lower().partition(b"\r\n\r\n")
    assert head.startswith(b"put / http/1.1\r\n")
    assert body == b"abc"
    assert (head.count(b"content-type:"), head.count(b"accept:"), head.count(b"content-length: 3")) == (1, 1, 1)
    assert b"elsewhere" not in head and b"transfer-encoding" not in head and b"connection" not in head


def test_json_that_the_fast_encoder_refuses_travels_all_the_same() -> None:
    with wire(WHOLE) as vendor:
        send(Request(vendor.url, {"text": "\ud800", "seed": 2**70}))
        body = vendor.requests[0].partition(b"\r\n\r\n")[2]
    assert json.loads(body) == {"text": "\ud800", "seed": 2**70}


def test_a_form_with_files_travels_as_multipart() -> None:
    file = File("file", 'a"b\r\n.mp3', "audio/mpeg", b"\x00\r\n--x\xff")
    with wire(WHOLE) as vendor:
        send(Request(vendor.url, files=(file,), form=(("model", "whisper-1"), ("prompt", "é"))))
        head, _, body = vendor.requests[0].partition(b"\r\n\r\n")
    boundary = head.split(b"multipart/form-data; boundary=")[1].split(b"\r\n")[0]
    parts = body.split(b"--" + boundary)
    assert parts[0] == b"" and parts[-1] == b"--\r\n"
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    assert parts[2] == '\r\nContent-Disposition: form-data; name="prompt"\r\n\r\né\r\n'.encode()
    named = b'form-data; name="file"; filename="a%22b%0D%0A.mp3"'
    assert parts[3] == b"\r\nContent-Disposition: " + named + b"\r\nContent-Type: audio/mpeg\r\n\r\n\x00\r\n--x\xff\r\n"


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer a\r\nX: b"}, {"Authorization": "a\nb"}, {"Authorization": "密钥"}])
def test_a_key_that_cannot_be_sent_is_reported_as_the_channels_fault(headers: dict[str, str]) -> None:
    with wire(WHOLE) as vendor:
        assert failure(Request(vendor.url, {}, headers)).kind == "auth"
        assert vendor.requests == []


@pytest.mark.parametrize("url", ["", "ftp://h/x", "http://", "http://[::1", "http://h:99999/", "/v1/chat"])
def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    assert failure(Request(url, {})).kind == "unreachable"


def test_a_space_in_the_address_cannot_break_the_request_line() -> None:
    with wire(WHOLE) as vendor:
        send(Request(f"{vendor.url}/a b?c d=\r\nX: é", {}))
        assert vendor.requests[0].startswith(b"POST /a%20b?c%20d=X:%20%C3%A9 HTTP/1.1\r\n")


# ---- answers


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (WHOLE, b'{"ok":true}'),
        (CHUNKED, b"data: 1\n\ndata: 2\n\n"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + WHOLE, b'{"ok":true}'),
    ],
    ids=["length", "chunked", "empty", "204", "1xx"],
)
def test_an_answer_reads_the_same_wherever_it_is_cut_and_the_connection_is_kept(answer: bytes, body: bytes) -> None:
    cuts = iter(range(1, len(answer)))

    def script(talk: Conversation) -> None:
        while talk.request():
            cut = next(cuts)
            talk.send(answer[:cut], answer[cut:], pause=0.001)

    with Wire(script) as vendor:
        for _ in range(len(answer) - 1):
            assert send(Request(vendor.url, {})).body == body
        assert vendor.connections == 1


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    with wire(OK + b"\r\n", b"some", b"thing", close=True) as vendor:
        reply = send(Request(vendor.url, {}))
    assert (reply.status, reply.content_type, reply.body) == (200, "application/json", b"something")


def test_a_head_request_has_no_body_whatever_the_length_says() -> None:
    with wire(OK + b"Content-Length: 11\r\n\r\n") as vendor:
        assert send(Request(vendor.url, method="HEAD")).body == b""
        assert send(Request(vendor.url, method="HEAD")).headers["content-length"] == "11"
        assert vendor.connections == 1


def test_a_stream_yields_pieces_as_they_arrive() -> None:
    gate = threading.Event()

    def script(talk: Conversation) -> None:
        talk.request()
        talk.send(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"one"))
        gate.wait(20)
        talk.send(b"6\r\nt", b"wo", b"lve\r\n0\r\n\r\n")

    with Wire(script) as vendor:
        pieces = iter(open_stream(Request(vendor.url, {})))
        assert next(pieces) == b"one"
        gate.set()
        assert b"".join(pieces) == b"twolve"


def test_peeking_takes_nothing_away() -> None:
    with wire(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r", b"\n", b"one\r\n", chunk(b"two") + b"0\r\n\r\n") as vendor:
        incoming = open_stream(Request(vendor.url, {}))
        assert incoming.peek().startswith(b"one")
        assert incoming.read() == b"onetwo"
    with wire(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n") as vendor:
        incoming = open_stream(Request(vendor.url, {}))
        assert (incoming.peek(), incoming.read()) == (b"", b"")


def bare(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize(
    ("name", "packed"),
    [("gzip", gzip.compress(b"hi" * 500)), ("deflate", zlib.compress(b"hi" * 500)), ("deflate", bare(b"hi" * 500))],
)
def test_a_vendor_that_compresses_uninvited_is_understood(name: str, packed: bytes) -> None:
    head = OK + f"Content-Encoding: {name}\r\n".encode()
    with wire(head + f"Content-Length: {len(packed)}\r\n\r\n".encode(), packed[:5], packed[5:]) as vendor:
        assert send(Request(vendor.url, {})).body == b"hi" * 500
    with wire(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(packed[:7]) + chunk(packed[7:]) + b"0\r\n\r\n") as vendor:
        incoming = open_stream(Request(vendor.url, {}))
        assert not incoming.pumpable
        assert b"".join(incoming) == b"hi" * 500


def test_a_compressed_bomb_is_stopped_at_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER", 1_000_000)
    packed = gzip.compress(b"\0" * 50_000_000)
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with wire(head + packed) as vendor:
        error = failure(Request(vendor.url, {}))
    assert (error.kind, "too large" in error.message) == ("garbled", True)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        OK + b"X: " + b"y" * 70_000,
    ],
)
def test_what_is_not_http_is_garbled(answer: bytes) -> None:
    with wire(answer) as vendor:
        assert failure(Request(vendor.url, {})).kind == "garbled"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-", WHOLE[:-1], CHUNKED[:-1], CHUNKED[:-7], CHUNKED[:-12]])
def test_an_answer_that_is_cut_off_is_garbled_and_not_asked_for_again(answer: bytes) -> None:
    with wire(answer, close=True) as vendor:
        assert failure(Request(vendor.url, {})).kind == "garbled"
        assert len(vendor.requests) == 1


def test_the_answer_counts_when_a_vendor_refuses_a_long_body_without_reading_it() -> None:
    def script(talk: Conversation) -> None:
        talk.sock.recv(1000)
        talk.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        talk.sock.shutdown(socket.SHUT_WR)
        while talk.sock.recv(65536):
            pass

    with Wire(script) as vendor:
        assert send(Request(vendor.url, b"x" * 5_000_000)).status == 413


# ---- connections


def test_a_connection_that_was_closed_while_it_rested_is_replaced_unnoticed() -> None:
    with wire(WHOLE, close=True) as vendor:
        for _ in range(3):
            assert send(Request(vendor.url, {})).status == 200
        assert vendor.connections == 3


def test_a_reused_connection_that_breaks_after_the_first_byte_is_not_retried() -> None:
    def script(talk: Conversation) -> None:
        vendor.requests.append(talk.request())
        talk.send(WHOLE)
        vendor.requests.append(talk.request())
        talk.send(b"H")

    with Wire(script) as vendor:
        send(Request(vendor.url, {}))
        assert failure(Request(vendor.url, {})).kind == "garbled"
        assert (len(vendor.requests), vendor.connections) == (2, 1)


def test_a_fresh_connection_that_is_closed_without_an_answer_is_unreachable() -> None:
    with Wire(lambda talk: (talk.request(), None)[1]) as vendor:
        assert failure(Request(vendor.url, {})).kind == "unreachable"
        assert vendor.connections == 1


@pytest.mark.parametrize(
    "answer",
    [WHOLE + b"extra", CHUNKED + b"x", WHOLE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), WHOLE.replace(b"1.1", b"1.0")],
)
def test_a_connection_in_doubt_is_not_used_again(answer: bytes) -> None:
    with wire(answer) as vendor:
        send(Request(vendor.url, {}))
        send(Request(vendor.url, {}))
        assert vendor.connections == 2


def test_bytes_that_come_while_a_connection_rests_do_not_pass_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "_TRUST_SECONDS", 0.0)

    def script(talk: Conversation) -> None:
        talk.request()
        talk.send(WHOLE, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", pause=0.02)
        talk.gone()

    with Wire(script, lambda talk: vendor.answering(WHOLE)(talk)) as vendor:
        send(Request(vendor.url, {}))
        time.sleep(0.1)
        assert send(Request(vendor.url, {})).status == 200


def test_a_connection_made_by_another_thread_is_left_alone() -> None:
    with wire(WHOLE) as vendor:
        gevent.get_hub().threadpool.apply(send, (Request(vendor.url, {}),))
        assert send(Request(vendor.url, {})).status == 200
        assert vendor.connections == 2


def test_a_resting_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "IDLE_SECONDS", 0.1)
    gone = threading.Event()

    def script(talk: Conversation) -> None:
        talk.request()
        talk.send(WHOLE)
        if talk.gone():
            gone.set()

    with Wire(script) as vendor:
        send(Request(vendor.url, {}))
        gevent.sleep(0.6)
        assert gone.wait(20)


def test_closing_a_stream_early_cancels_the_vendors_work_at_once() -> None:
    gone = threading.Event()

    def script(talk: Conversation) -> None:
        talk.request()
        talk.send(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"one"))
        if talk.gone():
            gone.set()

    with Wire(script) as vendor:
        incoming = open_stream(Request(vendor.url, {}))
        assert next(iter(incoming)) == b"one"
        incoming.close()
        incoming.close()
        gevent.sleep(0.01)
        assert gone.wait(20)


# ---- time


def hang(talk: Conversation) -> None:
    """Read, and never answer."""
    while talk.sock.recv(65536):
        pass


def silent(*pieces: bytes) -> Wire:
    def script(talk: Conversation) -> None:
        talk.request()
        talk.send(*pieces)
        hang(talk)

    return Wire(script)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200", WHOLE[:-1], CHUNKED[:-3]], ids=["nothing", "half a head", "length", "chunked"]
)
def test_silence_is_a_timeout(said: bytes) -> None:
    with silent(said) as vendor:
        assert failure(Request(vendor.url, {})).kind == "timeout"


def test_the_total_time_is_bounded_although_bytes_keep_coming() -> None:
    with wire(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk(b"x")] * 100, pause=0.05) as vendor:
        error = failure(Request(vendor.url, {}), Route(timeouts=Timeouts(total=0.3)))
        assert error.kind == "timeout"


def test_a_slow_stream_is_fine_while_no_pause_is_too_long() -> None:
    with wire(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk(b"x")] * 6, b"0\r\n\r\n", pause=0.1) as vendor:
        assert send(Request(vendor.url, {}), Route(timeouts=Timeouts(first_byte=2, idle=0.4))).body == b"xxxxxx"


def test_a_vendor_that_does_not_read_the_request_is_a_timeout() -> None:
    with Wire(lambda talk: time.sleep(3)) as vendor:
        assert failure(Request(vendor.url, b"x" * 30_000_000)).kind == "timeout"


def test_nobody_listening_is_unreachable_and_names_the_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = failure(Request(f"http://127.0.0.1:{port}/secret?key=k", {}))
    assert (error.kind, "127.0.0.1" in error.message, "secret" in error.message) == ("unreachable", True, False)
    assert failure(Request("http://no-such-host.invalid/", {})).kind == "unreachable"


# ---- clients that leave


def test_a_client_that_leaves_while_we_wait_cancels_the_vendors_request() -> None:
    gone = threading.Event()

    def script(talk: Conversation) -> None:
        talk.request()
        if talk.gone(10):
            gone.set()

    ours, theirs = gsocket.socketpair()
    client = Link(ours)
    with Wire(script) as vendor:
        gevent.spawn_later(0.05, theirs.close)
        with pytest.raises(ClientLeft):
            open_stream(Request(vendor.url, {}), Route(), client)
        assert gone.wait(20)
    client.close()


def test_a_client_that_leaves_in_the_middle_of_a_stream_ends_it() -> None:
    ours, theirs = gsocket.socketpair()
    client = Link(ours)
    with silent(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"one")) as vendor:
        pieces = iter(open_stream(Request(vendor.url, {}), Route(), client))
        assert next(pieces) == b"one"
        gevent.spawn_later(0.05, theirs.close)
        with pytest.raises(ClientLeft):
            next(pieces)
    client.close()


def test_a_client_that_stays_and_already_sends_more_is_no_client_that_left() -> None:
    ours, theirs = gsocket.socketpair()
    client = Link(ours)
    theirs.sendall(b"GET / HTTP/1.1\r\n")
    with wire(WHOLE[:-3], WHOLE[-3:], pause=0.6) as vendor:
        assert send(Request(vendor.url, {}), Route(), client).body == b'{"ok":true}'
    client.close()
    theirs.close()


# ---- TLS


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A certificate for localhost that the system trusts."""
    path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    dial.tls_context.cache_clear()
    yield path
    dial.tls_context.cache_clear()


def test_tls_is_verified_against_the_systems_trust_store(trusted: Path) -> None:
    with wire(CHUNKED, tls=tls_server(trusted)) as vendor:
        for _ in range(2):
            assert send(Request(f"https://localhost:{vendor.port}/", {})).body == b"data: 1\n\ndata: 2\n\n"
        assert vendor.connections == 1


def test_a_certificate_nobody_vouches_for_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    dial.tls_context.cache_clear()
    with wire(WHOLE, tls=tls_server(certificate(tmp_path))) as vendor:
        error = failure(Request(vendor.url, {}))
        assert (error.kind, "certificate" in error.message) == ("unreachable", True)
        assert vendor.requests == []
        assert send(Request(vendor.url, {}), Route(verify=False)).status == 200


def test_a_certificate_for_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificate(tmp_path, "other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    dial.tls_context.cache_clear()
    with wire(WHOLE, tls=tls_server(path)) as vendor:
        assert failure(Request(f"https://localhost:{vendor.port}/", {})).kind == "unreachable"
    dial.tls_context.cache_clear()


def test_a_plain_server_on_a_tls_address_is_unreachable() -> None:
    with Wire(lambda talk: talk.send(talk.sock.recv(9) and b"HTTP/1.1 400 Bad Request\r\n\r\n")) as vendor:
        assert failure(Request(f"https://127.0.0.1:{vendor.port}/", {})).kind == "unreachable"


def test_a_handshake_that_stalls_is_a_timeout() -> None:
    with Wire(hang) as vendor:
        error = failure(Request(f"https://127.0.0.1:{vendor.port}/", {}), Route(timeouts=Timeouts(connect=0.3)))
        assert error.kind == "timeout"


def test_silence_over_tls_is_a_timeout(trusted: Path) -> None:
    with Wire(hang, tls=tls_server(trusted)) as vendor:
        assert failure(Request(f"https://localhost:{vendor.port}/", {})).kind == "timeout"


# ---- proxies


def pipe(one: socket.socket, other: socket.socket) -> None:
    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    thread = threading.Thread(target=copy, args=(other, one), daemon=True)
    thread.start()
    copy(one, other)
    thread.join()
    other.close()


def connect_proxy(asked: list[bytes]) -> Wire:
    def script(talk: Conversation) -> None:
        request = talk.request()
        asked.append(request)
        host, _, port = request.split(b" ")[1].rpartition(b":")
        onward = socket.create_connection((host.decode(), int(port)))
        talk.send(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        pipe(talk.sock, onward)

    return Wire(script)


def test_https_goes_through_a_tunnel_of_the_proxy(trusted: Path) -> None:
    asked: list[bytes] = []
    with wire(WHOLE, tls=tls_server(trusted)) as vendor, connect_proxy(asked) as proxy:
        route = Route(proxy=f"http://us%65r:p%40ss@127.0.0.1:{proxy.port}")
        for _ in range(2):
            reply = send(Request(f"https://localhost:{vendor.port}/v1?key=secret", {}, {"Authorization": "Bearer k"}), route)
            assert reply.status == 200
    credentials = base64.b64encode(b"user:p@ss").decode()
    target = f"localhost:{vendor.port}"
    said = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {credentials}\r\n\r\n"
    assert asked == [said.encode()]
    assert b"Proxy-Authorization" not in vendor.requests[0]


def test_http_goes_to_the_proxy_in_absolute_form() -> None:
    with wire(WHOLE) as proxy:
        send(Request("http://vendor.invalid/v1?a=1", {}), Route(proxy=f"http://u:p@127.0.0.1:{proxy.port}"))
    assert proxy.requests[0].startswith(b"POST http://vendor.invalid/v1?a=1 HTTP/1.1\r\nHost: vendor.invalid\r\n")
    assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in proxy.requests[0]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Authentication Required\r\n\r\n", b"", b"x" * 20000])
def test_a_proxy_that_refuses_is_unreachable(answer: bytes) -> None:
    with wire(answer, close=True) as proxy:
        error = failure(Request("https://vendor.invalid/", {}), Route(proxy=f"http://127.0.0.1:{proxy.port}"))
    assert (error.kind, "proxy" in error.message) == ("unreachable", True)


def test_a_proxy_that_is_silent_is_a_timeout() -> None:
    with Wire(hang) as proxy:
        route = Route(proxy=f"http://127.0.0.1:{proxy.port}", timeouts=Timeouts(connect=0.2))
        assert failure(Request("https://vendor.invalid/", {}), route).kind == "timeout"


def socks_proxy(seen: list[bytes], *, method: int = 0, code: int = 0) -> Wire:
    def script(talk: Conversation) -> None:
        sock = talk.sock
        version, count = sock.recv(2)
        seen.append(sock.recv(count))
        sock.sendall(bytes([version, method]))
        if method == 2:
            seen.append(sock.recv(512))
            sock.sendall(b"\x01\x00")
        elif method == 255:
            return
        _, _, _, kind = sock.recv(4)
        name = sock.recv(4 if kind == 1 else sock.recv(1)[0])
        port = int.from_bytes(sock.recv(2), "big")
        seen.append(name)
        sock.sendall(bytes([5, code, 0, 1]) + bytes(6))
        if not code:
            pipe(sock, socket.create_connection(("127.0.0.1", port)))

    return Wire(script)


def test_socks5_resolves_here_and_socks5h_at_the_proxy() -> None:
    seen: list[bytes] = []
    with wire(WHOLE) as vendor, socks_proxy(seen) as proxy:
        url = f"http://localhost:{vendor.port}/"
        assert send(Request(url, {}), Route(proxy=f"socks5://127.0.0.1:{proxy.port}")).status == 200
        assert send(Request(url, {}), Route(proxy=f"socks5h://127.0.0.1:{proxy.port}")).status == 200
    assert seen == [b"\x00", bytes([127, 0, 0, 1]), b"\x00", b"localhost"]


def test_socks5_signs_in_when_asked_to() -> None:
    seen: list[bytes] = []
    with wire(WHOLE) as vendor, socks_proxy(seen, method=2) as proxy:
        route = Route(proxy=f"socks5h://me:s%3Acret@127.0.0.1:{proxy.port}")
        assert send(Request(f"http://localhost:{vendor.port}/", {}), route).status == 200
    assert seen[:2] == [b"\x00\x02", b"\x01\x02me\x06s:cret"]


@pytest.mark.parametrize(("method", "code", "said"), [(255, 0, "sign in"), (0, 5, "connection refused")])
def test_a_socks_proxy_that_refuses_is_unreachable(method: int, code: int, said: str) -> None:
    with socks_proxy([], method=method, code=code) as proxy:
        error = failure(Request("http://vendor.invalid/", {}), Route(proxy=f"socks5h://127.0.0.1:{proxy.port}"))
    assert (error.kind, said in error.message) == ("unreachable", True)


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "socks4://127.0.0.1:1", "127.0.0.1:1"])
def test_a_kind_of_proxy_we_do_not_speak_to_is_named(proxy: str) -> None:
    assert "socks5" in failure(Request("https://vendor.invalid/", {}), Route(proxy=proxy)).message


@pytest.mark.parametrize(
    ("url", "no_proxy", "used"),
    [
        ("https://api.vendor.com/", "", "http://s:1"),
        ("wss://api.vendor.com/", "", "http://s:1"),
        ("http://api.vendor.com/", "", "http://p:1"),
        ("https://api.vendor.com/", "vendor.com", ""),
        ("https://api.vendor.com/", "other.com, .vendor.com", ""),
        ("https://api.vendor.com/", "*.vendor.com", ""),
        ("https://myvendor.com/", "vendor.com", "http://s:1"),
        ("https://api.vendor.com:8443/", "vendor.com:443", "http://s:1"),
        ("https://api.vendor.com:8443/", "vendor.com:8443", ""),
        ("https://10.1.2.3/", "10.0.0.0/8", ""),
        ("https://10.1.2.3/", "10.1.2.3", ""),
        ("https://[fd00::1]/", "fd00::/8", ""),
        ("https://api.vendor.com/", "*", ""),
    ],
)
def test_the_environments_proxies_and_their_exceptions(url: str, no_proxy: str, used: str) -> None:
    environ = {"http_proxy": "http://p:1", "HTTP_PROXY": "http://ignored", "HTTPS_PROXY": "http://s:1", "NO_PROXY": no_proxy}
    assert Proxies.of(environ).proxy_for(url) == used
