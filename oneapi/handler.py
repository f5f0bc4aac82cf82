"""A lean request handler for gevent's pywsgi: what it costs beyond the sockets is about 10 µs a request."""

import io
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any

from oneapi.caps import Address
from oneapi.connections import Connections
from oneapi.intake import CHUNKED, NO_BODY, Body, Limits, Refusal, read_head
from oneapi.lifecycle import draining
from oneapi.relay.sockets import Link, no_delay
from oneapi.response import Response


class Handler(Response):
    """Serves the requests of one connection.

    Beside the standard keys the environment has `oneapi.body`, the body's bytes if it is short, and `oneapi.client`, the
    Link to the client, which the transport watches while it waits for a vendor.
    """

    limits = Limits()
    begun = False  # whether the client has sent anything

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None):
        self.socket, self.client_address, self.server = sock, address, server
        no_delay(sock)
        self.link = Link(sock)
        self.link.patience = self.limits.send_seconds
        self.peer = (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")
        self.ahead = b""  # bytes received beyond the current request
        pool = server.pool
        self.address = pool.addresses.of(address) if isinstance(pool, Connections) else Address(None, OrderedDict())

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
                self.address.resume(self)
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
            limits = self.limits
            link.deadline = monotonic() + (limits.idle_seconds if self.begun else limits.first_seconds)
            data = self._rest()
            if not data:
                return b""
            self.begun = True
            end = data.find(b"\r\n\r\n")
        if end < 0 or data.startswith(b"\r\n"):
            data, end = self._receive_rest_of_head(data)
        if end < 0:
            return b""
        if end > self.limits.head:
            raise Refusal("431 Request Header Fields Too Large", "the head of the request is too large")
        self.ahead = data[end + 4 :]
        return data[:end]

    def _rest(self) -> bytes:
        """Wait for more of a request's head. Meanwhile the connection may be closed for another one."""
        address, link = self.address, self.link
        address.rest(self)
        data = link.receive()
        address.resume(self)
        return b"" if link.fate else data  # too late: the connection was shut down, and no answer would arrive

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
            more = self._rest()
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
        except Exception:  # a fault of ours: gevent's way of logging it, as for one in a greenlet of its own
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
