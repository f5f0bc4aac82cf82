"""What was served and is not in the database yet, in a file that outlives a process which is killed.

A line takes microseconds and a transaction tenths of a millisecond, so that an answer need not wait for one. A power cut may
take what the last milliseconds wrote.
"""

import fcntl
import logging
import os
from operator import attrgetter
from pathlib import Path

import orjson

from oneapi.models.settlement import STORED, Row
from oneapi.relay.lines import line

log = logging.getLogger(__name__)

HALF = 1024 * 1024  # bytes; about a thousand charges
SUFFIX = ".live"
_values = attrgetter(*STORED)


class Ahead:
    """The file of one worker, in two halves: charges are noted in one while a transaction stores those of the other.

    The worker holds a lock on it as long as it lives; a file without one is a dead worker's, and is replayed (journal.py).
    """

    def __init__(self, path: Path):
        self._path = path.with_suffix(SUFFIX)
        self._file = -1
        self._half = 0
        self._used = [0, 0]
        self._broken = False

    def note(self, row: Row) -> bool:
        """Keep a charge until `clear`; False when it cannot be kept here."""
        data = b"\n%b\n" % line(orjson.dumps(dict(zip(STORED, _values(row), strict=True))))
        half, used = self._half, self._used[self._half]
        if used + len(data) > HALF or (self._file < 0 and not self._open()):
            return False
        try:
            whole = os.pwrite(self._file, data, half * HALF + used) == len(data)
        except OSError:  # the disk is full
            whole = False
        self._used[half] = used + len(data)
        return whole

    def turn(self) -> int:
        """Note in the other half from now on; returns the one that holds everything so far."""
        half, self._half = self._half, 1 - self._half
        return half

    def clear(self, half: int) -> None:
        """What stands in a half is stored."""
        if self._used[half]:
            try:
                os.pwrite(self._file, bytes(self._used[half]), half * HALF)
            except OSError:  # a full disk that copies on write: what stays is replayed harmlessly
                return
            self._used[half] = 0

    def close(self) -> None:
        """Everything is stored."""
        if self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _open(self) -> bool:
        if self._broken:
            return False
        draft, file = self._path.with_suffix(".new"), -1  # nobody may find it before it is locked
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            draft.rename(self._path)
        except OSError as error:  # what is noted where nobody looks is not safe
            self._broken = True
            log.warning("answers wait for the database: %s cannot be written (%s)", self._path, error.strerror)
            if file >= 0:
                os.close(file)
            return False
        self._file = file
        return True


def abandoned(path: Path) -> bool:
    """Whether the worker that wrote the file is dead."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or somebody has just taken it over
        return False
    return True


def behind(folder: Path) -> bool:
    """Whether any worker of this host has charges that the database does not have."""
    return any(_marked(path) for path in folder.glob(f"*{SUFFIX}"))


def _marked(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            return any(os.pread(file.fileno(), 1, half * HALF) > b"\0" for half in (0, 1))
    except OSError:
        return False
