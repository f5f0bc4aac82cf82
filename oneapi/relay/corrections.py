"""Correct a native stream where its bytes show that a chunk is not in OpenAI's shape; all other bytes pass as they came.

Parsing every chunk would undo what makes native streams fast, so that a few searches of bytes decide which lines are parsed:
those with a role, a tool call, a finish reason, a whole message, content that is not text, or null where a list belongs.
Providers known to send such chunks all the time are not native. OpenAI's own channel type is trusted (`Protocol.exact`), and is
copied in the event loop where nothing has to be hidden either.
"""

import re
from collections.abc import Callable

import orjson

from oneapi.relay.passthrough import without_half
from oneapi.vendors import TRIPS, conform
from oneapi.wire import Call

LINE = re.compile(rb"(?m)^data:[ \t]*(\{.*\})[ \t]*(?=\r?$)")
NOT_TEXT = re.compile(rb'"content": ?[^"n ]')
SAYS = re.compile(rb'"content": ?"[^"]')
LIMIT = 8 * 1024 * 1024  # bytes of one line; a longer one passes as it is


def suspicious(data: bytes) -> bool:
    """Return True for bytes that may need a correction. A model's own words cannot match: their quotes are escaped."""
    return (
        b'"role"' in data
        or b'"tool_calls"' in data
        or b'"finish_reason":"' in data
        or b'"finish_reason": "' in data
        or b'"message"' in data
        or b'"chat.completion"' in data
        or not (b'"delta":{' in data or b'"delta": {' in data)
        or data.count(b'"choices"') != data.count(b'"delta"')
        or NOT_TEXT.search(data) is not None
    )


class Corrections:
    """The `edit` of a native stream (relay/pump.py): corrects whole lines and hands them to the next edit."""

    __slots__ = ("chunks", "then", "rest", "before", "after")

    def __init__(self, call: Call, then: Callable[[bytes], bytes] = bytes) -> None:
        self.chunks, self.then, self.rest = conform.Chunks(call, partly=True), then, b""
        self.before, self.after = b"\0", b""  # what stands around the text in the last event that was right

    def __call__(self, data: bytes) -> bytes:
        """Return what the client gets of the next bytes; b"" asks for what is left."""
        if not data:
            rest, self.rest = without_half(self.rest), b""
            return (self.then(self._corrected(rest)) if rest else b"") + self.then(b"")
        if self.rest:
            data, self.rest = self.rest + data, b""
        if data[-1:] != b"\n":
            cut = data.rfind(b"\n") + 1
            if len(data) - cut < LIMIT:
                data, self.rest = data[:cut], data[cut:]
        return self.then(self._corrected(data)) if data else b""

    def _corrected(self, data: bytes) -> bytes:
        if data.startswith(self.before) and data.endswith(self.after) and b'"' not in data[len(self.before) : -len(self.after)]:
            return data  # the last event with another text
        found = LINE.sub(self._line, data) if self.chunks.first or suspicious(data) else self._right(data)
        if not self.chunks.said:
            self.chunks.said = SAYS.search(data) is not None
        return found

    def _right(self, data: bytes) -> bytes:
        """Note what stands around the text of one event, since most events of a stream differ in nothing else."""
        text = SAYS.search(data)
        end = data.find(b'"', text.end()) if text and data.count(b"\n\n") == 1 and data.endswith(b"\n\n") else -1
        if text and end > 0 and b"\\" not in data[text.end() - 1 : end]:
            self.before, self.after = data[: text.end() - 1], data[end:]
        return data

    def _line(self, line: re.Match[bytes]) -> bytes:
        try:
            chunk = orjson.loads(line[1])
            if not isinstance(chunk, dict) or chunk.get("error") or not self.chunks.correct(chunk):
                return line[0]
        except TRIPS:  # JSON that is spread over several lines, or a shape that nobody can correct
            return line[0]
        return b"data: " + orjson.dumps(chunk)
