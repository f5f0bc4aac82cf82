"""Reads along in a stream that passes untouched: usage, text, errors and the end, and hides what the client did not ask for."""

import re
from collections.abc import Callable

import orjson

from oneapi.dialects import openai as dialect
from oneapi.relay import meter
from oneapi.relay.ask import Ask
from oneapi.relay.bill import Bill
from oneapi.relay.faults import broken
from oneapi.vendors import reports
from oneapi.vendors.openai import fault
from oneapi.wire import VendorError

# Everything a model says in a chunk, as it stands in the JSON text.
SAID = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments|text|refusal)"\s*:\s*"((?:[^"\\]|\\.)+)"')
END = re.compile(rb"(?m)^data: ?\[DONE\]")  # at the beginning of a line: a model may say it too
LIMIT = 8 * 1024 * 1024  # bytes of one event; what is longer is not read along


class Watch:
    """The observer of one native stream (relay/pump.py): `see` runs in the event loop and never waits."""

    __slots__ = ("ask", "bill", "failed", "report", "error", "said", "ended", "final", "marked", "_rest", "_unsent")

    def __init__(self, ask: Ask, bill: Bill, failed: Callable[[VendorError], None]):
        self.ask, self.bill, self.failed = ask, bill, failed
        self.report: object = None
        self.error: VendorError | None = None
        self.said = bytearray()
        self.final = False  # usage came with the finish reason or after it
        self.ended = False  # a finish reason or the end mark was seen
        self.marked = False  # the end mark [DONE] was seen
        self._rest = b""
        self._unsent = b""

    def see(self, data: bytes) -> None:
        """The next bytes; looks only at whole lines."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        if data[-2:] != b"\n\n":
            data = self._whole(data)
        for text in SAID.findall(data):
            self.said += text
        if not self.ended and (b'"finish_reason":"' in data or b'"finish_reason": "' in data):
            self.ended = True
        if b"[DONE]" in data and END.search(data):
            self.ended = self.marked = True
        if b'"usage"' in data or b'"error"' in data:
            self._read(data)

    def _whole(self, data: bytes) -> bytes:
        """The whole lines; what is left waits for more, and so does an event whose JSON is spread over several lines."""
        cut = data.rfind(b"\n") + 1
        if cut and not data.endswith((b"\n\n", b"\n\r\n"), 0, cut):
            event = _events(data[:cut])[-2]
            if _spread(event):
                cut -= len(event)
        self._rest = data[cut:] if len(data) - cut < LIMIT else b""
        return data[:cut]

    def _see_rest(self) -> None:
        """The last line may lack its end; and to a stream that ends its lines with CR alone every line is the last."""
        rest, self._rest = self._rest, b""
        if rest:
            self.see(rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\n\n")

    def _read(self, data: bytes) -> None:
        lines = (line for line in data.splitlines() if b'"usage"' in line or b'"error"' in line)
        try:
            chunks = [orjson.loads(line[5:]) for line in lines if line.startswith(b"data:")]
        except orjson.JSONDecodeError:
            chunks = [_parsed(event) for event in _events(data)]
        for chunk in chunks:
            if isinstance(chunk, dict):
                if report := reports.of(chunk):
                    self.report, self.final = reports.merged(self.report, report), self.ended
                if chunk.get("error") and self.error is None:
                    self.error = fault(chunk)

    def edit(self, data: bytes) -> bytes:
        """What a client that did not ask for usage shall see: everything but the chunk that holds nothing else."""
        if not data:
            return self._last_words()
        if self._unsent:
            data, self._unsent = self._unsent + data, b""
        if data[-2:] != b"\n\n":
            cut = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4)
            if cut < 4 and len(data) < LIMIT:
                self._unsent = data
                return b""
            data, self._unsent = data[:cut], data[cut:]
        if b'"usage"' not in data:
            return data
        return b"".join(event for event in _events(data) if not _only_usage(event))

    def _last_words(self) -> bytes:
        """What is left of the stream, with the end mark that a vendor forgot, or with the news that it broke."""
        self._see_rest()
        rest, self._unsent = self._unsent, b""
        if rest:
            rest = (rest if b"\n" in rest else rest.replace(b"\r", b"\n")).rstrip(b"\r\n") + b"\n\n"
            rest = b"".join(event for event in _events(rest) if not _only_usage(event))
        if self.marked:
            return rest
        return rest + (dialect.DONE if self.ended else self.farewell("vendor_broke"))

    def done(self, outcome: str) -> None:
        """Settle; the last event is sent after this returns."""
        self._see_rest()
        end = outcome
        if self.error is not None or (outcome == "complete" and not self.ended):
            end = "vendor_broke"
        if end in ("vendor_broke", "idle_timeout"):
            self.failed(
                self.error or VendorError("timeout" if end == "idle_timeout" else "garbled", "The vendor's stream broke off.")
            )
        used = meter.usage(self.report)
        if used is None and not self.said and end not in ("complete", "client_left"):
            self.bill.broke(end, broken(self.error)["error"]["message"] if self.error is not None else "")
        else:
            self.bill.text(used, self._text, end, wait=end != "client_left", final=self.final)

    def _text(self) -> str:
        try:
            return orjson.loads(b'"' + bytes(self.said) + b'"')
        except orjson.JSONDecodeError:
            return self.said.decode("utf-8", "replace")

    def farewell(self, outcome: str) -> bytes:
        """What the client reads when the stream breaks."""
        text = "The vendor was silent for too long." if outcome == "idle_timeout" else "The vendor's stream broke off."
        return dialect.event(dialect.error(text, "server_error", "stream_broken"))


def _events(data: bytes) -> list[bytes]:
    """The events of a piece that ends with one, blank lines included."""
    return re.findall(rb"(?s).*?(?:\r\n\r\n|\n\n|\Z)", data)


def _spread(event: bytes) -> bool:
    """Whether the first line of data is not all of the event's."""
    line = next((line for line in event.splitlines() if line.startswith(b"data:")), None)
    return line is not None and _parsed(line) is None


def _parsed(event: bytes) -> object:
    """An event's data, or None if it is no JSON."""
    try:
        return orjson.loads(b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:")))
    except orjson.JSONDecodeError:
        return None


def _only_usage(event: bytes) -> bool:
    if b'"usage"' not in event:
        return False
    chunk = _parsed(event)
    return isinstance(chunk, dict) and bool(chunk.get("usage")) and not chunk.get("choices")
