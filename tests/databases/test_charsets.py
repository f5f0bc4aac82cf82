"""MySQL databases whose tables are utf8mb3 or latin1: they are named, searched, written to with sentences, and converted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import servers
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from oneapi import cli, config, migrate
from oneapi.models import charset

NAMES = ("utf8mb3", "latin1")
ROOT = {"Authorization": "0123456789abcdef" * 2}
FACE = {"utf8mb3": "😀", "latin1": "中"}
KEY = "AliceAliceAlice0A1b2C3d4E5f60718293a4B5c6D7e8F90"


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def environ(name: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A database of the old project in a character set of the old times."""
    with servers.fresh("mysql", tmp_path, "_charset") as dsn:
        environ = {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": "", "SQL_DSN": dsn, "GLOBAL_API_RATE_LIMIT": "0"}
        with servers.opened(config.load(environ)) as databases:
            database = databases.url.database
            with databases.engine.begin() as connection:
                connection.exec_driver_sql(f"ALTER DATABASE {database} CHARACTER SET {name}")
            databases.engine.dispose()
            with databases.engine.begin() as connection:
                connection.exec_driver_sql("SET sql_mode = ''")  # the old rows have letters beyond the set
            original = servers.statements

            def plain(path: Path) -> list[str]:
                return [s.encode("ascii", "ignore").decode() for s in original(path)]

            servers.statements = plain
            try:
                servers.build_legacy(databases.engine)
            finally:
                servers.statements = original
        yield environ


@pytest.fixture
def app(environ: dict[str, str]) -> Iterator[Flask]:
    with servers.application(environ) as made:
        made.config["PROPAGATE_EXCEPTIONS"] = False
        yield made


def command(environ: dict[str, str], *words: str) -> Result:
    made = cli.create_app(config.load(environ))
    result = made.test_cli_runner().invoke(args=list(words))
    made.extensions["oneapi.offline"][1].dispose()
    assert result.exit_code == 0, result.output
    return result


WRITES: list[Callable[[str], tuple[str, str, dict[str, Any]]]] = [
    lambda face: ("PUT", "/api/option/", {"key": "SystemName", "value": f"G{face}"}),
    lambda face: ("POST", "/api/channel/", {"type": 1, "key": "k", "name": f"c{face}", "models": "m", "group": "default"}),
    lambda face: ("POST", "/api/channel/", {"type": 1, "key": "k", "name": "c", "models": f"m{face}", "group": "default"}),
    lambda face: ("POST", "/api/token/", {"name": f"t{face}"}),
    lambda face: ("POST", "/api/redemption/", {"name": f"r{face}", "count": 1, "quota": 5}),
    lambda face: ("POST", "/api/user/", {"username": "dora", "password": "long-enough", "display_name": f"D{face}"}),
]


def test_what_a_column_cannot_hold_is_answered_with_a_sentence(app: Flask, name: str) -> None:
    client = app.test_client()
    for write in WRITES:
        method, path, body = write(FACE[name])
        answer = client.open(path, method=method, json=body, headers=ROOT)
        assert answer.status_code == 400 and "db-convert-charset" in answer.get_json()["message"], path
    topped = client.post("/api/topup", json={"user_id": 2, "quota": 5, "remark": f"r{FACE[name]}"}, headers=ROOT)
    assert (topped.status_code, topped.get_json()["success"]) == (200, True)


def test_a_search_for_it_finds_nothing(app: Flask, name: str) -> None:
    client = app.test_client()
    for path in ("user/search", "channel/search", "token/search", "redemption/search", "log/search"):
        found = client.get(f"/api/{path}", query_string={"keyword": FACE[name]}, headers=ROOT)
        assert found.status_code == 200 and found.get_json()["data"] in ([], None), path
    for column in ("username", "token_name", "model_name"):
        found = client.get("/api/log/", query_string={column: FACE[name]}, headers=ROOT)
        assert found.status_code == 200 and found.get_json()["data"] == [], column
    assert client.get("/api/user/search?keyword=ali", headers=ROOT).get_json()["data"][0]["username"] == "alice"


def test_requests_are_logged(app: Flask, channel: Any, vendor: Any, logged: Any, name: str) -> None:
    channel(models="gpt-4o", group="default,vip", priority=99, base_url=vendor.url, name="fake")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"hello {FACE[name]}"}]}
    answer = app.test_client().post("/v1/chat/completions", json=body, headers={
        "Authorization": f"Bearer sk-{KEY}", "X-Real-IP": "10.0.0.9"}, environ_base={"REMOTE_ADDR": "10.0.0.9"})  # fmt: skip
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert logged()[-1].username == "alice"


def test_they_are_named_and_converted(environ: dict[str, str], name: str) -> None:
    command(environ, "db-upgrade")
    said = command(environ, "db-check").output
    for table in ("users", "tokens", "channels", "logs", "options", "redemptions", "abilities"):
        assert f"table {table} is {name}" in said
    assert "ledger is" not in said and "db-convert-charset" in said
    with servers.opened(config.load(environ)) as databases:
        next(migrate.convert_charsets(databases))  # stopped before the first, it begins where it was
    assert "converting users from" in command(environ, "db-convert-charset").output
    assert "converting" not in command(environ, "db-convert-charset").output
    assert "character" not in command(environ, "db-check").output
    with servers.application(environ) as made:
        answer = made.test_client().put("/api/option/", json={"key": "SystemName", "value": FACE[name]}, headers=ROOT)
        assert answer.get_json()["success"]
        with made.extensions["oneapi"].databases.engine.connect() as connection:
            assert charset.narrow(connection) == {}
            assert connection.execute(text("SELECT value FROM options WHERE `key` = 'SystemName'")).scalar() == FACE[name]


@pytest.mark.parametrize(("name", "text", "can"), [
    ("utf8mb3", "中", True), ("utf8mb3", "😀", False), ("latin1", "é€", True), ("latin1", "中", False), ("gbk", "中", True),
    ("nobody knows", "é", False), ("nobody knows", "e", True),
])  # fmt: skip
def test_what_a_set_can_hold(name: str, text: str, can: bool) -> None:
    assert charset.holds(name, text) is can
