"""Streams as vendors frame them, for tests: the writing side of oneapi.relay.framing."""

import json
from binascii import crc32
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
