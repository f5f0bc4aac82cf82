"""An empty database becomes a working one, once, however many processes start on it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest
import servers
from sqlalchemy import text

from oneapi import migrate
from oneapi import settings as options
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import ledger, option, token, user

NOW = 1_700_000_000
START = """
import sys
from gevent import monkey
monkey.patch_all()
from pathlib import Path
import servers
from sqlalchemy import text
from oneapi import migrate
settings = servers.configured(Path(sys.argv[1]), SQL_DSN=sys.argv[2], INITIAL_ROOT_TOKEN="sk-RootKey")
with servers.opened(settings) as databases:
    migrate.upgrade(databases, settings, now=1_700_000_000)
    migrate.require(databases)
"""


def test_the_first_start_makes_root_with_a_balance_that_the_ledger_explains(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    with databases.transaction() as session:
        (root,) = session.query(user.User)
        assert (root.username, root.role, root.status, root.quota) == ("root", 100, 1, 500_000_000_000_000)
        assert bcrypt.checkpw(b"123456", root.password.encode())
        assert root.must_change_password
        assert (root.display_name, root.access_token, root.aff_code) == ("Root User", None, None)
        assert ledger.differences(session) == []
        assert session.query(token.Token).count() == 0


def test_a_new_installation_stores_better_defaults_and_an_upgrade_none(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    with databases.transaction() as session:
        now = options.read(option.all_rows(session))
        assert (now.retry_times, now.unknown_model_policy) == (2, "refuse")
        session.query(option.Option).delete()  # as a version before these defaults left its database
    migrate.upgrade(databases, settings, now=NOW + 1)
    with databases.transaction() as session:
        assert option.all_rows(session) == {} and options.read({}).retry_times == 0


@pytest.mark.parametrize("typed", ["RootKey1", "sk-RootKey1"])
def test_the_operator_can_name_the_first_keys(kind: str, tmp_path: Path, typed: str) -> None:
    with servers.fresh(kind, tmp_path) as dsn:
        own = servers.configured(tmp_path, SQL_DSN=dsn, INITIAL_ROOT_TOKEN=typed, INITIAL_ROOT_ACCESS_TOKEN="f" * 32)
        with servers.opened(own) as databases:
            migrate.upgrade(databases, own, now=NOW)
            with databases.transaction() as session:
                made = token.by_key(session, "RootKey1")
                assert made and (made.id, made.user_id, made.unlimited_quota, made.expired_time) == (1, 1, True, -1)
                assert (made.name, made.remain_quota) == ("Initial Root Token", 500_000_000_000_000)
                root = user.by_access_token_hash(session, migrate.hash_of("f" * 32))
                assert root and root.access_token is None


def test_a_table_of_people_is_never_given_a_second_root(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    with databases.transaction() as session:
        session.query(user.User).update({"username": "renamed", "role": 1})
    migrate.upgrade(databases, settings, now=NOW)
    with databases.transaction() as session:
        assert [u.username for u in session.query(user.User)] == ["renamed"]


def test_an_error_makes_no_root(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    with databases.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE users RENAME TO people")
    with pytest.raises(Exception, match="users"):
        migrate.upgrade(databases, settings, now=NOW)
    with databases.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM people").scalar() == 1


def test_processes_that_start_together_do_not_collide(kind: str, tmp_path: Path) -> None:
    with servers.fresh(kind, tmp_path) as dsn:
        arguments = [sys.executable, "-c", START, str(tmp_path), dsn]
        tests = Path(__file__).parent.parent
        run = lambda _: subprocess.run(  # noqa: E731
            arguments, capture_output=True, text=True, cwd=tests.parent, env={"PYTHONPATH": f"{tests}:{tests.parent}"}
        )
        with ThreadPoolExecutor(4) as pool:
            ended = list(pool.map(run, range(4)))
        assert [process.stderr[-2000:] for process in ended if process.returncode] == []
        own = servers.configured(tmp_path, SQL_DSN=dsn)
        with servers.opened(own) as databases, databases.transaction() as session:
            assert session.query(user.User).count() == 1
            assert session.query(token.Token).count() == 1
            assert session.query(ledger.Entry).count() == 1


def test_a_database_of_a_newer_version_is_refused_with_a_sentence(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    with databases.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(migrate.Unfit, match="newer version"):
        migrate.upgrade(databases, settings, now=NOW)


def test_a_fresh_database_has_exactly_our_tables(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    assert migrate.plan(databases) == []
    assert migrate.ready(databases)


def test_the_old_project_could_write_into_a_fresh_database(databases: Databases, settings: Config) -> None:
    migrate.upgrade(databases, settings, now=NOW)
    with databases.transaction() as session:  # it leaves out what has a default and no value
        session.execute(text("INSERT INTO logs (user_id, created_at, type, content) VALUES (1, 1, 2, 'c')"))
        session.execute(text("INSERT INTO users (username, password) VALUES ('old', 'x')"))
        row = user.by_login(session, "old")
        assert row and (row.role, row.status, row.quota, row.group) == (1, 1, 0, "default")
