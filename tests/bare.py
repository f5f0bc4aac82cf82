"""An application of the management API alone, on an empty database of its own."""

from collections.abc import Callable
from pathlib import Path

import bcrypt
from flask import Flask

from oneapi import access, api, config, state
from oneapi.db import Databases
from oneapi.models import Base, user, version

NOW = 1_800_000_000
PASSWORDS = {"root": "root-pass-1", "alice": "alice-pass", "bob": "bobs-pass-1"}
ROLES = {"root": user.Role.ROOT, "admin": user.Role.ADMIN, "alice": user.Role.USER, "bob": user.Role.USER}


class Clock:
    def __init__(self, now: float = NOW):
        self.now = now

    def __call__(self) -> float:
        return self.now


def app(
    folder: Path, clock: Callable[[], float] | None = None, *, cast: bool = True, secret: str = "tests", **environ: str
) -> Flask:  # fmt: skip
    """A Flask app with access and API and the cast as users; limits are off unless `environ` says otherwise."""
    limits = {"GLOBAL_API_RATE_LIMIT": "0", "GLOBAL_WEB_RATE_LIMIT": "0", "CRITICAL_RATE_LIMIT": "0"}
    settings = config.load({"INSTANCE_PATH": str(folder), **limits, **environ})
    made = Flask("oneapi", instance_path=str(folder.absolute()))
    made.secret_key, made.testing = secret, True
    databases = Databases(settings, made)
    Base.metadata.create_all(databases.engine)
    made.extensions["oneapi"] = gateway = state.State(settings, databases, clock or Clock())
    with databases.transaction() as session:
        for topic in version.TOPICS:
            session.add(version.Version(topic=topic, number=1))
        for name, role in ROLES.items() if cast else ():
            session.add(cast_row(name, role))
    gateway.refresh(force=True)
    access.init(made)
    api.init(made)
    return made


def cast_row(name: str, role: int) -> user.User:
    """One of the cast; their access token is their name thirty-two times over, cut to size."""
    hashed = bcrypt.hashpw(PASSWORDS.get(name, f"{name}-password").encode(), bcrypt.gensalt(4)).decode()
    return user.User(
        username=name, display_name=name.title(), password=hashed, role=role, status=user.Status.ENABLED, quota=1_000_000,
        group="default", access_token_hash=access.digest(access_token(name)), aff_code=f"aff-{name}",
    )  # fmt: skip


def access_token(name: str) -> str:
    return (name * 32)[:32]


def bearer(name: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token(name)}", **headers}
