"""Logs: deleting old ones, a little at a time, so that nobody waits for it."""

from collections.abc import Callable

from oneapi.actions import Actor, record
from oneapi.models import log
from oneapi.state import State

BATCH = 1000


def delete_before(state: State, actor: Actor, timestamp: int, *, pause: Callable[[float], None]) -> int:
    """Delete every log row before a time; returns how many."""
    total = 0
    while gone := delete_batch(state, timestamp):
        total += gone
        pause(0)
    with state.databases.transaction() as session:
        record(session, state, actor, "log.delete", "", after={"before": timestamp, "count": total})
    return total


def delete_batch(state: State, timestamp: int) -> int:
    with state.databases.logs() as session:
        return log.delete_before(session, timestamp, BATCH)
