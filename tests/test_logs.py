"""Log lines: one per event, found again by request, without secrets, never in the way of a stream."""

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers

from oneapi import logs

ROOT = Path(__file__).parent.parent
log = logging.getLogger("oneapi.test")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that the log is written to; what stood before is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path / "logs"
    if logs._writer is not None:
        root.removeHandler(logs._writer)
        logs._writer.close()
        logs._writer = None
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def begin(folder: Path, **variables: str) -> None:
    logs.init(servers.configured(folder, **{"LOG_DIR": str(folder), **variables}))


def written(folder: Path) -> str:
    logs.flush()
    return "".join(path.read_text() for path in sorted(folder.iterdir()))


def test_a_line_says_when_how_grave_who_and_what(folder: Path) -> None:
    begin(folder)
    logs.request_id.set("req-1")
    log.warning("channel %s rests", 7)
    logs.request_id.set("")
    (line,) = written(folder).splitlines()
    when, rest = line.split(" ", 1)
    assert re.fullmatch(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", when)
    assert rest == 'level=warning logger=oneapi.test request=req-1 message="channel 7 rests"'


def test_nobody_can_forge_a_line(folder: Path) -> None:
    begin(folder)
    log.warning("model %s", 'x"\ntime=now level=error message="forged\r\x1b[31m\u2028')
    (line,) = written(folder).splitlines()
    assert r"\"\ntime=now" in line
    assert "\x1b" not in line
    assert "\u2028" not in line


@pytest.mark.parametrize(
    "text",
    [
        "key sk-HUSHHUSHHUSH",
        "Authorization: Bearer HUSHHUSHHUSHHUSH",
        "authorization=HUSHHUSH",
        "GET https://v.example/x?key=HUSHHUSH&alt=sse",
        "GET https://v.example/x?api_key=HUSHHUSH",
        "GET https://v.example/x?a=1&X-Amz-Signature=HUSHHUSH",
        '{"api_key": "HUSHHUSH"}',
        '{"access_token":"HUSHHUSH"}',
        "x-api-key: HUSHHUSH",
        "password=HUSHHUSH",
        "postgres://root:HUSHHUSH@db/one-api",
        "root:HUSH:HUSH@tcp(db:3306)/one-api",
        "redis://:HUSHHUSH@redis:6379",
        "eyJHUSHHUSHHUSH.HUSHHUSHHUSH.HUSH-HUSH",
        "AIzaHUSHHUSHHUSHHUSH",
    ],
)
def test_what_looks_like_a_secret_is_not_written(folder: Path, text: str) -> None:
    begin(folder)
    log.error("before %s after", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("it failed")
    found = written(folder)
    assert "HUSH" not in found
    assert "***" in found
    assert "before" in found
    assert "ValueError" in found


def test_what_is_no_secret_stays_readable() -> None:
    plain = "channel 3 answered 429 for gpt-4o-mini in 250 ms; token 12 of user 4 on https://api.example.com/v1/chat?stream=true"
    assert logs.scrub(plain) == plain


def test_an_error_shows_where_but_not_everything_that_was_said(folder: Path) -> None:
    begin(folder)
    try:
        raise RuntimeError("once upon a time " * 200)
    except RuntimeError:
        log.exception("it failed")
    (line,) = written(folder).splitlines()
    assert "test_logs.py" in line
    assert line.count("once upon a time") < 20


def test_a_long_message_is_cut(folder: Path) -> None:
    begin(folder)
    log.error("x" * 100_000)
    found = written(folder)
    assert len(found) < 5_000
    assert "100000 characters" in found


def test_files_are_by_day_and_old_ones_go(folder: Path) -> None:
    folder.mkdir()
    for name in ("oneapi-20200101.log", "oneapi-20991231.log", "other.log", "oneapi-20200101.log.gz"):
        (folder / name).touch()
    begin(folder, LOG_KEEP_DAYS="3")
    log.warning("today")
    logs.flush()
    today = time.strftime("oneapi-%Y%m%d.log")
    assert {p.name for p in folder.iterdir()} == {today, "oneapi-20991231.log", "other.log", "oneapi-20200101.log.gz"}
    assert (folder / today).stat().st_mode & 0o007 == 0


def test_one_file_when_asked_for(folder: Path) -> None:
    begin(folder, ONLY_ONE_LOG_FILE="true")
    log.warning("first")
    begin(folder, ONLY_ONE_LOG_FILE="true")
    log.warning("second")
    logs.flush()
    assert [p.name for p in folder.iterdir()] == ["oneapi.log"]
    assert len((folder / "oneapi.log").read_text().splitlines()) == 2


def test_a_new_day_begins_a_new_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(folder)
    log.warning("yesterday")
    logs.flush()
    monkeypatch.setattr(logs._writer, "_day", "20000101")  # as if it had been opened then
    before = {p.stat().st_ino for p in folder.iterdir()}
    (yesterday,) = folder.iterdir()
    yesterday.rename(folder / "oneapi-20991231.log")
    log.warning("today")
    logs.flush()
    assert len({p.stat().st_ino for p in folder.iterdir()} - before) == 1


def test_debug_shows_more_lines(folder: Path) -> None:
    begin(folder)
    log.debug("quiet")
    begin(folder, DEBUG="true")
    log.debug("loud")
    found = written(folder)
    assert "loud" in found
    assert "quiet" not in found


def test_a_disk_that_does_not_take_anything_stops_nobody(folder: Path) -> None:
    begin(folder)
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    log.warning("nowhere to go")
    logs.flush()
    assert folder.read_text() == "a file where the folder should be"


CHILD = """
from gevent import monkey
monkey.patch_all()
import logging, os, sys
sys.path[:0] = sys.argv[2:]
import servers
from pathlib import Path
from oneapi import logs
logs.init(servers.configured(Path(sys.argv[1]), LOG_DIR=sys.argv[1], ONLY_ONE_LOG_FILE="true"))
logging.getLogger("oneapi").warning("from the parent")
child = os.fork()
logging.getLogger("oneapi").warning("from the child" if child == 0 else "from the parent again")
if child:
    os.waitpid(child, 0)
"""


def test_lines_are_written_after_a_fork_to_the_file_and_standard_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(ROOT), str(ROOT / "tests")]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert ended.returncode == 0, ended.stderr
    for found in (ended.stderr, (tmp_path / "oneapi.log").read_text()):
        said = sorted(re.findall(r'message="([^"]*)"', found))
        assert said == ["from the child", "from the parent", "from the parent again"]
