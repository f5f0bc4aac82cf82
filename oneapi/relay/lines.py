"""Lines of the journal and of the write-ahead log: a charge as JSON behind its checksum."""

import json
import zlib

from oneapi.models.settlement import Row


def line(data: bytes) -> bytes:
    """Return the line of a charge that is JSON already, without a newline."""
    return b"%08x %b" % (zlib.crc32(data), data)


def read(data: bytes) -> tuple[list[Row], list[bytes]]:
    """Return the charges of a file, or of one half of a write-ahead log, and the lines that cannot be read.

    What stands after the last newline was being written when the machine stopped, so it was never promised to anybody.
    """
    rows: list[Row] = []
    damaged: list[bytes] = []
    *whole, last = data.rstrip(b"\0").split(b"\n")
    for text in filter(None, whole):
        row = _row(text)
        if row is None:
            damaged.append(text)
        else:
            rows.append(row)
    if last and (row := _row(last)) is not None:
        rows.append(row)
    return rows, damaged


def _row(text: bytes) -> Row | None:
    """The charge of a line, also of one without a checksum, as earlier versions wrote them; None when it is damaged."""
    try:
        if text[:1] != b"{":
            checksum, _, text = text.partition(b" ")
            if int(checksum, 16) != zlib.crc32(text):
                return None
        return Row(**json.loads(text))
    except (ValueError, TypeError):
        return None
