"""Amazon's event stream, byte for byte: frames that botocore reads too become chunks and errors wherever they are cut."""

from base64 import b64decode
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from oneapi import vendors
from oneapi.relay import framing
from oneapi.vendors.contract import key_fields
from oneapi.wire import Call, VendorError

# https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html: an event `chunk` that holds a text_delta "Hi" ...
CHUNK = b64decode(
    "AAAA1wAAAEu/+eQ4CzpldmVudC10eXBlBwAFY2h1bmsNOmNvbnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2UtdHlwZQcABWV2ZW50eyJieXRl"
    "cyI6ImV5SjBlWEJsSWpvaVkyOXVkR1Z1ZEY5aWJHOWphMTlrWld4MFlTSXNJbWx1WkdWNElqb3dMQ0prWld4MFlTSTZleUowZVhCbElqb2lkR1Y0ZEY5a1pXeDBZU0lz"
    "SW5SbGVIUWlPaUpJYVNKOWZRPT0ifUuOlJU="
)
# ... and an exception `throttlingException`.
EXCEPTION = b64decode(
    "AAAAkAAAAGGOkam3DzpleGNlcHRpb24tdHlwZQcAE3Rocm90dGxpbmdFeGNlcHRpb24NOmNvbnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2UtdHlw"
    "ZQcACWV4Y2VwdGlvbnsibWVzc2FnZSI6IlRvbyBtYW55IHJlcXVlc3RzIn3mf4AF"
)


def served(pieces: list[bytes]) -> tuple[list[Any], VendorError]:
    """What Claude, invoked in Anthropic's own words, says in these pieces, and the error that ends it."""
    row, key = vendors.by_slug("bedrock"), "AKID|secret|us-east-1"
    config: dict[str, Any] = {"api": "invoke"}
    call = Call("chat", {"stream": True}, "anthropic.claude-3-haiku-20240307-v1:0", "", key, True, vendor=row)
    call.config = config | key_fields(row, key, config)
    deltas: list[Any] = []
    with pytest.raises(VendorError) as caught:
        for chunk in vendors.guarded_stream(row.protocols["chat"], framing.events("aws", pieces), call):
            deltas.append(chunk["choices"][0]["delta"])
    return deltas, caught.value


def test_botocore_reads_the_frames() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(CHUNK + EXCEPTION)
    assert [event.headers[":message-type"] for event in buffer] == ["event", "exception"]


@pytest.mark.parametrize("cut", range(1, len(CHUNK + EXCEPTION)))
def test_an_exception_after_words_ends_them(cut: int) -> None:
    whole = CHUNK + EXCEPTION
    deltas, error = served([whole[:cut], whole[cut:]])
    assert deltas == [{"role": "assistant", "content": "Hi"}]
    assert (error.kind, error.message, error.code) == ("rate_limited", "Too many requests", "ThrottlingException")


def test_an_exception_at_the_beginning_lets_another_channel_try() -> None:
    deltas, error = served([EXCEPTION])
    assert (deltas, error.kind) == ([], "rate_limited")
