"""Writes responses: the half of the request handler (handler.py) that faces the client."""

import io
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from socket import SHUT_WR
from time import monotonic
from types import SimpleNamespace
from typing import Any
from wsgiref.handlers import format_date_time

from gevent.pywsgi import WSGIHandler, _NoopLog

from oneapi.connections import Connections
from oneapi.intake import NO_BODY, Refusal
from oneapi.lifecycle import draining
from oneapi.relay.hubcopy import Copy
from oneapi.relay.sockets import Link

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


class Response(WSGIHandler):
    """One response at a time on the connection `link`. What a stream copies in the event loop is left in `stream`."""

    link: Link
    wsgi_input: Any = NO_BODY
    headers_sent = False
    stream: Copy | None = None

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
