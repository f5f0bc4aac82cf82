"""An answer waits until its charge is safe from a killed process, and whoever reads the books finds them complete."""

import json
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import gevent
import pytest
from asks import CHAT, post, words
from fake_vendor import FakeVendor, stream
from flask import Flask
from sqlalchemy import func, select

from oneapi.models import leases, ledger
from oneapi.models.settlement import Row
from oneapi.relay import ahead, writer
from oneapi.relay.ahead import Ahead
from oneapi.relay.journal import Journal
from oneapi.relay.ledger import CROWD, sweep
from oneapi.state import State

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def settings_of_environment(settings_of_environment: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    return settings_of_environment | {"SQLITE_BUSY_TIMEOUT": "20000"} | getattr(request, "param", {})


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request counts as one that follows closely upon another."""
    monkeypatch.setattr(writer, "RECENT_SECONDS", 1e9)


@pytest.fixture
def blocked(state: State) -> Any:
    """Nobody can write to the database until it is closed."""
    blocker = sqlite3.connect(str(state.databases.url.database), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    yield blocker
    blocker.close()


@pytest.fixture
def folder(state: State) -> Path:
    return Path(state.config.instance_path) / "journal"


def entries(state: State) -> int:
    with state.databases.transaction() as session:
        return session.scalar(select(func.count()).where(ledger.Entry.kind == "consume")) or 0


def row(number: int, user_id: int = 1, **more: Any) -> Row:
    return Row(f"r{number}", 1, user_id, 1, 1, "gpt-4o-mini", 10, **more)


def test_in_a_burst_answers_do_not_wait_for_the_database(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, state: State, folder: Path, hurried: None, request: Any
) -> None:
    channel()
    post(served, alice.key)  # leases a slice
    state.gateway.ledger.catch_up()
    blocker = request.getfixturevalue("blocked")
    vendor.always(stream("Hi you", 1000, 0))
    answers = [post(served, alice.key, CHAT | {"stream": True}) for _ in range(3)]
    assert all(words(answer.body) == "Hiyou" and answer.body.endswith(b"data: [DONE]\n\n") for answer in answers)
    assert entries(state) == 1
    (noted,) = folder.glob("*.live")
    assert noted.read_bytes().count(b"request_id") >= 3
    blocker.execute("ROLLBACK")
    state.gateway.ledger.catch_up()
    assert entries(state) == 4 and not noted.read_bytes().strip(b"\0")


@pytest.mark.parametrize("settings_of_environment", [{"COMMIT_BEFORE_ANSWER": "true"}], indirect=True)
def test_whoever_wants_it_waits_for_the_disk(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, state: State, folder: Path, hurried: None, request: Any
) -> None:
    channel()
    post(served, alice.key)
    blocker = request.getfixturevalue("blocked")
    asking = gevent.spawn(post, served, alice.key)
    vendor.was_asked(2)
    gevent.sleep(0.3)
    assert not asking.ready() and not folder.exists()
    blocker.execute("ROLLBACK")
    assert asking.get().status == 200
    assert entries(state) == 2


@pytest.mark.parametrize(("alone", "crowd"), [(True, 0), (False, CROWD)])
def test_one_that_comes_alone_or_in_a_crowd_is_in_the_database_when_it_is_answered(
    say: Any, channel: Any, state: State, monkeypatch: pytest.MonkeyPatch, alone: bool, crowd: int
) -> None:
    monkeypatch.setattr(writer, "PAUSE_SECONDS", 30)
    monkeypatch.setattr(writer, "RECENT_SECONDS", 0 if alone else 1e9)
    channel()
    say()
    state.gateway.ledger.catch_up()
    state.gateway.ledger.open_bills += crowd
    say()
    assert entries(state) == 2
    state.gateway.ledger.open_bills -= crowd
    assert state.gateway.ledger.open_bills == 0


def test_whoever_reads_the_logs_finds_what_was_answered(
    served: str, say: Any, channel: Any, alice: Any, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: str, secret: str) -> Any:
        asking = urllib.request.Request(f"{served}{path}", headers={"Authorization": secret})
        return json.loads(urllib.request.urlopen(asking, timeout=60).read())

    monkeypatch.setattr(writer, "PAUSE_SECONDS", 30)
    channel()
    for _ in range(3):
        say()
    spent = read("/dashboard/billing/usage", f"Bearer sk-{alice.key}")["total_usage"]
    assert spent == pytest.approx(3 * 4 / 500_000 * 100)
    for _ in range(3):
        say()
    assert len(read("/api/log/self", alice.token)["data"]) == 6


def test_whoever_reads_waits_for_the_other_workers(state: State, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "OTHERS_SECONDS", 60)
    other = Ahead(folder / "other-1-x.jsonl")
    assert other.note(row(1))
    reading = gevent.spawn(state.gateway.ledger.catch_up)
    gevent.sleep(0.05)
    assert not reading.ready()
    other.clear(other.turn())
    assert reading.get(timeout=30) is None
    other.close()
    assert not list(folder.iterdir())


KILLED = """
import sys
from pathlib import Path
from oneapi.models.settlement import Row
from oneapi.relay.ahead import Ahead
ahead = Ahead(Path(sys.argv[1]))
for number in (1, 2):
    assert ahead.note(Row(f"r{number}", 1, int(sys.argv[2]), 1, 1, "gpt-4o-mini", 10, log=None))
ahead.turn()
assert ahead.note(Row("ř3", 1, int(sys.argv[2]), 1, 1, "gpt-4o-mini", 10))
print("noted", flush=True)
sys.stdin.read()
"""


def killed(folder: Path, user_id: int = 1, *, name: str = "dead-1-x") -> subprocess.Popen[str]:
    """A worker that has noted three charges, to be killed."""
    command = [sys.executable, "-c", KILLED, str(folder / f"{name}.jsonl"), str(user_id)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "noted\n"
    return process


def test_what_a_killed_worker_answered_is_charged_once(tmp_path: Path) -> None:
    process = killed(tmp_path / "journal")
    assert not Journal(str(tmp_path), "next:2:y").pending  # it lives, and will write them itself
    process.kill()
    process.wait()
    journal, written = Journal(str(tmp_path), "next:2:y"), []
    assert journal.pending and journal.holds("dead:1:x")
    assert journal.replay(written.extend) == 3
    assert [r.request_id for r in written] == ["r1", "r2", "ř3"]
    assert not journal.pending and not journal.holds("dead:1:x") and not list((tmp_path / "journal").iterdir())


def test_a_line_that_was_being_written_does_not_stop_the_others(tmp_path: Path) -> None:
    process = killed(tmp_path / "journal")
    process.kill()
    process.wait()
    (live,) = (tmp_path / "journal").glob("*.live")
    whole = live.read_bytes()
    cut = whole.index(b'"r2"') + 20
    live.write_bytes(whole[:cut] + b"\xc5" + bytes(len(whole) - cut - 1))
    written: list[Row] = []
    assert Journal(str(tmp_path), "next:2:y").replay(written.extend) == 1
    assert [r.request_id for r in written] == ["r1"]


def test_a_dead_workers_lease_pays_what_it_owes_before_it_goes_back(
    app: Flask, state: State, person: Any, folder: Path, balance: Any
) -> None:
    mary = person("mary", quota=1000)
    process = killed(folder, mary.id, name=f"{socket.gethostname()[:24]}-1-x")
    process.kill()
    process.wait()
    name, now = f"{socket.gethostname()[:24]}:1:x", int(state.clock())
    with state.databases.transaction() as session:
        leases.beat(session, name, socket.gethostname(), process.pid, "1", now - 100)
        leases.lease(session, name, "user", mary.id, 0, 500, 1, 32, 64, now - 100)
    assert sweep(state) == 0
    assert Journal(state.config.instance_path, "").replay(lambda rows: state.gateway.ledger._store.write(rows, [])) == 3
    assert sweep(state) == 1
    assert balance(mary.id) == 1000 - 30


def test_a_charge_that_cannot_be_noted_waits_for_the_database(
    say: Any, channel: Any, state: State, books: Any, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel()
    say()
    monkeypatch.setattr(ahead, "HALF", 10)
    say()
    assert entries(state) == 2
    monkeypatch.setattr(ahead, "HALF", 2**20)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ahead.os, "pwrite", full)
    say()
    assert entries(state) == 3


def test_a_file_that_nobody_could_find_keeps_no_charge(
    say: Any, channel: Any, state: State, folder: Path, hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PAUSE_SECONDS", 30)

    def refused(*_: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(ahead.Path, "rename", refused)
    channel()
    for _ in range(3):
        say()
    assert entries(state) == 3 and not list(folder.glob("*.live"))


def test_nothing_stays_behind_an_orderly_end(say: Any, channel: Any, app: Flask, folder: Path, hurried: None) -> None:
    channel()
    for _ in range(3):
        say()
    assert list(folder.glob("*.live"))
    app.extensions["oneapi.relay"].ledger.stop()
    assert not list(folder.iterdir())
