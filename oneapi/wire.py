"""The nouns on the wire between the relay, the dialects and the vendors. Pure values; nothing here does I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# What can go wrong with a vendor. `relay/policy.py` has one line for each: what the client sees, whether another
# channel is tried, and whether this channel rests or is disabled.
KINDS = (
    "bad_request", "content_filter", "too_long", "no_model", "auth", "quota",
    "rate_limited", "overloaded", "server", "unreachable", "timeout", "garbled",
)  # fmt: skip

# What a call wants. The names are those of the OpenAI API's resources.
CALL_KINDS = (
    "chat", "completions", "edits", "embeddings", "moderations", "images", "image_edits", "image_variations",
    "speech", "transcriptions", "translations", "rerank",
)  # fmt: skip


class VendorError(Exception):
    """A vendor failed us. `kind` (one of KINDS) decides the consequences; `message` is for people.

    `status` and `code` are the vendor's own, for logs and exact rules; `retry_after` is in seconds; `date` is the vendor's
    clock as its answer told it (the HTTP header), where the relay noted it.
    """

    def __init__(
        self, kind: str, message: str = "", *, status: int = 0, code: str = "", type: str = "", param: str | None = None,
        retry_after: float | None = None,
    ):  # fmt: skip
        if kind not in KINDS:
            raise ValueError(f"unknown kind of vendor error: {kind!r}")
        super().__init__(message)
        self.kind, self.message, self.status, self.code = kind, message, status, code
        self.type, self.param, self.retry_after = type, param, retry_after
        self.date = ""


@dataclass(frozen=True, slots=True)
class File:
    """One uploaded part of a multipart form."""

    name: str
    filename: str
    content_type: str
    data: bytes


class Encoded:
    """Base64 of a fetched file, which may have many megabytes. It travels in JSON as text; most ways there make no copy of it.

    Not a dataclass, nor is DataUrl: orjson would write one as an object of its fields.
    """

    __slots__ = ("ascii",)

    def __init__(self, ascii: bytes | bytearray):
        self.ascii = ascii

    def __str__(self) -> str:
        return self.ascii.decode("ascii")


class DataUrl:
    """A fetched file in place of its address in a body. It travels in JSON as a data URL.

    Protocols that want the data apart from its type put `data` into their bodies.
    """

    __slots__ = ("media_type", "data")

    def __init__(self, media_type: str, data: Encoded):
        self.media_type, self.data = media_type, data

    def __str__(self) -> str:
        return f"data:{self.media_type};base64,{self.data}"

    def startswith(self, prefix: str | tuple[str, ...]) -> bool:
        return "data:".startswith(prefix)


def jsonable(value: object) -> str:
    """Write a fetched file as JSON has it: the `default` of JSON encoders."""
    if isinstance(value, DataUrl | Encoded):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


@dataclass(slots=True)
class Call:
    """What a client asked, addressed to one channel: everything `build`, `parse` and `stream` may look at.

    `body` is OpenAI-shaped and keeps every field it does not know; its `model` is already the vendor's name
    (`model`), while `asked` is the name the client used and answers carry. `now` is UTC seconds: adapters have no clock.
    """

    kind: str
    body: dict[str, Any]
    model: str
    base_url: str
    key: str
    streaming: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""  # the client's path, e.g. /v1/chat/completions
    query: str = ""  # the client's query string, without "?"
    headers: Mapping[str, str] = field(default_factory=dict)  # client headers that may travel on, lower case
    files: tuple[File, ...] = ()
    secret: str = ""  # the short-lived token when the vendor has an Exchange
    id: str = ""  # our request id
    asked: str = ""
    now: float = 0.0
    vendor: Any = None  # the channel's Vendor row
    memo: dict[str, Any] = field(default_factory=dict)  # scratch of one call, kept between polls
    reported: dict[str, Any] | None = None  # usage the provider has reported so far, in OpenAI's shape (vendors/reports.py)

    def __repr__(self) -> str:  # a key or a prompt must never reach a log by way of repr
        return f"Call({self.kind}, {self.model})"


@dataclass(slots=True)
class Request:
    """One HTTP request to a vendor. `body` is bytes, or a dict that travels as JSON; `files` make it multipart/form-data.

    `wait` is the pause in seconds before sending (polling). `framing`, when set, overrides the protocol's.
    """

    url: str
    body: bytes | dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"
    files: tuple[File, ...] = ()
    form: tuple[tuple[str, str], ...] = ()
    wait: float = 0.0
    framing: str = ""
    carries: bool = False  # fetched files, so that the body is sent in pieces and never put together

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.partition('?')[0]})"

    def with_headers(self, **headers: str) -> "Request":
        """A copy with more headers; underscores in names become dashes."""
        return replace(self, headers={**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})


@dataclass(slots=True)
class Reply:
    """A vendor's whole answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body; raises ValueError when it is not JSON."""
        return json.loads(self.body)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Sourced(dict[str, Any]):
    """A decoded JSON object that keeps its text in `source`, where a provider's `1.50` or `true` may be words of the model."""

    __slots__ = ("source",)
    source: str


@dataclass(slots=True)
class Event:
    """One event of a stream: `name` is the SSE event or AWS :event-type; `data` is decoded JSON, or text when it is none."""

    data: Any
    name: str = ""


@dataclass(slots=True)
class Usage:
    """Tokens by class. `prompt` includes cached and cache-write tokens, `completion` includes reasoning; all are >= 0.

    `cache_write_1h` are those of `cache_write` that the provider keeps for an hour or longer. `tools` are calls of tools that
    the provider ran, by kind; `tier` is the service tier that it reports, "" for the standard one.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    audio_prompt: int = 0
    audio_completion: int = 0
    image_prompt: int = 0
    image_completion: int = 0
    cache_write_1h: int = 0
    tools: tuple[tuple[str, int], ...] = ()
    tier: str = ""
    estimated: bool = False  # counted by us because the vendor did not say
    flagged: str = ""  # why a vendor's report was not believed as it stood

    @property
    def finer(self) -> bool:
        """Whether there is more to charge than prompt and completion at the listed price."""
        return bool(
            self.cached or self.cache_write or self.audio_prompt or self.audio_completion or self.image_prompt
            or self.image_completion or self.tools or self.tier
        )  # fmt: skip
