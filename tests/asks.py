"""Asking the gateway: the least chat, whole or streamed, through Flask's client or over a real socket."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


@dataclass
class Got:
    """An answer read over a socket; `whole` tells whether its end came."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def post(address: str, key: str, body: Any = CHAT, path: str = PATH, *, timeout: float = 30, **headers: str) -> Got:
    """POST JSON over a connection of its own."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    sent = {"Authorization": f"Bearer sk-{key}", "Content-Type": "application/json"} | headers
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request("POST", path, data, {k.replace("_", "-"): v for k, v in sent.items()})
        answer = connection.getresponse()
        taken, whole = _all(answer)
        return Got(answer.status, {k.lower(): v for k, v in answer.getheaders()}, taken, whole)
    finally:
        connection.close()


def until(check: Callable[[], object], seconds: float = 60) -> bool:
    """Whether something comes true in time."""
    for _ in range(int(seconds * 50)):
        if check():
            return True
        gevent.sleep(0.02)
    return bool(check())


def _all(answer: http.client.HTTPResponse) -> tuple[bytes, bool]:
    pieces = []
    try:
        while piece := answer.read1(65536):
            pieces.append(piece)
    except (http.client.IncompleteRead, OSError):
        return b"".join(pieces), False
    return b"".join(pieces), True


def events(body: bytes | str) -> list[Any]:
    """The data of a stream's events, decoded, the end mark as text."""
    text = body.decode() if isinstance(body, bytes) else body
    data = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


def words(body: bytes | str) -> str:
    """What a streamed chat answer said."""
    chunks = [chunk for chunk in events(body) if isinstance(chunk, dict)]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))
