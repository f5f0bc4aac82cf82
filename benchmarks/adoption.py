"""Measures the first start on a database of the Go project with a million log rows: python -m benchmarks.adoption.

The database is built from the dumps that the tests use, filled with log rows of the old columns, and opened in place; printed
is how long the upgrade before the first request takes, and how long `flask log-indexes` takes afterwards, beside the service.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks import installation
from benchmarks.installation import Requests, Size
from oneapi import config, migrate
from oneapi.db import Databases

DUMPS = installation.REPOSITORY / "tests" / "fixtures" / "legacy"
NEW = ("detail",)  # columns of logs that the old project does not have


def build(kind: str, connection: Any, dump: Path) -> None:
    if kind == "sqlite":
        connection.driver_connection.executescript(dump.read_text())
    else:
        connection.cursor().execute(dump.read_text())
    connection.commit()


def measure(kind: str, size: Size) -> None:
    with installation.place(kind) as environment:
        settings = config.load(environment)
        databases = Databases(settings, installation.bare_app(environment))
        connection: Any = databases.engine.raw_connection()
        build(kind, connection, DUMPS / f"{kind}.sql")
        connection.cursor().execute("DELETE FROM logs")
        rows = ({k: v for k, v in row.items() if k not in NEW} for row in Requests(size, int(time.time())).rows())
        count = installation.insert(kind, connection, "logs", rows)
        connection.close()
        started = time.perf_counter()
        migrate.upgrade(databases, settings, now=int(time.time()))
        upgraded = time.perf_counter() - started
        started = time.perf_counter()
        names = list(migrate.log_indexes(databases))
        print(f"{kind}: {count:,} log rows, upgraded in {upgraded:.2f} s,", end=" ")
        print(f"then {len(names)} indexes in {time.perf_counter() - started:.1f} s")
        databases.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=Size.logs)
    flags = parser.parse_args()
    for database in ("sqlite", "postgresql"):
        measure(database, Size(logs=flags.logs))
