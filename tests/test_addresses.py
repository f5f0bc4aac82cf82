"""Which addresses we connect to: IANA's special-purpose registries entry by entry, and the forms that wrap IPv4."""

from ipaddress import ip_network

import pytest

from oneapi import addresses

# https://www.iana.org/assignments/iana-ipv4-special-registry: block and whether hosts of the internet are in it
IPV4 = {
    "0.0.0.0/8": False, "0.0.0.0/32": False, "10.0.0.0/8": False, "100.64.0.0/10": False, "127.0.0.0/8": False,
    "169.254.0.0/16": False, "172.16.0.0/12": False, "192.0.0.0/24": False, "192.0.0.0/29": False, "192.0.0.8/32": False,
    "192.0.0.170/32": False, "192.0.0.171/32": False, "192.0.2.0/24": False, "192.31.196.0/24": True, "192.52.193.0/24": True,
    "192.88.99.0/24": False, "192.88.99.2/32": False, "192.168.0.0/16": False, "192.175.48.0/24": True, "198.18.0.0/15": False,
    "198.51.100.0/24": False, "203.0.113.0/24": False, "240.0.0.0/4": False, "255.255.255.255/32": False,
    # Answered by the nearest router, which is our own: the registry calls them reachable, we do not connect to them.
    "192.0.0.9/32": False, "192.0.0.10/32": False,
    # https://www.iana.org/assignments/multicast-addresses
    "224.0.0.0/4": False,
}  # fmt: skip
# https://www.iana.org/assignments/iana-ipv6-special-registry, without the blocks that carry IPv4 addresses
IPV6 = {
    "::1/128": False, "::/128": False, "64:ff9b:1::/48": False, "100::/64": False, "100:0:0:1::/64": False, "2001:2::/48": False,
    "2001:10::/28": False, "2001:db8::/32": False, "2620:4f:8000::/48": True, "3fff::/20": False, "5f00::/16": False,
    "fc00::/7": False, "fe80::/10": False,
    # Protocols for the network itself: the registry calls these reachable, no web server is there.
    "2001:1::1/128": False, "2001:1::2/128": False, "2001:1::3/128": False, "2001:3::/32": False, "2001:4:112::/48": False,
    "2001:20::/28": False, "2001:30::/28": False,
    # Of other registries: site-local, multicast, and what is not assigned at all
    "fec0::/10": False, "ff00::/8": False, "4000::/3": False, "e000::/4": False, "200::/7": False,
}  # fmt: skip
OWN = ("10.1.2.3", "172.31.0.1", "192.168.1.1", "127.0.0.1", "127.8.9.1", "100.64.0.1", "::1", "fd12::1", "fec0::1")
NEVER = (
    "169.254.169.254", "169.254.0.1", "fe80::1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe", "0.0.0.0", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "ff02::1", "192.0.0.1",
    "198.18.0.1",
)  # fmt: skip


def wrapped(address: str) -> list[str]:
    """An IPv4 address in each form of IPv6 that carries one."""
    number = int(ip_network(address).network_address)
    high, low, turned = number >> 16, number & 0xFFFF, ~number & 0xFFFFFFFF
    client = f"{turned >> 16:x}:{turned & 0xFFFF:x}"
    return [
        f"::ffff:{address}", f"64:ff9b::{address}", f"2002:{high:x}:{low:x}::1", f"2001:0:808:808:0:0:{client}",
        f"2001:0:{high:x}:{low:x}:0:0:f7f7:f7f7", f"::{address}",
    ]  # fmt: skip


def permitted(text: str, *, allow_private: bool = False) -> bool:
    return addresses.permitted(addresses.parsed(text), allow_private=allow_private)


@pytest.mark.parametrize(("block", "reachable"), [*IPV4.items(), *IPV6.items()])
def test_each_block_of_the_registries(block: str, reachable: bool) -> None:
    network = ip_network(block)
    first, last = str(network.network_address), str(network.broadcast_address)
    assert [permitted(first), permitted(last)] == [reachable, reachable]


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_the_public_internet_is_reached(address: str) -> None:
    assert permitted(address) and permitted(address, allow_private=True)


@pytest.mark.parametrize("address", OWN)
def test_our_own_networks_need_permission(address: str) -> None:
    assert (permitted(address), permitted(address, allow_private=True)) == (False, True)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_refused_for_everyone(address: str) -> None:
    assert (permitted(address), permitted(address, allow_private=True)) == (False, False)


@pytest.mark.parametrize("form", range(6))
def test_wrapped_addresses_count_as_what_they_wrap(form: int) -> None:
    assert permitted(wrapped("8.8.8.8")[form])
    for inner in ("127.0.0.1", "10.0.0.1", "192.168.0.1"):
        assert (permitted(wrapped(inner)[form]), permitted(wrapped(inner)[form], allow_private=True)) == (False, True)
    for inner in ("169.254.169.254", "100.100.100.200", "224.0.0.1", "240.0.0.1"):
        assert not permitted(wrapped(inner)[form], allow_private=True)
    assert addresses.forbidden(addresses.parsed(wrapped("169.254.169.254")[form]))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"), ("[::1]", "::1"), ("fe80::1%1", "fe80::1"), ("example.com", None), ("localhost", None),
    ],
)  # fmt: skip
def test_each_way_to_write_an_address_is_read(host: str, address: str | None) -> None:
    found = addresses.literal(host)
    assert (None if found is None else str(found)) == address
