"""Converted streams: chunks in OpenAI's shape, the charge, the usage that the client asked for, then the end."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from oneapi.dialects import openai as dialect
from oneapi.relay import count, delivered, lingering, meter
from oneapi.relay.ask import Ask
from oneapi.relay.bill import SAID_NOTHING, Bill
from oneapi.relay.faults import broken
from oneapi.relay.transport import ClientLeft, Incoming
from oneapi.vendors import reports
from oneapi.wire import Call, Usage, VendorError

Json = dict[str, Any]

SPOKEN = ("chat", "completions")  # kinds whose streams end with a usage chunk and [DONE]
BROKEN_OFF = ("garbled", "timeout", "unreachable")  # kinds of failure that are no error the provider sent


def encoded(chunk: Any) -> bytes:
    """Return one server-sent event."""
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def usage_chunk(head: Json, report: Any, used: Usage) -> Json:
    """Return the last chunk of a stream: the provider's usage, with our count where the charge rests on it."""
    report = report if isinstance(report, dict) else {}
    if used.estimated or not report:
        ours = {"prompt_tokens": used.prompt, "completion_tokens": used.completion}
        report = report | ours | {"total_tokens": used.prompt + used.completion}
    return {k: v for k, v in head.items() if k not in ("choices", "usage")} | {"choices": [], "usage": report}


def charge_heard(bill: Bill, used: Usage | None, text: str, end: str = "complete") -> Usage:
    """Charge a transcript; without reported tokens by the tokens of its text, as prompt tokens of the model."""
    if used is None or not (used.prompt or used.completion):
        assert bill.tariff is not None
        flagged = used.flagged if used is not None else ""
        used = Usage(count.tokens(text, bill.tariff.model), estimated=True, flagged=flagged)
    return bill.text(used, str, end, wait=end != "client_left")


class Chunks:
    """The body of a converted stream; it settles by itself, however it ends."""

    def __init__(self, ask: Ask, bill: Bill, call: Call, chunks: Iterable[Json], incoming: Incoming, failed: Callable[..., None]):
        self.ask, self.bill, self.call, self.chunks, self.incoming, self.failed = ask, bill, call, chunks, incoming, failed
        self.report: Any = None  # usage of all chunks so far
        self.head: Json = {}  # the last chunk, for id and model of the usage chunk
        self.said: list[str] = []
        self.delivered = self.media = False  # anything beyond a role; what we cannot count
        self.finished = self.final = False  # a finish reason came; usage came with it or after it

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self.chunks:
                data = self._see(chunk)
                if data is not None:
                    yield encoded(data)
        except VendorError as error:
            self.failed(error)
            said = broken(error)
            end = "idle_timeout" if error.kind == "timeout" else "vendor_broke"
            self._settle(end, said["error"]["message"], refused=error.kind not in BROKEN_OFF)
            yield dialect.event(said)
            return
        except ClientLeft:
            self._settle("client_left")
            return
        used = self._settle("complete")
        if self.ask.kind in SPOKEN:
            if self.ask.wants_usage:
                yield encoded(usage_chunk(self.head, reports.merged(self.report, self.call.reported), used))
            yield dialect.DONE

    def _see(self, chunk: Json) -> Json | None:
        """Note what a chunk delivers; return what the client gets of it now: usage only where it asked for it in each chunk."""
        if self.ask.kind not in SPOKEN:
            self._note_event(chunk)
            return chunk
        choices = chunk.get("choices")
        for choice in choices or ():
            self.said += delivered.texts(choice)
            self.finished = self.finished or bool(choice.get("finish_reason"))
            self.delivered = self.delivered or delivered.beyond_role(choice)
            if not self.media and delivered.media(choice):
                self.media = True
                self.incoming.outlive()
        self.head = chunk
        report = reports.of(chunk)
        if report is None:
            return chunk
        self.report = reports.merged(self.report, report)
        self.final = self.finished
        if not choices:
            return None  # the usage chunk is written when all is known
        if self.ask.wants_each_usage and meter.usage(self.report) is not None:
            return chunk | {"usage": self.report}
        return {k: v for k, v in chunk.items() if k != "usage"}

    def _note_event(self, event: Json) -> None:
        """Events of transcriptions and images: https://platform.openai.com/docs/api-reference/audio/transcript-text-delta-event"""
        self.report = reports.merged(self.report, event.get("usage"))
        self.delivered = True
        kind = str(event.get("type"))
        if kind.endswith(".delta") and isinstance(event.get("delta"), str):
            self.said.append(event["delta"])
        elif kind.endswith(".done") and isinstance(event.get("text"), str):
            self.said = [event["text"]]

    def _settle(self, end: str, message: str = "", *, refused: bool = False) -> Usage:
        """Charge what was delivered. `refused`: the provider sent an error, and does not charge for what it did not deliver."""
        ask, bill, report = self.ask, self.bill, reports.merged(self.report, self.call.reported)
        used, wait = meter.usage(report), end != "client_left"
        if ask.kind in meter.PICTURES and bill.tariff is not None:
            bill.settle(meter.pictures(bill.tariff, ask.body, {"usage": report}), used or SAID_NOTHING, end)
        elif ask.kind == "speech" and bill.tariff is not None:
            bill.settle(meter.speech(bill.tariff, str(ask.body.get("input") or "")), SAID_NOTHING, end)
        elif not self.delivered and wait and end != "complete" and (used is None or refused):
            bill.broke(end, message)
        elif ask.kind in meter.HEARD:
            return charge_heard(bill, used, "".join(self.said), end)
        else:
            return bill.text(used, lambda: "".join(self.said), end, wait=wait, final=self.final, media=self.media)
        return used or SAID_NOTHING

    def close(self) -> None:
        """However the answer ended, also if it was never begun."""
        if self.media and self.bill.open and not self.final:
            lingering.read_on(map(self._see, self.chunks), lambda: self.final)
        self.incoming.close()
        self._settle("client_left")
