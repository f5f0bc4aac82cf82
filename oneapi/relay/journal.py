"""What was served and could not be written because the database is away. Kept in a file, replayed harmlessly."""

import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from oneapi.models.settlement import Row

NOT_STORED = {"user_purse", "token_purse"}
STORED = tuple(f.name for f in fields(Row) if f.name not in NOT_STORED)


class Journal:
    """One file per worker; files of dead workers are taken over by whoever finds them."""

    def __init__(self, folder: str, worker: str):
        self._folder = Path(folder) / "journal"
        self._path = self._folder / f"{worker.replace(':', '-')}.jsonl"
        self.pending = self._folder.is_dir() and any(self._folder.glob("*.jsonl"))

    def append(self, rows: list[Row]) -> None:
        """Keep settlements until the database is back; they are on disk when this returns."""
        if not rows:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps({name: getattr(row, name) for name in STORED}, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.pending = True

    def replay(self, write: Callable[[list[Row]], Any]) -> int:
        """Write every kept settlement and forget it; returns how many. Raises what `write` raises, and keeps the rest then."""
        count = 0
        for path in sorted(self._folder.glob("*.jsonl")):
            claimed = path.with_suffix(".replaying")
            try:
                path.rename(claimed)
            except FileNotFoundError:
                continue  # another worker was first
            try:
                rows = [
                    Row(**json.loads(line)) for line in claimed.read_text(encoding="utf-8").splitlines() if line.endswith("}")
                ]
                for start in range(0, len(rows), 200):
                    write(rows[start : start + 200])
            except BaseException:
                claimed.rename(path)
                raise
            claimed.unlink()
            count += len(rows)
        self.pending = any(self._folder.glob("*.jsonl"))
        return count
