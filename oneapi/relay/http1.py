"""HTTP/1.1 as bytes: request heads out, answer heads in, and chunked bodies taken apart. Pure, strict, without sockets."""

import re
from collections.abc import Iterator, Mapping

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
MAX_HEAD = 64 * 1024
_MAX_SIZE_LINE = 256
_MAX_TRAILERS = 8 * 1024
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_STATUSES: dict[bytes, tuple[int, bool]] = {}  # as _SIZES below
_UNUSUAL = re.compile(rb"\r\n(?:connection|transfer-encoding|content-encoding):")
_SIZES: dict[bytes, int] = {}  # chunk sizes repeat, and a lookup is a fifth of a parse


class Malformed(ValueError):
    """Bytes that are not HTTP/1.1."""


class Headers(Mapping[str, str]):
    """The headers of an answer by lower-case name, parsed when first looked at; repeated ones are joined with ", "."""

    __slots__ = ("block", "_all")

    def __init__(self, block: bytes):
        self.block = block  # the head after the status line, without the empty line
        self._all: dict[str, str] | None = None

    def _parsed(self) -> dict[str, str]:
        if self._all is None:
            found: dict[str, str] = {}
            for line in self.block.decode("latin-1").split("\r\n"):
                name, colon, value = line.partition(":")
                if colon:
                    name, value = name.strip().lower(), value.strip()
                    found[name] = f"{found[name]}, {value}" if name in found else value
            self._all = found
        return self._all

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name]

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # spares the exception
        return self._parsed().get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __repr__(self) -> str:
        return f"Headers({self._parsed()!r})"


NO_HEADERS = Headers(b"")


class Head:
    """What the head of an answer says. `length` is None when the body ends with the connection or is chunked."""

    __slots__ = ("status", "headers", "length", "chunked", "keep", "encoding")

    def __init__(self, block: bytes):
        line, _, rest = block.partition(b"\r\n")
        self.status, keep = _STATUSES.get(line) or _status(line)
        self.headers = Headers(rest)
        low = b"\r\n" + rest.lower()
        self.chunked, self.keep, self.encoding = False, keep, ""
        self.length: int | None = None
        if not _UNUSUAL.search(low):  # a length, or the end of the connection, and nothing else to look at
            self.length = _length(_value(low, b"\r\ncontent-length:"))
            return
        connection = _value(low, b"\r\nconnection:")
        self.keep = b"close" not in connection if keep else b"keep-alive" in connection
        coding = _value(low, b"\r\ntransfer-encoding:")
        if coding:
            if coding != b"chunked":
                raise Malformed("the answer has a transfer encoding we do not know")
            self.chunked = True
            self.keep = self.keep and b"\r\ncontent-length:" not in low
        else:
            self.length = _length(_value(low, b"\r\ncontent-length:"))
        encoding = _value(low, b"\r\ncontent-encoding:")
        self.encoding = "" if encoding == b"identity" else encoding.decode("latin-1")


def _status(line: bytes) -> tuple[int, bool]:
    """The number in a status line, and whether its protocol keeps connections unless told otherwise."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise Malformed("the answer does not begin with an HTTP/1.1 status line")
    if len(_STATUSES) < 256 and len(line) < 64:
        _STATUSES[line] = int(match[2]), match[1] == b"1"
    return int(match[2]), match[1] == b"1"


def _value(low: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-case head, b"" when absent; equal repetitions count as one."""
    start = low.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = low.find(b"\r\n", start)
    value = low[start : end if end >= 0 else len(low)].strip()
    if end >= 0 and low.find(name, end) >= 0 and _value(low[end:], name) != value:
        raise Malformed(f"the answer has contradicting {name[2:-1].decode()} headers")
    return value


def _length(text: bytes) -> int | None:
    if text.isdigit() and len(text) <= 15:
        return int(text)
    if not text:
        return None
    first = text.split(b",")[0].strip()
    if not first.isdigit() or len(first) > 15 or any(part.strip() != first for part in text.split(b",")):
        raise Malformed("the answer has a content length that is no number")
    return int(first)


def chunk_size(line: bytes) -> int:
    """The number in a chunk's size line; raises Malformed for anything but hexadecimal digits and an extension."""
    match = _SIZE_LINE.fullmatch(line)
    if match is None:
        raise Malformed("a chunk begins with a line that is no size")
    size = int(match[1], 16)
    if len(_SIZES) < 16384 and len(line) <= 8:
        _SIZES[line] = size
    return size


def framed(place: tuple[int, int, bytes], payload: bytes) -> bytes:
    """Return a payload as chunks that continue a body from that place. A chunk that lacks more is filled up with line ends."""
    state, need, part = place
    head = b""
    if state == Dechunk.DATA:
        payload = payload.ljust(need, b"\n")
        head, payload = payload[:need] + b"\r\n", payload[need:]
    elif state == Dechunk.CRLF:
        head = b"\r\n"[len(part) :]
    return head + (b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b"")


class Dechunk:
    """Takes a chunked body apart as it arrives. After `over`, `rest` holds what came after the body."""

    __slots__ = ("over", "rest", "_need", "_part", "_state")
    SIZE, DATA, CRLF, TRAILERS = range(4)

    def __init__(self) -> None:
        self.over = False
        self.rest = b""
        self._need = 0
        self._part = b""
        self._state = self.SIZE

    @property
    def between(self) -> bool:
        """Whether the bytes so far end exactly between two chunks."""
        return self._state == self.SIZE and not self._part

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Where the bytes so far end: in what part of the framing, how many bytes a chunk lacks, and what begins a line."""
        return self._state, self._need, self._part

    @property
    def size_begun(self) -> int:
        """How many bytes of a size line have come, if the bytes so far end within one."""
        return len(self._part) if self._state == self.SIZE else 0

    @property
    def ending(self) -> bool:
        """Whether the payload is whole, but not its framing."""
        return self._state == self.TRAILERS

    def feed(self, data: bytes) -> bytes:
        """The payload in the next bytes; raises Malformed."""
        if self._state == 0 and not self._part:  # nearly always: exactly one chunk
            end = data.find(b"\r\n", 0, 12)
            size = _SIZES.get(data[:end]) if end > 0 else None
            if size and len(data) == end + 4 + size and data.endswith(b"\r\n"):
                return data[end + 2 : -2]
        return self._walk(data)

    def _walk(self, data: bytes) -> bytes:
        if self._part:
            data, self._part = self._part + data, b""
        payload: list[bytes] = []
        position, total = 0, len(data)
        while position < total and not self.over:
            if self._state == self.DATA:
                piece = data[position : position + self._need]
                payload.append(piece)
                position += len(piece)
                self._need -= len(piece)
                if not self._need:
                    self._state = self.CRLF
                continue
            after = self._line(data, position)
            if after < 0:
                self._part = data[position:]
                break
            position = after
        if self.over:
            self.rest = data[position:]
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _line(self, data: bytes, start: int) -> int:
        """Where the line that starts there has ended, or -1 when it is not complete."""
        end = data.find(b"\r\n", start)
        if end < 0:
            limit = {self.CRLF: 1, self.SIZE: _MAX_SIZE_LINE, self.TRAILERS: _MAX_TRAILERS}[self._state]
            rest = data[start:]
            if len(rest) > limit or b"\n" in rest or (b"\r" in rest and not rest.endswith(b"\r")):
                raise Malformed("a chunk does not end where it should")
            if self._state == self.CRLF and rest != b"\r":
                raise Malformed("a chunk does not end where it should")
            return -1
        line = data[start:end]
        if self._state == self.CRLF:
            if line:
                raise Malformed("a chunk does not end where it should")
            self._state = self.SIZE
        elif self._state == self.TRAILERS:
            if b"\n" in line or b"\r" in line:
                raise Malformed("a trailer with a stray line end")
            self._need += len(line) + 2
            if self._need > _MAX_TRAILERS:
                raise Malformed("too many trailers")
            self.over = not line
        else:
            size = _SIZES.get(line)
            self._need = chunk_size(line) if size is None else size
            self._state = self.DATA if self._need else self.TRAILERS
        return end + 2
