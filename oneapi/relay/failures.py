"""Requests that failed, on their way into the log: a small buffer beside the settlements, written in groups.

Nobody waits for it and nothing that goes wrong here changes an answer. A flood fills no disk: what does not fit is only counted.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import orjson
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from oneapi import logs
from oneapi.models.failure import Key
from oneapi.models.log import Kind
from oneapi.models.store import FAILURES, Store
from oneapi.relay import faults
from oneapi.relay.ask import Ask, elapsed
from oneapi.relay.refusal import Refused, away
from oneapi.relay.transport import ClientLeft
from oneapi.state import Caller, State

log = logging.getLogger(__name__)

Json = dict[str, Any]

WAITING = 200  # rows of this process that may wait
A_SECOND = 20  # rows of this process that are written in a second
OF_ONE_KEY = 60  # rows of one key in a minute: a client that tries for ever leaves room for what others ought to see
KEYS = 1000  # roll-ups for which counts without rows may wait
QUIET_SECONDS = 60.0  # between two lines that say what was dropped
STOP_SECONDS = 10.0
NAME, LONGEST = 191, 500  # characters of a model's name and of a message

# How a stream ends that had promised an answer and then brought none, as relay/pump.py names it.
BROKEN = {"idle_timeout": (504, "The vendor was silent for too long."), "vendor_broke": (502, "The vendor's stream broke off.")}
QUOTED = re.compile(r"(?<!\w)(['\"`])[^'\"`]{40,}\1")  # vendors quote what they complain about


class Failures:
    """The failed requests of one worker."""

    def __init__(self, state: State, store: Store):
        self._state, self._store = state, store
        self._rows: list[tuple[Key, Json]] = []
        self._counts: dict[Key, int] = {}  # of failures that get no row
        self._minute, self._of_key = 0, Counter[int]()
        self._dropped, self._quiet_until = 0, 0.0
        self._writer: gevent.Greenlet | None = None
        self._writing, self._ending = BoundedSemaphore(), Event()

    # -- noting -----------------------------------------------------------------------------------------------------

    def refused(
        self, error: BaseException, caller: Caller, id: str, path: str, ask: Ask | None = None, *, chinese: bool = False
    ) -> None:
        """Note that a request ended with an error; a client that left, or a process that ends, is none."""
        if isinstance(error, ClientLeft) or not isinstance(error, Exception):
            return
        told = error if isinstance(error, Refused) else away() if isinstance(error, FAILURES) else internal()
        self._note(caller, id, path, ask, told.status, told.code, told.zh if chinese else told.message)

    def broken(self, ask: Ask, end: str, message: str = "") -> None:
        """Note that a stream ended before it had said anything."""
        status, said = BROKEN.get(end, BROKEN["vendor_broke"])
        self._note(ask.caller, ask.id, ask.path, ask, status, "stream_broken", message or said)

    def _note(self, caller: Caller, id: str, path: str, ask: Ask | None, status: int, code: str, message: str) -> None:
        try:
            now = int(self._state.clock())
            model, channel = self._served(ask)
            key = (now - now % 3600, caller.user_id, caller.token_id, channel, self._known(ask, model))
            if not self._state.settings.log_consume_enabled:
                self._count(key)
            elif self._room(caller.token_id, now // 60):
                self._rows.append((key, _row(caller, id, path, ask, status, code, message, now, model, channel)))
            else:
                self._dropped += 1
                self._count(key)
            if self._writer is None:
                self._writer = gevent.spawn(self._run)
        except Exception:  # the client must get the answer that it was about to get
            log.exception("request=%s failed, and that could not be noted", id)

    def _served(self, ask: Ask | None) -> tuple[str, int]:
        """The model and the channel of the last attempt; without one the model as it was asked for, and 0."""
        if ask is None:
            return "", 0
        channel = ask.attempts[-1]["channel"] if ask.attempts else 0
        lane = self._state.snapshot.lanes.get(channel)
        return clean(lane.serves(ask.model) if lane is not None else ask.model, NAME), channel

    def _known(self, ask: Ask | None, model: str) -> str:
        """The model for the roll-ups, which are kept for ever: names that a client made up are all counted as one."""
        if ask is None or not (ask.attempts or (ask.caller.group, ask.model) in self._state.snapshot.candidates):
            return ""
        return model

    def _room(self, token_id: int, minute: int) -> bool:
        if minute != self._minute:
            self._minute, self._of_key = minute, Counter()
        if len(self._rows) >= WAITING or self._of_key[token_id] >= OF_ONE_KEY:
            return False
        self._of_key[token_id] += 1
        return True

    def _count(self, key: Key) -> None:
        if key in self._counts or len(self._counts) < KEYS:
            self._counts[key] = self._counts.get(key, 0) + 1

    # -- writing ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Write what waits, a group a second; it ends when nothing is left."""
        while self._rows or self._counts:
            self._write(A_SECOND)
            if self._ending.wait(1.0):
                break
        self._writer = None

    def flush(self) -> None:
        """Write everything that waits now."""
        self._write(WAITING)

    def stop(self) -> None:
        """Write what waits and end."""
        self._ending.set()
        writer = self._writer
        if writer is not None:
            writer.join(STOP_SECONDS)
        self.flush()
        self._ending.clear()

    def _write(self, most: int) -> None:
        with self._writing:
            rows, self._rows = self._rows[:most], self._rows[most:]
            counts, self._counts = self._counts, {}
            for key, _row in rows:
                counts[key] = counts.get(key, 0) + 1
            try:
                if counts:
                    self._store.write_failures(counts, [row for _key, row in rows])
            except Exception as error:  # no journal keeps them: they are not worth a disk
                log.warning("failures=%d could not be written: %s", sum(counts.values()), type(error).__name__)
            self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if self._dropped and now >= self._quiet_until:
            log.warning("failures=%d came too fast: they are counted, but have no row in the log", self._dropped)
            self._dropped, self._quiet_until = 0, now + QUIET_SECONDS


def internal() -> Refused:
    """What a client reads when something went wrong that nobody thought of."""
    return Refused(500, "Internal error of the gateway.", "internal_error")


def clean(text: str, most: int) -> str:
    """The beginning of a text that a client or a vendor made up, as every database takes it."""
    text = text[:most]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _row(
    caller: Caller, id: str, path: str, ask: Ask | None, status: int, code: str, message: str, now: int, model: str, channel: int
) -> Json:
    detail = {
        "asked": clean(ask.model, NAME) if ask is not None else "", "served": model if channel else "", "path": clean(path, NAME),
        "status": status, "code": clean(code, NAME), "attempts": ask.attempts if ask is not None else [],
    }  # fmt: skip
    return {
        "user_id": caller.user_id, "created_at": now, "type": int(Kind.ERROR), "username": caller.username,
        "content": told(message, ask), "token_name": caller.token_name, "model_name": logs.scrub(model), "channel_id": channel,
        "request_id": id, "elapsed_time": elapsed(ask.started) if ask is not None else 0,
        "is_stream": ask is not None and ask.streaming, "detail": orjson.dumps(detail).decode(),
    }  # fmt: skip


def told(message: str, ask: Ask | None) -> str:
    """What the client was told, without secrets and without what it had said itself: logs hold no prompts."""
    for text in _said(ask.body) if ask is not None else ():
        if len(text) > 8 and text in message:
            message = message.replace(text, "…")
    return clean(logs.scrub(faults.scrubbed(QUOTED.sub(r"\1…\1", message))), LONGEST)


def _said(body: Json) -> Iterator[str]:
    """The last words of a request: what a vendor may quote in its complaint."""
    messages = body.get("messages")
    for message in messages[-20:] if isinstance(messages, list) else ():
        yield from _texts(message.get("content") if isinstance(message, dict) else None)
    for name in ("prompt", "input", "instruction", "query"):
        yield from _texts(body.get(name))


def _texts(content: Any) -> Iterator[str]:
    for part in content[-20:] if isinstance(content, list) else (content,):
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            yield text
