import socket
from pathlib import Path

from embedded.processes import free_ports


def test_a_port_is_given_once_and_never_one_that_is_in_use() -> None:
    first = free_ports(50)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        second = free_ports(500)
        assert listener.getsockname()[1] not in second
    assert len({*first, *second}) == 550


def test_no_outgoing_connection_can_take_a_port_that_was_found_free() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not set(free_ports(100)) & set(range(low, high + 1))
