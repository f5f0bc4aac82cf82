"""What one client asks, and what has happened to it so far."""

import time
from dataclasses import dataclass, field
from typing import Any

from oneapi.relay.endpoints import Endpoint
from oneapi.relay.limits import FREE, Ticket
from oneapi.state import Caller, Lane
from oneapi.wire import File

Json = dict[str, Any]


@dataclass(slots=True, eq=False)
class Ask:
    """One relayed request. `body` is OpenAI-shaped and ours to read, never to change; `size` is its length in bytes."""

    id: str
    caller: Caller
    endpoint: Endpoint
    body: Json
    model: str
    size: int
    streaming: bool = False
    path: str = ""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    pinned: int = 0  # channel an administrator's key names
    client: Any = None  # the connection, which the transport watches
    started: float = field(default_factory=time.monotonic)
    ticket: Ticket = FREE
    estimate: int = 0  # prompt tokens as a limit was asked for them; 0 where there is none
    attempts: list[Json] = field(default_factory=list)
    prompt_reset: bool = False
    media: Any = None  # what was fetched for it (relay.media.Media), kept for the next attempt
    kind: str = field(init=False)  # the endpoint's

    def __post_init__(self) -> None:
        self.kind = self.endpoint.kind

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for the usage chunk of a stream."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and bool(options.get("include_usage"))

    @property
    def wants_each_usage(self) -> bool:
        """Return True if the client asked for the usage so far in each chunk, which vLLM and SGLang offer."""
        return self.wants_usage and bool(self.body["stream_options"].get("continuous_usage_stats"))

    def tried(self, lane: Lane, began: float, status: int, kind: str = "") -> None:
        """Note an attempt: the vendor's status, and what kind of failure it was if it was one."""
        self.attempts.append({"channel": lane.id, "name": lane.name, "status": status, "kind": kind, "ms": elapsed(began)})


def elapsed(since: float) -> int:
    """Milliseconds since a monotonic time."""
    return int((time.monotonic() - since) * 1000)
