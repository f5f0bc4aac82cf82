"""Balances on every kind of database: moved once, never below zero, and always explained."""

import gevent
import pytest
from sqlalchemy import event

from oneapi import migrate
from oneapi.config import Config
from oneapi.db import Databases, begin_immediate
from oneapi.models import leases, ledger, token, user
from oneapi.models.base import Missing

NOW = 1_700_000_000


@pytest.fixture
def alice(databases: Databases, settings: Config) -> int:
    """Somebody with a balance of 20 and a token with a budget of 50."""
    migrate.upgrade(databases, settings, now=NOW)
    with databases.transaction() as session:
        row = user.User(username="alice", password="x")
        session.add(row)
        session.flush()
        session.add(token.Token(id=7, user_id=row.id, key="k" * 48, remain_quota=50))
        assert ledger.move(session, row.id, 20, kind="topup", now=NOW)
        return row.id


def move(databases: Databases, *args: int, **more: str) -> bool:
    with databases.transaction() as session:
        begin_immediate(session)
        return ledger.move(session, *args, now=NOW, **{"kind": "adjust", **more})


def explained(databases: Databases) -> bool:
    with databases.transaction() as session:
        return ledger.differences(session) == []


def left(databases: Databases, id: int) -> int:
    with databases.transaction() as session:
        return ledger.balance(session, id)


def test_many_at_once_take_exactly_what_is_there(databases: Databases, alice: int) -> None:
    tries = [gevent.spawn(move, databases, alice, -1) for _ in range(50)]
    gevent.joinall(tries, raise_error=True)
    assert sum(t.value for t in tries) == 20
    assert left(databases, alice) == 0
    assert explained(databases)


def test_a_key_moves_a_balance_once(databases: Databases, alice: int) -> None:
    tries = [gevent.spawn(move, databases, alice, 5, key="the same") for _ in range(8)]
    gevent.joinall(tries, raise_error=True)
    assert sorted(t.value for t in tries) == [False] * 7 + [True]
    assert left(databases, alice) == 25
    assert explained(databases)


def test_nobody_s_balance_does_not_move(databases: Databases, alice: int) -> None:
    assert not move(databases, 424242, 5)
    assert not move(databases, alice, -21)
    assert explained(databases)


def lease(databases: Databases, owner: int, kind: str = "user", amount: int = 8, spent: int = 3) -> None:
    """Give a worker a slice that it has spent some of, with the charge in the ledger."""
    with databases.transaction() as session:
        session.add(ledger.Lease(worker="w", kind=kind, owner_id=owner, serial=1, amount=amount, spent=spent, created_at=NOW))
        if kind == "user":
            assert user.move_quota(session, owner, -amount)
            charge = {"request_id": "r1", "kind": "consume", "user_id": owner, "amount": -spent}
            session.add(ledger.Entry(**charge, created_at=NOW))


def test_what_a_worker_holds_still_belongs_to_its_owner(databases: Databases, alice: int) -> None:
    lease(databases, alice)
    assert left(databases, alice) == 17
    assert explained(databases)
    with databases.transaction() as session:
        ledger.recall(session, "user", alice)
    with databases.transaction() as session:
        assert session.get(user.User, alice).quota == 17  # type: ignore[union-attr]
        assert session.query(ledger.Lease).count() == 0
    assert explained(databases)


def test_a_budget_gets_back_what_was_not_spent(databases: Databases, alice: int) -> None:
    lease(databases, 7, kind="token")
    with databases.transaction() as session:
        assert ledger.leased(session, "token", [7]) == {7: 5}
        ledger.recall(session, "token", 7)
    with databases.transaction() as session:
        assert session.get(token.Token, 7).remain_quota == 55  # type: ignore[union-attr]


def test_a_balance_can_be_set_while_a_worker_holds_some_of_it(databases: Databases, alice: int) -> None:
    lease(databases, alice)
    with databases.transaction() as session:
        assert ledger.set_balance(session, alice, 100, now=NOW, actor=1) == 17
    assert left(databases, alice) == 100
    assert explained(databases)
    with databases.transaction() as session, pytest.raises(Missing):
        ledger.set_balance(session, 424242, 1, now=NOW, actor=1)


def test_a_balance_that_nothing_explains_is_named(databases: Databases, alice: int) -> None:
    with databases.transaction() as session:
        user.move_quota(session, alice, 3)
        assert ledger.differences(session) == [(alice, 23, 20)]


def leased(databases: Databases, owner: int, more: int, least: int = 1) -> int:
    """What a worker gets that leases `more`."""
    with databases.transaction() as session:
        begin_immediate(session)
        return leases.lease(session, "w", "user", owner, 0, more, least, 32, 64, NOW)[0]


def test_a_lease_never_takes_more_than_there_is(databases: Databases, alice: int) -> None:
    assert leased(databases, alice, 21, least=21) == 0
    assert leased(databases, alice, 15) == 15
    assert leased(databases, alice, 15, least=6) == 0
    assert leased(databases, alice, 15) == 5
    assert leased(databases, alice, 1) == 0
    with databases.transaction() as session:
        assert session.get_one(user.User, alice).quota == 0
        assert ledger.leased(session, "user", [alice]) == {alice: 20}


def test_a_balance_that_shrinks_while_it_is_leased_is_not_overdrawn(databases: Databases, alice: int) -> None:
    if databases.engine.dialect.name == "sqlite":
        pytest.skip("a lease holds SQLite's only write lock from its beginning")
    between: list[bool] = []

    def spend(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        """Another worker takes 15 right after the balance was read."""
        if not between and statement.startswith("SELECT users.quota"):
            between.append(gevent.spawn(move, databases, alice, -15).get())

    event.listen(databases.engine, "after_cursor_execute", spend)
    assert leased(databases, alice, 12) == 5 and between == [True]
    with databases.transaction() as session:
        assert session.get_one(user.User, alice).quota == 0


def test_many_leases_at_once_take_exactly_what_is_there(databases: Databases, alice: int) -> None:
    tries = [gevent.spawn(leased, databases, alice, 3) for _ in range(16)]
    gevent.joinall(tries, raise_error=True)
    assert sum(t.value for t in tries) == 20
    assert left(databases, alice) == 20 and explained(databases)
