"""Rate limits and concurrency limits of all hosts together, counted in Redis; per host while Redis does not answer.

One greenlet of each process owns the connection. It sends what has come together as one pipeline, so a request waits for one
round trip, and the end of a request for none. All counters of a caller are in one slot of a cluster.
"""

import logging
import os
import secrets
import time
from collections import deque
from typing import Any

import gevent
from gevent.event import AsyncResult, Event

from oneapi.config import Config
from oneapi.fanout import away, client
from oneapi.relay.limits import Board, Ticket, headers_of
from oneapi.relay.limits_scripts import ENTER, HEARTBEAT, LEAVE
from oneapi.relay.refusal import Refused
from oneapi.state import Caller

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0  # longest wait of a request for Redis
LEASE_SECONDS, HEARTBEAT_SECONDS = 10, 3  # requests in flight of a process without a heartbeat are not counted any more
RETRY_SECONDS = 1.0
BATCH = 200  # commands of one pipeline

Command = list[Any]


class Admission:
    """One request that waits for Redis. `abandoned`: it went on without, so that its count must be taken back."""

    __slots__ = ("names", "bounded", "estimate", "command", "result", "abandoned")

    def __init__(self, worker: str, caller: Caller, estimate: int):
        self.names = [f"oneapi:limits:{{{caller.user_id}}}:{name}" for name, _ in caller.limits]
        self.bounded = [bool(limits.concurrency) for _, limits in caller.limits]
        self.estimate, self.abandoned = estimate, False
        self.result: AsyncResult = AsyncResult()
        numbers = [number for _, limits in caller.limits for number in (limits.rpm, limits.tpm, limits.concurrency)]
        self.command = evaluation(ENTER, self.names, worker, LEASE_SECONDS, estimate, *numbers)


def evaluation(script: str, names: list[str], *arguments: Any) -> Command:
    """The command that runs a script on the counters of these names; EVAL, as pipelines of a cluster refuse EVALSHA."""
    keys = [key for name in names for key in (name, f"{name}:running")]
    return ["EVAL", script, len(keys), *keys, *arguments]


class RedisLimits:
    """Limits of all hosts together. Requests are never refused or held up because Redis does not answer."""

    def __init__(self, config: Config, local: Board):
        self._config, self._local = config, local
        self._worker = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._running: dict[str, int] = {}  # requests in flight of this process by name; 0 where Redis must still be told
        self._queue: deque[Admission | Command] = deque()
        self._waiting = Event()
        self._client: Any = None
        self._answers = True
        self._greenlet = gevent.spawn(self._work)

    def enter(self, caller: Caller, estimate: int) -> Ticket:
        """Admit a request, counting it everywhere, or raise Refused(429) and count it nowhere."""
        if not self._answers:
            return self._local.enter(caller, estimate)
        asked = Admission(self._worker, caller, estimate)
        self._send(asked)
        try:
            found = asked.result.get(timeout=PATIENCE_SECONDS)
        except gevent.Timeout:
            found = None
        except BaseException:  # the client left
            asked.abandoned = True
            raise
        if found is None:
            asked.abandoned = True
            return self._local.enter(caller, estimate)
        admitted, milliseconds, counts = found[0], found[1], found[2:]
        headers: list[tuple[str, str]] = []
        for at, (name, limits) in enumerate(caller.limits):
            headers = headers_of(name, limits, counts[5 * at : 5 * at + 5], estimate, milliseconds / 1000) or headers
        if not admitted:  # a node of another version counts in another way
            raise Refused(429, "Rate limit reached. Try again in a second.", "rate_limit_exceeded", retry_after=1)
        return Ticket(self, asked, estimate, headers)

    def leave(self, admission: Admission, correction: int) -> None:
        """Correct the tokens and end the concurrency of a request; returns at once."""
        for name, bounded in zip(admission.names, admission.bounded, strict=True):
            if bounded:
                self._running[name] = max(0, self._running.get(name, 0) - 1)
        if self._answers:
            self._send(evaluation(LEAVE, admission.names, self._worker, LEASE_SECONDS, correction, *map(int, admission.bounded)))

    def stop(self) -> None:
        """End the greenlet without telling Redis, as when the process dies."""
        self._greenlet.kill()

    def _send(self, what: Admission | Command) -> None:
        self._queue.append(what)
        self._waiting.set()

    # -- the greenlet that talks to Redis

    def _work(self) -> None:
        while True:
            try:
                self._serve()
            except away() as error:
                self._lost(error)
            except Exception:  # a fault of ours must not end what all requests wait for
                log.exception("rate limits: counting in Redis failed")
                self._lost(None)
            gevent.sleep(RETRY_SECONDS)

    def _serve(self) -> None:
        """Send what is queued and a heartbeat now and then, until Redis fails."""
        if self._client is None:
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            options = {"socket_timeout": PATIENCE_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
            self._client = client(self._config, retry=Retry(NoBackoff(), 0), **options)  # a repeated command would count twice
        self._heartbeat()
        if not self._answers:
            self._answers = True
            log.warning("rate limits: Redis answers again, limits are counted for all hosts together")
        due = time.monotonic() + HEARTBEAT_SECONDS
        while True:
            self._waiting.wait(max(0.0, due - time.monotonic()))
            self._waiting.clear()
            self._drain()
            if time.monotonic() >= due:
                self._heartbeat()
                due = time.monotonic() + HEARTBEAT_SECONDS

    def _drain(self) -> None:
        while self._queue:
            self._exchange([self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))])

    def _exchange(self, batch: list[Admission | Command]) -> None:
        """Run a batch as one pipeline and give the requests in it their results."""
        try:
            found = self._run([part.command if isinstance(part, Admission) else part for part in batch])
        except BaseException:
            for part in batch:
                if isinstance(part, Admission):
                    part.result.set(None)
            raise
        for part, result in zip(batch, found, strict=True):
            if isinstance(part, Admission):
                self._tell(part, result)

    def _tell(self, asked: Admission, result: list[int]) -> None:
        if result[0]:
            for name, bounded in zip(asked.names, asked.bounded, strict=True):
                if bounded:
                    self._running[name] = self._running.get(name, 0) + 1
            if asked.abandoned:
                self.leave(asked, -asked.estimate)
        asked.result.set(result)

    def _run(self, commands: list[Command]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute())

    def _heartbeat(self) -> None:
        """Renew the leases of what this process has in flight: the counts as they are, however earlier commands went."""
        self._client.ping()
        names = list(self._running)
        for start in range(0, len(names), BATCH):
            self._drain()  # a count from now on includes what was queued before
            part = {name: self._running[name] for name in names[start : start + BATCH]}
            self._run([evaluation(HEARTBEAT, [name], self._worker, LEASE_SECONDS, count) for name, count in part.items()])
            for name in part:
                if not self._running[name]:
                    del self._running[name]

    def _lost(self, error: Exception | None) -> None:
        if self._answers:
            reason = type(error).__name__ if error else "an error of ours"
            log.warning("rate limits: Redis does not answer (%s), each host counts by itself until it does", reason)
        self._answers = False
        while self._queue:
            if isinstance(asked := self._queue.popleft(), Admission):
                asked.result.set(None)
        broken, self._client = self._client, None
        if broken is not None:
            try:
                broken.close()
            except Exception as failure:  # it is given up either way
                log.debug("rate limits: the connection was not closed: %s", type(failure).__name__)
