"""Moves old ledger entries into a file of JSON lines: flask ledger archive."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from oneapi import migrate
from oneapi.cli.opening import opened, plainly
from oneapi.db import Databases, begin_immediate
from oneapi.models import ledger, ledger_archive

YOUNGEST = 7 * 86400  # seconds: an entry is also what keeps a charge from being made twice


@click.command("archive")
@click.option("--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC) whose entries stay.")
@click.option("--to", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to add entries to.")
@plainly
def archive(before: datetime, file: Path) -> None:
    """Write ledger entries before a day to a file, and put one opening entry for each user in their place.

    Works beside the service in small steps. Stopped or killed, it goes on when it is run again with the same file.
    """
    databases, moment = opened()[1], int(before.replace(tzinfo=UTC).timestamp())
    migrate.require(databases)
    if moment > datetime.now(UTC).timestamp() - YOUNGEST:
        raise click.ClickException("--before must be at least 7 days ago: younger entries keep charges from being made twice.")
    count = 0
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as out:
        written, last = _written(out), 0
        while (step := _step(databases, out, written, moment, last)) is not None:
            last, moved = step
            count += moved
    with databases.transaction() as session:
        differing = len(ledger.differences(session))
    click.echo(f"{count} entries moved to {file}. Balances that the ledger does not explain: {differing}.")


def _step(databases: Databases, out: IO[bytes], written: set[int], moment: int, last: int) -> tuple[int, int] | None:
    """Archive the next entries: the file has them on the disk before the database forgets them."""
    with databases.transaction() as session:
        found = ledger_archive.batch(session, moment, last)
    if found is None:
        return None
    looked_at, rows = found
    if rows:
        for row in rows:
            if row.id not in written:
                out.write(json.dumps(dict(row._mapping), ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())
        with databases.transaction() as session:
            begin_immediate(session)
            ledger_archive.fold(session, rows, moment)
    return looked_at, len(rows)


def _written(out: IO[bytes]) -> set[int]:
    """The ids that are in the file already; half a line at its end, of a run that was killed, is cut off."""
    ids, end = set[int](), 0
    for line in out:
        if not line.endswith(b"\n"):
            break
        try:
            ids.add(int(json.loads(line)["id"]))
        except (ValueError, KeyError, TypeError):
            raise click.ClickException("The file holds something else than archived ledger entries; give another one.") from None
        end += len(line)
    out.seek(end)
    out.truncate()
    return ids
