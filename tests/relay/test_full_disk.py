"""Neither the database nor the journal can take a charge: requests are refused before a provider is called, and none hangs."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asks import CHAT, Got, post, until
from fake_vendor import FakeVendor, stream
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from oneapi.models import ledger
from oneapi.state import State

STREAMED = CHAT | {"stream": True}


def entries(state: State) -> int:
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []
        return session.scalar(select(func.count()).where(ledger.Entry.kind == "consume")) or 0


def refused_for_want_of_room(got: Got) -> bool:
    return (got.status, got.json["error"]["code"], "retry-after" in got.headers) == (503, "storage_full", True)


class TestLocked:
    """On every machine: the file is locked by somebody else, and a file lies where the journal's folder should be."""

    @pytest.fixture
    def settings_of_environment(self, settings_of_environment: dict[str, str]) -> dict[str, str]:
        return settings_of_environment | {"SQLITE_BUSY_TIMEOUT": "50", "COMMIT_BEFORE_ANSWER": "true"}

    def test_no_provider_is_called_and_readyz_says_why(
        self, served: str, client: FlaskClient, vendor: FakeVendor, channel: Any, alice: Any, state: State, app: Flask
    ) -> None:
        channel()
        vendor.always(stream("Hi you", 1000, 0))
        assert post(served, alice.key, STREAMED).status == 200
        journal = Path(state.config.instance_path) / "journal"
        shutil.rmtree(journal, ignore_errors=True)
        journal.write_text("no folder")
        blocker = sqlite3.connect(str(state.databases.url.database), isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        got = post(served, alice.key, STREAMED)
        assert got.whole and got.body.endswith(b"data: [DONE]\n\n"), "what was under way ends, and its charge waits in memory"
        assert state.gateway.ledger.blocked
        asked = len(vendor.asked)
        assert refused_for_want_of_room(post(served, alice.key, STREAMED))
        assert refused_for_want_of_room(post(served, alice.key))
        assert "磁盘" in post(served, alice.key, Accept_Language="zh-CN").json["error"]["message"]
        assert len(vendor.asked) == asked == 2
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json["ready"]) == (503, False) and "disk is full" in ready.json["note"]
        blocker.execute("ROLLBACK")
        blocker.close()
        assert until(lambda: client.get("/readyz").status_code == 200)
        assert post(served, alice.key, STREAMED).status == 200
        assert until(lambda: entries(state) == 3)


class TestFull:
    """On a small file system that is filled up."""

    @pytest.fixture
    def small(self, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "small"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=False)

    @pytest.fixture
    def settings_of_environment(self, settings_of_environment: dict[str, str], small: Path) -> dict[str, str]:
        return settings_of_environment | {"INSTANCE_PATH": str(small)}

    def test_requests_are_refused_until_there_is_room_and_each_answer_is_charged_once(
        self, served: str, client: FlaskClient, vendor: FakeVendor, channel: Any, alice: Any, state: State, small: Path
    ) -> None:
        channel()
        vendor.always(stream("Hi you", 1000, 0))
        got = [post(served, alice.key, STREAMED) for _ in range(3)]
        fill(small / "filler")
        for _ in range(2000):  # what SQLite has room for in its files is used up first
            got.append(post(served, alice.key, STREAMED))
            if got[-1].status != 200:
                break
        assert got[-1].status == 503 and got[-1].json["error"]["code"] in ("storage_full", "database_unavailable"), got[-1].body
        assert until(lambda: client.get("/readyz").status_code == 503)
        asked = len(vendor.asked)
        assert refused_for_want_of_room(post(served, alice.key, STREAMED))
        assert len(vendor.asked) == asked
        (small / "filler").unlink()
        assert until(lambda: client.get("/readyz").status_code == 200)
        got.append(post(served, alice.key, STREAMED))
        assert until(lambda: entries(state) == len([each for each in got if each.status == 200]) == len(vendor.asked))


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
            os.fsync(file.fileno())
