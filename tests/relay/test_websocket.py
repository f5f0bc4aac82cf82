"""The WebSocket client against a server that keeps to the protocol, and one that does not."""

import hashlib
from base64 import b64encode

import pytest
from wires import Conversation, Wire

from oneapi.relay.transport import Route, Timeouts, open_stream
from oneapi.relay.websocket import frame
from oneapi.wire import Request, VendorError

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ROUTE = Route(timeouts=Timeouts(connect=5, first_byte=5, idle=5))
GOOD_END = b"\x88\x02\x03\xe8"  # close, 1000


def messages(*frames: bytes) -> list[bytes]:
    """What the client makes of these frames; raises VendorError."""

    def script(talk: Conversation) -> None:
        key = next(line for line in talk.request().split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")).split()[1]
        accept = b64encode(hashlib.sha1(key + GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        talk.send(head + accept + b"\r\n\r\n", *frames)

    with Wire(script) as server:
        stream = open_stream(Request(f"ws://127.0.0.1:{server.port}/", {}, framing="websocket"), ROUTE)
        try:
            return list(stream)
        finally:
            stream.close()


def test_unmasked_frames_of_a_server_are_messages() -> None:
    assert messages(b"\x81\x02hi", b"\x01\x01a", b"\x89\x00", b"\x80\x01b", GOOD_END) == [b"hi", b"ab"]


@pytest.mark.parametrize(
    "wrong",
    [
        frame(1, b"hi"),  # masked, which only a client may send: RFC 6455, section 5.1
        frame(9, b""), frame(8, b"\x03\xe8"),
        b"\xc1\x02hi", b"\xa1\x02hi", b"\x91\x02hi",  # reserved bits
        b"\x09\x00",  # a ping in pieces
        b"\x89\x7e\x00\x7e" + bytes(126),  # a ping that is too long
        b"\x83\x00",  # an unknown kind
        b"\x80\x01b",  # the end of a message that never began
    ],
)  # fmt: skip
def test_frames_against_the_rules_end_the_stream(wrong: bytes) -> None:
    with pytest.raises(VendorError) as error:
        messages(wrong, GOOD_END)
    assert error.value.kind == "garbled"


def test_an_answer_to_another_key_is_no_handshake() -> None:
    with Wire(lambda talk: talk.request() and talk.send(b"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: AAAA\r\n\r\n")) as server:
        with pytest.raises(VendorError, match="no WebSocket handshake"):
            open_stream(Request(f"ws://127.0.0.1:{server.port}/", {}, framing="websocket"), ROUTE)
