"""Verbs that pages, API, jobs and command line share. Each opens its own transaction, and others see it at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from oneapi.db import Session, begin_immediate
from oneapi.models import version
from oneapi.models.user import Role
from oneapi.state import State


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, for permissions and for the audit trail."""

    id: int = 0
    name: str = ""
    role: int = Role.GUEST
    ip: str = ""
    language: str = "en"


SYSTEM = Actor(name="system", role=Role.ROOT)


@contextmanager
def act(state: State, *topics: str) -> Iterator[Session]:
    """A transaction that writes; after it every process notices that `topics` changed. Raise to undo it all."""
    with state.databases.transaction() as session:
        begin_immediate(session)
        yield session
        for topic in topics:
            version.bump(session, topic)
    if topics:
        state.changed()
