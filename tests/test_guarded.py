"""Addresses that people type: no name leads inside, and only some ports are fetched from."""

import socket
from typing import Any

import pytest
from fake_vendor import FakeVendor, Say

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


def test_pictures_come_from_the_ports_of_the_setting(state: Any, setting: Any) -> None:
    from oneapi.relay import media
    from oneapi.wire import VendorError

    def refusal(url: str) -> str:
        with pytest.raises(VendorError) as refused:
            media.data_url(url, state)
        return refused.value.message

    assert "Port 8443 is not allowed" in refusal("https://127.0.0.1:8443/a.png")
    assert "public internet" in refusal("https://127.0.0.1/a.png") and "public internet" in refusal("http://127.0.0.1:80/a.png")
    setting(UserAddressPorts="8080, 8443")
    assert "public internet" in refusal("https://127.0.0.1:8443/a.png")
