"""The egress guard: what is public, what is refused, and whom it leaves alone."""

from __future__ import annotations

import ipaddress
import socket
import threading

import pytest

from haetae.media.egress import EgressRefused, guarded, is_public


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1",
        "192.0.2.1", "198.18.0.1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_on_the_open_internet(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_addresses_that_are(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_private_address_is_refused_by_number_and_by_name(listener, host):
    with guarded() as guard, pytest.raises(EgressRefused):
        socket.create_connection((host, listener), timeout=2)
    assert guard.refused == [f"{host}:{listener}"]


@pytest.mark.parametrize("allowed", ["127.0.0.1:{port}", "127.0.0.1", "localhost:{port}", "LOCALHOST"])
def test_what_is_allowed_is_reached(listener, allowed):
    host = allowed.split(":")[0]
    with (
        guarded((allowed.format(port=listener),)),
        socket.create_connection((host, listener), timeout=2) as s,
    ):
        assert s.getpeername()[1] == listener


def test_an_allowed_port_allows_no_other_port(listener):
    with guarded((f"127.0.0.1:{listener + 1}",)), pytest.raises(EgressRefused):
        socket.create_connection(("127.0.0.1", listener), timeout=2)


def test_every_way_to_connect_is_guarded(listener):
    with guarded():
        with socket.socket() as s, pytest.raises(EgressRefused):
            s.connect(("127.0.0.1", listener))
        with socket.socket() as s, pytest.raises(EgressRefused):
            s.connect_ex(("127.0.0.1", listener))
        with socket.socket() as s, pytest.raises(EgressRefused):
            s.connect(("localhost", listener))
        with socket.socket(type=socket.SOCK_DGRAM) as s, pytest.raises(EgressRefused):
            s.sendto(b"x", ("127.0.0.1", listener))
        with socket.socket(socket.AF_UNIX) as s, pytest.raises(EgressRefused):
            s.connect("/run/any.sock")


def test_threads_that_start_meanwhile_are_guarded_and_older_ones_are_not(listener):
    seen: dict[str, str] = {}
    go = threading.Event()

    def dial(name: str, wait: bool) -> None:
        if wait:
            go.wait(5)
        try:
            socket.create_connection(("127.0.0.1", listener), timeout=2).close()
            seen[name] = "reached"
        except EgressRefused:
            seen[name] = "refused"

    older = threading.Thread(target=dial, args=("older", True))
    older.start()
    with guarded():
        younger = threading.Thread(target=dial, args=("younger", False))
        younger.start()
        younger.join()
        go.set()
        older.join()
    assert seen == {"older": "reached", "younger": "refused"}


def test_nothing_is_left_behind(listener):
    before = (socket.getaddrinfo, socket.socket.connect)
    with pytest.raises(ZeroDivisionError), guarded():
        raise ZeroDivisionError
    assert (socket.getaddrinfo, socket.socket.connect) == before
    socket.create_connection(("127.0.0.1", listener), timeout=2).close()


def test_guards_nest():
    with guarded(("a",)):
        with guarded(("b",)):
            pass
        with pytest.raises(EgressRefused):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
