"""Leases come back, whoever dies; what cannot be written is kept and written once."""

import os
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest
from asks import CHAT, post, until, words
from fake_vendor import FakeVendor, Say, chat, stream
from flask import Flask
from gevent.event import Event
from sqlalchemy import delete, func, select

from oneapi import config, create_app
from oneapi.models import leases, ledger, log, settlement, user, version
from oneapi.models.settlement import Row
from oneapi.relay.journal import Journal
from oneapi.relay.purse import Purse
from oneapi.relay.writer import _keep
from oneapi.state import State

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def settings_of_environment(settings_of_environment: dict[str, str]) -> dict[str, str]:
    return settings_of_environment | {"SQLITE_BUSY_TIMEOUT": "50"}


@pytest.fixture
def file(state: State) -> str:
    """The SQLite file, for those who get in the way."""
    return str(state.databases.url.database)


def entries(state: State) -> int:
    with state.databases.transaction() as session:
        return session.scalar(select(func.count()).where(ledger.Entry.kind == "consume")) or 0


def held(state: State) -> int:
    with state.databases.transaction() as session:
        return session.scalar(select(func.coalesce(func.sum(ledger.Lease.amount - ledger.Lease.spent), 0))) or 0


def lease_count(state: State) -> int:
    with state.databases.transaction() as session:
        return session.scalar(select(func.count()).select_from(ledger.Lease)) or 0


def column(state: State, user_id: int) -> int:
    with state.databases.transaction() as session:
        return session.scalar(select(user.User.quota).where(user.User.id == user_id)) or 0


def test_a_lease_that_is_not_used_goes_back(say: Any, vendor: FakeVendor, channel: Any, state: State, alice: Any) -> None:
    channel()
    say()
    assert held(state) > 0
    assert until(lambda: lease_count(state) == 0)
    assert column(state, alice.id) == 10**9 - 4  # (10 + 10 × 4) × 0.075


def test_an_ample_balance_is_leased_in_slices_and_a_small_one_by_the_request(
    say: Any, vendor: FakeVendor, channel: Any, state: State, person: Any
) -> None:
    channel()
    rich, poor = person("rich", quota=32_000_000), person("poor", quota=1000)
    say(who=rich)
    assert column(state, rich.id) == 31_000_000
    vendor.says(chat(), hold=(go_on := Event()))
    asking = gevent.spawn(say, who=poor, max_tokens=100)
    vendor.was_asked(2)
    assert 1000 - column(state, poor.id) in range(30, 60)
    go_on.set()
    asking.get()
    assert until(lambda: column(state, poor.id) == 996, 1)


def test_nothing_is_charged_while_the_database_is_away_and_once_when_it_is_back(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, state: State, file: str, app: Flask, books: Any
) -> None:
    channel()
    post(served, alice.key)  # leases a slice
    vendor.always(stream("Hi you", 1000, 0))
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    answers = [gevent.spawn(post, served, alice.key, CHAT | {"stream": True}) for _ in range(3)]
    bodies = [answer.get().body for answer in answers]
    assert all(words(body) == "Hiyou" and body.endswith(b"data: [DONE]\n\n") for body in bodies)
    journal = Path(state.config.instance_path) / "journal"
    assert until(lambda: len(list(journal.glob("*.jsonl"))) == 1)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert until(lambda: entries(state) == 4)
    assert until(lambda: not [path for path in journal.iterdir() if path.suffix != ".live"])
    assert books() == {"requests": 4, "spent": 4 + 3 * 75, "written_off": 0}


def test_nobody_is_served_on_credit_while_the_database_is_away(
    served: str, vendor: FakeVendor, channel: Any, person: Any, state: State, file: str
) -> None:
    channel()
    new = person("newcomer", quota=1000)
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    got = post(served, new.key)
    blocker.close()
    assert (got.status, got.json["error"]["code"]) == (503, "database_unavailable")
    assert "retry-after" in got.headers and vendor.asked == []
    assert post(served, new.key).status == 200


def row(number: int, cost: int, user_id: int, **more: Any) -> Row:
    return Row(f"r{number}", 1, user_id, 1, 1, "gpt-4o-mini", cost, **more)


def test_a_journal_that_was_written_already_changes_nothing(
    app: Flask, state: State, alice: Any, channel: Any, say: Any, books: Any, balance: Any
) -> None:
    kept = Journal(state.config.instance_path, "dead:1:x")
    kept.append([row(1, 10, alice.id), row(2, 20, alice.id)])
    kept.append([row(1, 10, alice.id), row(3, 0, alice.id)])
    app.extensions["oneapi.relay"].ledger.start()
    app.extensions["oneapi.relay"].ledger.journal.look()
    assert until(lambda: entries(state) == 3)
    assert balance(alice.id) == 10**9 - 30
    kept.append([row(2, 20, alice.id), row(3, 0, alice.id)])
    app.extensions["oneapi.relay"].ledger.journal.look()
    assert until(lambda: not list((Path(state.config.instance_path) / "journal").glob("*.jsonl")))
    assert books() == {"requests": 3, "spent": 30, "written_off": 0}


def test_a_torn_line_of_a_journal_does_not_stop_the_others(tmp_path: Path) -> None:
    kept = Journal(str(tmp_path), "dead:1:x")
    kept.append([row(1, 10, 1)])
    with (tmp_path / "journal" / "dead-1-x.jsonl").open("a") as file:
        file.write('{"request_id": "r2", "crea')
    written: list[Row] = []
    assert kept.replay(written.extend) == 1
    assert [r.request_id for r in written] == ["r1"] and not kept.pending


def test_a_replay_that_was_killed_is_taken_up_again(tmp_path: Path) -> None:
    kept = Journal(str(tmp_path), "dead:1:x")
    kept.append([row(1, 10, 1)])

    def killed(rows: list[Row]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.replay(killed)
    written: list[Row] = []
    assert Journal(str(tmp_path), "next:2:y").replay(written.extend) == 1
    assert [r.request_id for r in written] == ["r1"]


def test_a_mistake_of_ours_forgets_no_charge(
    channel: Any, say: Any, state: State, books: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stops a transaction: its settlements wait in the journal until one works."""
    channel()
    charge, failed = settlement.charge, []

    def mistaken(connection: Any, rows: list[Row], returns: Any) -> Any:
        if rows and len(failed) < 2:  # neither the batch nor its first replay
            failed.append(rows)
            raise KeyError("a column nobody thought of")
        return charge(connection, rows, returns)

    monkeypatch.setattr(settlement, "charge", mistaken)
    say()
    assert until(lambda: entries(state) == 1)
    assert len(failed) == 2
    assert books()["requests"] == 1


def test_a_row_that_no_database_takes_does_not_stop_the_others(
    app: Flask, state: State, alice: Any, balance: Any, books: Any
) -> None:
    broken = {"user_id": alice.id, "created_at": 2**70}
    kept = Journal(state.config.instance_path, "dead:1:x")
    kept.append([row(1, 10, alice.id), row(2, 20, alice.id, log=broken), row(3, 2**70, alice.id), row(4, 40, alice.id)])
    app.extensions["oneapi.relay"].ledger.journal.look()
    app.extensions["oneapi.relay"].ledger.start()
    assert until(lambda: entries(state) == 3)
    assert balance(alice.id) == 10**9 - 70
    assert "r3" in (Path(state.config.instance_path) / "journal" / "rejected.txt").read_text()


def worker(state: State, name: str, pid: int, alive_at: int, host: str = "", amount: int = 500, owner: int = 1) -> None:
    """A worker that holds a lease."""
    with state.databases.transaction() as session:
        leases.beat(session, name, host or socket.gethostname(), pid, "1", alive_at)
        leases.lease(session, name, "user", owner, 0, amount, 1, 32, 64, alive_at)


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("host", "pid", "silent", "returns"),
    [("", "ended", 3, True), ("", "ours", 3, False), ("", "ours", 120, True), ("elsewhere", "ended", 3, False),
     ("elsewhere", "ended", 120, True)],
)  # fmt: skip
def test_the_leases_of_the_dead_come_back_and_those_of_the_living_stay(
    state: State, app: Flask, person: Any, host: str, pid: str, silent: int, returns: bool
) -> None:
    mary = person("mary", quota=10**6)
    number = ended_process() if pid == "ended" else os.getpid()
    worker(state, "other", number, int(state.clock()) - silent, host, owner=mary.id)
    before = held(state)
    from oneapi.relay.ledger import sweep

    sweep(state)
    assert (held(state) == 0) is returns and before > 0


def test_a_restart_gives_back_what_a_killed_process_held(
    state: State, person: Any, settings_of_environment: dict[str, str], balance: Any
) -> None:
    mary = person("mary", quota=10**6)
    worker(state, "killed", ended_process(), int(state.clock()) - 3, owner=mary.id)
    assert column(state, mary.id) < 10**6
    again = create_app(config.load(settings_of_environment))
    again.extensions["oneapi.relay"].ledger.start()
    assert until(lambda: column(state, mary.id) == 10**6)
    again.extensions["oneapi.relay"].ledger.stop()
    again.extensions["oneapi"].databases.dispose()


def test_a_lease_that_vanished_is_paid_from_the_balance(
    served: str, vendor: FakeVendor, channel: Any, person: Any, state: State, balance: Any
) -> None:
    """As when this process was taken for dead: what it held went back, what it served is charged all the same."""
    channel()
    mary = person("mary", quota=10**6)
    vendor.says(chat("Hi", 1000, 0), hold=(go_on := Event()))
    asking = gevent.spawn(post, served, mary.key)
    vendor.was_asked(1)
    with state.databases.transaction() as session:
        for lease in session.scalars(select(ledger.Lease)).all():
            ledger.give_back(session, lease)
    go_on.set()
    assert asking.get().status == 200
    assert balance(mary.id) == 10**6 - 75
    vendor.says(chat("Hi", 1000, 0))
    assert post(served, mary.key).status == 200
    assert balance(mary.id) == 10**6 - 150


def test_a_lease_that_holds_less_than_we_think_is_ended_not_forgotten(
    app: Flask, say: Any, vendor: FakeVendor, channel: Any, state: State, balance: Any, alice: Any
) -> None:
    channel()
    say()
    with state.databases.transaction() as session:
        lease = session.scalars(select(ledger.Lease).where(ledger.Lease.kind == "user")).one()
        user.move_quota(session, alice.id, lease.amount - lease.spent - 1)
        lease.amount = lease.spent + 1
    vendor.says(chat("Hi", 1000, 0))
    say()
    assert balance(alice.id) == 10**9 - 79
    assert held(state) == 0


@pytest.mark.parametrize("reply", [Say(b"oops", status=500), chat("Hi", 10, 0)])
def test_a_reservation_from_a_lease_that_was_taken_back_credits_nobody(
    served: str, vendor: FakeVendor, channel: Any, person: Any, state: State, reply: Any, balance: Any
) -> None:
    """Neither a request that failed nor the rest of one that was served makes quota that others could spend."""
    channel()
    mary = person("mary", quota=10**6)
    vendor.says(replace(FakeVendor.reply(reply), hold=(go_on := Event())))
    asking = gevent.spawn(post, served, mary.key)
    vendor.was_asked(1)
    with state.databases.transaction() as session:
        ledger.set_balance(session, mary.id, 0, now=1, actor=1)
        version.bump(session, "users")
    state.changed()
    go_on.set()
    asking.get()
    assert balance(mary.id) == 0
    got = post(served, mary.key)
    assert (got.status, got.json["error"]["code"]) == (429, "insufficient_quota")
    assert len(vendor.asked) == 1


def test_what_a_failed_transaction_was_to_return_stays_with_its_own_lease() -> None:
    ours, another = Purse("user", 1, lease=7), Purse("user", 2, lease=9)
    _keep([(ours, 7, 30), (another, 8, 30)])
    assert (ours.available, another.available) == (30, 0)


def test_a_replay_skips_what_is_written_already(
    app: Flask, state: State, alice: Any, say: Any, channel: Any, books: Any, logged: Any
) -> None:
    channel()
    say()
    (written,) = logged()
    explained = {"user_id": alice.id, "type": 2, "content": "kept"}
    kept = Journal(state.config.instance_path, "dead:1:x")
    kept.append([
        row(1, 10, alice.id, log=explained), Row(written.request_id, 1, alice.id, 1, 1, "gpt-4o-mini", 4, log=explained),
        row(2, 20, alice.id, log=explained),
    ])  # fmt: skip
    gateway = app.extensions["oneapi.relay"]
    gateway.ledger.journal.look()
    assert until(lambda: entries(state) == 3)
    assert books() == {"requests": 3, "spent": 34, "written_off": 0}
    assert [each.content for each in logged()] == [written.content, "kept", "kept"]
    assert not (Path(state.config.instance_path) / "journal" / "rejected.txt").exists()


def test_a_charge_whose_log_row_is_lost_would_be_seen(state: State, say: Any, channel: Any, logged: Any) -> None:
    channel()
    say()
    assert [(r.request_id, r.quota) for r in logged()] != []
    with state.databases.transaction() as session:
        entry = session.scalars(select(ledger.Entry).where(ledger.Entry.kind == "consume")).one()
        assert entry.request_id == logged()[0].request_id
        session.execute(delete(ledger.Entry).where(ledger.Entry.id == entry.id))
        session.flush()
        assert len(ledger.differences(session)) == 1
        session.rollback()


def test_logs_can_be_turned_off_and_charges_cannot(say: Any, channel: Any, setting: Any, books: Any, logged: Any) -> None:
    setting(LogConsumeEnabled=False)
    channel()
    say()
    assert logged() == [] and books()["requests"] == 1


def test_charges_and_logs_may_live_in_two_databases(
    tmp_path: Path, vendor: FakeVendor, settings_of_environment: dict[str, str]
) -> None:
    """Both are written; the charge first."""
    made = create_app(config.load(settings_of_environment | {
        "INSTANCE_PATH": str(tmp_path / "two"), "LOG_SQL_DSN": f"sqlite:///{tmp_path / 'logs.db'}",
        "INITIAL_ROOT_TOKEN": "k" * 48,
    }))  # fmt: skip
    state = made.extensions["oneapi"]
    from oneapi.models import ability, channel

    with state.databases.transaction() as session:
        lane = channel.Channel(type=1, name="f", key="k", base_url=vendor.url, models="gpt-4o-mini", status=1, created_time=1)
        session.add(lane)
        session.flush()
        ability.rebuild(session, [lane])
    state.refresh(force=True)
    asked = made.test_client().post("/v1/chat/completions", json=CHAT, headers={"Authorization": "Bearer " + "k" * 48})
    assert asked.status_code == 200
    with state.databases.logs() as session:
        assert session.scalars(select(log.Log.quota).where(log.Log.type == 2)).all() == [4]
    made.extensions["oneapi.relay"].ledger.stop()
    state.databases.dispose()
