"""Journal of charges and log rows that a database did not get: it was away, or the worker was killed. Replayed exactly once."""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from oneapi.fields import Invalid
from oneapi.models.settlement import STORED, Row
from oneapi.relay import ahead, lines

log = logging.getLogger(__name__)

REJECTED = "rejected.txt"
LOGS = "logs"  # the part that keeps log rows whose charges are in the database already
PROBE_BYTES = 65536


class Journal:
    """One file per worker; files of dead workers are taken over by whoever finds them.

    A file is renamed before it is replayed, and locked meanwhile: a replay that is killed is taken up by the next.
    """

    def __init__(self, folder: str, worker: str, part: str = ""):
        self.folder = Path(folder) / "journal" / part
        self.path = self.folder / f"{_stem(worker)}.jsonl"
        self.pending = False
        self.look()

    def look(self) -> None:
        """See whether anybody has left something."""
        self.pending = self.folder.is_dir() and bool(self._files())

    def _files(self) -> list[Path]:
        dead = filter(ahead.abandoned, self.folder.glob(f"*{ahead.SUFFIX}"))
        return sorted([*self.folder.glob("*.jsonl"), *self.folder.glob("*.replaying"), *dead])

    def holds(self, worker: str) -> bool:
        """Whether charges of a worker wait here: what it leased must pay them before it goes back."""
        return any(path.suffix in (".jsonl", ".replaying", ahead.SUFFIX) for path in self.folder.glob(f"{_stem(worker)}.*"))

    def append(self, rows: list[Row]) -> None:
        """Keep settlements until the database is back; they are on disk when this returns. Raises OSError."""
        if rows:
            self._write(self.path, map(_line, rows))
            self.pending = True

    def reject(self, row: Row) -> None:
        """Keep a settlement that no database takes, for people to read."""
        self._write(self.folder / REJECTED, [_line(row)])

    def writable(self) -> bool:
        """Whether the disk takes another few charges."""
        probe = self.folder / f"{self.path.stem}.probe"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileIO(probe, "w") as file:
                _write_all(file, bytes(PROBE_BYTES))
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with suppress(OSError):
                probe.unlink()
        return True

    def _write(self, path: Path, texts: Iterable[bytes]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._open(path) as file:
            end = file.seek(0, os.SEEK_END)
            torn = b"\n" if end and os.pread(file.fileno(), 1, end - 1) != b"\n" else b""
            try:
                _write_all(file, torn + b"".join(text + b"\n" for text in texts))
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(end)  # half a line would look like a damaged one
                raise

    @staticmethod
    def _open(path: Path) -> FileIO:
        while True:
            file = FileIO(path, "a+")
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
            file.close()  # somebody has begun to replay it

    def replay(self, write: Callable[[list[Row]], Any]) -> int:
        """Write every kept settlement and forget it; returns how many. Raises what `write` raises, and keeps the rest then."""
        count = 0
        for path in self._files():
            claimed = path
            if path.suffix != ".replaying":
                halves = ahead.SUFFIX if path.suffix == ahead.SUFFIX else ""
                claimed = path.with_suffix(f".{os.urandom(4).hex()}{halves}.replaying")
            try:
                path.rename(claimed)
                file = FileIO(claimed)
            except FileNotFoundError:
                continue  # another worker was first
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # another worker is at it
                rows, damaged = _read(file.readall() or b"", halves=ahead.SUFFIX in claimed.suffixes)
                for start in range(0, len(rows), 200):
                    write(rows[start : start + 200])
                if damaged:
                    self._write(self.folder / REJECTED, damaged)
                    log.critical("journal=%s lines=%d damaged; see %s", path.name, len(damaged), self.folder / REJECTED)
                claimed.unlink(missing_ok=True)
            count += len(rows)
        self.look()
        return count


def rejected(folder: str) -> list[tuple[Path, int]]:
    """The files of lines that could not be read or stored, each with how many it has."""
    places = (Path(folder) / "journal" / part / REJECTED for part in ("", LOGS))
    return [(path, path.read_bytes().count(b"\n")) for path in places if path.is_file()]


def check(folder: str) -> None:
    """Try to write where the journal is, or will be when it is needed; raises Invalid with what to do."""
    made = Path(folder) / "journal"
    place = made if made.exists() else Path(folder)
    probe = place / f"start-{os.getpid()}.probe"
    try:
        place.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        said = f"INSTANCE_PATH: {place.absolute()} cannot be written ({error.strerror}). The journal of charges is kept there; "
        raise Invalid({"instance_path": said + "make it a writable folder."}) from None


def _stem(worker: str) -> str:
    return worker.replace(":", "-")


def _line(row: Row) -> bytes:
    return lines.line(json.dumps({name: getattr(row, name) for name in STORED}).encode())


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _read(data: bytes, *, halves: bool) -> tuple[list[Row], list[bytes]]:
    rows: list[Row] = []
    damaged: list[bytes] = []
    for part in (data[: ahead.HALF], data[ahead.HALF :]) if halves else (data,):
        more, bad = lines.read(part)
        rows += more
        damaged += bad
    return rows, damaged
