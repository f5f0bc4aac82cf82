"""Many people do the same thing at once, on every kind of database: one wins, and the others are told so."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from oneapi import jobs, migrate
from oneapi.actions import Actor, accounts, mails, people, tokens, topups
from oneapi.config import Config
from oneapi.db import Databases, begin_immediate
from oneapi.messages import Refused
from oneapi.models import code, ledger, user
from oneapi.models.job import JobLease
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import Role, User
from oneapi.state import State

NOW = 1_700_000_000
ROOT = Actor(1, "root", Role.ROOT, "192.0.2.1", "en")
AT_ONCE = 16


@pytest.fixture
def state(databases: Databases, settings: Config) -> State:
    migrate.upgrade(databases, settings, now=NOW)
    made = State(settings, databases, lambda: NOW)
    made.refresh(force=True)
    return made


def at_once(function: Callable[..., Any], *args: Any, times: int = AT_ONCE, **more: Any) -> tuple[list[Any], list[str]]:
    """What those who won got, and why the others were refused."""

    def attempt() -> Any:
        try:
            return function(*args, **more)
        except Refused as refused:
            return refused

    tries = [gevent.spawn(attempt) for _ in range(times)]
    gevent.joinall(tries, raise_error=True)
    got = [each.value for each in tries]
    return [value for value in got if not isinstance(value, Refused)], [value.code for value in got if isinstance(value, Refused)]


def balance(state: State, id: int) -> int:
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []
        return ledger.balance(session, id)


def person(state: State, name: str = "alice", password: str = "correct-horse") -> User:
    return people.create(state, ROOT, {"username": name, "password": password})


def test_a_code_has_one_winner(state: State) -> None:
    alice = person(state)
    [made] = topups.create_codes(state, ROOT, "one", 500)
    won, refused = at_once(topups.redeem, state, Actor(alice.id, "alice"), made.key, times=50)
    assert won == [500] and refused == ["redeem_used"] * 49
    assert balance(state, alice.id) == 500


def test_fifty_tries_of_two_processes_have_one_winner(state: State, settings: Config, tmp_path: Path) -> None:
    people_ = [person(state, f"user{n}").id for n in range(5)]
    [made] = topups.create_codes(state, ROOT, "one", 500)
    environ = {"INSTANCE_PATH": settings.instance_path, "LOG_DIR": "", "SQL_DSN": settings.sql_dsn}
    asked = {"environ": environ, "key": made.key, "go": str(tmp_path / "go"), "users": people_ * 5}
    command = [sys.executable, str(Path(__file__).parent.parent / "redeeming.py"), json.dumps(asked)]
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=path) for _ in range(2)]
    assert [each.stdout.readline() for each in processes] == ["ready\n"] * 2  # type: ignore[union-attr]
    with state.databases.transaction() as session:  # nobody gets through before all have begun
        begin_immediate(session)
        session.get_one(Redemption, made.id, with_for_update=True)
        (tmp_path / "go").touch()
        assert [each.stdout.readline() for each in processes] == ["trying\n"] * 2  # type: ignore[union-attr]
    said = [json.loads(each.communicate(timeout=60)[0]) for each in processes]
    outcomes = Counter(outcome for tries in said for outcome, _, _ in tries)
    assert outcomes == {"500": 1, "redeem_used": 49}
    first_end = min(end for tries in said for _, _, end in tries)
    under_way = [sum(began < first_end for _, began, _ in tries) for tries in said]
    assert under_way == [25, 25], "they did not really try at once"
    assert sum(balance(state, id) for id in people_) == 500


def test_a_top_up_with_a_key_counts_once(state: State) -> None:
    alice = person(state)
    won, refused = at_once(topups.top_up, state, ROOT, alice.id, 70, key="payment")
    assert (len(won), refused, balance(state, alice.id)) == (AT_ONCE, [], 70)


def test_keys_of_top_ups_differ_in_case_accents_and_blanks(state: State) -> None:
    alice = person(state)
    for key in ("key", "KEY", "kéy", "key ", "x" * 41, "x" * 42):
        for _ in range(2):
            topups.top_up(state, ROOT, alice.id, 10, key=key)
    assert balance(state, alice.id) == 60


def test_a_top_up_without_a_key_counts_each_time(state: State) -> None:
    alice = person(state)
    at_once(topups.top_up, state, ROOT, alice.id, 1)
    assert balance(state, alice.id) == AT_ONCE


def test_a_user_name_is_given_once(state: State) -> None:
    won, refused = at_once(accounts.register, state, Actor(), {"username": "carol", "password": "correct-horse"})
    assert len(won) == 1 and set(refused) == {"username_taken"}
    with state.databases.transaction() as session:
        assert session.query(User).filter_by(username="carol").count() == 1
        assert session.query(Token).filter_by(user_id=won[0].id).count() == 1


def test_a_reset_link_works_once(state: State) -> None:
    alice = person(state)
    with state.databases.transaction() as session:
        session.get(User, alice.id).email = "alice@example.com"
        code.issue(session, "reset", "alice@example.com", "secret", expires_at=NOW + 60, data=str(alice.id))
    won, refused = at_once(mails.reset, state, Actor(), "alice@example.com", "secret")
    assert len(won) == 1 and set(refused) == {"bad_reset"}
    assert accounts.sign_in(state, "alice", won[0], ip="").id == alice.id


def test_a_code_may_be_asked_for_by_many(state: State) -> None:
    def ask(secret: str) -> str | None:
        with state.databases.transaction() as session:
            code.issue(session, "email", "a@example.com", secret, expires_at=NOW + 60)
        return secret

    gevent.joinall([gevent.spawn(ask, str(number)) for number in range(8)], raise_error=True)
    with state.databases.transaction() as session:
        taken = [code.take(session, "email", "a@example.com", str(number), now=NOW) for number in range(8)]
    assert taken.count("") == 1 and taken.count(None) == 7


def test_an_invitation_code_is_one(state: State) -> None:
    alice = person(state)
    with state.databases.transaction() as session:
        session.get(User, alice.id).aff_code = None
    won, _ = at_once(accounts.aff_code, state, Actor(alice.id, "alice"))
    assert len(set(won)) == 1


def test_a_job_runs_once(state: State) -> None:
    with state.databases.transaction() as session:
        session.add(JobLease(name="sweep", next_run=NOW))
    won, refused = at_once(jobs.run, state, "sweep", due=True)
    assert won == ["done"] and set(refused) == {"job_running"}


def test_setting_a_balance_while_it_moves_stays_explained(state: State) -> None:
    alice = person(state)
    setting = [gevent.spawn(people.set_quota, state, ROOT, alice.id, quota) for quota in range(1, 9)]
    moving = [gevent.spawn(topups.top_up, state, ROOT, alice.id, 1000) for _ in range(8)]
    gevent.joinall(setting + moving, raise_error=True)
    assert balance(state, alice.id) % 1000 in range(9)


def test_a_token_is_changed_and_deleted_by_many(state: State) -> None:
    alice = person(state)
    me = Actor(alice.id, "alice")
    made = tokens.create(state, me, {"name": "t", "remain_quota": 5})
    at_once(tokens.update, state, me, made.id, {"remain_quota": 9, "name": "t"})
    with state.databases.transaction() as session:
        assert session.get(Token, made.id).remain_quota == 9


def test_a_user_is_closed_once_and_stays_explained(state: State) -> None:
    alice = person(state)
    topups.top_up(state, ROOT, alice.id, 70)
    won, refused = at_once(accounts.close, state, ROOT, alice.id)
    assert len(won) == 1 and set(refused) == {"user_missing"}
    with state.databases.transaction() as session:
        assert user.get(session, alice.id) is None and ledger.differences(session) == []
