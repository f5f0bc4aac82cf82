"""FakeVendor: a real HTTP server on a free port that plays queued replies and remembers what it was asked."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent import pywsgi, socket
from gevent.event import Event


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Say:
    """One reply: whole `body`, or `pieces` with a pause in seconds between them; `cut` drops the connection at the end."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    pieces: tuple[bytes, ...] | None = None
    pause: float = 0.0
    delay: float = 0.0
    hold: Event | None = None  # the reply comes once this is set
    cut: bool = False


def chat(text: str = "Hello!", prompt: int = 10, completion: int = 10, **more: Any) -> dict[str, Any]:
    """A chat.completion as OpenAI sends it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o-mini", "choices": [choice]}
    return answer | {"usage": usage} | more


def sse(*chunks: Any, done: bool = True) -> tuple[bytes, ...]:
    """Chunks as server-sent events."""
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return (*events, b"data: [DONE]\n\n") if done else tuple(events)


def stream(text: str = "Hello!", prompt: int = 10, completion: int = 10, *, usage: bool = True) -> tuple[bytes, ...]:
    """A streamed chat answer, one word a chunk, with the usage chunk at the end."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-4o-mini"}

    def piece(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    words = [piece({"content": word}) for word in text.split(" ")]
    chunks = [piece({"role": "assistant", "content": ""}), *words, piece({}, "stop")]
    if usage:
        report = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        chunks.append(head | {"choices": [], "usage": report})
    return sse(*chunks)


class FakeVendor:
    """Give it replies with `says`; what is asked beyond them gets `otherwise`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.left: list[str] = []  # paths whose client hung up before the end
        self.queue: deque[Say] = deque()
        self.otherwise = Say(json.dumps(chat()).encode())
        self.in_flight = 0
        self.server = pywsgi.WSGIServer(("127.0.0.1", 0), self._answer, log=None, error_log=None)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def says(self, *replies: Any, **options: Any) -> "FakeVendor":
        """Queue replies: a Say, a dict for JSON, or a tuple of pieces for a stream; `options` are a Say's."""
        self.queue.extend(self.reply(reply, **options) for reply in replies)
        return self

    def always(self, reply: Any, **options: Any) -> "FakeVendor":
        self.otherwise = self.reply(reply, **options)
        return self

    def was_asked(self, times: int = 1) -> None:
        """Wait until it was asked so often."""
        with gevent.Timeout(20):
            while len(self.asked) < times:
                gevent.sleep(0.01)

    @staticmethod
    def reply(reply: Any, **options: Any) -> Say:
        if isinstance(reply, Say):
            return reply
        if isinstance(reply, tuple):
            return Say(pieces=reply, **{"content_type": "text/event-stream", **options})
        return Say(reply if isinstance(reply, bytes) else json.dumps(reply).encode(), **options)

    def _answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        body = environ["wsgi.input"].read()
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        self.asked.append(Asked(environ["REQUEST_METHOD"], path, query, headers, body))
        say = self.queue.popleft() if self.queue else self.otherwise
        gevent.sleep(say.delay)
        if say.hold is not None:
            say.hold.wait(20)
        sent = [("Content-Type", say.content_type), *say.headers.items()]
        if say.pieces is None:
            start(f"{say.status} Said", [*sent, ("Content-Length", str(len(say.body)))])
            return [say.body]
        start(f"{say.status} Said", sent)
        return self._pieces(say, path, environ)

    def _pieces(self, say: Say, path: str, environ: dict[str, Any]) -> Iterator[bytes]:
        assert say.pieces is not None
        self.in_flight += 1
        whole = False
        try:
            for piece in say.pieces:
                gevent.sleep(say.pause)
                yield piece
            whole = True
            if say.cut:
                environ["wsgi.input"].rfile.raw._sock.shutdown(socket.SHUT_RDWR)
        finally:
            self.in_flight -= 1
            if not whole:
                self.left.append(path)

    def close(self) -> None:
        self.server.stop(timeout=1)
