"""Logs: deleting old ones in small batches, so that no request waits for it."""

from oneapi.actions import Actor, record
from oneapi.models import log
from oneapi.state import State

BATCH = 1000


def count_before(state: State, timestamp: int) -> int:
    """Count the log rows before a time; many are estimated."""
    with state.databases.logs() as session:
        return log.count_before(session, timestamp)


def delete_batch(state: State, timestamp: int) -> int:
    """Delete some of the oldest rows before a time; returns how many."""
    with state.databases.logs() as session:
        return log.delete_before(session, timestamp, BATCH)


def record_deletion(state: State, actor: Actor, timestamp: int, count: int) -> None:
    """Write into the audit trail who has which rows deleted, and about how many these are."""
    with state.databases.transaction() as session:
        record(session, state, actor, "log.delete", "", after={"before": timestamp, "count": count})
