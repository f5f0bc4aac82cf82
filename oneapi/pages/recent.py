"""Answers that take long to work out, kept: for as long as nothing they depend on changed, or for a while that they are worth.

What took very long is kept in the database too, so that neither a restart nor another process works it out once more.
"""

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import gevent

from oneapi import access
from oneapi.actions import act
from oneapi.db import TROUBLE, Session
from oneapi.models import code, usage
from oneapi.state import State

log = logging.getLogger(__name__)

T = TypeVar("T")
Ask = Callable[[Session], T]
Opened = Callable[[], AbstractContextManager[Session]]

PURPOSE = "sums"  # of what is kept in the database
KEPT = 200  # answers of one process
WORTH = 30  # an answer that took a second is shown for half a minute before it is worked out anew
QUICK = 0.01  # seconds: an answer that took less is not worth showing when it is past its time
LOOK = 10.0  # seconds after which a small site is looked at again: it may have grown
LONGEST = 600.0  # seconds after which nothing is shown any more, or a thousandth of the stretch that an answer sums up
LONGEST_OF_ALL = 7200.0
PATIENCE = 0.15  # seconds that a page waits for a sum which is not known yet
DEAR = 0.2  # seconds that an answer must have taken to be kept in the database
STORED_EVERY = 120.0  # seconds between two writes of one answer


@dataclass
class Answer:
    value: Any
    at: float  # monotonic seconds
    cost: float
    renewing: bool = False
    stored: float = -STORED_EVERY  # monotonic seconds


_asking: dict[tuple[State, Hashable], gevent.Greenlet] = {}  # answers that are being worked out for the first time
_answers: WeakKeyDictionary[State, OrderedDict[Hashable, Answer]] = WeakKeyDictionary()
_many: WeakKeyDictionary[State, tuple[bool, float]] = WeakKeyDictionary()  # whether there are many, and when that was looked at


def _known() -> OrderedDict[Hashable, Answer]:
    return _answers.setdefault(access.state(), OrderedDict())


def _put(known: OrderedDict[Hashable, Answer], key: Hashable, answer: Answer) -> None:
    known[key] = answer
    known.move_to_end(key)
    while len(known) > KEPT:
        known.popitem(last=False)


def unchanged(topic: str, name: str, ask: Ask[T]) -> T:
    """What `ask` says; asked once per change of a topic that this process has seen."""
    state, known = access.state(), _known()
    answer = known.get((topic, name))
    version = state.version(topic)
    if answer is None or answer.value[0] != version:
        with state.databases.transaction() as session:
            answer = Answer((version, ask(session)), 0, 0)
        _put(known, (topic, name), answer)
    return cast(T, answer.value[1])


def sums(key: Hashable, ask: Ask[T], length: int = 0) -> T:
    """What `ask` finds in the roll-ups: the present, or where there are many, an answer as old as it took long to find.

    An answer past its time is shown once more while it is worked out anew beside the request. `length` is the stretch of time
    that it sums up, in seconds.
    """
    state = access.state()
    now, (many, looked) = time.monotonic(), _many.get(state, (False, -LOOK))
    if not many:
        with state.databases.transaction() as session:
            if now - looked >= LOOK:
                many = usage.many(session)
                _many[state] = (many, now)
            if not many:
                return ask(session)
    return _kept(state, key, ask, max(LONGEST, min(length / 1000, LONGEST_OF_ALL)), state.databases.transaction)


def sums_soon(key: Hashable, ask: Ask[T], length: int = 0) -> T | None:
    """The same as `sums`, or None while it takes longer than PATIENCE to work out what is not known; ask again later."""
    state, known = access.state(), _known()
    answer = known.get(key)
    if (state, key) not in _asking:
        if answer is not None or not _has_many(state):
            return sums(key, ask, length)
        oldest = max(LONGEST, min(length / 1000, LONGEST_OF_ALL))
        _asking[state, key] = gevent.spawn(_first, state, known, key, ask, oldest)
    _asking[state, key].join(PATIENCE)
    answer = known.get(key)
    return None if answer is None else cast(T, answer.value)


def _has_many(state: State) -> bool:
    """Whether there are so many roll-ups that answers are kept; looked at every now and then while there are few."""
    now, (many, looked) = time.monotonic(), _many.get(state, (False, -LOOK))
    if not many and now - looked >= LOOK:
        with state.databases.transaction() as session:
            many = usage.many(session)
        _many[state] = (many, now)
    return many


def _first(state: State, known: OrderedDict[Hashable, Answer], key: Hashable, ask: Ask[T], oldest: float) -> None:
    try:
        if _stored(state, known, key, oldest) is None:
            _ask(state, known, key, ask, oldest, state.databases.transaction)
    except TROUBLE as error:
        log.warning("A sum could not be worked out: %s", type(error).__name__)
    finally:
        _asking.pop((state, key), None)


def logged(key: Hashable, ask: Ask[T]) -> T:
    """What `ask` finds in the log, as old as it took long to find."""
    state = access.state()
    return _kept(state, key, ask, LONGEST, state.databases.logs)


def _kept(state: State, key: Hashable, ask: Ask[T], oldest: float, opened: Opened) -> T:
    known, now = _known(), time.monotonic()
    answer = known.get(key)
    if answer is None or now - answer.at > oldest:
        answer = _stored(state, known, key, oldest) or _ask(state, known, key, ask, oldest, opened)
    elif now - answer.at > answer.cost * WORTH and not answer.renewing:
        if answer.cost < QUICK:
            answer = _ask(state, known, key, ask, oldest, opened)
        else:
            answer.renewing = True
            gevent.spawn(_renew, state, known, key, ask, oldest, opened, answer)
    return cast(T, answer.value)


def _ask(
    state: State, known: OrderedDict[Hashable, Answer], key: Hashable, ask: Ask[T], oldest: float, opened: Opened
) -> Answer:
    started = time.monotonic()
    with opened() as session:
        value = ask(session)
    before, cost = known.get(key), time.monotonic() - started
    answer = Answer(value, time.monotonic(), cost, stored=before.stored if before else -STORED_EVERY)
    _put(known, key, answer)
    if cost >= DEAR and answer.at - answer.stored >= STORED_EVERY:
        answer.stored = answer.at
        _store(state, key, answer, oldest)
    return answer


def _renew(
    state: State, known: OrderedDict[Hashable, Answer], key: Hashable, ask: Ask[T], oldest: float, opened: Opened, old: Answer
) -> None:
    try:
        _ask(state, known, key, ask, oldest, opened)
    except TROUBLE:  # the old answer stays; the next reader tries again
        old.renewing = False


# In the database: a sum is a list in an object of its own, all else is what JSON makes of it.


def _store(state: State, key: Hashable, answer: Answer, oldest: float) -> None:
    now = state.clock()
    kept = json.dumps({"at": now, "cost": answer.cost, "value": answer.value}, default=_listed, separators=(",", ":"))
    try:
        with act(state) as session:
            code.issue(session, PURPOSE, code.digest(repr(key)), "", expires_at=int(now + oldest), data=kept)
    except TROUBLE as error:
        log.warning("A sum that took %.1f s could not be kept: %s", answer.cost, error)


def _stored(state: State, known: OrderedDict[Hashable, Answer], key: Hashable, oldest: float) -> Answer | None:
    """What this or another process found out not too long ago."""
    with state.databases.transaction() as session:
        kept = code.kept(session, PURPOSE, code.digest(repr(key)), now=int(state.clock()))
    try:
        found = json.loads(kept or "", object_hook=_summed)
        age = max(0.0, state.clock() - found["at"])
        now = time.monotonic()
        answer = Answer(found["value"], now - age, found["cost"], stored=now)
    except (ValueError, TypeError, KeyError):  # nothing, or what another version wrote
        return None
    if age > oldest:
        return None
    _put(known, key, answer)
    return answer


def _listed(one: Any) -> dict[str, list[Any]]:
    return {"sum": [getattr(one, f.name) for f in fields(one)]}


def _summed(found: dict[str, Any]) -> Any:
    return usage.Sum(*found["sum"]) if found.keys() == {"sum"} else found
