"""Commands of operators, through flask's own runner on a real SQLite file."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest
import servers
import yaml
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from oneapi import cli, config
from oneapi.db import Databases
from oneapi.models import audit, channel, ledger, sealed, token, user
from oneapi.models.channel import Channel
from oneapi.models.option import Option

ROOT = Path(__file__).parent.parent
Run = Callable[..., Result]


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Flask]:
    """An application with nothing but commands, as flask loads it."""
    app = cli.create_app(servers.configured(tmp_path))
    yield app
    app.extensions["oneapi.offline"][1].dispose()


@pytest.fixture
def run(offline: Flask) -> Run:
    def invoke(*words: str, code: int = 0, **more: object) -> Result:
        result = offline.test_cli_runner().invoke(args=list(words), **more)
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def ready(run: Run, offline: Flask) -> Databases:
    run("db-upgrade")
    return offline.extensions["oneapi.offline"][1]


def test_db_check_tells_and_does_nothing(run: Run, tmp_path: Path) -> None:
    assert "create the file" in run("db-check").output
    assert not (tmp_path / "one-api.db").exists()
    run("db-upgrade")
    assert (tmp_path / "one-api.db").stat().st_mode & 0o077 == 0
    assert "Nothing to do" in run("db-check").output


def test_other_commands_ask_for_an_upgrade_first(run: Run, tmp_path: Path) -> None:
    for words in (("create-user", "zoe", "--password", "long-enough"), ("ledger", "verify"), ("log-indexes",)):
        assert "flask db-upgrade" in run(*words, code=1).output
    assert not (tmp_path / "one-api.db").exists()


def test_root_gets_a_new_password_and_old_sessions_end(run: Run, ready: Databases) -> None:
    assert "has the new password" in run("reset-root-password", input="brand-new-1\nbrand-new-1\n").output
    with ready.transaction() as session:
        root = user.by_login(session, "root")
        assert root and bcrypt.checkpw(b"brand-new-1", root.password.encode())
        assert (root.must_change_password, root.session_epoch) == (False, 1)
        assert [a.action for a in session.query(audit.Audit)] == ["user.reset_root_password"]
    assert "8 to 20 characters" in run("reset-root-password", "--password", "short", code=1).output


def test_an_account_can_become_root_when_nobody_is(run: Run, ready: Databases) -> None:
    run("create-user", "zoe", "--password", "long-enough")
    with ready.transaction() as session:
        session.query(user.User).filter_by(username="root").update({"role": 1})
    assert "Nobody is root" in run("reset-root-password", "--password", "brand-new-1", code=1).output
    run("reset-root-password", "--username", "zoe", "--password", "brand-new-1")
    with ready.transaction() as session:
        assert user.by_login(session, "zoe").role == 100  # type: ignore[union-attr]


def test_an_account_is_made_with_role_and_balance(run: Run, ready: Databases) -> None:
    made = run("create-user", "zoe", "--password", "long-enough", "--role", "admin", "--quota", "77", "--email", "z@example.com")
    assert "zoe" in made.output
    with ready.transaction() as session:
        row = user.by_login(session, "z@example.com")
        assert row and (row.username, row.role, row.quota, row.group) == ("zoe", 10, 77, "default")
        assert ledger.differences(session) == []
    assert "taken" in run("create-user", "zoe", "--password", "long-enough", code=1).output
    assert "e-mail" in run("create-user", "ann", "--password", "long-enough", "--email", "Z@Example.com ", code=1).output
    assert "quota" in run("create-user", "ann", "--password", "long-enough", "--quota", str(2**60), code=1).output
    with ready.transaction() as session:  # nothing was created that cannot be created whole
        assert user.by_login(session, "ann") is None
    assert "group" in run("create-user", "yan", "--password", "long-enough", "--group", "nowhere", code=1).output


def test_a_token_is_made_and_its_key_printed(run: Run, ready: Databases) -> None:
    key = run("create-token", "root", "--quota", "500", "--days", "2", "--models", "a,b").output.strip()
    with ready.transaction() as session:
        found = token.by_key(session, key.removeprefix("sk-"))
        assert found and (found.user_id, found.remain_quota, found.models, found.unlimited_quota) == (1, 500, "a,b", False)
        assert found.expired_time > found.created_time + 86_400  # type: ignore[operator]
    assert "not found" in run("create-token", "nobody", code=1).output
    assert "wrong" in run("create-token", "root", "--subnet", "wrong", code=1).output


CHANNELS = [
    {"type": 1, "name": "第一", "key": "sk-secret-one", "models": "gpt-4o", "group": "default,vip", "priority": 3, "status": 2},
    {"type": 33, "name": "Bedrock", "key": "", "models": "claude", "config": '{"region": "us-east-1", "ak": "AKX", "sk": "SKX"}'},
]


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_channels_travel_between_installations(run: Run, ready: Databases, tmp_path: Path, ending: str) -> None:
    there, back = tmp_path / f"there.{ending}", tmp_path / f"back.{ending}"
    there.write_text(yaml.safe_dump(CHANNELS) if ending == "yaml" else json.dumps(CHANNELS))
    assert "2 of 2" in run("channels", "import", str(there)).output
    with ready.transaction() as session:
        first, second = channel.every(session)
        assert (first.name, first.key, first.group, first.status) == ("第一", "sk-secret-one", "default,vip", 2)
        assert second.settings()["region"] == "us-east-1"
    run("channels", "export", str(back), "--with-keys")
    read = yaml.safe_load if ending == "yaml" else json.loads
    assert [row["key"] for row in read(back.read_text())] == ["sk-secret-one", ""]
    assert back.stat().st_mode & 0o077 == 0
    run("channels", "export", str(back))
    assert not any(secret in back.read_text() for secret in ("sk-secret-one", "AKX", "SKX"))
    assert "us-east-1" in back.read_text()
    assert "2 of 2" in run("channels", "import", str(back), "--replace").output
    with ready.transaction() as session:
        first, second = channel.every(session)
        assert (first.key, second.settings()["sk"]) == ("sk-secret-one", "SKX")


def test_a_channel_that_does_not_pass_is_named(run: Run, ready: Databases, tmp_path: Path) -> None:
    file = tmp_path / "channels.json"
    file.write_text(json.dumps([{"type": 424242, "name": "Odd one", "key": "k"}, CHANNELS[0]]))
    result = run("channels", "import", str(file), code=1)
    assert "Odd one" in result.output
    assert "1 of 2" in result.output
    file.write_text("{")
    assert "cannot be read" in run("channels", "import", str(file), code=1).output
    file.write_text('{"a": 1}')
    assert "list of channels" in run("channels", "import", str(file), code=1).output
    assert ".json, .yaml or .yml" in run("channels", "export", str(tmp_path / "x.txt"), code=1).output


def test_a_backup_is_a_whole_database(run: Run, ready: Databases, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with ready.transaction() as session:  # in use, and not yet in the main file
        session.add(user.User(username="late", password="x"))
    run("backup", str(copy))
    with sqlite3.connect(copy) as opened:
        assert [name for (name,) in opened.execute("SELECT username FROM users ORDER BY id")] == ["root", "late"]
    opened.close()
    assert copy.stat().st_mode & 0o077 == 0
    assert "exists" in run("backup", str(copy), code=1).output
    run("backup", str(copy), "--force")


def test_verify_names_each_difference(run: Run, ready: Databases) -> None:
    assert "Every balance is explained" in run("ledger", "verify").output
    with ready.transaction() as session:
        session.query(user.User).filter_by(username="root").update({"quota": 1})
    result = run("ledger", "verify", code=1)
    assert result.output == "user 1: the balance is 1, the ledger explains 500000000000000: -499999999999999\n"


def test_verify_names_a_user_whose_entries_exceed_64_bits_together(run: Run, ready: Databases) -> None:
    run("ledger", "verify")
    with ready.transaction() as session:
        for number in range(3):
            session.add(ledger.Entry(request_id=f"topup:{number}", created_at=1, kind="topup", user_id=1, amount=2**62))
        session.execute(text("UPDATE users SET quota = 9.22e18 WHERE id = 1"))  # as a sum beyond 64 bits left it
    result = run("ledger", "verify", code=1)
    explained = 500000000000000 + 3 * 2**62
    assert f"user 1: the balance is 9220000000000000000, the ledger explains {explained}: " in result.output


def test_node_says_how_things_are(run: Run, tmp_path: Path) -> None:
    assert "not ready" in run("node").output
    run("db-upgrade")
    output = run("node").output
    assert config.VERSION in output
    assert "of this version" in output
    assert "redis not used" in output


def test_unknown_jobs_are_answered_with_the_known_ones(run: Run, ready: Databases) -> None:
    assert "sweep" in run("job", "nothing", code=1).output


def test_the_whole_application_has_the_commands_too(app: Flask) -> None:
    runner = app.test_cli_runner()
    assert "Nothing to do" in runner.invoke(args=["db-check"]).output
    assert runner.invoke(args=["job", "sweep"]).output == "sweep: done\n"
    assert runner.invoke(args=["ledger", "verify"]).exit_code == 0


def test_keys_are_sealed_and_unsealed(tmp_path: Path) -> None:
    plain, secret = servers.configured(tmp_path), servers.configured(tmp_path, ENCRYPTION_KEY="a passphrase of its own")
    stored = "SELECT key FROM channels"

    def invoke(settings: config.Config, *words: str) -> Result:
        app = cli.create_app(settings)
        try:
            return app.test_cli_runner().invoke(args=list(words))
        finally:
            app.extensions["oneapi.offline"][1].dispose()
            sealed.use("")

    def raw() -> str:
        with sqlite3.connect(tmp_path / "one-api.db") as opened:
            (found,) = opened.execute(stored).fetchone()
        opened.close()
        return found

    invoke(plain, "db-upgrade")
    with servers.opened(plain) as databases, databases.transaction() as session:
        session.add(Channel(name="c", type=1, key="sk-in-clear"))
    assert raw() == "sk-in-clear"
    invoke(secret, "db-upgrade")
    assert raw().startswith("enc:")
    assert "1 keys were sealed with another" in invoke(plain, "channels", "unseal").output
    assert "1 keys are stored in clear" in invoke(secret, "channels", "unseal").output
    assert raw() == "sk-in-clear"


def flask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    command = [sys.executable, "-W", "error", "-m", "flask", "--app", "wsgi", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=clean | {"INSTANCE_PATH": str(folder), "LOG_DIR": ""}
    )


def test_loading_the_commands_upgrades_nothing(tmp_path: Path) -> None:
    found = flask(tmp_path, "db-check")
    assert (found.returncode, found.stderr) == (0, "")
    assert "create the file" in found.stdout
    assert not (tmp_path / "one-api.db").exists()
    assert flask(tmp_path, "db-upgrade").returncode == 0
    assert "0004 (head)" in flask(tmp_path, "db", "current").stdout
    assert "No new upgrade operations" in flask(tmp_path, "db", "check").stdout


SEEN_AT_START = """
import sys, oneapi
oneapi.create_app()
print([n for n in ("alembic", "bleach", "cryptography", "joserfc", "psycopg", "tiktoken", "yaml") if n in sys.modules])
"""


def test_a_server_does_not_load_what_only_some_need(tmp_path: Path) -> None:
    """Of a database that is of this version it need not even know how it was made."""
    assert flask(tmp_path, "db-upgrade").returncode == 0
    clean = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    environ = clean | {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": ""}
    started = subprocess.run([sys.executable, "-c", SEEN_AT_START], cwd=ROOT, capture_output=True, text=True, env=environ)
    assert started.stdout == "[]\n", started.stderr


def test_an_operator_gets_from_an_empty_folder_to_a_working_gateway(tmp_path: Path) -> None:
    """Every command as it is typed, one after the other, each in a process of its own."""
    folder, channels = tmp_path / "fresh", tmp_path / "channels.json"
    assert "run `flask db-upgrade`, first" in flask(folder, "create-user", "zoe", "--password", "long-enough").stderr
    channels.write_text(json.dumps([{"type": 1, "name": "one", "key": "sk-a", "models": "gpt-4o"}]))
    for words, said in (
        (("db-upgrade",), "create the file"),
        (("reset-root-password", "--password", "brand-new-1"), "root is root and has the new password."),
        (("create-user", "zoe", "--password", "long-enough", "--quota", "500"), "user 2: zoe"),
        (("create-token", "zoe", "--unlimited"), "sk-"),
        (("channels", "import", str(channels)), "1 of 1 channels"),
        (("channels", "export", str(tmp_path / "out.yaml")), "1 channels in"),
        (("job", "sweep"), "sweep: done"),
        (("ledger", "verify"), "Every balance is explained."),
        (("backup", str(tmp_path / "copy.db")), "copy.db holds"),
    ):
        done = flask(folder, *words)
        assert done.returncode == 0 and said in done.stdout, (words, done.stdout, done.stderr)
    assert [row["name"] for row in yaml.safe_load((tmp_path / "out.yaml").read_text())] == ["one"]
    with servers.opened(servers.configured(folder)) as databases, databases.transaction() as session:
        acts = [(row.action, row.actor_name) for row in session.query(audit.Audit).order_by(audit.Audit.id)]
        root = session.query(user.User).filter_by(role=100).one()
        assert bcrypt.checkpw(b"brand-new-1", root.password.encode()) and not root.must_change_password
    named = ("user.reset_root_password", "user.create", "user.set_quota", "token.create", "channel.create")
    assert acts == [(name, "system") for name in named]


def test_a_setting_is_stored_before_anybody_can_sign_in(run: Run, ready: Databases) -> None:
    assert "is stored" in run("set-option", "ServerAddress", "https://gw.example.com").output
    with ready.transaction() as session:
        assert session.query(Option).filter_by(key="ServerAddress").one().value == "https://gw.example.com"
    assert "begins with http" in run("set-option", "ServerAddress", "gw.example.com", code=1).output
    assert "There is no setting Nonsense" in run("set-option", "Nonsense", "1", code=1).output


def test_ledger_verify_names_the_lines_of_the_journal_that_were_rejected(ready: Databases, run: Run, tmp_path: Path) -> None:
    assert "rejected" not in run("ledger", "verify").output
    for folder, lines in (("journal", 2), ("journal/logs", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rejected.txt").write_bytes(b"\xff\n" * lines)
    output = run("ledger", "verify").output
    assert f"{tmp_path / 'journal' / 'rejected.txt'}: 2 lines" in output
    assert f"{tmp_path / 'journal' / 'logs' / 'rejected.txt'}: 1 lines" in output


def test_the_environment_can_set_the_first_password_of_root(tmp_path: Path) -> None:
    app = cli.create_app(servers.configured(tmp_path, INITIAL_ROOT_PASSWORD="chosen-one"))
    assert app.test_cli_runner().invoke(args=["db-upgrade"]).exit_code == 0
    databases = app.extensions["oneapi.offline"][1]
    with databases.transaction() as session:
        root = user.by_login(session, "root")
        assert root and bcrypt.checkpw(b"chosen-one", root.password.encode()) and root.must_change_password is False
    databases.dispose()
