"""Streamed sound, images and transcripts are charged although the client leaves before their usage is reported."""

import io
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import gevent
import pytest
from asks import CHAT, PATH, until
from fake_vendor import FakeVendor, sse
from flask.testing import FlaskClient
from gevent.event import Event

from oneapi.relay import lingering

pytestmark = pytest.mark.usefixtures("books")

HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
SOUND: dict[str, Any] = {"audio": {"id": "a", "data": "UklGR" * 200}}
DELTAS: dict[str, dict[str, Any]] = {
    "sound": SOUND,
    "images": {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}}]},
    "unheard of": {"hologram": {"data": "xyz"}},
}
USAGE = {
    "prompt_tokens": 100, "completion_tokens": 5000, "total_tokens": 5100,
    "completion_tokens_details": {"audio_tokens": 5000},
}  # fmt: skip
TYPES = pytest.mark.parametrize("type", [1, 36], ids=["untouched", "converted"])


def pieces(delta: dict[str, Any], *, usage: bool) -> tuple[bytes, ...]:
    said = [HEAD | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in ({"role": "assistant"}, *[delta] * 6)]
    end = [HEAD | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    return sse(*said, *end, *([HEAD | {"choices": [], "usage": USAGE}] if usage else []))


def leave(address: str, key: str, mark: bytes, **more: Any) -> None:
    """Ask for a stream over a socket, and hang up at the first piece that holds the mark."""
    place = urlsplit(address)
    body = json.dumps(CHAT | {"stream": True} | more).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((place.hostname, place.port)) as client:
        client.sendall(head.encode() + body)
        taken = b""
        while mark not in taken and (more_bytes := client.recv(4096)):
            taken += more_bytes


@TYPES
@pytest.mark.parametrize("asks_usage", [False, True])
@pytest.mark.parametrize("delta", DELTAS.values(), ids=DELTAS)
def test_media_whose_client_left_are_charged_by_the_usage_at_the_end(
    served: str, alice: Any, vendor: FakeVendor, channel: Any, logged: Any, detail: Any, type: int, asks_usage: bool,
    delta: dict[str, Any],
) -> None:  # fmt: skip
    channel(type=type)
    vendor.says(pieces(delta, usage=True), pause=0.05)
    options = {"stream_options": {"include_usage": True}} if asks_usage else {}
    leave(served, alice.key, next(iter(delta)).encode(), **options)
    assert until(logged)
    assert detail()["end"] == "client_left"
    assert (logged()[0].prompt_tokens, logged()[0].completion_tokens) == (100, 5000)


@TYPES
def test_media_without_usage_cost_at_least_the_reservation(
    served: str, alice: Any, vendor: FakeVendor, channel: Any, logged: Any, detail: Any, type: int
) -> None:
    channel(type=type)
    vendor.says(pieces(SOUND, usage=False), pause=0.05)
    leave(served, alice.key, b"audio")
    assert until(logged)
    told = detail()
    assert told["reserved"] > 1 and logged()[0].quota == told["reserved"]
    assert told["lines"] == [{"what": "reservation", "tokens": 1, "rate": told["reserved"], "quota": told["reserved"]}]


@TYPES
def test_media_of_a_stream_that_broke_are_not_free(say: Any, vendor: FakeVendor, channel: Any, logged: Any, type: int) -> None:
    channel(type=type)
    vendor.says(pieces(SOUND, usage=False)[:3])
    assert "stream_broken" in say(stream=True).text
    assert logged()[0].quota > 1


def test_the_words_of_sound_are_counted_as_said(say: Any, vendor: FakeVendor, channel: Any, detail: Any) -> None:
    channel()
    vendor.says(pieces({"audio": {"id": "a", "transcript": "one two three four"}}, usage=False))
    assert say(stream=True).text
    assert detail()["usage"]["completion"] >= 20


def test_a_streamed_transcript_whose_client_left_is_charged_by_its_words(
    client: FlaskClient, alice: Any, vendor: FakeVendor, channel: Any, logged: Any, detail: Any
) -> None:
    channel(models="gpt-4o-transcribe")
    events = [{"type": "transcript.text.delta", "delta": f"word{n} "} for n in range(6)]
    end = {"type": "transcript.text.done", "text": "all of it", "usage": {"input_tokens": 900, "output_tokens": 9}}
    vendor.says(sse(*events, end, done=False), pause=0.02)
    form = {"model": "gpt-4o-transcribe", "stream": "true", "file": (io.BytesIO(b"sound"), "a.wav")}
    answer = client.post("/v1/audio/transcriptions", data=form, headers=alice.headers, buffered=False)
    taken = answer.iter_encoded()
    next(taken), next(taken)
    answer.close()
    assert detail()["end"] == "client_left" and logged()[0].prompt_tokens >= 2


@pytest.fixture
def busy() -> Iterator[None]:
    """As many readers as there may be, waiting."""
    held = Event()

    def silence() -> Iterator[bytes]:
        held.wait()
        yield b""

    readers = [gevent.spawn(lingering.read_on, silence(), bool) for _ in range(lingering.READERS)]
    gevent.sleep(0)
    yield
    held.set()
    gevent.joinall(readers)


def test_no_more_streams_are_read_on_than_there_are_readers(busy: None) -> None:
    read: list[int] = []
    lingering.read_on(map(read.append, [1, 2]), bool)
    assert read == []


def test_reading_on_ends_when_what_was_waited_for_is_there() -> None:
    read: list[int] = []
    lingering.read_on(map(read.append, [1, 2, 3]), lambda: len(read) == 2)
    assert read == [1, 2]
