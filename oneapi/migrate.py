"""Makes a database ready: fresh ones are created, those of the Go project adopted in place, ours brought up to date."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from oneapi.config import Config
from oneapi.db import Databases
from oneapi.models import ledger, token, user, version

log = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
ROOT_QUOTA = 500_000_000_000_000
LOCK_NAME, LOCK_NUMBER, LOCK_SECONDS = "one-api-upgrade", 7_108_301_116, 600


class Unfit(RuntimeError):
    """A database that this version cannot serve; the message says why and what to do."""


def upgrade(databases: Databases, config: Config, *, now: int) -> None:
    """Bring the databases to this version. Several processes may call it at once; one works, the others find it done."""
    with _alone(databases.engine) as connection:
        _revise(connection, only=())
        with Session(connection, expire_on_commit=False, join_transaction_mode="control_fully") as session, session.begin():
            _hide_access_tokens(session)
            if user.count(session) == 0:
                _first_start(session, config, now)
            version.ensure(session)
            ledger.open_accounts(session, now=now)
    if databases.separate_logs:
        with _alone(databases.log_engine) as connection:
            _revise(connection, only=("logs",))


def script() -> ScriptDirectory:
    return ScriptDirectory(str(FOLDER))


def _revise(connection: Connection, *, only: tuple[str, ...]) -> None:
    """Run the revisions that this database has not seen. `only` names the tables of a database that holds no others."""
    scripts = script()
    context = MigrationContext.configure(
        connection,
        opts={
            "fn": lambda heads, _: scripts._upgrade_revs("head", heads),
            "script": scripts,
            "only": only,
            "version_table": "alembic_version_logs" if only else "alembic_version",
        },
    )
    try:
        with Operations.context(context):
            context.run_migrations()
    except (CommandError, ResolutionError) as error:
        raise Unfit(
            f"The database was made by a newer version of One API ({error}). Install that version, or a backup."
        ) from None


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A connection that no other process upgrades beside."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            yield from _alone_on_sqlite(connection)
            return
        with engine.connect() as guard:
            _lock(guard)
            try:
                yield connection
            finally:
                guard.invalidate()  # the lock ends with its connection, whatever happened


def _alone_on_sqlite(connection: Connection) -> Iterator[Connection]:
    """The whole upgrade is one transaction that holds the write lock."""
    waited = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    connection.rollback()
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {waited}")


def _lock(guard: Connection) -> None:
    if guard.dialect.name == "postgresql":
        guard.execute(text("SELECT pg_advisory_lock(:number)"), {"number": LOCK_NUMBER})
        return
    name = {"name": f"{LOCK_NAME}:{guard.engine.url.database}"[:64], "seconds": LOCK_SECONDS}
    if guard.execute(text("SELECT GET_LOCK(:name, :seconds)"), name).scalar() != 1:
        raise Unfit(f"Another process has been upgrading the database for {LOCK_SECONDS} seconds; start again when it is done.")


def _hide_access_tokens(session: Session) -> None:
    """Access tokens that the Go project kept in clear are kept as hashes from now on."""
    for id, clear in user.clear_access_tokens(session):
        user.hide_access_token(session, id, hash_of(clear.strip()))


def hash_of(access_token: str) -> str:
    return hashlib.sha256(access_token.encode()).hexdigest()


def _first_start(session: Session, config: Config, now: int) -> None:
    """Nobody is there yet: make root. Only an empty table leads here, never an error."""
    root = user.User(
        username="root", password=bcrypt.hashpw(b"123456", bcrypt.gensalt(10)).decode(), display_name="Root User",
        role=user.Role.ROOT, status=user.Status.ENABLED, quota=ROOT_QUOTA, must_change_password=True, created_time=now,
    )  # fmt: skip
    if config.initial_root_access_token:
        root.access_token_hash = hash_of(config.initial_root_access_token)
    session.add(root)
    session.flush()
    if config.initial_root_token:
        session.add(
            token.Token(
                user_id=root.id, key=config.initial_root_token.removeprefix("sk-"), name="Initial Root Token",
                created_time=now, accessed_time=now, expired_time=-1, remain_quota=ROOT_QUOTA, unlimited_quota=True,
            )
        )  # fmt: skip
    log.warning("Made the first account: root with password 123456. Sign in and choose a new password.")
