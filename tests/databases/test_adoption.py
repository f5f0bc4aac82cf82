"""A database of the Go project is opened in place: everything in it goes on working, and it could go back."""

import json
import logging
from pathlib import Path

import bcrypt
import pytest
import servers
from sqlalchemy import Connection, inspect, text

from oneapi import migrate
from oneapi import settings as options
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import Base, channel, ledger, log, option, redemption, schema, token, user, version
from oneapi.state import State

NOW = 1_700_000_000
OLD_TABLES = ("users", "tokens", "channels", "abilities", "redemptions", "options", "logs")


def rows(databases: Databases, sql: str, **values: object) -> list[tuple]:
    with databases.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql), values)]


def quoted(databases: Databases, name: str) -> str:
    return databases.engine.dialect.identifier_preparer.quote(name)


def contents(databases: Databases) -> dict[str, list[dict]]:
    """Every value of every old column, in one spelling for all kinds of database."""
    found = {}
    with databases.engine.connect() as connection:
        for table in OLD_TABLES:
            names = [c["name"] for c in inspect(connection).get_columns(table)]
            order = ", ".join(quoted(databases, n) for n in inspect(connection).get_pk_constraint(table)["constrained_columns"])
            result = connection.execute(text(f"SELECT * FROM {quoted(databases, table)} ORDER BY {order}"))
            found[table] = [dict(zip(names, map(plain, row), strict=True)) for row in result]
    return found


def drop_index(connection: Connection, table: str, name: str) -> None:
    connection.exec_driver_sql(f"DROP INDEX {name}" + (f" ON {table}" if connection.dialect.name == "mysql" else ""))


def plain(value: object) -> object:
    if isinstance(value, str):
        return value.rstrip(" ")  # PostgreSQL's char(n)
    return float(value) if value is not None and not isinstance(value, (bool, int)) else value


def test_every_value_of_an_adopted_database_survives(legacy: Databases, settings: Config) -> None:
    before = contents(legacy)
    migrate.upgrade(legacy, settings, now=NOW)
    after = contents(legacy)
    for person in before["users"]:
        person["access_token"] = None  # kept as a hash from now on
    for table, was in before.items():
        kept = [{name: row[name] for name in was[0]} for row in after[table] if row.get("key") not in options.ADOPTED]
        assert kept == was, table


def test_a_second_start_changes_nothing(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    before, entries = contents(legacy), rows(legacy, "SELECT * FROM ledger")
    assert migrate.plan(legacy) == []
    migrate.upgrade(legacy, settings, now=NOW + 1)
    assert (contents(legacy), rows(legacy, "SELECT * FROM ledger")) == (before, entries)


def test_people_tokens_codes_and_settings_work_at_once(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        root, alice = user.by_login(session, "root"), user.by_login(session, "alice@example.com")
        assert root and bcrypt.checkpw(b"123456", root.password.encode())
        assert alice and (alice.quota, alice.group, alice.display_name) == (250_000, "vip", "爱丽丝 🎈")
        for id, clear in ((1, "0123456789abcdef" * 2), (2, "fedcba9876543210" * 2), (5, "short-token")):
            found = user.by_access_token_hash(session, migrate.hash_of(clear))
            assert found and (found.id, found.access_token) == (id, None)
        assert session.get(redemption.Redemption, 3).key == "hand-made"
        now = options.read(option.all_rows(session))
    assert now.model_ratio == {"gpt-4o": 1.25, "my-model": 7.5}
    assert now.group_ratio == {"default": 1, "vip": 0.8, "svip": 0.5}
    assert (now.system_name, now.retry_times, now.register_enabled) == ("我的网关", 3, False)


@pytest.mark.parametrize("stored", [None, "refuse"])
def test_an_adopted_database_behaves_as_before_where_it_has_stored_nothing(
    legacy: Databases, settings: Config, stored: str | None
) -> None:
    with legacy.engine.begin() as connection:
        table = Base.metadata.tables["options"]
        connection.execute(table.delete().where(table.c.key == "RetryTimes"))
        if stored:
            connection.execute(table.insert().values(key="UnknownModelPolicy", value=stored))
    planned = [line for line in migrate.plan(legacy) if "UnknownModelPolicy" in line]
    assert bool(planned) is (stored is None)
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        now = options.read(option.all_rows(session))
    assert (now.retry_times, now.unknown_model_policy) == (0, stored or "30")


def test_keys_shorter_than_their_column_are_found_and_read_back_as_they_were_typed(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        found = token.by_key(session, "InitialRootKey")
        assert found and (found.id, found.key, found.unlimited_quota) == (1, "InitialRootKey", True)
        for wrong in ("InitialRootKey ", "initialrootkey", "InitialRootKe", "InitialRootKey" + " " * 34 + "x"):
            assert token.by_key(session, wrong) is None, wrong


def test_the_snapshot_serves_old_channels(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    state = State(settings, legacy, clock=lambda: NOW)
    state.refresh(force=True)
    lanes = state.snapshot.lanes
    assert sorted(lanes) == [1, 2, 3, 4, 5]  # the sixth is of a type that nobody knows
    assert (lanes[2].config["api_version"], lanes[4].config["region"], lanes[1].priority) == ("2023-05-15", "us-east-1", 10)
    assert lanes[5].keys == ("line-one", "line-two")
    assert lanes[5].models == {"some-model", "other-model"}
    assert [lane.id for tier in state.snapshot.candidates["vip", "gpt-4o"] for lane in tier.lanes] == [1]
    caller = state.caller("AliceAliceAlice0A1b2C3d4E5f60718293a4B5c6D7e8F90")
    assert caller and (caller.username, caller.group, caller.models) == ("alice", "vip", {"gpt-4o", "gpt-4o-mini"})
    with legacy.transaction() as session:
        assert {row.id: row.status for row in session.query(token.Token)} == {1: 1, 2: 1, 3: 2, 4: 3, 5: 4}


def test_the_ledger_opens_with_every_balance(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        entries = {e.user_id: (e.kind, e.amount, e.created_at) for e in session.query(ledger.Entry)}
        assert entries == {
            1: ("opening", 499_999_999_990_000, NOW),
            2: ("opening", 250_000, NOW),
            3: ("opening", -1_500, NOW),
            5: ("opening", 5, NOW),
        }
        assert ledger.differences(session) == []
        assert set(version.numbers(session)) == set(version.TOPICS)


def test_no_id_is_ever_given_again(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        made = channel.Channel(name="new", type=1)
        session.add(made)
        session.flush()
        first = made.id
        session.delete(made)
        session.flush()
        again = channel.Channel(name="newer", type=1)
        session.add(again)
        session.flush()
        assert again.id > first > 6
        if legacy.engine.dialect.name == "sqlite":  # the ids of lost channels still stand in abilities (9) and logs (12)
            assert first == 13


def test_long_lists_of_groups_fit(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    groups = ",".join(f"group-number-{n}" for n in range(100))
    with legacy.transaction() as session:
        channel.get(session, 1).group = groups
        channel.get(session, 1).model_mapping = json.dumps({f"model-{n}": "x" * 50 for n in range(100)})
    with legacy.transaction() as session:
        assert channel.get(session, 1).group_names() == groups.split(",")
        assert len(channel.json_object(channel.get(session, 1).model_mapping)) == 100


def test_the_old_project_can_read_and_write_what_we_leave(legacy: Databases, settings: Config) -> None:
    with legacy.engine.connect() as connection:
        old = {t: [c["name"] for c in inspect(connection).get_columns(t)] for t in OLD_TABLES}
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        session.add(user.User(username="dora", password="x", quota=7, aff_code="Dd4a"))
        session.add(token.Token(user_id=5, key="K" * 48, name="n", created_time=NOW, unlimited_quota=True))
        session.add(channel.Channel(type=1, key="k", name="c", models="m", weight=3, balance=1.5))
        session.add(redemption.Redemption(user_id=1, key="r" * 32, name="g", quota=9))
        session.add(log.Log(user_id=5, created_at=NOW, type=2, content="c", is_stream=True, detail="{}"))
    after = contents(legacy)
    assert [all(name in row for name in old[t]) for t in OLD_TABLES for row in after[t]].count(False) == 0
    assert (after["tokens"][-1]["key"], after["tokens"][-1]["unlimited_quota"], after["tokens"][-1]["expired_time"]) == (
        "K" * 48,
        1,
        -1,
    )
    assert (after["users"][-1]["role"], after["users"][-1]["status"], after["users"][-1]["group"]) == (1, 1, "default")
    assert (after["logs"][-1]["is_stream"], after["logs"][-1]["username"]) == (1, "")
    for table, names in old.items():  # the old project writes only the columns that it knows
        if "id" not in names:
            continue
        row = {n: v for n, v in after[table][-1].items() if n in names and n != "id"}
        row |= {n: f"old-{table}" for n in ("username", "key", "aff_code") if n in row}
        booleans = ("unlimited_quota", "is_stream", "system_prompt_reset")
        row |= {n: bool(row[n]) for n in booleans if n in row}
        into = ", ".join(quoted(legacy, n) for n in row)
        with legacy.transaction() as session:
            session.execute(text(f"INSERT INTO {table} ({into}) VALUES ({', '.join(f':{n}' for n in row)})"), row)
    assert len(contents(legacy)["tokens"]) == 7


def test_databases_of_older_versions_get_the_columns_they_lack(legacy: Databases, settings: Config) -> None:
    lost = {
        "logs": ["request_id", "elapsed_time", "is_stream"],
        "channels": ["system_prompt", "config"],
        "tokens": ["subnet", "models"],
    }
    with legacy.engine.begin() as connection:
        for table, names in lost.items():
            for name in names:
                connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {name}")
        drop = (
            "DROP INDEX idx_users_oidc_id ON users" if legacy.engine.dialect.name == "mysql" else "DROP INDEX idx_users_oidc_id"
        )
        connection.exec_driver_sql(drop)
        connection.exec_driver_sql("ALTER TABLE users DROP COLUMN oidc_id")
    assert any("users.oidc_id" in line for line in migrate.plan(legacy))
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        assert session.query(log.Log).count() == 3
        assert session.get(log.Log, 1).request_id in ("", None)
        assert session.get(user.User, 2).oidc_id is None
        assert session.get(channel.Channel, 4).config is None
    assert migrate.plan(legacy) == []


def test_the_plan_tells_what_would_happen_and_does_nothing(legacy: Databases, settings: Config) -> None:
    before = contents(legacy)
    lines = migrate.plan(legacy)
    said = "\n".join(lines)
    for part in (
        "create table ledger",
        "add column users.must_change_password",
        "keep 5 access tokens as hashes",
        "open the ledger for 4",
    ):
        assert part in said
    assert contents(legacy) == before
    with legacy.engine.connect() as connection:
        assert schema.tables(connection) == set(OLD_TABLES)
    with pytest.raises(migrate.Unfit, match="start the master"):
        migrate.require(legacy)


def test_an_index_that_old_rows_forbid_is_left_out_and_told(
    legacy: Databases, settings: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with legacy.engine.begin() as connection:
        drop = (
            "DROP INDEX idx_users_aff_code ON users" if legacy.engine.dialect.name == "mysql" else "DROP INDEX idx_users_aff_code"
        )
        connection.exec_driver_sql(drop)
        connection.exec_driver_sql("UPDATE users SET aff_code = 'same'")
    with caplog.at_level(logging.WARNING):
        migrate.upgrade(legacy, settings, now=NOW)
    assert "idx_users_aff_code" in caplog.text


def test_a_large_logs_table_gets_its_indexes_by_a_command_of_its_own(
    legacy: Databases, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "LARGE", 2)
    name = "idx_logs_token_name"
    with legacy.engine.begin() as connection:
        drop_index(connection, "logs", name)
    migrate.upgrade(legacy, settings, now=NOW)
    has = lambda: {i["name"] for i in inspect(legacy.log_engine).get_indexes("logs")}  # noqa: E731
    assert name not in has()
    made = list(migrate.log_indexes(legacy))
    assert {name, "idx_logs_user", "idx_channels_tag"} <= set(made)  # and those of any other table that is large
    assert {name, "idx_logs_user"} <= has()
    assert list(migrate.log_indexes(legacy)) == []


def test_the_old_index_over_keys_goes(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    assert "idx_channels_key" not in {i["name"] for i in inspect(legacy.engine).get_indexes("channels")}


def test_an_adopted_database_ends_with_the_tables_of_a_fresh_one(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=NOW)
    found = inspect(legacy.engine)
    for table in Base.metadata.sorted_tables:
        assert {c.name for c in table.columns} <= {c["name"] for c in found.get_columns(table.name)}, table.name
    with legacy.engine.connect() as connection:
        assert schema.changes(connection, Base.metadata) == []


def test_logs_of_their_own_database_are_adopted_too(legacy: Databases, kind: str, tmp_path: Path) -> None:
    with servers.fresh(kind, tmp_path, "_logs") as dsn:
        own = servers.configured(tmp_path, SQL_DSN=legacy.url.render_as_string(False), LOG_SQL_DSN=dsn)
        with servers.opened(own) as databases:
            migrate.upgrade(databases, own, now=NOW)
            assert set(schema_tables(databases)) == {"logs", "alembic_version_logs"}
            with databases.logs() as session:
                session.add(log.Log(user_id=1, created_at=NOW, type=2, detail="{}"))
            migrate.upgrade(databases, own, now=NOW)
            migrate.require(databases)
            assert migrate.plan(databases) == []


def schema_tables(databases: Databases) -> list[str]:
    with databases.log_engine.connect() as connection:
        return [t for t in schema.tables(connection) if t != "sqlite_sequence"]
