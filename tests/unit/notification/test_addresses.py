import ipaddress
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from notification.domain.addresses import METADATA, NAT64, Refused, Rules, check_host, is_public, meant

PUBLIC = Rules([], {443})
PRIVATE_V4 = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
]  # fmt: skip
PRIVATE_V6 = [
    "::/128", "::1/128", "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32",
    "2002::/16", "3fff::/20", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
]  # fmt: skip


def inside(networks: list[str]) -> st.SearchStrategy[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    return st.sampled_from([ipaddress.ip_network(network) for network in networks]).flatmap(
        lambda network: st.ip_addresses(network=network)
    )


def refused(address: str | ipaddress.IPv4Address | ipaddress.IPv6Address, rules: Rules = PUBLIC, **how: object) -> bool:
    given_ = {"port": 443, "by_tls": True} | how
    try:
        rules.check("host", ipaddress.ip_address(address), given_["port"], by_tls=given_["by_tls"])  # type: ignore[arg-type]
    except Refused:
        return True
    return False


@given(inside(PRIVATE_V4 + PRIVATE_V6))
def test_nothing_inside_any_private_network_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not is_public(address)
    assert refused(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_what_it_is_translated_to(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    translated = NAT64[int(address)]
    assert meant(mapped) == meant(translated) == address
    assert is_public(mapped) == is_public(translated) == is_public(address)


@given(st.ip_addresses(v=4))
def test_ways_around_that_hide_an_ipv4_address_are_closed(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    hidden = {
        "6to4": (0x2002 << 112) | number << 80,
        "Teredo, client": (0x20010000 << 96) | (number ^ 0xFFFFFFFF),
        "Teredo, server": (0x20010000 << 96) | number << 64,
        "compatible": number,
        "translated": (0xFFFF << 48) | number,
    }
    for way, value in hidden.items():
        assert refused(ipaddress.IPv6Address(value)), way


@given(st.ip_addresses(v=6))
def test_only_global_unicast_is_public(address: ipaddress.IPv6Address) -> None:
    assume(meant(address) == address)
    assert is_public(address) <= (int(address) >> 125 == 1)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2a00:1450::1"]
)
def test_public_ones_may_be_used(address: str) -> None:
    assert not refused(address)
    assert refused(address, by_tls=False)
    assert refused(address, port=22)
    assert not refused(address, Rules([], {443, 22}), port=22)


@pytest.mark.parametrize("metadata", METADATA)
def test_metadata_is_never_reached_also_where_everything_is_allowed(
    metadata: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    everything = Rules([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")], {443})
    assert refused(metadata, everything)
    if isinstance(metadata, ipaddress.IPv4Address):
        assert refused(f"::ffff:{metadata}", everything)


def test_what_an_operator_names_may_be_used_by_any_port_and_without_tls() -> None:
    rules = Rules([ipaddress.ip_network("10.1.0.0/16")], {443})
    assert not refused("10.1.2.3", rules, port=8080, by_tls=False)
    assert not refused("::ffff:10.1.2.3", rules, port=8080, by_tls=False)
    assert refused("10.2.0.1", rules)


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """As `inet_aton` takes them, and so does every resolver that asks it."""
    parts = [str(part) for part in address.packed]
    number = int(address)
    octal, hexadecimal = (".".join(form.format(int(part)) for part in parts) for form in ("0{:o}", "0x{:x}"))
    shorter = f"{parts[0]}.{number & 0xFFFFFF}"
    return [str(number), hex(number), oct(number).replace("0o", "0"), octal, hexadecimal, shorter, f"{address}."]


@given(st.ip_addresses(v=4))
def test_unusual_notations_are_refused(address: ipaddress.IPv4Address) -> None:
    check_host(str(address))
    for spelling in spellings(address):
        with pytest.raises(Refused):
            check_host(spelling)


@pytest.mark.parametrize(
    "host", ["example.com", "1.example.com", "0x7f.example", "xn--bcher-kva.example", "::1", "a.b0"]
)
def test_names_are_names(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize(("host", "dot"), list(product(["localhost", "example.com"], ["."])))
def test_a_dot_at_the_end_is_refused(host: str, dot: str) -> None:
    with pytest.raises(Refused, match="ends in a dot"):
        check_host(host + dot)
