"""Databases of every age open, with what operators have added to them; what cannot open says why and what to do."""

import logging
import sqlite3
from pathlib import Path

import pytest
import servers
from click.testing import Result
from sqlalchemy import Connection, inspect, text

from oneapi import cli, migrate
from oneapi.config import Config
from oneapi.db import Databases, Unfit
from oneapi.models import channel, ledger, log, token, user

NOW = 1_700_000_000
# What a table cannot be without: nobody could name its rows.
KEPT = {
    "users": {"id", "username"}, "tokens": {"id"}, "channels": {"id"}, "redemptions": {"id"}, "logs": {"id"},
    "options": {"key"}, "abilities": {"group", "model", "channel_id"},
}  # fmt: skip


def strip(connection: Connection, table: str, columns: set[str]) -> None:
    """Drop columns, and before them the indexes that SQLite would not give up by itself."""
    quote = connection.dialect.identifier_preparer.quote
    for index in inspect(connection).get_indexes(table):
        if columns & set(index["column_names"]) and connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"DROP INDEX {quote(index['name'])}")
    for column in sorted(columns):
        connection.exec_driver_sql(f"ALTER TABLE {quote(table)} DROP COLUMN {quote(column)}")


def columns_of(connection: Connection, table: str) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(table)}


def check(databases: Databases, settings: Config, code: int = 0) -> Result:
    """Run `flask db-check` on the database."""
    app = cli.create_app(settings)
    result = app.test_cli_runner().invoke(args=["db-check"])
    app.extensions["oneapi.offline"][1].dispose()
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize("table", [*KEPT, "all of them"])
def test_any_column_of_the_old_tables_may_be_missing(legacy: Databases, settings: Config, table: str) -> None:
    with legacy.engine.begin() as connection:
        for name in KEPT if table == "all of them" else [table]:
            strip(connection, name, columns_of(connection, name) - KEPT[name])
    check(legacy, settings)
    migrate.upgrade(legacy, settings, now=NOW)
    assert migrate.plan(legacy) == []
    with legacy.transaction() as session:
        assert (session.query(user.User).count(), session.query(token.Token).count()) == (5, 5)
        assert session.get(user.User, 2).group and session.get(user.User, 2).password is not None
        assert channel.get(session, 5).group_names() == ["default"]
        assert ledger.differences(session) == []


def test_a_database_older_than_invitations_logs_and_abilities_opens(legacy: Databases, settings: Config) -> None:
    with legacy.engine.begin() as connection:
        strip(connection, "users", {"inviter_id", "aff_code", "used_quota", "group", "request_count", "lark_id", "oidc_id"})
        connection.exec_driver_sql("DROP TABLE logs")
        connection.exec_driver_sql("DROP TABLE abilities")
    assert "add column users.inviter_id" in check(legacy, settings).output
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        assert session.get(user.User, 2).group == "default"


def test_an_operator_s_own_view_and_trigger_go_on_working(legacy: Databases, settings: Config) -> None:
    kind = legacy.engine.dialect.name
    with legacy.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE VIEW report AS SELECT u.username, sum(l.quota) q FROM logs l JOIN users u ON u.id = l.user_id GROUP BY 1"
        )
        if kind == "sqlite":
            connection.exec_driver_sql("CREATE TABLE seen (id integer, who text)")
            connection.exec_driver_sql(
                "CREATE TRIGGER watch AFTER INSERT ON logs BEGIN INSERT INTO seen SELECT new.id, username FROM users "
                "WHERE id = new.user_id; END"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER noting AFTER INSERT ON seen BEGIN UPDATE users SET request_count = request_count + 1 "
                "WHERE username = new.who; END"
            )
        if kind == "mysql":
            connection.exec_driver_sql("CREATE TABLE seen (id bigint, who bigint)")
            connection.exec_driver_sql(
                "CREATE TRIGGER watch AFTER INSERT ON logs FOR EACH ROW INSERT INTO seen VALUES (NEW.id, NEW.user_id)"
            )
    check(legacy, settings)
    migrate.upgrade(legacy, settings, now=NOW)
    with legacy.transaction() as session:
        session.add(log.Log(user_id=2, created_at=NOW, type=2, quota=7))
        session.flush()
        assert session.execute(text("SELECT q FROM report WHERE username = 'alice'")).scalar() == 1007
        if kind != "postgresql":
            assert session.execute(text("SELECT count(*) FROM seen")).scalar() == 1
        if kind == "sqlite":
            assert session.execute(text("SELECT request_count FROM users WHERE id = 2")).scalar() == 43


def test_rows_of_an_operator_s_own_table_outlive_the_rebuild_of_ours(tmp_path: Path) -> None:
    settings = servers.configured(tmp_path)
    with servers.opened(settings) as databases:
        servers.build_legacy(databases.engine)
        with databases.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE notes (user_id integer REFERENCES users (id) ON DELETE CASCADE, text text)")
            connection.exec_driver_sql("INSERT INTO notes VALUES (2, 'kept')")
        databases.engine.dispose()
        migrate.upgrade(databases, settings, now=NOW)
        with databases.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT text FROM notes").scalar() == "kept"
            assert (
                "REFERENCES users"
                in connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'notes'").scalar_one()
            )
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA legacy_alter_table").scalar() == 0


def test_a_table_with_rules_of_the_operator_s_is_left_as_it_is(tmp_path: Path) -> None:
    settings = servers.configured(tmp_path)
    with sqlite3.connect(tmp_path / "one-api.db") as connection:
        connection.execute(
            "CREATE TABLE channels (id integer PRIMARY KEY, name text COLLATE NOCASE, type integer CHECK (type > 0))"
        )
    connection.close()
    with servers.opened(settings) as databases:
        migrate.upgrade(databases, settings, now=NOW)
        with databases.engine.connect() as made:
            sql = made.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'channels'").scalar_one()
    assert "COLLATE NOCASE" in sql and "CHECK (type > 0)" in sql


def test_an_operator_s_own_indexes_stay(legacy: Databases, settings: Config) -> None:
    quote = legacy.engine.dialect.identifier_preparer.quote
    with legacy.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE INDEX mine ON channels ({quote('group')}, status)")
        connection.exec_driver_sql("CREATE INDEX idx_channels_tag ON tokens (status)")  # a name that we use elsewhere
    check(legacy, settings)
    migrate.upgrade(legacy, settings, now=NOW)
    found = {i["name"]: i["column_names"] for i in inspect(legacy.engine).get_indexes("channels")}
    assert found["mine"] == ["group", "status"]
    assert ["tag"] in found.values()
    assert migrate.plan(legacy) == []


@pytest.mark.parametrize("what", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_on_a_column_whose_type_must_change_is_named(tmp_path: Path, what: str) -> None:
    with servers.fresh("postgresql", tmp_path) as dsn:
        settings = servers.configured(tmp_path, SQL_DSN=dsn)
        with servers.opened(settings) as databases:
            servers.build_legacy(databases.engine)
            with databases.engine.begin() as connection:
                connection.exec_driver_sql(f'CREATE {what} report AS SELECT id, "key" FROM tokens')
            said = f"The {what.lower()} report uses tokens.key, whose type must change: drop it, start, and create it again."
            assert said in check(databases, settings, code=1).output
            with pytest.raises(Unfit) as caught:
                migrate.upgrade(databases, settings, now=NOW)
            assert str(caught.value) == said
            with databases.engine.begin() as connection:
                assert "ledger" not in inspect(connection).get_table_names()
                connection.exec_driver_sql(f"DROP {what} report")
            migrate.upgrade(databases, settings, now=NOW)


def test_a_name_that_is_taken_is_told(legacy: Databases, settings: Config) -> None:
    with legacy.engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW ledger AS SELECT id FROM users")
        connection.exec_driver_sql("CREATE TABLE leases (house varchar(9))")
    with pytest.raises(Unfit) as caught:
        migrate.upgrade(legacy, settings, now=NOW)
    assert "The view ledger has the name of a table of One API: rename the view" in str(caught.value)
    assert "The table leases is not one of One API's, because it has no column id" in str(caught.value)
    assert str(caught.value) in check(legacy, settings, code=1).output


def test_whatever_stops_an_upgrade_is_one_sentence_and_the_log_has_the_rest(
    legacy: Databases, settings: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """Here a trigger of the operator's refuses that access tokens are replaced by hashes."""
    refuse = {
        "sqlite": "CREATE TRIGGER no BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'not on a Sunday'); END",
        "mysql": "CREATE TRIGGER no BEFORE UPDATE ON users FOR EACH ROW "
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not on a Sunday'",
        "postgresql": "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'not on a Sunday'; END $$;"
        " CREATE TRIGGER no BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION no()",
    }
    with legacy.engine.begin() as connection:
        connection.exec_driver_sql(refuse[legacy.engine.dialect.name])
    with caplog.at_level(logging.ERROR), pytest.raises(Unfit) as caught:
        migrate.upgrade(legacy, settings, now=NOW)
    assert "stopped: not on a Sunday." in str(caught.value) and "\n" not in str(caught.value)
    assert any(record.exc_info for record in caplog.records)


def test_the_step_that_failed_is_named(tmp_path: Path) -> None:
    """A foreign key of the operator's holds the type of a column that must hold longer lists."""
    with servers.fresh("mysql", tmp_path) as dsn:
        settings = servers.configured(tmp_path, SQL_DSN=dsn)
        with servers.opened(settings) as databases:
            servers.build_legacy(databases.engine)
            with databases.engine.begin() as connection:
                connection.exec_driver_sql("CREATE INDEX mine ON channels (`group`)")
                connection.exec_driver_sql("CREATE TABLE mine (g varchar(32), FOREIGN KEY (g) REFERENCES channels (`group`))")
            with pytest.raises(Unfit, match="stopped at the step “widen column channels.group”: .*What was done is kept"):
                migrate.upgrade(databases, settings, now=NOW)
