"""Databases for tests: a SQLite file, and one on MariaDB and PostgreSQL when those servers answer on this machine."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import URL, Engine, create_engine

from oneapi import config, create_app, jobs
from oneapi.db import Databases

LEGACY = Path(__file__).parent / "fixtures" / "legacy"
PORTS = {"mysql": 3306, "postgresql": 5432}
KINDS = ("sqlite", "mysql", "postgresql")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def needs(kind: str, port: int) -> None:
    """Skip where the server is missing, but fail where everything must be tested."""
    if answers(port):
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must test {kind}, but nothing answers on 127.0.0.1:{port}")
    pytest.skip(f"no {kind} answers on 127.0.0.1:{port}")


def server(kind: str) -> Engine:
    url = {
        "mysql": URL.create("mysql+pymysql", "root", host="127.0.0.1", query={"charset": "utf8mb4"}),
        "postgresql": URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", database="postgres"),
    }[kind]
    return create_engine(url, isolation_level="AUTOCOMMIT")


@contextmanager
def fresh(kind: str, folder: Path, suffix: str = "") -> Iterator[str]:
    """The DSN of an empty database of this kind, dropped afterwards; for SQLite the path of a file that is not there yet."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / f'one-api{suffix}.db'}"
        return
    needs(kind, PORTS[kind])
    name = f"oneapi_test_{os.getpid()}{suffix}"
    engine = server(kind)
    force = " WITH (FORCE)" if kind == "postgresql" else ""
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}{force}")
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield f"root:@tcp(127.0.0.1:3306)/{name}" if kind == "mysql" else f"postgres://postgres@127.0.0.1:5432/{name}"
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}{force}")
        engine.dispose()


def configured(folder: Path, **variables: str) -> config.Config:
    return config.load({"INSTANCE_PATH": str(folder), "LOG_DIR": "", **variables})


@contextmanager
def opened(settings: config.Config) -> Iterator[Databases]:
    """The databases of a configuration, without the application around them."""
    databases = Databases(settings, Flask("test", instance_path=str(Path(settings.instance_path).absolute())))
    try:
        yield databases
    finally:
        databases.dispose()


@contextmanager
def application(environment: dict[str, str]) -> Iterator[Flask]:
    """The whole application in an environment, ended in good order."""
    made = create_app(config.load(environment))
    made.config["TESTING"] = True
    yield made
    jobs.stop()
    made.extensions["oneapi.relay"].ledger.stop()
    made.extensions["oneapi"].databases.dispose()


def build_legacy(engine: Engine) -> None:
    """Fill an empty database as the Go project would have left it."""
    kind = engine.dialect.name
    with engine.begin() as connection:
        for statement in statements(LEGACY / f"{kind}.sql"):
            connection.exec_driver_sql(statement)
        if kind == "mysql":
            connection.exec_driver_sql("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")
        for statement in statements(LEGACY / "rows.sql"):
            connection.exec_driver_sql(statement)
        if kind == "mysql":
            connection.exec_driver_sql("SET sql_mode = DEFAULT")
        if kind == "postgresql":
            for table in ("users", "tokens", "channels", "redemptions", "logs"):
                connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")


def statements(path: Path) -> list[str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("--")]
    return [s for s in (part.strip() for part in "\n".join(lines).split(";\n")) if s.rstrip(";")]
