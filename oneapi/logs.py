"""Log lines: key=value, scrubbed of secrets, written by a thread of the system so that no stream waits for a disk."""

import atexit
import logging
import os
import re
import time
import traceback
from _queue import SimpleQueue  # the one of the system's threads, also after gevent has patched `queue`
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path

from gevent import monkey

from oneapi.config import Config
from oneapi.fields import Invalid

request_id: ContextVar[str] = ContextVar("request_id", default="")

LONGEST = 4_000  # characters of one message
WAITING = 20_000  # lines that may wait for the disk; more are counted and dropped

_start_thread: Callable[..., int] = monkey.get_original("_thread", "start_new_thread")
_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")

# Each begins with fixed text: what clients send ends in logs, and a pattern that looks back would take them minutes.
SECRETS = (
    (re.compile(r"\bsk-[\w-]{6,}"), "sk-***"),
    (re.compile(r"(?i)\b(bearer|basic|key|token)(\s+)[\w.~+/=-]{12,}"), r"\1\2***"),
    (re.compile(r"(?i)([?&](?:[\w-]{0,40}(?:key|token|secret|signature|password|code|state)|sig)=)[^&\s\"']+"), r"\1***"),
    (
        re.compile(
            r"(?i)((?:authorization|api[-_]?key|secret|password|passwd|access[-_]?token)[\"']?\s{0,9}[:=]\s{0,9}[\"']?)[^\s\"',;&}]+"
        ),
        r"\1***",
    ),
    (re.compile(r"(://[^/\s:@]{0,99}:)[^/\s@]{1,199}@"), r"\1***@"),
    (re.compile(r"(:)[^\s]{1,199}?(@(?:tcp|unix)\()"), r"\1***\2"),
    (re.compile(r"\b(AIza|AKIA|ghp_|xox[bp]-|eyJ)[\w.-]{12,}"), r"\1***"),
)


def scrub(text: str) -> str:
    """The text without anything that looks like a key, a password or a signed address."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def one_line(text: str) -> str:
    """The text with line ends and control characters written as escapes: nobody can forge a line."""
    if text.isprintable() and "\\" not in text and '"' not in text:
        return text
    marks = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(marks.get(c) or (c if c.isprintable() else f"\\u{ord(c):04x}") for c in text)


class Line(logging.Formatter):
    """time=… level=… logger=… request=… message="…" """

    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        message = scrub(said[:LONGEST]) + (f"… ({len(said)} characters)" if len(said) > LONGEST else "")
        when = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        parts = [f"time={when}", f"level={record.levelname.lower()}", f"logger={record.name}"]
        request = getattr(record, "request", "") or request_id.get()
        if request:
            parts.append(f"request={one_line(str(request)).replace(' ', '_')}")
        parts.append(f'message="{one_line(message)}"')
        if record.exc_info and record.exc_info[1]:
            parts.append(f'trace="{one_line(trace(record.exc_info[1]))}"')
        return " ".join(parts)


def trace(error: BaseException) -> str:
    """Where it happened. Of the message only the beginning: it may quote what somebody sent."""
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[-12:])
    return scrub("".join(frames)) + f"{type(error).__name__}: {scrub(str(error)[:300])}"


class Writer(logging.Handler):
    """Hands lines to one thread that writes them to standard error and the day's file."""

    def __init__(self, folder: str, *, single: bool, keep_days: int, stderr: int | None = 2):
        super().__init__()
        self.folder, self.single, self.keep_days, self.stderr = Path(folder) if folder else None, single, keep_days, stderr
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        self.lost, self._closed = 0, False
        self._said = self._written = 0  # lines
        self._file, self._day = -1, ""
        self._start()
        os.register_at_fork(after_in_child=self._start)  # threads do not survive a fork

    def emit(self, record: logging.LogRecord) -> None:
        if self.lines.qsize() >= WAITING:
            self.lost += 1
            return
        try:
            self.lines.put(self.format(record))
            self._said += 1
        except Exception:  # a line that cannot be formatted must not break what it tells about
            self.handleError(record)

    def flush(self, seconds: float = 2.0) -> None:
        """Wait until everything said so far is written."""
        end = time.monotonic() + seconds
        while self._written < self._said and time.monotonic() < end:
            _sleep(0.002)

    def close(self) -> None:
        """Write what waits and end the thread."""
        self.flush()
        self._closed = True
        self.lines.put(None)
        super().close()

    def _start(self) -> None:
        if self._closed:
            return
        self._said = self._written = 0
        self.lines = SimpleQueue()  # after a fork, what waited is the parent's to write
        _start_thread(self._run, (self.lines,))

    def _run(self, lines: SimpleQueue[str | None]) -> None:
        while (line := lines.get()) is not None:
            batch = [line]
            while not lines.empty() and len(batch) < 500 and (line := lines.get()) is not None:
                batch.append(line)
            text = "".join(f"{line}\n" for line in batch)
            if self.lost:
                text += f'level=warning logger={__name__} message="{self.lost} lines were dropped: the disk is too slow"\n'
                self.lost = 0
            self._write(text.encode("utf-8", "backslashreplace"))
            self._written += len(batch)
            if line is None:
                return

    def _write(self, data: bytes) -> None:
        for file in (self.stderr, self._today()):
            if file is not None and file >= 0:
                try:
                    os.write(file, data)
                except OSError:  # a full disk or a closed terminal: nowhere left to say so
                    continue

    def _today(self) -> int:
        """The file of the day, opened anew when the day changes."""
        if self.folder is None:
            return -1
        day = "" if self.single else time.strftime("%Y%m%d")
        if self._file >= 0 and day == self._day:
            return self._file
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = "oneapi.log" if self.single else f"oneapi-{day}.log"
            opened = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        except OSError:
            return -1
        if self._file >= 0:
            os.close(self._file)
        self._file, self._day = opened, day
        self._sweep()
        return opened

    def _sweep(self) -> None:
        """Delete the files of days that are no longer kept."""
        if self.folder is None or self.single or not self.keep_days:
            return
        oldest = time.strftime("oneapi-%Y%m%d.log", time.localtime(time.time() - self.keep_days * 86400))
        for path in self.folder.glob("oneapi-????????.log"):
            if path.name < oldest:
                path.unlink(missing_ok=True)


_writer: Writer | None = None


def init(config: Config) -> None:
    """Send every log line of the process through our writer. Calling it again replaces the former settings."""
    global _writer
    if config.tz:
        os.environ["TZ"] = config.tz  # from .env it came too late for the C library
        time.tzset()
    root = logging.getLogger()
    if _writer is not None:
        root.removeHandler(_writer)
        _writer.close()
    _check(config.log_dir)
    _writer = Writer(config.log_dir, single=config.only_one_log_file, keep_days=config.log_keep_days)
    _writer.setFormatter(Line())
    root.addHandler(_writer)
    root.setLevel(logging.DEBUG if config.debug else logging.INFO)
    for noisy in ("alembic", "urllib3", "requests", "flask_limiter", "MARKDOWN", "httpx", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO if config.debug_sql else logging.WARNING)
    logging.captureWarnings(True)


def _check(folder: str) -> None:
    """Nobody should find out about a folder that takes no lines when they need them."""
    if not folder:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid({"log_dir": _unwritable(folder, str(error.strerror))}) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Invalid({"log_dir": _unwritable(folder, "it is not writable")})


def _unwritable(folder: str, why: str) -> str:
    return f"LOG_DIR: no log can be kept in {folder} ({why}); name another folder, or none to log to standard error only."


def flush() -> None:
    if _writer is not None:
        _writer.flush()


atexit.register(flush)
