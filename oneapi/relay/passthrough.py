"""Reads along in a stream that passes untouched: usage, text, errors and the end, and hides what the client did not ask for."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from oneapi.dialects import openai as dialect
from oneapi.relay import chunk_template, delivered, meter
from oneapi.relay.ask import Ask
from oneapi.relay.bill import SAID_NOTHING, Bill
from oneapi.relay.converted import encoded, usage_chunk
from oneapi.relay.faults import broken
from oneapi.vendors import errors, reports
from oneapi.vendors.openai import fault
from oneapi.wire import VendorError

MEDIA = re.compile(rb'"(?:audio|images?|videos?)"\s*:\s*[\[{"]')  # what a chunk delivers besides text
FINISH = re.compile(rb'"finish_reason"\s*:\s*"(?!(?i:null|none)")[^"]')  # one that says something: "" does not
FAILED = re.compile(rb'"finish_reason"\s*:\s*"(?i:%s)"' % "|".join(errors.FAILED).encode())
USAGE = re.compile(rb'"usage"\s*:\s*[^\sn]')  # a report; "usage": null is none
END = re.compile(rb"(?m)^data: ?\[DONE\]")  # at the beginning of a line: a model may say it too
LIMIT = 8 * 1024 * 1024  # bytes of one event; what is longer is not read along
TRIALS = 8  # how many templates of chunks are tried a stream: chunks with log probabilities match none


class Watch:
    """The observer of one native stream (relay/pump.py): `see` runs in the event loop and never waits."""

    __slots__ = (
        "ask", "bill", "failed", "begin", "report", "used", "error", "plain", "surplus", "said", "delivered", "media", "ended",
        "final", "marked", "torn", "shown", "_was_torn", "_unfinished", "_rest", "_unsent", "_usage", "_template",
        "_trials",
    )  # fmt: skip

    def __init__(self, ask: Ask, bill: Bill, failed: Callable[[VendorError], None], begin: bytes = b""):
        self.ask, self.bill, self.failed, self.begin = ask, bill, failed, begin
        self.report: object = None
        self.error: VendorError | None = None
        self.used = SAID_NOTHING  # what was charged
        self.plain = False  # the error came in the form that clients know
        self.surplus = 0  # bytes after the event with the error
        self.said = bytearray()
        self.delivered = self.media = False  # anything beyond a role; what we cannot count
        self.torn = self._was_torn = False  # no blank line ends what came so far, and what came before the last bytes
        self._unfinished = meter.whole(ask.body.get("n"), 1)  # choices without a finish reason
        self.final = False  # usage came with the finish reason or after it
        self.ended = False  # a finish reason or the end mark was seen
        self.marked = False  # the end mark [DONE] was seen
        self.shown: object = None  # the usage of the last chunk that holds nothing else
        self._rest = b""
        self._unsent = b""
        self._usage = b""  # the last event that holds nothing but usage
        self._template: chunk_template.Template | None = None
        self._trials = TRIALS

    def see(self, data: bytes) -> None:
        """The next bytes; looks only at whole lines."""
        template = self._template
        if template is not None and not self._rest and (text := chunk_template.text(data, template)) is not None:
            self.said += text
            self._was_torn, self.torn = self.torn, False
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        self._was_torn, self.torn = self.torn, False
        if data[-2:] != b"\n\n":
            self.torn = not data.endswith((b"\r\n\r\n", b"\r\r"))
            data = self._whole(data)
        found = chunk_template.TEXT.findall(data)
        for text in found:
            self.said += text
        if not self.media and (b'"audio"' in data or b'"image' in data or b'"video' in data) and MEDIA.search(data):
            self.media = self.delivered = True
        if not found and not self.said and not self.delivered:
            self._look(data)
        if not self.ended and (b'"finish_reason":' in data or b'"finish_reason" :' in data):
            self._unfinished -= len(FINISH.findall(data))
            self.ended = self._unfinished <= 0
        if b'"usage"' in data or b'"error' in data or (self.ended and not self.marked and FAILED.search(data)):
            self._read(data)
        if not self.marked and data.count(b'"choices"') < data.count(b"data:") and self.error is None:
            self._find_error(data)
        if b"[DONE]" in data and END.search(data):
            self.ended = self.marked = True
        if len(found) == 1 and self._trials:
            self._trials -= 1
            self._template = chunk_template.of(data) if self._only_text(data) else None

    def _only_text(self, data: bytes) -> bool:
        """Return True for a chunk that changes nothing but the text, so that others like it need no second look."""
        chunk = _parsed(data)
        return isinstance(chunk, dict) and not reports.of(chunk) and not FINISH.search(data)

    def _look(self, data: bytes) -> None:
        """Find out whether chunks without text deliver anything; asked until the first one does."""
        for chunk in map(_parsed, _events(data)):
            for choice in (chunk.get("choices") or ()) if isinstance(chunk, dict) else ():
                if isinstance(choice, dict):
                    self.delivered = self.delivered or delivered.beyond_role(choice)
                    self.media = self.media or delivered.media(choice)

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
        rest, self._rest = without_half(self._rest), b""
        if rest:
            torn = self._was_torn, self.torn  # the client has these bytes without an end
            self.see(rest + b"\n\n")
            self._was_torn, self.torn = torn

    def _read(self, data: bytes) -> None:
        lines = (line for line in data.splitlines() if b'"usage"' in line or b'"error' in line or FAILED.search(line))
        try:
            chunks = [orjson.loads(line[5:]) for line in lines if line.startswith(b"data:")]
        except orjson.JSONDecodeError:
            chunks = [_parsed(event) for event in _events(data)]
        for chunk in chunks:
            if isinstance(chunk, dict):
                if report := reports.of(chunk):
                    self.report, self.final = reports.merged(self.report, report), self.ended
                    if not chunk.get("choices"):
                        self.shown = report
                if self.error is None and (found := errors.found_in(chunk)):
                    self.error, self.plain = fault(found), bool(chunk.get("error"))
                    self.surplus = _after_error(data) + len(self._rest)

    def _find_error(self, data: bytes) -> None:
        """Find an error among the events that are not chunks; the client sees it in OpenAI's form instead."""
        left = len(data)
        for event in _events(data):
            if b'"choices"' not in event and (found := _error(event)) is not None:
                self.error, self.surplus = found, left + len(self._rest)
                return
            left -= len(event)

    def edit(self, data: bytes) -> bytes:
        """Return what the client gets of the next bytes: no usage, which follows in `closing` where the client asked for it."""
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
        if not USAGE.search(data):
            return data
        return b"".join(map(self._without_usage, _events(data)))

    def _without_usage(self, event: bytes) -> bytes:
        """Return an event without its usage report; b"" for one that holds nothing else."""
        chunk = _parsed(event) if USAGE.search(event) else None
        if not isinstance(chunk, dict) or not chunk.get("usage") or chunk.get("error"):
            return event
        if not chunk.get("choices"):
            self._usage = event
            return b""
        return event if self.ask.wants_each_usage else encoded({k: v for k, v in chunk.items() if k != "usage"})

    def _last_words(self) -> bytes:
        """Return what is left of the stream, with the end mark that the provider left out, or with the error that it broke."""
        self._see_rest()
        rest, self._unsent, self.torn = without_half(self._unsent), b"", False
        if rest:
            rest = b"".join(map(self._without_usage, _events(rest.rstrip(b"\n") + b"\n\n")))
        if self.error is not None or self.marked or self.ask.wants_usage:
            return rest  # what follows is the farewell, nothing, or the closing
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
        used, refused = meter.usage(self.report), self.error is not None
        nothing = not self.said and not self.delivered
        if nothing and (used is None or refused) and end not in ("complete", "client_left"):
            self.bill.broke(end, broken(self.error)["error"]["message"] if self.error is not None else "")
        else:
            wait = end != "client_left"
            self.used = self.bill.text(used, self._text, end, wait=wait, final=self.final, media=self.media)

    def _text(self) -> str:
        try:
            return orjson.loads(b'"' + bytes(self.said) + b'"')
        except orjson.JSONDecodeError:
            return self.said.decode("utf-8", "replace")

    def farewell(self, outcome: str) -> bytes:
        """Return the error event for a client whose stream breaks; nothing where the provider's own has been passed on."""
        gap = b"\n\n" if self.torn else b""
        if self.error is not None:
            return gap if self.plain else gap + dialect.event(broken(self.error))
        text = "The vendor was silent for too long." if outcome == "idle_timeout" else "The vendor's stream broke off."
        return gap + dialect.event(dialect.error(text, "server_error", "stream_broken"))

    def closing(self, held: bytes) -> bytes:
        """Return the end of a settled stream for a client that asked for usage: with usage, whether or not it was reported."""
        marks = [found.start() for found in END.finditer(held)]
        if not marks and self.marked:
            return held  # its lines end with CR alone, and it was passed on
        if not self.ended:
            return held + self.farewell("vendor_broke")
        at = marks[-1] if marks else len(held)
        before, end = held[:at], held[at:] or dialect.DONE
        torn = not before.endswith((b"\n\n", b"\r\n\r\n")) if before else self._was_torn if marks else self.torn
        return before + (b"\n\n" if torn else b"") + self._usage_event() + end

    def _usage_event(self) -> bytes:
        """Return the event with the usage of the whole stream; b"" where the provider's own was passed on and says the same."""
        told, shown = meter.usage(self.report), meter.usage(self.shown)
        if told and shown and told.prompt and (told.prompt, told.completion) == (shown.prompt, shown.completion):
            return self._usage
        return encoded(usage_chunk(self._head(), self.report, self.used))

    def _head(self) -> dict[str, Any]:
        """Return the first chunk, for id and model of our own."""
        found = next((chunk for chunk in map(_parsed, _events(self.begin)) if isinstance(chunk, dict)), {})
        return {k: found[k] for k in ("id", "object", "created", "model") if k in found} or {"object": "chat.completion.chunk"}


def _after_error(data: bytes) -> int:
    """Return how many bytes follow the first event that holds an error."""
    left = len(data)
    for event in _events(data):
        left -= len(event)
        chunk = _parsed(event) if b'"error' in event or FAILED.search(event) else None
        if isinstance(chunk, dict) and errors.found_in(chunk):
            break
    return left


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


def _error(event: bytes) -> VendorError | None:
    """Return the error of an event that is not a chunk: one named error, one that is not JSON, a message with a code."""
    lines = event.splitlines()
    data = b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
    if data in (b"", b"[DONE]"):
        return None
    chunk, named = _parsed(event), any(line.replace(b" ", b"") == b"event:error" for line in lines)
    if isinstance(chunk, dict):
        found = errors.found_in(chunk) or (chunk if named else None)
        return fault(found) if found else None
    if named:
        return fault({"message": data.decode("utf-8", "replace")})
    return VendorError("garbled", "The provider sent an event that is not a JSON object.")


def without_half(rest: bytes) -> bytes:
    """Return the last lines of a stream, which lack their end, without an event that was cut in the middle."""
    rest = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    last = _events(rest.rstrip(b"\n"))[-2:-1]
    if last and not END.search(last[0]) and _parsed(last[0]) is None:
        return rest[: len(rest.rstrip(b"\n")) - len(last[0])]
    return rest
