"""Streams as vendors frame them, for tests: the writing side of oneapi.relay.framing."""

import json
from binascii import crc32
from collections.abc import Iterable
from typing import Any


def aws_message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of Amazon's event stream; all headers are strings."""
    head = b"".join(
        bytes((len(k),)) + k.encode() + b"\x07" + len(v.encode()).to_bytes(2, "big") + v.encode() for k, v in headers.items()
    )
    prelude = (16 + len(head) + len(payload)).to_bytes(4, "big") + len(head).to_bytes(4, "big")
    message = prelude + crc32(prelude).to_bytes(4, "big") + head + payload
    return message + crc32(message).to_bytes(4, "big")


def _sized(text: str, width: int) -> bytes:
    return len(text.encode()).to_bytes(width, "big") + text.encode()


def aws(event: str, payload: Any) -> bytes:
    """An event of Amazon's event stream, or an exception when the name begins with `:exception:`."""
    kind, name = ("exception", event[11:]) if event.startswith(":exception:") else ("event", event)
    headers = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    return aws_message(headers, json.dumps(payload, ensure_ascii=False).encode())


def websocket(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """One frame as a server sends it."""
    size = len(payload)
    length = (
        bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big") if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
    )
    return bytes((0x80 * final | opcode,)) + length + payload


def messages(texts: Iterable[Any]) -> bytes:
    """A whole WebSocket conversation of the server: text messages, then a close."""
    frames = [websocket((text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)).encode()) for text in texts]
    return b"".join(frames) + websocket((1000).to_bytes(2, "big"), 8)
