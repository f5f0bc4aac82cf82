"""The load: a closed loop of requests, or a number of streams held open. One epoll loop; prints one JSON object."""

import argparse
import json
import select
import socket
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """What the clients saw. Times are seconds."""

    seconds: float = 0
    done: int = 0
    errors: int = 0
    pieces: int = 0
    times: list[float] = field(default_factory=list)  # of a request, or the delay of a token
    first: list[float] = field(default_factory=list)  # from a request to its first token

    def report(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds, "done": self.done, "errors": self.errors, "pieces": self.pieces,
            "per_second": self.done / self.seconds, "p50": at(self.times, 0.5), "p90": at(self.times, 0.9),
            "p99": at(self.times, 0.99), "first_p50": at(self.first, 0.5), "first_p99": at(self.first, 0.99),
            "in_time": sum(t < 0.1 for t in self.times) / max(1, len(self.times)),
        }  # fmt: skip


def at(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def request_bytes(port: int, key: str, model: str, prompt: int, *, stream: bool) -> bytes:
    content = "Say hello. " * max(1, prompt // 11)
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: load\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Load:
    """`count` clients; each sends its next request when the answer to the last has come."""

    def __init__(self, port: int, request: bytes, count: int, *, stream: bool):
        self.port, self.request, self.count, self.stream = port, request, count, stream
        self.poll = select.epoll()
        self.clients: dict[int, socket.socket] = {}
        self.sent: dict[int, float] = {}
        self.fresh: set[int] = set()  # streams of which no token has come
        self.partial: dict[int, bytes] = {}
        self.result = Result()
        self.counting = False

    def open(self) -> None:
        client = socket.create_connection(("127.0.0.1", self.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients[client.fileno()] = client
        self.poll.register(client, select.EPOLLIN)
        self.ask(client)

    def ask(self, client: socket.socket) -> None:
        descriptor = client.fileno()
        self.sent[descriptor] = time.monotonic()
        self.fresh.add(descriptor)
        client.setblocking(True)
        client.sendall(self.request)
        client.setblocking(False)

    def failed(self, client: socket.socket) -> None:
        self.result.errors += 1
        self.poll.unregister(client)
        del self.clients[client.fileno()]
        self.partial.pop(client.fileno(), None)
        client.close()
        self.open()

    def run(self, warm: float, seconds: float) -> Result:
        for number in range(self.count):
            self.open()
            if self.stream and number % 20 == 19:
                self.turn(0.01)
        end = time.monotonic() + warm
        while time.monotonic() < end:
            self.turn(0.05)
        self.counting, self.result = True, Result()
        print("counting", flush=True)
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            self.turn(0.05)
        self.result.seconds = time.monotonic() - start
        print("counted", flush=True)
        input()  # whoever counts the server's memory does it while we are still there
        return self.result

    def turn(self, timeout: float) -> None:
        take = self.take_stream if self.stream else self.take_answer
        for descriptor, _ in self.poll.poll(timeout):
            client = self.clients.get(descriptor)
            if client is None:
                continue
            try:
                data = client.recv(1 << 18)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                take(client, data)
            else:
                self.failed(client)

    def take_answer(self, client: socket.socket, data: bytes) -> None:
        descriptor = client.fileno()
        if descriptor in self.partial:
            data = self.partial.pop(descriptor) + data
        end = data.find(b"\r\n\r\n")
        start = data.lower().find(b"content-length:", 0, end)
        if end < 0 or len(data) < end + 4 + int(data[start + 15 : data.find(b"\r", start)]):
            self.partial[descriptor] = data
            return
        if not data.startswith(b"HTTP/1.1 200"):
            self.failed(client)
            return
        if self.counting:
            self.result.done += 1
            self.result.times.append(time.monotonic() - self.sent[descriptor])
        self.ask(client)

    def take_stream(self, client: socket.socket, data: bytes) -> None:
        now, descriptor = time.monotonic(), client.fileno()
        position = data.find(b'"content":" ')
        while position >= 0:
            if descriptor in self.fresh:
                self.fresh.discard(descriptor)
                if self.counting:
                    self.result.first.append(now - self.sent[descriptor])
            if self.counting:
                self.result.pieces += 1
                self.result.times.append(now - float(data[position + 12 : data.find(b'"', position + 12)]))
            position = data.find(b'"content":" ', position + 12)
        if data.endswith(b"0\r\n\r\n"):
            self.result.done += self.counting
            self.ask(client)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="sk-bench")
    parser.add_argument("--model", default="mock-model")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=300, help="bytes of the prompt")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--warm", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    flags = parser.parse_args()
    payload = request_bytes(flags.port, flags.key, flags.model, flags.prompt, stream=flags.stream)
    load = Load(flags.port, payload, flags.clients, stream=flags.stream)
    print(json.dumps(load.run(flags.warm, flags.seconds).report()))
