"""One mailbox is one e-mail address, in whatever spelling a row or a request has it, on every database."""

from typing import Any

import bcrypt
import pytest
from fake_mail import Mailbox
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from oneapi import create_app, migrate
from oneapi.actions import SYSTEM, mails, options
from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import account, user
from oneapi.models.user import User

HASHED = bcrypt.hashpw(b"long-enough", bcrypt.gensalt(4)).decode()
STORED = ("John.Doe@Example.COM", "  john.doe@example.com ", "john.doe@example.com", "JOHN.DOE@EXAMPLE.COM")
TYPED = ("John.Doe@Example.COM", "john.doe@example.com", "  JOHN.doe@example.com ")


@pytest.fixture
def app(settings: Config) -> Any:
    for name in ("global_api_rate_limit", "critical_rate_limit"):
        setattr(settings, name, 0)
    made = create_app(settings)
    yield made
    made.extensions["oneapi.relay"].ledger.stop()
    made.extensions["oneapi"].databases.dispose()


@pytest.fixture
def state(app: Flask) -> Any:
    return app.extensions["oneapi"]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def store(databases: Databases, username: str, email: str, **more: Any) -> int:
    """Make an account and write its address past our own code, as another program does."""
    with databases.transaction() as session:
        row = User(username=username, password=HASHED, display_name=username, role=1, status=1, **more)
        session.add(row)
        session.flush()
        session.execute(text("UPDATE users SET email = :email WHERE id = :id"), {"email": email, "id": row.id})
        return row.id


def sign_in(client: FlaskClient, name: str, password: str = "long-enough") -> Any:
    return client.post("/api/user/login", json={"username": name, "password": password}).get_json()


def email_of(databases: Databases, id: int) -> str | None:
    with databases.transaction() as session:
        return session.get(User, id).email  # type: ignore[union-attr]


@pytest.mark.parametrize("stored", STORED)
def test_an_address_is_one_whatever_its_spelling(app: Flask, state: Any, client: FlaskClient, stored: str) -> None:
    with Mailbox() as box:
        options.save(state, SYSTEM, {"SMTPServer": "localhost", "SMTPPort": box.port, "SMTPAccount": "us@example.com"})
        id = store(state.databases, "john", stored)
        for number, typed in enumerate(TYPED):
            assert sign_in(client, typed)["success"]
            assert app.test_client().get("/api/reset_password", query_string={"email": typed}).get_json()["success"]
            assert mails.notify.drain()
            assert [mail.to for mail in box.mails[number:]] == [["john.doe@example.com"]]
        with state.databases.transaction() as session:
            assert all(account.email_taken(session, typed) for typed in TYPED)
            assert not any(account.email_taken(session, typed, but=id) for typed in TYPED)
            assert not account.email_taken(session, "john.do\u00e9@example.com"), "é is not e"


def test_a_reset_link_of_another_spelling_sets_the_password(state: Any, client: FlaskClient) -> None:
    with Mailbox() as box:
        options.save(state, SYSTEM, {"SMTPServer": "localhost", "SMTPPort": box.port, "SMTPAccount": "us@example.com"})
        id = store(state.databases, "john", STORED[0])
        client.get("/api/reset_password", query_string={"email": STORED[0]})
        assert mails.notify.drain()
        token = box.mails[0].text.split("token=")[1].split('"')[0]
    body = {"email": "John.Doe@example.com", "token": token, "password": "another-one"}
    assert client.post("/api/user/reset", json=body).get_json()["success"]
    assert sign_in(client, "john.doe@example.com", "another-one")["success"]
    assert email_of(state.databases, id) == "john.doe@example.com", "a proven address is kept in the one spelling"


@pytest.mark.parametrize("other", ["john@B\u00dcCHER.example", "JOHN@xn--bcher-kva.example", " john@b\u00fccher.example"])
def test_a_domain_of_other_letters_is_one_with_its_ascii_form(state: Any, client: FlaskClient, other: str) -> None:
    for stored in ("john@b\u00fccher.example", "john@XN--bcher-kva.example"):
        id = store(state.databases, "john", stored)
        assert sign_in(client, other)["success"], stored
        with state.databases.transaction() as session:
            session.delete(session.get(User, id))


def test_administrators_write_the_one_spelling(state: Any, client: FlaskClient) -> None:
    jane, john = store(state.databases, "jane", "jane@example.com", email_verified=True), store(state.databases, "john", "")
    with state.databases.transaction() as session:
        session.query(User).filter_by(username="root").update(
            {"access_token_hash": migrate.hash_of("r" * 32), "must_change_password": False}
        )
    put = lambda **body: client.put("/api/user/", json=body, headers={"Authorization": "r" * 32}).get_json()  # noqa: E731
    assert put(id=john, email=" John.Doe@Example.COM ")["success"]
    assert email_of(state.databases, john) == "john.doe@example.com"
    refused = put(id=john, email="JANE@example.com")
    assert (refused["success"], refused["message"]) == (False, "This e-mail address is taken.")
    assert put(id=jane, email="Jane@Example.com")["success"]
    with state.databases.transaction() as session:
        assert session.get(User, jane).email_verified, "another spelling is the same mailbox"


def test_an_address_of_several_accounts_asks_for_the_user_name(state: Any, client: FlaskClient, settings: Config) -> None:
    store(state.databases, "john", STORED[0]), store(state.databases, "johnny", STORED[1])
    said = sign_in(client, "john.doe@example.com")
    assert (said["success"], said["message"]) == (False, "Several accounts have this e-mail address. Sign in with the user name.")
    assert "Wrong user name" in sign_in(client, "john.doe@example.com", "a guess")["message"]
    assert sign_in(client, "john")["success"] and sign_in(client, "johnny")["success"]
    [line] = migrate.shared_emails(state.databases)
    assert line.startswith("2 accounts have the e-mail address john.doe@example.com: 2 (john), 3 (johnny).")


def test_a_database_of_the_old_project_gets_the_one_spelling(legacy: Databases, settings: Config) -> None:
    with Session(legacy.engine) as session:
        session.execute(text("UPDATE users SET email = ' Alice@EXAMPLE.com ' WHERE username = 'alice'"))
        session.commit()
    assert any("write 1 e-mail addresses in one spelling" in line for line in migrate.plan(legacy))
    migrate.upgrade(legacy, settings, now=1_800_000_000)
    with legacy.transaction() as session:
        row = account.by_username(session, "alice")
        assert row is not None and row.email == "alice@example.com"
        assert user.by_login(session, "ALICE@example.com") is row


def test_an_index_serves_the_comparison(state: Any) -> None:
    assert ["email_key"] in [found["column_names"] for found in inspect(state.databases.engine).get_indexes("users")]
    with state.databases.transaction() as session:
        if state.databases.engine.dialect.name == "postgresql":
            session.execute(text("SET LOCAL enable_seqscan = off"))  # with so few rows reading them all is cheaper
        asked = "SELECT id FROM users WHERE email_key IN ('john.doe@example.com')"
        explain = "EXPLAIN QUERY PLAN" if state.databases.engine.dialect.name == "sqlite" else "EXPLAIN"
        plan = " ".join(str(tuple(row)) for row in session.execute(text(f"{explain} {asked}")))
    assert "idx_users_email_key" in plan
