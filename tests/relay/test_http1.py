"""HTTP/1.1 as bytes: chunked bodies at every cut, and heads that must not be believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneapi.relay.http1 import Dechunk, Head, Malformed

BODY = b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n"


@pytest.mark.parametrize("cut", range(len(BODY) + 1))
def test_a_chunked_body_reads_the_same_wherever_it_is_cut(cut: int) -> None:
    dechunk = Dechunk()
    payload = dechunk.feed(BODY[:cut]) + dechunk.feed(BODY[cut:])
    assert (payload, dechunk.over, dechunk.rest) == (b"hello world", True, b"")


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=12), st.binary(max_size=5)
)
def test_any_chunks_in_any_pieces_give_their_payload(chunks: list[bytes], cuts: list[int], after: bytes) -> None:
    wire = b"".join(b"%X\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n" + after
    dechunk, payload, rest, start = Dechunk(), b"", b"", 0
    for cut in [*sorted(min(cut, len(wire)) for cut in cuts), len(wire)]:
        if dechunk.over:
            rest += wire[start:cut]
        elif cut > start:
            payload += dechunk.feed(wire[start:cut])
            rest += dechunk.rest
        start = cut
    assert (payload, dechunk.over, rest) == (b"".join(chunks), True, after)


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\nhello",
        b"x\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5_0\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloworld\r\n",
        b"5\r\nhello\n\n0\r\n\r\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\rX",
        b"1" * 16 + b"\r\n",
        b"5;" + b"x" * 300,
        b"5;a\x00b\r\nhello\r\n",
        b"0\r\nA: b\nC: d\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 2000,
    ],
)
def test_bad_chunking_is_refused_whole_and_byte_by_byte(wire: bytes) -> None:
    with pytest.raises(Malformed):
        Dechunk().feed(wire)
    dechunk = Dechunk()
    with pytest.raises(Malformed):
        for byte in wire:
            dechunk.feed(bytes([byte]))


def test_it_is_known_whether_the_bytes_end_between_two_chunks() -> None:
    dechunk = Dechunk()
    seen = []
    for byte in b"2\r\nab\r\n":
        dechunk.feed(bytes([byte]))
        seen.append(dechunk.between)
    assert seen == [False] * 6 + [True]


@pytest.mark.parametrize(
    ("head", "length", "chunked", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", 5, False, True),
        (b"HTTP/1.1 200\r\ncontent-LENGTH:5", 5, False, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5", 5, False, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5", 5, False, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", None, True, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", None, True, False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5", 5, False, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5", 5, False, False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5", 5, False, True),
        (b"HTTP/1.1 200 OK\r\nX-Content-Length: 5", None, False, True),
    ],
)
def test_the_head_says_how_the_body_ends(head: bytes, length: int | None, chunked: bool, keep: bool) -> None:
    said = Head(head)
    assert (said.length, said.chunked, said.keep) == (length, chunked, keep)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<html>",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 0x1 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity",
    ],
)
def test_a_head_that_contradicts_itself_is_refused(head: bytes) -> None:
    with pytest.raises(Malformed):
        Head(head)


def test_headers_are_found_by_lower_case_name_and_repetitions_are_joined() -> None:
    headers = Head(b"HTTP/1.1 200 OK\r\nX-Request-ID: a\r\nVia:  one \r\nvia: two").headers
    assert dict(headers) == {"x-request-id": "a", "via": "one, two"}
    assert (headers.get("none"), headers.get("x-request-id"), len(headers)) == (None, "a", 2)
