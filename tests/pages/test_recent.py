"""Sums that take long are worked out once for all processes, and again when they are too old or cannot be read."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from oneapi.models import code, usage
from oneapi.models.usage import Sum
from oneapi.pages import recent

FOUND = ([("alice", Sum(1, "gpt-4o", 2, 3, 4, 5, 6, 7))], 9)


class Ask:
    """A question that counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, _session: Any) -> Any:
        self.times += 1
        return FOUND


@pytest.fixture
def ask(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """On a large site where every answer took long."""
    monkeypatch.setattr(usage, "many", lambda _session: True)
    monkeypatch.setattr(recent, "DEAR", 0.0)
    with app.test_request_context():
        yield Ask()


def restart() -> None:
    """Another process knows nothing."""
    recent._answers.clear()


def change(state: Any, **values: Any) -> None:
    """Of what is kept in the database."""
    with state.databases.transaction() as session:
        row = session.scalars(select(code.Code).where(code.Code.purpose == recent.PURPOSE)).one()
        row.data = values.get("data") or json.dumps(json.loads(row.data) | values)


def test_another_process_takes_what_one_found(ask: Ask) -> None:
    recent.sums("people", ask)
    restart()
    [[name, found]], active = recent.sums("people", ask)
    assert (name, found, active) == ("alice", FOUND[0][0][1], 9) and ask.times == 1
    recent.sums("lanes", ask)
    assert ask.times == 2


def test_what_was_found_at_once_is_not_kept(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "DEAR", 60.0)
    recent.sums("people", ask)
    restart()
    recent.sums("people", ask)
    assert ask.times == 2


def test_a_long_stretch_may_be_shown_for_longer(ask: Ask, state: Any) -> None:
    recent.sums("people", ask)
    for length, asked, age in ((90 * 86400, 1, 3600), (7 * 86400, 2, 3600), (10**9, 3, 9000)):
        change(state, at=state.clock() - age, cost=9000)
        restart()
        recent.sums("people", ask, length)
        assert ask.times == asked


@pytest.mark.parametrize("data", ["not JSON", "[]", "{}", '{"at":1e12,"cost":1,"value":{"sum":[1]}}'])
def test_what_cannot_be_read_is_found_anew(data: str, ask: Ask, state: Any) -> None:
    recent.sums("people", ask)
    change(state, data=data)
    restart()
    assert recent.sums("people", ask) == FOUND and ask.times == 2


def test_an_answer_is_not_written_at_every_renewal(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []
    monkeypatch.setattr(recent, "_store", lambda *given: written.append(given))
    monkeypatch.setattr(recent, "LONGEST", -1.0)
    for _again in range(3):
        recent.sums("people", ask)
    assert ask.times == 3 and len(written) == 1
