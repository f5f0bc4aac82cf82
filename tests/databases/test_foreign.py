"""Databases of other projects are recognised before anything in them changes, and refused with what to do."""

from pathlib import Path

import pytest
import servers
from sqlalchemy import inspect

from oneapi import cli, migrate
from oneapi.config import Config
from oneapi.db import Databases, Unfit

# What each project adds to the tables that it inherited: one sign is enough.
SIGNS = {
    "new-api": ["users deleted_at aff_quota", "tokens model_limits_enabled model_limits allow_ips", "channels auto_ban setting"],
    "new-api of its first months": ["tokens model_limits_enabled"],
    "one-hub": ["users deleted_at", "tokens deleted_at setting", "channels only_chat plugin"],
    "one-hub of its first months": ["channels proxy test_model"],
    "another project": ["redemptions deleted_at"],
}


def mark(databases: Databases, name: str) -> None:
    with databases.engine.begin() as connection:
        for words in SIGNS[name]:
            table, *columns = words.split()
            for column in columns:
                connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column} varchar(30)")
    databases.engine.dispose()


@pytest.mark.parametrize("name", SIGNS)
def test_a_database_of_another_project_is_refused(legacy: Databases, settings: Config, name: str) -> None:
    mark(legacy, name)
    project = name.partition(" of")[0]
    command = "new-api" if project == "another project" else project
    for attempt in (
        lambda: migrate.upgrade(legacy, settings, now=1),
        lambda: migrate.require(legacy),
        lambda: migrate.plan(legacy),
    ):
        with pytest.raises(Unfit) as caught:
            attempt()
        said = str(caught.value)
        assert f"was made by {project}" in said and f"flask --app wsgi import {command} DSN" in said
    app = cli.create_app(settings)
    result = app.test_cli_runner().invoke(args=["db-check"])
    app.extensions["oneapi.offline"][1].dispose()
    assert result.exit_code != 0 and said in result.output
    assert "ledger" not in inspect(legacy.engine).get_table_names()


def test_not_a_byte_of_its_file_changes(tmp_path: Path) -> None:
    settings, file = servers.configured(tmp_path), tmp_path / "one-api.db"
    with servers.opened(settings) as databases:
        servers.build_legacy(databases.engine)
        mark(databases, "new-api")
    with servers.opened(settings) as databases:
        with databases.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
        databases.dispose()
        before = file.read_bytes()
        for attempt in (lambda: migrate.plan(databases), lambda: migrate.upgrade(databases, settings, now=1)):
            with pytest.raises(Unfit):
                attempt()
        assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("one-api")] == ["one-api.db"]


def test_what_was_adopted_stays_ours_whatever_columns_it_has(legacy: Databases, settings: Config) -> None:
    migrate.upgrade(legacy, settings, now=1)
    mark(legacy, "another project")
    migrate.upgrade(legacy, settings, now=2)
    migrate.require(legacy)
