"""Which IP addresses we connect to, by tables of our own, so that no version of Python decides.

The tables follow IANA's registries:
https://www.iana.org/assignments/iana-ipv4-special-registry and https://www.iana.org/assignments/iana-ipv6-special-registry.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _table(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# Link-local addresses and the metadata services of clouds, which hand out credentials: never, whatever the settings say.
FORBIDDEN = _table(
    "169.254.0.0/16", "fe80::/10", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::/32",
    "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128",
)  # fmt: skip
# Loopback and private networks: only where they are allowed.
OWN = _table(
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7", "fec0::/10",
)  # fmt: skip
# No host of the public internet: this network, protocol assignments, documentation, benchmarks, relays, multicast, reserved.
SPECIAL = _table(
    "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "3fff::/20", "ff00::/8",
)  # fmt: skip
UNICAST = IPv6Network("2000::/3")  # nothing else of IPv6 is assigned to hosts of the internet
NAT64, TEREDO, SIX_TO_FOUR = IPv6Network("64:ff9b::/96"), IPv6Network("2001::/32"), IPv6Network("2002::/16")
COMPATIBLE = IPv6Network("::/96")


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address carries: mapped, 6to4, Teredo (server and client), NAT64 or compatible."""
    if isinstance(address, IPv4Address):
        return ()
    number = int(address)
    if address.ipv4_mapped is not None or address in NAT64:
        return (IPv4Address(number & 0xFFFFFFFF),)
    if address in SIX_TO_FOUR:
        return (IPv4Address(number >> 80 & 0xFFFFFFFF),)
    if address in TEREDO:
        return IPv4Address(number >> 64 & 0xFFFFFFFF), IPv4Address(~number & 0xFFFFFFFF)
    if address in COMPATIBLE and number > 0xFFFF:
        return (IPv4Address(number),)
    return ()


def forbidden(address: Address) -> bool:
    """Whether nobody may connect there, also where private networks are allowed."""
    return any(map(forbidden, embedded(address))) or any(address in network for network in FORBIDDEN)


def permitted(address: Address, *, allow_private: bool) -> bool:
    """Whether we connect there: public addresses always, our own networks if these are allowed, all others never."""
    if forbidden(address):
        return False
    if inner := embedded(address):
        return all(permitted(each, allow_private=allow_private) for each in inner)
    if any(address in network for network in OWN):
        return allow_private
    if isinstance(address, IPv6Address) and address not in UNICAST:
        return False
    return not any(address in network for network in SPECIAL)


def parsed(text: str) -> Address:
    """An address as the resolver returns it, without its zone."""
    return ip_address(text.partition("%")[0])


def literal(host: str) -> Address | None:
    """The address that a host name is, in any form that the system's resolver takes (127.1, 2130706433, 0x7f.1); else None."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError, ValueError):
        return None
    return parsed(str(found[0][4][0])) if found else None
