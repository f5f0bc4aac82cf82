"""A mock vendor that costs little: canned chat completions, and streams at a set rate. One epoll loop, one process."""

import argparse
import select
import socket
import ssl
import time
from collections import deque
from typing import Any

ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock-up","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello! How can I help you today?"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}'
)
CHUNK = (
    '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock-up","choices":[{"index":0,'
    '"delta":{"content":" %.6f"},"logprobs":null,"finish_reason":null}]}'
)
FINISH = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock-up","choices":'
    b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
)
USAGE = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock-up","choices":[],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}}\n\n'
)
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TICK = 0.002


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Vendor:
    """Streams are spread over a wheel of ticks, so that one turn of the loop sends what is due and no more."""

    def __init__(self, port: int, rate: float, tokens: int, context: ssl.SSLContext | None):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.setblocking(False)
        self.context = context
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.connections: dict[int, Any] = {}
        self.partial: dict[int, bytes] = {}
        self.tokens = tokens
        self.turn = max(1, round(1 / rate / TICK)) if rate else 1
        self.wheel: list[deque[tuple[Any, int]]] = [deque() for _ in range(self.turn)]
        self.now = 0

    def run(self) -> None:
        next_tick = time.monotonic()
        while True:
            busy = any(self.wheel)
            for descriptor, _ in self.poll.poll(max(0, next_tick - time.monotonic()) if busy else 1):
                if descriptor == self.listener.fileno():
                    self.accept()
                else:
                    self.read(descriptor)
            if time.monotonic() >= next_tick:
                next_tick = max(next_tick + TICK, time.monotonic() - 0.1)
                self.tick()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            connection.setblocking(False)
            self.connections[connection.fileno()] = connection
            self.poll.register(connection, select.EPOLLIN)

    def read(self, descriptor: int) -> None:
        connection = self.connections[descriptor]
        try:
            data = connection.recv(1 << 20)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if not data:
            self.drop(connection)
            return
        if descriptor in self.partial:
            data = self.partial.pop(descriptor) + data
        end = data.find(b"\r\n\r\n")
        start = data.lower().find(b"content-length:", 0, end)
        if end < 0 or len(data) < end + 4 + int(data[start + 15 : data.find(b"\r", start)]):
            self.partial[descriptor] = data
        elif data.find(b'"stream":true', end) > 0 or data.find(b'"stream": true', end) > 0:
            connection.send(STREAM_HEAD)
            self.wheel[(self.now + 1) % self.turn].append((connection, self.tokens))
        else:
            connection.send(JSON_HEAD + ANSWER)

    def drop(self, connection: Any) -> None:
        descriptor = connection.fileno()
        if descriptor >= 0:
            self.connections.pop(descriptor, None)
            self.partial.pop(descriptor, None)
            self.poll.unregister(connection)
            connection.close()

    def tick(self) -> None:
        self.now += 1
        due = self.wheel[self.now % self.turn]
        for _ in range(len(due)):
            connection, left = due.popleft()
            data = framed(b"data: %b\n\n" % (CHUNK % time.monotonic()).encode())
            if left == 1:
                usage = USAGE % (self.tokens, self.tokens + 9)
                data += framed(FINISH) + framed(usage) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
            try:
                connection.send(data)
            except OSError:
                self.drop(connection)
                continue
            if left > 1:
                due.append((connection, left - 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=20, help="tokens a second of one stream; 0 is as fast as can be")
    parser.add_argument("--tokens", type=int, default=100, help="tokens of one stream")
    parser.add_argument("--certificate", help="a PEM file with certificate and key: speak TLS")
    flags = parser.parse_args()
    tls = None
    if flags.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(flags.certificate)
    Vendor(flags.port, flags.rate, flags.tokens, tls).run()
