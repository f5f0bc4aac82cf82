"""Answers that take long to work out, kept: for as long as nothing they depend on changed, or for a while that they are worth."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import gevent

from oneapi import access
from oneapi.db import TROUBLE, Session
from oneapi.models import usage
from oneapi.state import State

T = TypeVar("T")
Ask = Callable[[Session], T]

KEPT = 200  # answers of one process
WORTH = 30  # an answer that took a second is shown for half a minute before it is worked out anew
LOOK = 10.0  # seconds after which a small site is looked at again: it may have grown
LONGEST = 600.0  # seconds after which nothing is shown any more


@dataclass
class Answer:
    value: Any
    at: float  # monotonic seconds
    cost: float
    renewing: bool = False


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


def sums(key: Hashable, ask: Ask[T]) -> T:
    """What `ask` finds in the roll-ups: the present, or where there are many, an answer as old as it took long to find.

    An answer past its time is shown once more while it is worked out anew beside the request.
    """
    state, known = access.state(), _known()
    now, (many, looked) = time.monotonic(), _many.get(state, (False, -LOOK))
    if not many:
        with state.databases.transaction() as session:
            if now - looked >= LOOK:
                many = usage.many(session)
                _many[state] = (many, now)
            if not many:
                return ask(session)
    answer = known.get(key)
    if answer is None or now - answer.at > LONGEST:
        answer = _ask(state, known, key, ask)
    elif now - answer.at > answer.cost * WORTH and not answer.renewing:
        answer.renewing = True
        gevent.spawn(_renew, state, known, key, ask, answer)
    return cast(T, answer.value)


def _ask(state: State, known: OrderedDict[Hashable, Answer], key: Hashable, ask: Ask[T]) -> Answer:
    started = time.monotonic()
    with state.databases.transaction() as session:
        value = ask(session)
    answer = Answer(value, time.monotonic(), time.monotonic() - started)
    _put(known, key, answer)
    return answer


def _renew(state: State, known: OrderedDict[Hashable, Answer], key: Hashable, ask: Ask[T], old: Answer) -> None:
    try:
        _ask(state, known, key, ask)
    except TROUBLE:  # the old answer stays; the next reader tries again
        old.renewing = False
