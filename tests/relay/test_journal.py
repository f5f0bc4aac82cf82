"""Lines of the journal and of the write-ahead log carry a checksum: damaged ones are put aside, torn ones were never promised."""

import json
import logging
from pathlib import Path

import pytest

from oneapi.models.settlement import STORED, Row
from oneapi.relay import ahead
from oneapi.relay.ahead import Ahead
from oneapi.relay.journal import Journal, rejected


def row(number: int) -> Row:
    return Row(f"r{number}", 1, 1, 1, 1, "gpt-4o-mini", 10, log={"content": "ř"})


@pytest.fixture
def kept(tmp_path: Path) -> Journal:
    """A journal of three charges."""
    journal = Journal(str(tmp_path), "dead:1:x")
    journal.append([row(1), row(2)])
    journal.append([row(3)])
    return journal


def replayed(folder: Path) -> list[str]:
    """The request ids that a replay writes."""
    written: list[Row] = []
    Journal(str(folder), "next:2:y").replay(written.extend)
    return [each.request_id for each in written]


def put_aside(folder: Path) -> bytes:
    path = folder / "journal" / "rejected.txt"
    return path.read_bytes() if path.exists() else b""


DAMAGES = {
    "a digit": lambda line: line.replace(b'"cost": 10', b'"cost": 11'),
    "a bit of the text": lambda line: line.replace(b"gpt-4o", b"gqt-4o"),
    "the checksum": lambda line: b"00000000" + line[8:],
    "no checksum": lambda line: line[4:],
    "a hole": lambda line: line[:30] + bytes(20) + line[50:],
    "a hole at the end": lambda line: line[:-20] + bytes(20),
    "a cut": lambda line: line[:40],
    "no text": lambda line: b"\xff\xfe",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_damaged_line_of_a_journal_is_put_aside_and_the_others_are_charged(
    kept: Journal, tmp_path: Path, damage: str, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    lines = kept.path.read_bytes().splitlines()
    damaged = lines[at] = DAMAGES[damage](lines[at])
    kept.path.write_bytes(b"\n".join(lines) + b"\n")
    assert replayed(tmp_path) == [f"r{number}" for number in (1, 2, 3) if number != at + 1]
    assert put_aside(tmp_path) == damaged + b"\n"
    assert rejected(str(tmp_path)) == [(tmp_path / "journal" / "rejected.txt", 1)]
    assert [r.levelno for r in caplog.records if "damaged" in r.getMessage()] == [logging.CRITICAL]
    assert replayed(tmp_path) == []


@pytest.mark.parametrize("end", [b'0123abcd {"request_id": "r4", "crea', b"0123", b'{"request_id": "r4"', b"\0\0\0"])
def test_a_torn_last_line_of_a_journal_is_no_damage(kept: Journal, tmp_path: Path, end: bytes) -> None:
    with kept.path.open("ab") as file:
        file.write(end)
    assert replayed(tmp_path) == ["r1", "r2", "r3"]
    assert put_aside(tmp_path) == b""


def test_what_is_appended_after_a_torn_line_can_be_read(kept: Journal, tmp_path: Path) -> None:
    with kept.path.open("ab") as file:
        file.write(b'0123abcd {"request_id": "r4", "crea')
    kept.append([row(5)])
    assert replayed(tmp_path) == ["r1", "r2", "r3", "r5"]


def test_lines_without_a_checksum_are_read(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    values = [json.dumps({name: getattr(row(number), name) for name in STORED}) for number in (1, 2)]
    (tmp_path / "journal" / "old-1-x.jsonl").write_text("\n".join(values) + "\n")
    assert replayed(tmp_path) == ["r1", "r2"] and put_aside(tmp_path) == b""


def abandoned(folder: Path) -> Path:
    """The write-ahead log of a dead worker: two charges in the first half, one in the second."""
    log = Ahead(folder / "journal" / "dead-1-x.jsonl")
    assert log.note(row(1)) and log.note(row(2))
    log.turn()
    assert log.note(row(3))
    (path,) = (folder / "journal").glob("*.live")
    copy = path.read_bytes()
    log.close()
    path.write_bytes(copy)
    return path


@pytest.mark.parametrize("damage", [b"gqt-4o-mini", bytes(11)])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_damaged_line_of_a_write_ahead_log_is_put_aside(
    tmp_path: Path, damage: bytes, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = abandoned(tmp_path)
    data = path.read_bytes()
    place = data.index(b"gpt-4o-mini", data.index(b'"r%d"' % at))
    path.write_bytes(data[:place] + damage + data[place + 11 :])
    assert replayed(tmp_path) == [f"r{number}" for number in (1, 2, 3) if number != at]
    assert put_aside(tmp_path).count(b"\n") == 1 and b'"r%d"' % at in put_aside(tmp_path)
    assert [r.levelno for r in caplog.records if "damaged" in r.getMessage()] == [logging.CRITICAL]


@pytest.mark.parametrize(("at", "left"), [(2, ["r1", "r3"]), (3, ["r1", "r2"])])
def test_a_line_of_a_write_ahead_log_that_was_being_written_is_no_damage(tmp_path: Path, at: int, left: list[str]) -> None:
    path = abandoned(tmp_path)
    data = path.read_bytes()
    cut = data.index(b'"r%d"' % at) + 20
    end = ahead.HALF if at == 2 else len(data)
    path.write_bytes(data[:cut] + bytes(end - cut) + data[end:])
    assert replayed(tmp_path) == left and put_aside(tmp_path) == b""


def test_a_journal_says_whether_it_can_be_written(tmp_path: Path) -> None:
    assert Journal(str(tmp_path), "a:1:x").writable()
    assert not list((tmp_path / "journal").iterdir())
    (tmp_path / "journal").rmdir()
    (tmp_path / "journal").write_text("no folder")
    assert not Journal(str(tmp_path), "a:1:x").writable()
