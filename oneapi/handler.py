"""A lean request handler for gevent's pywsgi: what it costs beyond the sockets is about 10 µs a request."""

import io
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from socket import SHUT_WR
from time import monotonic
from types import SimpleNamespace
from typing import Any
from wsgiref.handlers import format_date_time

from gevent.pywsgi import WSGIHandler, _NoopLog

from oneapi.connections import Connections
from oneapi.intake import CHUNKED, NO_BODY, Body, Limits, Refusal, read_head
from oneapi.lifecycle import draining, resting
from oneapi.relay.hubcopy import Copy
from oneapi.relay.sockets import Link, no_delay

_BODILESS = (204, 304)
_date: tuple[int, str] = (0, "")


def _date_line() -> str:
    """The Date header, made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, f"Date: {format_date_time(now)}\r\n")
    return _date[1]


def _given(low: str, name: str) -> str | None:
    """The value of a header in lower-case lines."""
    start = low.find(name)
    return None if start < 0 else low[start + len(name) : low.find("\r\n", start + 2)].strip()


class Handler(WSGIHandler):
    """Serves the requests of one connection.

    Beside the standard keys the environment has `oneapi.body`, the body's bytes if it is short, and `oneapi.client`, the
    Link to the client, which the transport watches while it waits for a vendor.
    """

    limits = Limits()
    headers_sent = False
    stream: Copy | None = None  # what the event loop copies, while this connection has no greenlet

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None):
        self.socket, self.client_address, self.server = sock, address, server
        no_delay(sock)
        self.link = Link(sock)
        self.link.patience = self.limits.send_seconds
        self.peer = (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")
        self.ahead = b""  # bytes received beyond the current request
        self.wsgi_input: Any = NO_BODY

    # ---- the connection

    def handle(self) -> None:
        """Serve requests until one side wants no more, or until a stream can do without this greenlet."""
        self._serve(self.handle_one_request)

    def _serve(self, step: Callable[[], bool]) -> None:
        try:
            while step():
                step = self.handle_one_request
        except Refusal as refusal:
            self._refuse(refusal)
        except OSError:
            pass  # the client is gone
        finally:
            if self.stream is None:
                resting.discard(self.link)
                self.link.close()
                self.__dict__.clear()

    def handle_one_request(self) -> bool:
        """Whether the connection can serve another one."""
        block = self._receive_head()
        if not block:
            return False
        environ = self.server.environ.copy()
        length = read_head(block, environ, self.limits)
        environ["SCRIPT_NAME"] = ""
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = self.peer
        environ["oneapi.client"] = self.link
        self._note(environ)
        if length or environ.get("HTTP_EXPECT"):
            self._take_body(environ, length)
        else:
            environ["oneapi.body"], environ["wsgi.input"], self.wsgi_input = b"", io.BytesIO(), NO_BODY
        environ["wsgi.input_terminated"] = True
        self.link.deadline = float("inf")
        self.environ, self.application = environ, self.server.application
        del environ, block
        self.handle_one_response()
        return self._part() if self.stream is not None else self._finished()

    def _finished(self) -> bool:
        """An answer has ended."""
        body, self.wsgi_input, self.environ = self.wsgi_input, NO_BODY, None
        if body.rest:
            self.ahead = body.rest
        if not body.clean:
            self._linger()
        return body.clean and not self.close_connection

    def _receive_head(self) -> bytes:
        """The next request's head without its empty line; b"" when the client has none."""
        link, data, self.ahead = self.link, self.ahead, b""
        end = data.find(b"\r\n\r\n")
        if not data:
            if draining():
                return b""
            link.deadline = monotonic() + self.limits.idle_seconds
            resting.add(link)
            data = link.receive()
            resting.discard(link)
            if not data:
                return b""
            end = data.find(b"\r\n\r\n")
        if end < 0 or data.startswith(b"\r\n"):
            data, end = self._receive_rest_of_head(data)
        if end < 0:
            return b""
        if end > self.limits.head:
            raise Refusal("431 Request Header Fields Too Large", "the head of the request is too large")
        self.ahead = data[end + 4 :]
        return data[:end]

    def _receive_rest_of_head(self, data: bytes) -> tuple[bytes, int]:
        link, head = self.link, bytearray(data)
        link.deadline = monotonic() + self.limits.head_seconds
        while True:
            while head.startswith(b"\r\n"):  # RFC 9112 2.2: empty lines before a request are to be ignored
                del head[:2]
            end = head.find(b"\r\n\r\n")
            if end >= 0:
                return bytes(head), end
            if len(head) > self.limits.head:
                raise Refusal("431 Request Header Fields Too Large", "the head of the request is too large")
            more = link.receive()
            if not more:
                return b"", -1
            head += more

    def _note(self, environ: dict[str, Any]) -> None:
        """What gevent's own code and the access log want to know about the request."""
        self.command, self.path = environ["REQUEST_METHOD"], environ["RAW_URI"]
        self.request_version = version = environ["SERVER_PROTOCOL"]
        self.requestline = f"{self.command} {self.path} {version}"
        connection = environ.get("HTTP_CONNECTION")
        if version == "HTTP/1.1":
            self.close_connection = connection is not None and "close" in connection.lower()
        else:
            self.close_connection = connection is None or "keep-alive" not in connection.lower()

    def _take_body(self, environ: dict[str, Any], length: int) -> None:
        limits, link, data = self.limits, self.link, self.ahead
        expect = environ.get("HTTP_EXPECT")
        if expect is not None and expect.lower() != "100-continue":
            raise Refusal("417 Expectation Failed", "this expectation is not known")
        if length > limits.body:
            raise Refusal("413 Content Too Large", f"a body may have {limits.body} bytes")
        if length == CHUNKED or length > limits.inline:
            self.ahead = b""
            expects = expect is not None and self.request_version == "HTTP/1.1"
            self.wsgi_input = Body(link, data, length, limits, expects=expects)
            environ["wsgi.input"] = io.BufferedReader(self.wsgi_input, 65536)
            return
        if len(data) < length:
            if expect is not None and self.request_version == "HTTP/1.1":
                link.push(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = self._receive_body(data, length)
        body, self.ahead = data[:length], data[length:]
        environ["oneapi.body"], environ["wsgi.input"], self.wsgi_input = body, io.BytesIO(body), NO_BODY

    def _receive_body(self, data: bytes, length: int) -> bytes:
        link, limits, pieces, have = self.link, self.limits, [data], len(data)
        slow = monotonic() + 60 + length / limits.body_rate
        while have < length:
            link.deadline = min(monotonic() + limits.body_pause_seconds, slow)
            data = link.receive()
            if not data:
                raise Refusal("408 Request Timeout", "the body did not come to its end")
            pieces.append(data)
            have += len(data)
        return b"".join(pieces)

    def _refuse(self, refusal: Refusal) -> None:
        body = f'{{"error":{{"message":"{refusal.message}","type":"invalid_request_error","param":null,"code":null}}}}'
        head = f"HTTP/1.1 {refusal.status}\r\n{_date_line()}Content-Type: application/json\r\nConnection: close\r\n"
        with suppress(OSError):
            self.link.push(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"))
            self._linger()

    def _linger(self) -> None:
        """Let the client read the answer: closing with unread bytes would reset the connection and take the answer back."""
        link = self.link
        link.raw.shutdown(SHUT_WR)
        link.deadline = monotonic() + 2
        left = 8 * 1024 * 1024
        while left > 0:
            data = link.receive()
            if not data:
                return
            left -= len(data)

    # ---- a stream without a greenlet

    def _part(self) -> bool:
        """The greenlet ends; another one begins when the stream needs it."""
        assert self.stream is not None
        self.context = copy_context()  # the request's id, for the log
        self.server.pool.part(self)
        self.stream.wait(self._rejoin)
        return False

    def _rejoin(self) -> None:
        self.server.pool.rejoin(self, partial(self.context.run, self._serve, self._go_on))

    def _go_on(self) -> bool:
        over: bool | None = False
        try:
            assert self.stream is not None
            over = self.stream.advance()
        except OSError:
            pass  # the client is gone
        except Exception:
            self.handle_error(*sys.exc_info())
        finally:
            if over is not None:
                self._end_stream(whole=over)
        return self._part() if over is None else self._finished()

    def _end_stream(self, *, whole: bool) -> None:
        self.stream = None
        self.close_connection = self.close_connection or not whole
        try:
            self._close_result()
        finally:
            self.time_finish = time.time()
            self.log_request()

    def cut(self) -> None:
        """End the stream, as when its client leaves."""
        if self.stream is not None:
            self.stream.call("client_left")

    # ---- the answer

    def run_application(self) -> None:
        try:
            self.result = self.application(self.environ, self.start_response)
            self.process_result()
        finally:
            if self.stream is None:
                self._close_result()

    def _close_result(self) -> None:
        result, self.result = self.result, None
        if hasattr(result, "close"):
            result.close()

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info:
            try:
                if self.headers_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\n" in status or "\r" in status:
            raise ValueError("a line break in the status or a header of an answer")
        self._head = f"HTTP/1.1 {status}\r\n{lines}".encode("latin-1")
        self.status = self._orig_status = status
        self.response_headers, self.code = headers, int(status[:3])
        low = f"\r\n{lines.lower()}"
        self.provided_date, self.provided_content_length = _given(low, "\r\ndate:"), _given(low, "\r\ncontent-length:")
        self.provided_connection = _given(low, "\r\nconnection:")
        if self.provided_connection == "close":
            self.close_connection = True
        return self.write

    def _finish_head(self, length: int | None) -> bytes:
        """The whole head; `length` is the body's, None when it is not known yet."""
        lines = "" if self.provided_date else _date_line()
        self.response_use_chunked = False
        if self.provided_content_length is None and self.code not in _BODILESS and self.code >= 200:
            if length is not None:
                lines += f"Content-Length: {length}\r\n"
            elif self.request_version == "HTTP/1.1":
                self.response_use_chunked = True
                lines += "Transfer-Encoding: chunked\r\n"
            else:
                self.close_connection = True
        if not self.wsgi_input.clean or draining():
            self.close_connection = True
        if self.provided_connection is not None:
            pass
        elif self.close_connection:
            lines += "Connection: close\r\n"
        elif self.request_version == "HTTP/1.0":
            lines += "Connection: keep-alive\r\n"
        self.headers_sent = True
        return self._head + lines.encode() + b"\r\n"

    def _send(self, data: bytes) -> None:
        self.link.push(data)
        self.response_length += len(data)

    def write(self, data: bytes) -> None:
        """PEP 3333's write(), which gevent's error page uses too."""
        if not self.status:
            raise self.ApplicationError("start_response() was not called")
        head = b"" if self.headers_sent else self._finish_head(None)
        if self.command == "HEAD" or self.code in _BODILESS:
            data = b""
        if data and self.response_use_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head or data:
            self._send(head + data)

    def process_result(self) -> None:
        result = self.result
        if not self.status:
            result = iter(result)  # a generator may call start_response only when it is started
            first = next(result, b"")
            return self._send_pieces(result, first)
        if self.headers_sent or self.code in _BODILESS:
            return self._send_pieces(iter(result), b"")
        if isinstance(result, (list, tuple)):
            body = result[0] if len(result) == 1 else b"".join(result)
            head = self._finish_head(len(body))
            if self.command == "HEAD":
                return self._send(head)
            wanted = self.provided_content_length
            if wanted is not None and int(wanted) != len(body):
                self.close_connection = True  # the client waits for more, or got too much: only an end makes that clear
            return self._send(head + body)
        pump = getattr(result, "pump", None)
        framed = self.request_version == "HTTP/1.1" and self.provided_content_length is None
        if pump is not None and framed and self.command != "HEAD":
            head = self._finish_head(None)
            self._forget_request()
            self.response_length += 1  # the head is out: no error page may follow
            over = pump(self.link, head)
            if isinstance(over, Copy):
                copy = over
                over = copy.advance() if isinstance(self.server.pool, Connections) else copy.run()
                if over is None:
                    self.stream = copy
                    return None
            self.close_connection = self.close_connection or not over
            return None
        return self._send_pieces(iter(result), b"")

    def _send_pieces(self, pieces: Any, first: bytes) -> None:
        wanted = self.provided_content_length
        sent = len(first)
        if first:
            self.write(first)
        for data in pieces:
            if data:
                self.write(data)
                sent += len(data)
                data = b""
        if not self.status:
            raise self.ApplicationError("start_response() was not called")
        if not self.headers_sent:
            self._send(self._finish_head(0))
        elif self.response_use_chunked and self.command != "HEAD":
            self._send(b"0\r\n\r\n")
        if wanted is not None and sent != int(wanted) and self.command != "HEAD" and self.code not in _BODILESS:
            self.close_connection = True  # the client waits for more, or got too much: only an end makes that clear

    def _forget_request(self) -> None:
        """A stream may take minutes, and needs neither the request's body nor its environment."""
        if isinstance(self.server.log, _NoopLog):
            self.environ.clear()
            self.response_headers, self._head = [], b""
        else:
            self.environ |= {"oneapi.body": b"", "wsgi.input": io.BytesIO()}
        self.wsgi_input = NO_BODY if self.wsgi_input.clean else self.wsgi_input

    def _send_error_response_if_possible(self, error_code: int) -> None:
        self.close_connection = True
        error = getattr(self.wsgi_input, "error", "")
        if not self.headers_sent and error:
            self._refuse(Refusal(error, "the body of the request could not be read"))
        elif not self.headers_sent:
            super()._send_error_response_if_possible(error_code)

    def log_request(self) -> None:
        log = self.server.log
        if isinstance(log, _NoopLog) or self.stream is not None:
            return
        if not hasattr(log, "access"):
            super().log_request()
            return
        answer = SimpleNamespace(status=self.status, headers=self.response_headers, sent=self.response_length)
        log.access(answer, {}, self.environ, timedelta(seconds=self.time_finish - self.time_start))
