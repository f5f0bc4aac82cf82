"""Addresses that people type: no name leads inside, and only some ports are fetched from."""

import gzip
import socket
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from fake_vendor import FakeVendor, Say
from wires import wire

from oneapi import guarded

CAPS: dict[str, Any] = {"max_bytes": 1000, "timeout": 5}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A resolver that knows some names of its own."""
    real, known = socket.getaddrinfo, dict[str, str]()
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: real(known.get(host, host), *more, **named))
    return known


def reason(url: str, **options: Any) -> tuple[str, str]:
    with pytest.raises(guarded.FetchError) as failed:
        guarded.get(url, **CAPS, **options)
    return failed.value.reason, failed.value.message


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "169.254.169.254", "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255",
        "0.0.0.0",
        "2002:7f00:1::1", "2001:0:808:808:0:0:80ff:fffe", "fec0::1", "3fff::1", "192.0.0.8", "127.0.0.1", "10.0.0.1", "::1",
    ],
)  # fmt: skip
def test_no_name_leads_to_an_address_that_is_not_public(names: dict[str, str], address: str) -> None:
    names["picture.example"] = address
    for url in ("http://picture.example/a.png", f"http://{f'[{address}]' if ':' in address else address}/"):
        assert reason(url)[0] == "address"


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "100.100.100.200", "64:ff9b::a9fe:a9fe", "224.0.0.1"])
def test_metadata_is_out_of_reach_also_where_private_networks_are_allowed(names: dict[str, str], address: str) -> None:
    names["hook.example"] = address
    assert reason("http://hook.example/", allow_private=True)[0] == "address"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_no_way_to_write_an_address_leads_inside(host: str, vendor: FakeVendor) -> None:
    assert reason(vendor.url.replace("127.0.0.1", host))[0] == "address"
    assert vendor.asked == []


def test_a_redirect_may_not_name_another_port(vendor: FakeVendor) -> None:
    own = int(vendor.url.rpartition(":")[2])
    vendor.says(Say(status=302, headers={"Location": "http://127.0.0.1:1/"}))
    assert "Port 1 is not allowed" in reason(vendor.url, allow_private=True, ports={own})[1]
    assert "Port 6379 is not allowed" in reason("http://picture.example:6379/", ports=guarded.PORTS)[1]


def test_pictures_come_from_the_ports_of_the_setting(client: Any, alice: Any, channel: Any, setting: Any) -> None:
    channel(type=30, models="llava")

    def refusal(url: str) -> str:
        content = [{"type": "image_url", "image_url": {"url": url}}]
        body = {"model": "llava", "messages": [{"role": "user", "content": content}]}
        return str(client.post("/v1/chat/completions", json=body, headers=alice.headers).json["error"]["message"])

    assert "Port 8443 is not allowed" in refusal("https://127.0.0.1:8443/a.png")
    assert "public internet" in refusal("https://127.0.0.1/a.png") and "public internet" in refusal("http://127.0.0.1:80/a.png")
    setting(UserAddressPorts="8080, 8443")
    assert "public internet" in refusal("https://127.0.0.1:8443/a.png")


@pytest.mark.parametrize("length", ["9" * 5000, "\xb2", "-1", "1e3"])
def test_a_length_that_is_no_number_of_bytes_breaks_nothing(length: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello".encode("latin-1")
    with wire(head, close=True) as server:
        try:
            assert guarded.get(server.url, allow_private=True, **CAPS).body in (b"hello", b"")
        except guarded.FetchError as error:
            assert error.reason in ("size", "unreachable")


def test_a_compressed_answer_is_counted_by_what_comes_out() -> None:
    def answer(coding: str, data: bytes) -> bytes:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(data)}\r\n\r\n"
        return head.encode() + data

    whole = b"x" * 1000
    for coding, data in (("gzip", gzip.compress(whole)), ("deflate", zlib.compress(whole)), ("Identity", whole)):
        with wire(answer(coding, data)) as server:
            assert guarded.get(server.url, allow_private=True, **CAPS).body == whole
    for coding, data, why in (("gzip", gzip.compress(bytes(10**7)), "size"), ("br", b"x", "unreachable"),
                              ("gzip", b"no gzip", "unreachable"), ("gzip, gzip", b"x", "unreachable")):  # fmt: skip
        with wire(answer(coding, data)) as server:
            assert reason(server.url, allow_private=True)[0] == why


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.status, self.pieces = 0, list[bytes]()

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)


def test_a_sink_gets_the_last_answer_in_small_pieces(vendor: FakeVendor) -> None:
    kept = Kept()
    vendor.says(Say(status=302, headers={"Location": "/b"}))
    vendor.says(gzip.compress(bytes(10**6)), headers={"Content-Encoding": "gzip"})
    assert guarded.get(vendor.url, max_bytes=10**6, timeout=5, allow_private=True, sink=kept).body == b""
    assert kept.status == 200 and b"".join(kept.pieces) == bytes(10**6) and max(map(len, kept.pieces)) <= 65536


def test_the_time_bounds_a_server_that_drips() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
    with wire(head, *[b"x"] * 900, pause=0.02) as server, pytest.raises(guarded.FetchError, match="within 0.3 seconds") as slow:
        guarded.get(server.url, max_bytes=1000, timeout=0.3, allow_private=True)
    assert slow.value.reason == "time"
