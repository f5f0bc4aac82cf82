"""Old ledger entries go into a file, and every balance stays explained, however often and wherever it is interrupted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from oneapi import cli, migrate
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import ledger, ledger_archive, user
from oneapi.models.ledger import Entry

NOW, DAY = 1_700_000_000, 86400
OLD = 4500  # entries before 2023-11-10, of two users
SOME = {"token_id": 1, "channel_id": 1, "written_off": 1, "actor_id": 0, "note": ""}


@pytest.fixture
def offline(settings: Config) -> Iterator[Flask]:
    app = cli.create_app(settings)
    yield app
    app.extensions["oneapi.offline"][1].dispose()


@pytest.fixture
def filled(offline: Flask, settings: Config) -> Databases:
    databases: Databases = offline.extensions["oneapi.offline"][1]
    migrate.upgrade(databases, settings, now=NOW - 20 * DAY)
    with databases.transaction() as session:
        for name in ("alice", "bob"):
            row = user.User(username=name, password="x")
            session.add(row)
            session.flush()
            assert ledger.move(session, row.id, 10**7, kind="topup", now=NOW - 10 * DAY)
            rows = [
                {"request_id": f"{name}-{n}", "created_at": NOW - (9 if n < OLD // 2 else 0) * DAY, "kind": "consume",
                 "user_id": row.id, "amount": -n} | SOME for n in range(OLD // 2 + 100)
            ]  # fmt: skip
            session.execute(insert(Entry), rows)
            user.move_quota(session, row.id, sum(each["amount"] for each in rows))
    return databases


def archive(offline: Flask, file: Path, day: str = "2023-11-10", code: int = 0) -> str:
    result = offline.test_cli_runner().invoke(args=["ledger", "archive", "--before", day, "--to", str(file)])
    assert result.exit_code == code, result.output
    return result.output


def left(databases: Databases, where: Any) -> int:
    with databases.transaction() as session:
        assert ledger.differences(session) == []
        return session.scalar(select(func.count()).select_from(Entry).where(where)) or 0


def ids_of(file: Path) -> list[int]:
    return [json.loads(line)["id"] for line in file.read_text().splitlines()]


def test_old_entries_move_and_balances_stay_explained(offline: Flask, filled: Databases, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    with filled.transaction() as session:
        before = {row.id: row.amount for row in session.scalars(select(Entry))}
    assert "does not explain: 0" in archive(offline, file)
    assert left(filled, Entry.kind == "consume") == 200, "the young ones stay"
    assert left(filled, Entry.request_id.like("opening:archive:%")) == 3, "one for each user, root included"
    moved = ids_of(file)
    assert len(moved) == len(set(moved)) == OLD + 3 and all(id in before for id in moved)
    assert "0 entries moved" in archive(offline, file) and ids_of(file) == moved
    archive(offline, file, "2023-11-20")
    assert left(filled, Entry.kind == "consume") == 0 and left(filled, Entry.id > 0) == 3
    assert len(ids_of(file)) == OLD + 3 + 200


def test_what_was_interrupted_goes_on(
    offline: Flask, filled: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the file and the database, and in the middle of a line."""
    file, fold, steps = tmp_path / "ledger.jsonl", ledger_archive.fold, iter(range(9))

    def dies(*what: Any) -> None:
        fold(*what)
        if next(steps) == 1:
            raise OSError("the process is killed before the commit")

    with monkeypatch.context() as killed:
        killed.setattr(ledger_archive, "fold", dies)
        archive(offline, file, code=1)
    file.write_bytes(file.read_bytes() + b'{"id":99')
    assert left(filled, Entry.kind == "consume") > 200
    archive(offline, file)
    assert left(filled, Entry.kind == "consume") == 200
    assert len(ids_of(file)) == len(set(ids_of(file))) == OLD + 3


def test_young_entries_and_files_of_other_content_are_refused(offline: Flask, filled: Databases, tmp_path: Path) -> None:
    assert "at least 7 days ago" in archive(offline, tmp_path / "new.jsonl", "2999-01-01", code=1)
    (tmp_path / "other").write_text("precious\n")
    assert "give another one" in archive(offline, tmp_path / "other", code=1)
    assert (tmp_path / "other").read_text() == "precious\n" and left(filled, Entry.kind == "consume") == OLD + 200


def test_two_at_once_do_not_count_twice(filled: Databases) -> None:
    with filled.transaction() as session:
        found = ledger_archive.batch(session, NOW - DAY, 0)
    assert found is not None
    with filled.transaction() as session:
        ledger_archive.fold(session, found[1], NOW - DAY)
    with pytest.raises(ledger_archive.Interrupted), filled.transaction() as session:
        ledger_archive.fold(session, found[1], NOW - DAY)
    assert left(filled, Entry.id > 0)
