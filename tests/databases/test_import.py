"""Databases of other projects are copied: a trial by default, once however often, and every balance is explained."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import servers
from sqlalchemy import create_engine

from oneapi import cli, migrate
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import dsn
from oneapi.models.channel import Channel
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import User

HASHED = bcrypt.hashpw(b"of the source", bcrypt.gensalt(4)).decode()
# Table: columns with their types, then rows. {q} quotes a name.
SOURCE: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "users": (
        "id int, username varchar(64), password varchar(99), display_name varchar(64), role int, status int, "
        "email varchar(64), "
        "access_token char(32), quota bigint, used_quota bigint, request_count int, {q}group{q} varchar(64), "
        "aff_code varchar(32), "
        "aff_quota int, inviter_id int, deleted_at varchar(30)",
        [
            (1, "boss", HASHED, "Boss", 100, 1, "Boss@Example.com", "b" * 32, 900, 5, 2, "default", "aaaa", 0, 0, None),
            (2, "ann", HASHED, "安", 1, 1, "", None, 500, 7, 3, "vip", "bbbb", 0, 1, None),
            (3, "gone", HASHED, "Gone", 10, 1, "", "c" * 32, 100, 0, 0, "default", "cccc", 0, 0, "2025-01-01 00:00:00"),
        ],
    ),
    "tokens": (
        "id int, user_id int, {q}key{q} varchar(128), status int, name varchar(64), created_time bigint, expired_time bigint, "
        "remain_quota bigint, unlimited_quota int, used_quota bigint, model_limits_enabled int, model_limits varchar(99), "
        "allow_ips varchar(99), setting varchar(200), deleted_at varchar(30)",
        [
            (5, 2, "A" * 48, 1, "one", 7, -1, 300, 0, 1, 1, "gpt-4o,o3", "10.0.0.1\n10.0.0.2",
             '{"limits": {"limit_model_setting": {"enabled": true, "models": ["gpt-4o", "o3"]}, '
             '"limits_ip_setting": {"enabled": true, "whitelist": ["10.0.0.1", "10.0.0.2"]}}}', None),
            (6, 2, "B" * 48, 1, "gone", 7, -1, 300, 0, 1, 0, "", "", None, "2025-01-01 00:00:00"),
            (7, 3, "C" * 48, 1, "of nobody", 7, -1, 300, 0, 1, 0, "", "", None, None),
            (8, 2, "D" * 59, 1, "long", 7, -1, 300, 0, 1, 0, "", "", None, None),
        ],
    ),
    "channels": (
        "id int, type int, {q}key{q} varchar(99), status int, name varchar(64), base_url varchar(99), models varchar(99), "
        "{q}group{q} varchar(64), auto_ban int, priority int",
        [
            (3, 43, "k1", 1, "mapped", "", "m1", "default", 1, 4), (4, 37, "k2", 1, "unknown", "", "m2", "default", 1, 0),
            (9, 1, "k3", 2, "same", "https://x.example", "m3", "default,vip", 1, 0),
        ],
    ),
    "redemptions": (
        "id int, user_id int, {q}key{q} char(32), status int, name varchar(64), quota int, created_time bigint, "
        "redeemed_time bigint, used_user_id int, deleted_at varchar(30), expired_time bigint",
        [(1, 1, "r" * 32, 1, "gift", 50, 7, 0, 0, None, 0), (2, 1, "s" * 32, 1, "gone", 50, 7, 0, 0, "2025-01-01 00:00:00", 0)],
    ),
    "options": ("{q}key{q} varchar(64), {q}value{q} varchar(99)", [("SystemName", "我的"), ("Unknown.here", "x")]),
    "logs": ("id int, user_id int, created_at bigint, type int, content varchar(99), quota int, use_time int",
             [(1, 2, 7, 2, "used", 9, 3)]),
}  # fmt: skip


def build(source: str) -> None:
    engine = create_engine(dsn.url(source, sqlite_path=""))
    quote = "`" if engine.dialect.name == "mysql" else '"'
    with engine.begin() as connection:
        for table, (columns, rows) in SOURCE.items():
            connection.exec_driver_sql(f"CREATE TABLE {table} ({columns.format(q=quote)})")
            mark = "?" if engine.dialect.name == "sqlite" else "%s"
            for row in rows:
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({', '.join([mark] * len(row))})", row)
    engine.dispose()


def command(settings: Config, *words: str) -> str:
    app = cli.create_app(settings)
    result = app.test_cli_runner().invoke(args=list(words))
    app.extensions["oneapi.offline"][1].dispose()
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def contents(databases: Databases) -> dict[str, Any]:
    with databases.transaction() as session:
        tables = [model.__table__ for model in (User, Token, Channel, Redemption)]
        return {table.name: sorted(map(repr, session.execute(table.select()).all())) for table in tables}


@pytest.mark.parametrize("project", ["new-api", "one-hub"])
def test_another_project_s_data_come_over(
    databases: Databases, settings: Config, kind: str, tmp_path: Path, project: str
) -> None:
    migrate.upgrade(databases, settings, now=1)
    with servers.fresh(kind, tmp_path, "_source") as source:
        build(source)
        before = contents(databases)
        said = command(settings, "import", project, source, "--logs")
        assert "Nothing was written" in said and "users: 1 skipped: deleted there" in said
        assert contents(databases) == before
        command(settings, "import", project, source, "--apply", "--logs")
        after = contents(databases)
        again = command(settings, "import", project, source, "--apply", "--logs")
        assert contents(databases) == after and not re.search(r": \d+ imported", again)
    assert "explained" in command(settings, "ledger", "verify")
    with databases.transaction() as session:
        people = {row.username: row for row in session.query(User)}
        assert {name: (p.id, p.quota, p.role) for name, p in people.items()} == {"boss": (1, 900, 100), "ann": (2, 500, 1)}
        assert bcrypt.checkpw(b"of the source", people["boss"].password.encode()) and people["ann"].inviter_id == 1
        assert people["boss"].access_token_hash == migrate.hash_of("b" * 32)
        (token,) = session.query(Token)
        assert (token.id, token.key, token.models, token.subnet) == (5, "A" * 48, "gpt-4o,o3", "10.0.0.1,10.0.0.2")
        assert [(code.id, code.key) for code in session.query(Redemption)] == [(1, "r" * 32)]
        found = {channel.name: channel for channel in session.query(Channel)}
        assert (found["same"].id, found["same"].type, found["same"].status) == (9, 1, 2)
        if project == "new-api":
            assert (found["mapped"].type, found["mapped"].status, found["mapped"].priority) == (36, 1, 4)
            assert found["unknown"].status == 2 and "type 37 of new-api does not exist here" in found["unknown"].status_reason


def test_the_source_file_is_only_read(tmp_path: Path) -> None:
    settings = servers.configured(tmp_path)
    with servers.opened(settings) as databases:
        migrate.upgrade(databases, settings, now=1)
    file = tmp_path / "other.db"
    build(f"sqlite:///{file}")
    sqlite3.connect(file).close()
    before = file.read_bytes()
    command(settings, "import", "new-api", str(file), "--apply")
    assert file.read_bytes() == before
