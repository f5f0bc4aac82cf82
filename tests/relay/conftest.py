"""What all tests of the relay look at."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asks import CHAT, PATH
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from oneapi.models import ledger, log
from oneapi.state import State


@pytest.fixture
def say(client: FlaskClient, alice: Any) -> Callable[..., Any]:
    """Ask as alice: say(stream=True) sends the least chat with more fields; `path`, `who` and `headers` may differ."""

    def ask(path: str = PATH, *, who: Any = alice, headers: dict[str, str] | None = None, **body: Any) -> Any:
        sent = CHAT | body if path == PATH else {"model": "gpt-4o-mini"} | body
        return client.post(path, json=sent, headers=who.headers | (headers or {}))

    return ask


@pytest.fixture
def charges(logged: Callable[[], list[log.Log]]) -> Callable[[], list[int]]:
    """What the requests so far were charged."""
    return lambda: [row.quota for row in logged()]


@pytest.fixture
def detail(logged: Callable[[], list[log.Log]]) -> Callable[[], dict[str, Any]]:
    """What explains the last charge."""
    return lambda: json.loads(logged()[-1].detail or "{}")


@pytest.fixture
def books(state: State, app: Flask) -> Iterator[Callable[[], dict[str, int]]]:
    """The sums of the ledger after everything pending was written. Whatever the test did, they must be right at its end."""

    def read() -> dict[str, int]:
        app.extensions["oneapi.relay"].ledger.flush()
        with state.databases.transaction() as session:
            assert ledger.differences(session) == []
            rows = session.execute(
                select(ledger.Entry.kind, func.count(), func.sum(ledger.Entry.amount)).group_by(ledger.Entry.kind)
            )
            found = {kind: (n, int(total)) for kind, n, total in rows}
            off = session.scalar(select(func.sum(ledger.Entry.written_off))) or 0
        count, spent = found.get("consume", (0, 0))
        return {"requests": count, "spent": -spent, "written_off": int(off)}

    yield read
    read()
