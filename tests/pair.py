"""Two processes' views of one database, and what carries changes between them."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import gevent
import servers

from oneapi import fanout, migrate
from oneapi.db import Databases
from oneapi.models import option, version
from oneapi.state import State

NOW = 1_700_000_000


def eventually(claim: Callable[[], bool], seconds: float = 8.0) -> None:
    for _ in range(int(seconds * 50)):
        if claim():
            return
        gevent.sleep(0.02)
    raise AssertionError("it never came true")


class Pair:
    """Two processes' views of one database."""

    def __init__(self, stack: ExitStack, folder: Path, **variables: str):
        self.settings = servers.configured(folder, **variables)
        self.states = [self._state(stack) for _ in range(2)]
        self.fanouts: list[fanout.Fanout] = []

    def _state(self, stack: ExitStack) -> State:
        databases: Databases = stack.enter_context(servers.opened(self.settings))
        migrate.upgrade(databases, self.settings, now=NOW)
        state = State(self.settings, databases, clock=lambda: NOW)
        state.refresh(force=True)
        return state

    def start(self) -> None:
        self.fanouts = [fanout.Fanout(state) for state in self.states]

    def rename(self, name: str) -> None:
        """Change the first process's system name."""
        with self.states[0].databases.transaction() as session:
            option.put(session, "SystemName", name, now=NOW, by=1)
            version.bump(session, "settings")
        self.states[0].changed()

    def heard(self, name: str) -> bool:
        return self.states[1].settings.system_name == name
