"""Names that a database takes for one another: whose account they are, and whose wrong passwords count."""

from typing import Any

import bcrypt
import pytest
from flask import Flask

from oneapi import create_app, throttle
from oneapi.config import Config
from oneapi.models.user import User

VARIANTS = ("\u00e1lice", "al\u00efce", "ALICE", "alic\u00e8")  # a and á, i and ï, capitals, e and è


@pytest.fixture
def app(settings: Config) -> Any:
    for name in ("global_api_rate_limit", "critical_rate_limit"):
        setattr(settings, name, 0)
    made = create_app(settings)
    with made.extensions["oneapi"].databases.transaction() as session:
        hashed = bcrypt.hashpw(b"alice-secret", bcrypt.gensalt(4)).decode()
        session.add(User(username="alice", password=hashed, email="alice@example.com", role=1, status=1))
    yield made
    made.extensions["oneapi.relay"].ledger.stop()
    made.extensions["oneapi"].databases.dispose()


def sign_in(app: Flask, name: str, password: str) -> Any:
    return app.test_client().post("/api/user/login", json={"username": name, "password": password})


@pytest.mark.parametrize("name", [*VARIANTS, "\u00e1lice@example.com"])
def test_another_spelling_is_another_name(app: Flask, name: str) -> None:
    assert not sign_in(app, name, "alice-secret").get_json()["success"]
    assert sign_in(app, "alice", "alice-secret").get_json()["success"]
    assert sign_in(app, "alice@example.com", "alice-secret").get_json()["success"]


def test_the_lock_of_an_account_is_not_evaded_by_another_spelling(app: Flask) -> None:
    for n in range(throttle.GUESSES[0]):
        sign_in(app, VARIANTS[n % 4], "alice-secret")
    assert sign_in(app, "alice", "alice-secret").get_json()["success"], "no spelling reached the account"
    for _ in range(throttle.GUESSES[0]):
        sign_in(app, "alice", "a guess")
    for name in ("alice", "alice@example.com"):
        assert sign_in(app, name, "alice-secret").status_code == 429
