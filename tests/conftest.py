"""The app, the cast and the vendor that all tests share. Nothing of our own is patched."""

from gevent import monkey

monkey.patch_all()

import shutil  # noqa: E402  (patch first, import later)
import time  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import bcrypt  # noqa: E402
import gevent  # noqa: E402
import pytest  # noqa: E402
from fake_vendor import FakeVendor  # noqa: E402
from flask import Flask  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402
from gevent.pool import Pool  # noqa: E402
from jinja2 import BytecodeCache  # noqa: E402
from sqlalchemy import Pool as SqlPool  # noqa: E402
from sqlalchemy import event  # noqa: E402

from oneapi import config, create_app  # noqa: E402
from oneapi.models import ability, ledger, log, option, version  # noqa: E402
from oneapi.models import channel as channels  # noqa: E402
from oneapi.models.token import Token  # noqa: E402
from oneapi.models.user import Role, User  # noqa: E402
from oneapi.state import State  # noqa: E402

holders: dict[int, Any] = {}  # pooled connections that are in use: the greenlet that took each
taken_twice: list[str] = []  # where a greenlet took a second one


@event.listens_for(SqlPool, "checkout")
def _taken(_connection: Any, record: Any, _proxy: Any) -> None:
    greenlet = gevent.getcurrent()
    if greenlet in holders.values():
        taken_twice.append("".join(traceback.format_stack(limit=40)))
    holders[id(record)] = greenlet


@event.listens_for(SqlPool, "checkin")
def _returned(_connection: Any, record: Any) -> None:
    holders.pop(id(record), None)


PASSWORD = "correct horse"
HASHED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


class Compiled(BytecodeCache):
    """Every test makes an app; their templates are compiled once."""

    kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Any) -> None:
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Any) -> None:
        self.kept[bucket.key] = bucket.bytecode_to_string()


class KnownRule(Flask.url_rule_class):
    """Every app has the same routes; the functions that build their addresses are compiled once."""

    kept: dict[tuple[object, ...], Any] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Any:
        key = (self.rule, self.subdomain, repr(self.defaults), append_unknown)
        if key not in self.kept:
            self.kept[key] = super()._compile_builder(append_unknown)
        return self.kept[key]


Flask.jinja_options = {"bytecode_cache": Compiled()}
Flask.url_rule_class = KnownRule


@pytest.fixture(autouse=True)
def _one_connection_each() -> Iterator[None]:
    """Fail a test in which a greenlet took a second database connection: enough of them wait for each other for ever."""
    taken_twice.clear()
    yield
    # An upgrade holds its lock with a connection of its own, and a command may read another database: neither serves requests.
    alone = ("/oneapi/migrate.py", "/oneapi/cli/")
    ours = [stack for stack in taken_twice if "/oneapi/" in stack and not any(place in stack for place in alone)]
    assert not ours, f"A greenlet that held a database connection took a second one:\n{ours[0]}"


@dataclass
class Person:
    """One of the cast: `key` is a token's, `token` an access token."""

    id: int
    username: str
    password: str
    key: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer sk-{self.key}"}


@pytest.fixture
def settings_of_environment(tmp_path: Any) -> dict[str, str]:
    """The environment of the app under test; override to change it."""
    return {"INSTANCE_PATH": str(tmp_path / "instance"), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"}


@pytest.fixture
def clock() -> Callable[[], float]:
    return time.time


@pytest.fixture(scope="session")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as the first start leaves it; a copy spares each test the same migrations."""
    folder = tmp_path_factory.mktemp("first")
    made = create_app(config.load({"INSTANCE_PATH": str(folder)}))
    databases = made.extensions["oneapi"].databases
    with databases.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM options")  # tests name the settings that they depend on
    with databases.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    databases.dispose()
    return folder / "one-api.db"


@pytest.fixture
def app(settings_of_environment: dict[str, str], clock: Callable[[], float], first_start: Path) -> Iterator[Flask]:
    environment, folder = settings_of_environment, Path(settings_of_environment["INSTANCE_PATH"])
    if clock is time.time and not any(name.startswith(("SQL", "INITIAL", "LOG_SQL")) for name in environment):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(first_start, folder / "one-api.db")
    made = create_app(config.load(settings_of_environment), clock=clock)
    made.config["TESTING"] = True
    yield made
    made.extensions["oneapi.relay"].ledger.stop()
    made.extensions["oneapi"].databases.dispose()


@pytest.fixture
def state(app: Flask) -> State:
    return app.extensions["oneapi"]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def vendor() -> Iterator[FakeVendor]:
    fake = FakeVendor()
    yield fake
    fake.close()


@pytest.fixture
def person(state: State) -> Callable[..., Person]:
    """Make someone: person("alice", quota=100), with a token (unlimited unless remain is given) and an access token."""

    def make(username: str, *, role: int = Role.USER, quota: int = 10**9, remain: int | None = None, **more: Any) -> Person:
        from hashlib import sha256

        access = sha256(username.encode()).hexdigest()[:32]
        of_token = {k: more.pop(k) for k in list(more) if k in Token.__table__.columns and k not in User.__table__.columns}
        with state.databases.transaction() as session:
            row = User(
                username=username, password=HASHED, display_name=username, role=role, quota=0, aff_code=username[:4],
                access_token_hash=sha256(access.encode()).hexdigest(), created_time=int(state.clock()), **more,
            )  # fmt: skip
            session.add(row)
            session.flush()
            ledger.move(session, row.id, quota, kind="opening", now=int(state.clock()))
            key = (username + "0" * 48)[:48]
            of_token = {"name": f"{username}'s", "remain_quota": remain or 0, "unlimited_quota": remain is None} | of_token
            session.add(Token(user_id=row.id, key=key, created_time=int(state.clock()), **of_token))
            version.bump(session, "users")
            version.bump(session, "tokens")
            made = Person(row.id, username, PASSWORD, key, access)
        state.changed()
        return made

    return make


@pytest.fixture
def alice(person: Callable[..., Person]) -> Person:
    return person("alice")


@pytest.fixture
def bob(person: Callable[..., Person]) -> Person:
    return person("bob")


@pytest.fixture
def admin(person: Callable[..., Person]) -> Person:
    return person("admin", role=Role.ADMIN)


@pytest.fixture
def root(person: Callable[..., Person]) -> Person:
    return person("rootling", role=Role.ROOT)


@pytest.fixture
def channel(state: State, vendor: FakeVendor) -> Callable[..., int]:
    """Make a channel that leads to FakeVendor; returns its id."""

    def make(**values: Any) -> int:
        values = {
            "type": 1, "name": "fake", "key": "sk-vendor", "base_url": vendor.url, "models": "gpt-4o-mini,gpt-4o", "status": 1,
            "created_time": int(state.clock()),
        } | values  # fmt: skip
        with state.databases.transaction() as session:
            row = channels.Channel(**values)
            session.add(row)
            session.flush()
            ability.rebuild(session, [row])
            version.bump(session, "channels")
            made = row.id
        state.changed()
        return made

    return make


@pytest.fixture
def setting(state: State) -> Callable[..., None]:
    """Store options by key: setting(RetryTimes=1)."""

    def store(**values: Any) -> None:
        from oneapi import settings

        with state.databases.transaction() as session:
            for key, value in values.items():
                option.put(session, key, settings.stored_text(key, value), now=int(state.clock()), by=0)
            version.bump(session, "settings")
        state.changed()

    return store


def logs_of(state: State, pending: Any, kind: log.Kind) -> list[log.Log]:
    """The logs of a kind, oldest first, after what was pending is written."""
    from sqlalchemy import select

    pending.flush()
    with state.databases.logs() as session:
        return list(session.scalars(select(log.Log).where(log.Log.type == kind).order_by(log.Log.id)))


@pytest.fixture
def logged(state: State, app: Flask) -> Callable[[], list[log.Log]]:
    """The consume logs so far: none of them means that nothing was charged. What failed: see `failed`."""
    return lambda: logs_of(state, app.extensions["oneapi.relay"].ledger, log.Kind.CONSUME)


@pytest.fixture
def failed(state: State, app: Flask) -> Callable[[], list[log.Log]]:
    """The logs of failed requests so far."""
    return lambda: logs_of(state, app.extensions["oneapi.relay"].failures, log.Kind.ERROR)


@pytest.fixture
def balance(state: State, app: Flask) -> Callable[[int], int]:
    """What a user has left, leases included, after everything pending was written."""

    def read(user_id: int) -> int:
        app.extensions["oneapi.relay"].ledger.flush()
        with state.databases.transaction() as session:
            return ledger.balance(session, user_id)

    return read


@pytest.fixture
def served(app: Flask) -> Iterator[str]:
    """The app behind our own server on a free port; its address."""
    from oneapi.connections import Server
    from oneapi.server import handler_class

    server = Server(("127.0.0.1", 0), app, spawn=Pool(1000), log=None, handler_class=handler_class())
    server.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stop(timeout=1)
