"""Channels and private networks: where a connection leads is checked when it is made, whatever the address looks like."""

from collections.abc import Callable
from typing import Any

import gevent.socket
import pytest
from fake_vendor import FakeVendor

from oneapi.relay.dial import Address, dial
from oneapi.relay.transport import Route, open_stream, send
from oneapi.wire import Request, VendorError

NAMES = {"inside.example": ["127.0.0.1"], "mixed.example": ["8.8.8.8", "127.0.0.1"], "meta.example": ["169.254.169.254"],
         "nat64.example": ["64:ff9b::a9fe:a9fe"]}  # fmt: skip
FORMS = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "inside.example", "[::ffff:127.0.0.1]")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A resolver that knows some names of its own."""
    real, known = gevent.socket.getaddrinfo, dict(NAMES)

    def lookup(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        return [entry for each in known.get(host, [host]) for entry in real(each, port, *more, **named)]

    monkeypatch.setattr(gevent.socket, "getaddrinfo", lookup)
    return known


@pytest.mark.parametrize("host", FORMS)
def test_no_form_of_an_address_leads_inside_when_that_is_turned_off(
    say: Callable[..., Any], vendor: FakeVendor, channel: Any, setting: Any, host: str
) -> None:
    channel(base_url=vendor.url.replace("127.0.0.1", host))
    setting(PrivateNetworksEnabled=False)
    assert say().status_code == 502 and vendor.asked == []
    setting(PrivateNetworksEnabled=True)
    assert say().status_code == 200


def test_a_kept_connection_is_not_used_once_that_is_turned_off(
    say: Callable[..., Any], vendor: FakeVendor, channel: Any, setting: Any
) -> None:
    channel()
    assert say().status_code == 200
    setting(PrivateNetworksEnabled=False)
    assert say().status_code == 502 and len(vendor.asked) == 1


def test_a_name_that_leads_elsewhere_by_now_is_checked_anew(
    say: Callable[..., Any], vendor: FakeVendor, channel: Any, setting: Any, names: dict[str, list[str]]
) -> None:
    """DNS rebinding: public when the channel was stored, loopback when it is used."""
    setting(PrivateNetworksEnabled=False)
    names["rebound.example"] = ["93.184.216.34"]
    channel(base_url=vendor.url.replace("127.0.0.1", "rebound.example"))
    names["rebound.example"] = ["127.0.0.1"]
    assert say().status_code == 502 and vendor.asked == []


@pytest.mark.parametrize("host", ["meta.example", "nat64.example", "169.254.169.254", "fe80::1", "100.100.100.200"])
def test_metadata_and_link_local_addresses_are_refused_for_everyone(host: str) -> None:
    with pytest.raises(VendorError, match="never connected to"):
        dial(Address("http", host, 80), 5)
    with pytest.raises(VendorError, match="private networks are turned off"):
        dial(Address("http", host, 80, private=False), 5)


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(VendorError, match="private networks are turned off"):
        dial(Address("http", "mixed.example", 80, private=False), 5)


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_a_proxy_is_no_way_inside(vendor: FakeVendor, scheme: str) -> None:
    proxy = vendor.url.replace("http", scheme)
    for target in ("http://127.1/", "http://inside.example/", "https://2130706433/"):
        with pytest.raises(VendorError, match="private networks are turned off"):
            send(Request(target, {}), Route(proxy, private=False))
    with pytest.raises(VendorError, match="never connected to"):
        send(Request("http://169.254.169.254/", {}), Route(proxy))
    with pytest.raises(VendorError, match="127.0.0.1 is not on the public internet"):
        send(Request("http://vendor.invalid/", {}), Route(proxy, private=False, private_proxy=False))
    assert vendor.asked == []


def test_a_websocket_is_no_way_inside(vendor: FakeVendor) -> None:
    request = Request(vendor.url.replace("http", "ws"), {}, framing="websocket")
    with pytest.raises(VendorError, match="private networks are turned off"):
        open_stream(request, Route(private=False))


def test_a_channel_s_own_proxy_is_subject_to_the_setting(
    say: Callable[..., Any], vendor: FakeVendor, channel: Any, setting: Any
) -> None:
    channel(base_url="http://vendor.invalid", config=f'{{"proxy": "{vendor.url}"}}')
    assert say().status_code == 200
    setting(PrivateNetworksEnabled=False)
    assert say().status_code == 502 and len(vendor.asked) == 1
