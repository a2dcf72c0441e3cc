"""Which addresses webhooks may go to.

Whoever registers an endpoint chooses an address that this machine connects to from inside. So only what
is public to everybody may be reached, however it is written, and what an operator has named.
"""

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carriers' own; Alibaba's metadata
        "168.63.129.16/32",  # Azure's host, which looks like a public address
        "192.0.0.0/24",  # protocols' own; Oracle's metadata
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/3",  # multicast, and what is reserved
        "2001::/23",  # protocols' own; Teredo, which leads to an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which leads to an IPv4 address
        "3fff::/20",  # documentation
    )
)
"""Beside what Python's tables know, which are as old as the interpreter."""
METADATA = tuple(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
    )
)
"""Hand out credentials to whoever asks from inside: never, also where an operator has named a network around them."""


class Refused(Exception):
    """Webhooks may not go to this address; the text says why."""


def check_host(host: str) -> None:
    """Raises `Refused` for a host that different readers may take for different addresses."""
    if host.endswith("."):
        raise Refused(f"the host {host} ends in a dot; write it without")
    last = host.rpartition(".")[2].lower()
    if not (last.isdigit() or (last.startswith("0x") and set(last[2:]) <= set("0123456789abcdef"))):
        return
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        raise Refused(
            f"the host {host} is an address in an unusual notation; write it as four decimal numbers"
        ) from None


def meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where the network translates it; otherwise itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    address = meant(address)
    if isinstance(address, ipaddress.IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in network for network in NOT_PUBLIC)


@dataclass(frozen=True)
class Rules:
    private_networks: Sequence[Network]
    """Those that webhooks may go to all the same, by any port and without TLS."""
    ports: Collection[int]
    """Of public addresses."""

    def check(self, host: str, address: Address, port: int, *, by_tls: bool) -> None:
        """Raises `Refused`."""
        real = meant(address)
        if real in METADATA:
            raise Refused(f"{host} leads to {address}, which hands out credentials")
        if any(real in network for network in self.private_networks):
            return
        if not is_public(address):
            raise Refused(f"{host} leads to {address}, which is not a public address")
        if not by_tls:
            raise Refused("webhooks to public addresses go by https only")
        if port not in self.ports:
            allowed = ", ".join(str(port) for port in sorted(self.ports))
            raise Refused(f"webhooks to public addresses go to the ports {allowed} only, not to {port}")
