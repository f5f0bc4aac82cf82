"""What was served and the database did not get: it was away, or the worker was killed. Kept in files, replayed harmlessly."""

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from oneapi.models.settlement import STORED, Row
from oneapi.relay import ahead


class Journal:
    """One file per worker; files of dead workers are taken over by whoever finds them.

    A file is renamed before it is replayed, and locked meanwhile: a replay that is killed is taken up by the next.
    """

    def __init__(self, folder: str, worker: str):
        self.folder = Path(folder) / "journal"
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
        """Keep settlements until the database is back; they are on disk when this returns."""
        if rows:
            self._write(self.path, rows)
            self.pending = True

    def reject(self, row: Row) -> None:
        """Keep a settlement that no database takes, for people to read."""
        self._write(self.folder / "rejected.txt", [row])

    def _write(self, path: Path, rows: list[Row]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._open(path) as file:
            for row in rows:
                file.write(json.dumps({name: getattr(row, name) for name in STORED}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _open(path: Path) -> TextIO:
        while True:
            file = path.open("a", encoding="utf-8")
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
            file.close()  # somebody has begun to replay it

    def replay(self, write: Callable[[list[Row]], Any]) -> int:
        """Write every kept settlement and forget it; returns how many. Raises what `write` raises, and keeps the rest then."""
        count = 0
        for path in self._files():
            claimed = path if path.suffix == ".replaying" else path.with_suffix(f".{os.urandom(4).hex()}.replaying")
            try:
                path.rename(claimed)
                file = claimed.open(encoding="utf-8", errors="replace")  # a line may be cut anywhere
            except FileNotFoundError:
                continue  # another worker was first
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # another worker is at it
                rows = [row for line in file if (row := _row(line)) is not None]
                for start in range(0, len(rows), 200):
                    write(rows[start : start + 200])
                claimed.unlink(missing_ok=True)
            count += len(rows)
        self.look()
        return count


def _stem(worker: str) -> str:
    return worker.replace(":", "-")


def _row(line: str) -> Row | None:
    """The settlement of a line; None for one that was cut off when the machine stopped, and so was never promised."""
    try:
        return Row(**json.loads(line.strip("\0\n")))
    except (ValueError, TypeError):
        return None
