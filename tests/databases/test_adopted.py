"""A database that the Go project left, opened in place: its people come in as before, and the whole API works on it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import servers
from contract import Api, World, hold_all
from fake_mail import Mailbox
from flask import Flask

from oneapi import config, migrate
from oneapi.models import ledger, user

ACCESS_TOKENS = {"root": "0123456789abcdef" * 2, "alice": "fedcba9876543210" * 2}  # alice is an administrator
LIMITS = dict.fromkeys(("GLOBAL_API_RATE_LIMIT", "GLOBAL_WEB_RATE_LIMIT", "CRITICAL_RATE_LIMIT"), "0")


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[Flask]:
    """The whole application on such a database."""
    with servers.fresh(kind, tmp_path, "_adopted") as dsn:
        environ = {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": "", "SESSION_SECRET": "a test's own", "SQL_DSN": dsn, **LIMITS}
        with servers.opened(config.load(environ)) as databases:
            servers.build_legacy(databases.engine)
        with servers.application(environ) as made:
            yield made


def test_the_whole_api_works_on_it(app: Flask, state: Any, person: Any, channel: Any, vendor: Any) -> None:
    cast = {"visitor": None, "alice": person("alina"), "admin": person("admin", role=10), "root": person("rootling", role=100)}
    ask = lambda name: Api(app, cast[name].token if cast[name] else "")  # noqa: E731
    with Mailbox() as box:
        world = World(state, cast, channel, ask).furnish(vendor, box.port)
        hold_all(app, world, vendor, person)
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []


@pytest.mark.parametrize("who", ["root", "alice"])
def test_scripts_of_the_old_project_go_on_working(app: Flask, served: str, who: str) -> None:
    """With the access tokens that the old project had given out, over HTTP, and as it wrote them."""
    command = [sys.executable, str(Path(__file__).parent.parent / "fixtures" / "old_script.py"), served, ACCESS_TOKENS[who]]
    script = gevent.spawn(subprocess.run, command, capture_output=True, text=True, timeout=100)
    done = script.get()
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_its_people_come_in_as_before(app: Flask) -> None:
    client = app.test_client()
    for name in ("alice", "alice@example.com"):
        said = client.post("/api/user/login", json={"username": name, "password": "alice-secret"}).get_json()
        assert (said["data"]["username"], said["data"]["role"]) == ("alice", 10)
    assert len(client.get("/api/channel/?page_size=100").get_json()["data"]) == 6
    assert client.get("/api/user/self").get_json()["data"]["quota"] == 250_000
    assert client.get("/channel").status_code == 200
    assert not client.post("/api/user/login", json={"username": "bob", "password": "alice-secret"}).get_json()["success"]


def test_a_root_who_kept_the_factory_password_is_led_to_a_new_one(app: Flask) -> None:
    client = app.test_client()
    signing_in = {"username": "root", "password": "123456"}
    assert client.post("/api/user/login", json=signing_in).get_json()["success"]
    assert client.get("/api/channel/").status_code == 403
    assert client.get("/dashboard").location == client.get("/setting/general").location == "/password"
    operator = {"Authorization": ACCESS_TOKENS["root"]}
    assert app.test_client().get("/api/option/", headers=operator).get_json()["success"], "what an operator set up goes on"
    assert client.put("/api/user/self", json={"password": "one of my own"}).get_json()["success"]
    assert client.get("/api/channel/").get_json()["success"]
    assert not app.test_client().post("/api/user/login", json=signing_in).get_json()["success"]


def test_the_plan_says_that_root_will_be_asked(legacy: Any) -> None:
    assert any("ask root for another password than 123456" in line for line in migrate.plan(legacy))


def test_only_the_factory_password_is_asked_to_be_changed(legacy: Any, settings: Any) -> None:
    with legacy.transaction() as session:
        session.query(user.User.__table__).filter_by(username="alice").update({"role": 100})
    migrate.upgrade(legacy, settings, now=1)
    with legacy.transaction() as session:
        asked = {row.username: row.must_change_password for row in session.query(user.User) if row.role == 100}
    assert asked == {"root": True, "alice": False}
    assert migrate.plan(legacy) == []
