"""Makes a database ready: fresh ones are created, those of the Go project adopted in place, ours brought up to date."""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import bcrypt
import gevent
from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from oneapi import settings
from oneapi.config import Config
from oneapi.db import Databases, Unfit, cause, trouble
from oneapi.fields import Invalid
from oneapi.models import Base, account, channel, charset, deadline, ledger, option, origin, schema, token, user, version
from oneapi.models.deadline import Unanswered

log = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
ROOT_QUOTA = 500_000_000_000_000
LOCK_NAME, LOCK_NUMBER, LOCK_SECONDS = "one-api-upgrade", 7_108_301_116, 600
LOGS_ONLY = ("logs",)  # the tables of a database that LOG_SQL_DSN names


def upgrade(databases: Databases, config: Config, *, now: int) -> None:
    """Bring the databases to this version. Several processes may call it at once; one works, the others find it done.

    Raises Unfit with one sentence for anything that stops it; the log keeps the traceback.
    """
    _refuse_foreign(databases)
    with explained(databases.engine, "upgrade"):
        _upgrade_main(databases, config, now)
    if databases.separate_logs:
        with explained(databases.log_engine, "upgrade"), alone(databases.log_engine) as connection:
            _revise(connection, only=LOGS_ONLY)
            connection.commit()


def _upgrade_main(databases: Databases, config: Config, now: int) -> None:
    with alone(databases.engine) as connection:
        adopted = not inspect(connection).has_table(_version_table(()))
        _revise(connection, only=())
        with Session(connection, expire_on_commit=False, join_transaction_mode="control_fully") as session, session.begin():
            _hide_access_tokens(session)
            for id, hashed in user.unexamined_roots(session):
                user.examined(session, id, factory=_is_factory(hashed))
            channel.seal_all(session)
            if user.count(session) == 0:
                _first_start(session, config, now)
                option.put_missing(session, settings.NEW_INSTALLATIONS, now=now)
            elif adopted:
                option.put_missing(session, settings.ADOPTED, now=now)
            version.ensure(session)
            ledger.open_accounts(session, now=now)


def require(databases: Databases) -> None:
    """For nodes that must not upgrade: raises Unfit with a sentence when somebody else has to do it first."""
    _refuse_foreign(databases)
    for engine, only in _parts(databases):
        if not _exists(engine):
            raise Unfit(f"There is no {engine.url.database} yet: start the master node, or run `flask db-upgrade`, first.")
        with _connected(engine) as connection:
            if not _current(connection, only):
                raise Unfit(
                    "The database is not ready for this version: start the master node, or run `flask db-upgrade`, first."
                )


def ready(databases: Databases) -> bool:
    """Whether both databases answer and are of this version."""
    try:
        require(databases)
    except Unfit:
        return False
    return True


def plan(databases: Databases) -> list[str]:
    """Return what `upgrade` would do, one line each, without doing it. Raises Unfit with what would stop it."""
    _refuse_foreign(databases)
    lines: list[str] = []
    for engine, only in _parts(databases):
        with explained(engine, "check"):
            lines += _plan(engine, only)
    return lines


def _plan(engine: Engine, only: tuple[str, ...]) -> list[str]:
    place, lines = f"{engine.url.database}: ", []
    if not _exists(engine):
        lines.append(f"{place}create the file and every table in it")
        return lines + [f"{place}make the first account, root"] * (not only)
    with _connected(engine) as connection:
        _refuse_obstacles(connection, only)
        lines += [place + change.says for change in schema.changes(connection, Base.metadata, only or None)]
        lines += [place + line for line in ([] if only else _planned_rows(connection))]
        if not _current(connection, only):
            lines.append(f"{place}note the revision {_head()}")
    return lines


def shared_emails(databases: Databases) -> list[str]:
    """A line for each e-mail address that several accounts have: a person has to decide whose it is."""
    if not _exists(databases.engine):
        return []
    with _connected(databases.engine) as connection, Session(connection) as session:
        whole = schema.has_columns(connection, "users", "id", "username", "email", "status")
        found = account.shared_emails(session) if whole else []
    return [
        f"{len(owners)} accounts have the e-mail address {email}: {', '.join(f'{id} ({name})' for id, name in owners)}. "
        "They sign in with their user names. Leave the address to one of them, or give each its own."
        for email, owners in found
    ]


def charset_lines(databases: Databases) -> list[str]:
    """Return a line for each table of ours on MySQL that cannot hold every text, with what to do."""
    return [
        f"{engine.url.database}: table {table} is {name}, which cannot hold every character: "
        "run `flask --app wsgi db-convert-charset`"
        for engine, _, tables in _narrow(databases)
        for table, name in tables.items()
    ]


def meet_charsets(databases: Databases) -> None:
    """Warn of tables that cannot hold every text, and fit what is searched in them and logged. Called once at the start."""
    for line in charset_lines(databases):
        log.warning("%s", line)
    for engine, _, tables in _narrow(databases):
        charset.watch(engine, tables)


def convert_charsets(databases: Databases) -> Iterator[str]:
    """Convert such tables one after the other; what is done stays done when stopped. Yields a line before each."""
    for engine, _, tables in _narrow(databases):
        for table, name in tables.items():
            yield f"{engine.url.database}: converting {table} from {name}"
            with explained(engine, f"conversion of {table} in"), _connected(engine) as connection:
                charset.convert(connection, table)


def _narrow(databases: Databases) -> Iterator[tuple[Engine, tuple[str, ...], dict[str, str]]]:
    for engine, only in _parts(databases):
        if engine.dialect.name == "mysql":
            with _connected(engine) as connection:
                tables = charset.narrow(connection)
            yield engine, only, {table: name for table, name in tables.items() if not only or table in only}


def log_indexes(databases: Databases) -> Iterator[str]:
    """Make the indexes that large tables still lack, one after the other; what is done stays done when stopped."""
    for engine, only in _parts(databases):
        with _connected(engine) as connection:
            for table in schema.present(connection, Base.metadata, only or None):
                for index in schema.missing_indexes(connection, table):
                    yield str(index.name)
                    schema.create_index_online(connection, index)


def hash_of(access_token: str) -> str:
    return hashlib.sha256(access_token.encode()).hexdigest()


@cache
def _head() -> str:
    """The newest revision, by the heads of the files: a database that is of it needs no Alembic, which is 8 MB of memory."""
    heads = [file.read_text(encoding="utf-8") for file in sorted((FOLDER / "versions").glob("*.py"))]
    pairs = [re.search(r"(?m)^Revision ID: (\w+)\nRevises: ?(\w*)$", head) for head in heads]
    revises = {found[1]: found[2] for found in pairs if found is not None}
    return next(revision for revision in revises if revision not in revises.values())


def _parts(databases: Databases) -> list[tuple[Engine, tuple[str, ...]]]:
    return [(databases.engine, ())] + ([(databases.log_engine, LOGS_ONLY)] if databases.separate_logs else [])


def _exists(engine: Engine) -> bool:
    """Whether there is something to look at; merely connecting would make an empty SQLite file."""
    return engine.dialect.name != "sqlite" or Path(str(engine.url.database)).is_file()


def _version_table(only: tuple[str, ...]) -> str:
    return "alembic_version_logs" if only else "alembic_version"


def _current(connection: Connection, only: tuple[str, ...]) -> bool:
    table = _version_table(only)
    known = inspect(connection).has_table(table)
    return known and list(connection.scalars(text(f"SELECT version_num FROM {table}"))) == [_head()]  # noqa: S608  (ours)


def _revise(connection: Connection, *, only: tuple[str, ...]) -> None:
    """Run the revisions that this database has not seen. `only` names the tables of a database that holds no others."""
    if _current(connection, only):
        return
    _refuse_obstacles(connection, only)
    from alembic.operations import Operations  # here, because most starts find nothing to do
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.script.revision import ResolutionError
    from alembic.util import CommandError

    known = ScriptDirectory(str(FOLDER))
    options = {"fn": lambda heads, _: known._upgrade_revs("head", heads), "script": known, "only": only}
    context = MigrationContext.configure(connection, opts={**options, "version_table": _version_table(only)})
    try:
        with Operations.context(context):
            context.run_migrations()
    except (CommandError, ResolutionError) as error:
        raise Unfit(f"The database was made by a newer version of One API ({error}). Start that version.") from None


def _refuse_foreign(databases: Databases) -> None:
    """Raise Unfit for a database of another project. SQLite files are opened for reading only: not a byte changes."""
    for engine, only in _parts(databases):
        if not _exists(engine):
            continue
        reading = origin.reading(str(engine.url.database)) if engine.dialect.name == "sqlite" else engine
        with _connected(reading, engine.url) as connection:
            try:
                made_by = "" if inspect(connection).has_table(_version_table(only)) else origin.project(connection)
            except DBAPIError as error:  # a file of something else
                raise trouble(error, engine.url) from None
        if made_by:
            source = made_by if made_by != origin.OTHER else origin.NEW_API
            raise Unfit(
                f"The database {engine.url.database} was made by {made_by}, whose tables mean other things; nothing was changed. "
                f"Give One API an empty database and take the data over with `flask --app wsgi import {source} DSN`."
            )


def _refuse_obstacles(connection: Connection, only: tuple[str, ...]) -> None:
    """Raise Unfit for what an operator has added to the database and the upgrade cannot pass."""
    if not _current(connection, only) and (lines := schema.obstacles(connection, Base.metadata, only or None)):
        raise Unfit(" ".join(lines))


@contextmanager
def explained(engine: Engine, work: str) -> Iterator[None]:
    """Turn any exception into Unfit: the step that failed, the driver's own words, and what to do."""
    try:
        yield
    except (Unfit, Invalid):
        raise
    except Exception as error:
        log.error("%s stopped database=%s", work, engine.url.database, exc_info=True)
        step = f" at the step “{error.__notes__[0]}”" if getattr(error, "__notes__", None) else ""
        kept = "What was done is kept" if engine.dialect.name == "mysql" and work == "upgrade" else "Nothing was changed"
        raise Unfit(
            f"The {work} of the {engine.dialect.name} database {engine.url.database} stopped{step}: {cause(error)}. "
            f"{kept}; correct this and start again. The log has the details."
        ) from None


def _planned_rows(connection: Connection) -> Iterator[str]:
    present = schema.tables(connection)
    if "users" not in present:
        yield "make the first account, root"
        return
    with Session(connection) as session:
        if user.count(session) == 0:
            yield "make the first account, root"
        elif not inspect(connection).has_table(_version_table(())):
            stored = option.all_rows(session) if schema.has_columns(connection, "options", "key", "value") else {}
            for key in settings.ADOPTED.keys() - stored.keys():
                yield f"store {key} = {settings.ADOPTED[key]}, as the old project behaved"
        has = partial(schema.has_columns, connection, "users")  # any column may be missing in a database of an old version
        if has("access_token") and (clear := user.count_clear_access_tokens(session)):
            yield f"keep {clear} access tokens as hashes only"
        unasked = not has("must_change_password")
        roots = user.unexamined_roots(session, unasked=unasked) if has("role", "status", "password") else []
        if any(_is_factory(hashed) for _, hashed in roots):
            yield f"ask root for another password than {user.FACTORY_PASSWORD} at the next sign-in"
        if has("email", "id") and (odd := len(account.odd_emails(session))):
            yield f"write {odd} e-mail addresses in one spelling, lower case without blanks"
        opened = 0
        if has("quota"):
            opened = ledger.unexplained(session) if "ledger" in present else user.count(session, with_quota=True)
        if opened:
            yield f"open the ledger for {opened} balances"


@contextmanager
def _connected(engine: Engine, at: URL | None = None) -> Iterator[Connection]:
    """A connection; what keeps it from being one is told in a sentence."""
    late = Unanswered(f"no answer within {deadline.CONNECT_SECONDS} seconds")
    try:
        with gevent.Timeout(deadline.CONNECT_SECONDS, late):
            connection = deadline.without(engine.connect())
    except Unfit:
        raise
    except Exception as error:  # drivers raise TypeError and ValueError too, for parameters that they do not know
        raise trouble(error, at or engine.url) from None
    with connection:
        yield connection


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection that no other process upgrades beside."""
    if not _exists(engine):
        Path(str(engine.url.database)).touch(mode=0o600)  # it will hold secrets
    with _connected(engine) as connection:
        if engine.dialect.name == "sqlite":
            yield from _alone_on_sqlite(connection)
            return
        with _connected(engine) as guard:
            _lock(guard)
            try:
                yield connection
            finally:
                guard.invalidate()  # the lock ends with its connection, whatever happened


def _alone_on_sqlite(connection: Connection) -> Iterator[Connection]:
    """The whole upgrade is one transaction that holds the write lock."""
    waited = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    # Tables are rebuilt under views, triggers and foreign keys of the operator's, which must neither stop it nor follow a
    # table that is dropped.
    connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.rollback()
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {waited}")


def _lock(guard: Connection) -> None:
    if guard.dialect.name == "postgresql":
        # A lock of a transaction: behind a pooler the next statement may reach another session.
        guard.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK_NUMBER})
        return
    name = {"name": f"{LOCK_NAME}:{guard.engine.url.database}"[:64], "seconds": LOCK_SECONDS}
    if guard.execute(text("SELECT GET_LOCK(:name, :seconds)"), name).scalar() != 1:
        raise Unfit(f"Another process has been upgrading the database for {LOCK_SECONDS} seconds; start again when it is done.")


def _hide_access_tokens(session: Session) -> None:
    """Access tokens that the Go project kept in clear are kept as hashes from now on."""
    while found := user.clear_access_tokens(session):
        user.hide_access_tokens(session, [(id, hash_of(clear.strip())) for id, clear in found])


def _is_factory(hashed: str) -> bool:
    try:
        return bcrypt.checkpw(user.FACTORY_PASSWORD.encode(), hashed.encode())
    except (ValueError, AttributeError):
        return False  # no bcrypt hash, or no value


def _first_start(session: Session, config: Config, now: int) -> None:
    """Nobody is there yet: make root. Only an empty table leads here, never an error."""
    chosen = config.initial_root_password
    hashed = bcrypt.hashpw((chosen or user.FACTORY_PASSWORD).encode(), bcrypt.gensalt(10)).decode()
    root = user.User(
        username="root", password=hashed, display_name="Root User", role=user.Role.ROOT, status=user.Status.ENABLED,
        quota=ROOT_QUOTA, must_change_password=not chosen, created_time=now,
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
    if chosen:
        log.warning("Made the first account: root with the password in INITIAL_ROOT_PASSWORD.")
        return
    log.warning("Made the first account: root with password %s. Sign in and choose a new password.", user.FACTORY_PASSWORD)
