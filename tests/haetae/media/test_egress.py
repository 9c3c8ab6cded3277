"""The egress guard: what is public, what is refused, whom it leaves alone, and what a budget ends."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time

import pytest

from haetae.media.egress import Budget, BudgetSpent, EgressRefused, guarded, is_public


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
        "192.0.2.1", "198.18.0.1", "192.0.0.192", "192.88.99.1", "168.63.129.16", "100.100.100.200",
        "::127.0.0.1", "fec0::1", "fd00:ec2::254", "2002:0808:0808::1", "2001:0:808:808::1", "2001:20::1",
        "64:ff9b:1::808:808", "64:ff9b::169.254.169.254", "::ffff:0:8.8.8.8", "3fff::1", "5f00::1", "4000::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_on_the_open_internet(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2001:4860:4860::8888", "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
    ],
)  # fmt: skip
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


def test_a_name_that_was_looked_up_opens_its_own_address_and_port_only(listener):
    """What was resolved and checked is what may be connected to: another answer later is checked anew."""
    with guarded((f"localhost:{listener}",)):
        socket.create_connection(("localhost", listener), timeout=2).close()
        for host, port in (("127.0.0.1", listener + 1), ("127.0.0.2", listener), ("10.0.0.1", listener)):
            with socket.socket() as s, pytest.raises(EgressRefused):
                s.connect((host, port))


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
        with socket.socket(type=socket.SOCK_DGRAM) as s, pytest.raises(EgressRefused):
            s.sendmsg([b"x"], [], 0, ("127.0.0.1", listener))
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


def test_a_thread_that_inherits_the_number_of_an_older_one_is_guarded(listener):
    """The system gives the ident of a thread that ended to a new one."""
    go, seen = threading.Event(), []

    def dial() -> None:
        with contextlib.suppress(EgressRefused):
            socket.create_connection(("127.0.0.1", listener), timeout=2).close()
            seen.append(threading.get_ident())

    older = [threading.Thread(target=go.wait, args=(5,)) for _ in range(8)]
    for thread in older:
        thread.start()
    idents = {thread.ident for thread in older}
    with guarded() as guard:
        go.set()
        for thread in older:
            thread.join()
        again = False
        for _ in range(50):
            younger = threading.Thread(target=dial)
            younger.start()
            again |= younger.ident in idents
            younger.join()
    assert again, "no ident was given out again, so nothing was shown"
    assert seen == []
    assert len(guard.refused) == 50


def everything_patched() -> list[object]:
    owners = (socket.socket, ssl.SSLSocket)
    names = ("connect", "connect_ex", "sendto", "sendmsg", "recv", "recv_into", "read", "do_handshake")
    return [socket.getaddrinfo, *(vars(owner).get(name) for owner in owners for name in names)]


def test_nothing_is_left_behind(listener):
    before, within = everything_patched(), []
    with contextlib.suppress(ZeroDivisionError), guarded():
        within = everything_patched()
        raise ZeroDivisionError
    assert within != before
    assert everything_patched() == before
    socket.create_connection(("127.0.0.1", listener), timeout=2).close()


def test_what_others_put_in_place_before_stays_in_place(listener, monkeypatch):
    seen = []
    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda s, where: (seen.append(where), real(s, where)))
    for _ in range(2):
        with guarded((f"127.0.0.1:{listener}",)):
            socket.create_connection(("127.0.0.1", listener), timeout=2).close()
    socket.create_connection(("127.0.0.1", listener), timeout=2).close()
    assert seen == [("127.0.0.1", listener)] * 3


# Budgets


class Talker:
    """A server that sends without end: at once, or a byte at a time; plain or over TLS."""

    def __init__(self, context: ssl.SSLContext | None, pause_s: float) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._context, self._pause_s = context, pause_s
        # Before any guard is up, as a server would be.
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with contextlib.suppress(OSError), connection:
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        while True:
            connection.sendall(b"x" if self._pause_s else b"x" * 65_536)
            time.sleep(self._pause_s)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server with a fresh certificate, and of a client that trusts it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    encoding = serialization.Encoding.PEM
    path.write_bytes(
        made.public_bytes(encoding)
        + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=made.public_bytes(encoding).decode())


@pytest.fixture
def talker(request, tls):
    """A connection maker to a talking server; parameters: whether over TLS, pause between bytes in s."""
    over_tls, pause_s = request.param
    server = Talker(tls[0] if over_tls else None, pause_s)

    def connect() -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        return tls[1].wrap_socket(plain, server_hostname="localhost") if over_tls else plain

    yield connect
    server.close()


def read_recv(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        pass


def read_recv_into(sock: socket.socket) -> None:
    buffer = bytearray(1 << 16)
    while sock.recv_into(buffer):
        pass


def read_as_a_file(sock: socket.socket) -> None:
    with sock.makefile("rb") as file:
        file.read()


READERS = [read_recv, read_recv_into, read_as_a_file]


@pytest.mark.parametrize("talker", [(False, 0.0), (True, 0.0)], indirect=True, ids=["plain", "tls"])
@pytest.mark.parametrize("reader", READERS)
def test_a_stream_without_end_is_cut_at_the_bytes_of_the_budget(talker, reader):
    with guarded(("127.0.0.1",), Budget(3_000_000, 20)) as guard, pytest.raises(BudgetSpent) as spent:
        reader(talker())
    assert spent.value.why.reason == "too_large"
    assert 3_000_000 < guard.received < 3_200_000
    assert guard.refusal is guard.spent is spent.value.why


@pytest.mark.parametrize("talker", [(False, 0.05), (True, 0.05)], indirect=True, ids=["plain", "tls"])
@pytest.mark.parametrize("reader", READERS)
def test_a_drip_is_cut_at_the_time_of_the_budget(talker, reader):
    began = time.monotonic()
    with guarded(("127.0.0.1",), Budget(1 << 30, 0.4)) as guard, pytest.raises(BudgetSpent) as spent:
        reader(talker())
    assert spent.value.why.reason == "timeout"
    assert 0.4 <= time.monotonic() - began < 1.5
    assert 0 < guard.received < 100


def test_a_server_that_says_nothing_is_left_at_the_time_of_the_budget(listener):
    began = time.monotonic()
    with guarded(("127.0.0.1",), Budget(1000, 0.3)), pytest.raises(BudgetSpent):
        socket.create_connection(("127.0.0.1", listener), timeout=20).recv(1)
    assert time.monotonic() - began < 1.5


def test_a_handshake_that_never_ends_is_left_at_the_time_of_the_budget(listener, tls):
    began = time.monotonic()
    with guarded(("127.0.0.1",), Budget(1000, 0.3)):
        plain = socket.create_connection(("127.0.0.1", listener), timeout=20)
        with pytest.raises(BudgetSpent):
            tls[1].wrap_socket(plain, server_hostname="localhost")
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("talker", [(False, 0.0)], indirect=True)
def test_a_spent_budget_stays_spent(talker):
    with guarded(("127.0.0.1",), Budget(100_000, 20)):
        with pytest.raises(BudgetSpent):
            read_recv(talker())
        with pytest.raises(BudgetSpent):
            talker()
    sock = talker()
    assert sock.recv(10)


def test_a_socket_keeps_the_timeout_that_it_was_given(listener):
    with guarded(("127.0.0.1",), Budget(1000, 5)), socket.create_connection(("127.0.0.1", listener)) as s:
        for own in (None, 0.05, 60.0):
            s.settimeout(own)
            with contextlib.suppress(TimeoutError):
                if own == 0.05:
                    s.recv(1)
            assert s.gettimeout() == own


def test_a_budget_can_only_be_lowered():
    with guarded((), Budget(100, 5)) as guard:
        guard.narrow(max_bytes=1000, deadline=time.monotonic() + 50)
        assert guard.max_bytes == 100
        assert guard.deadline is not None
        assert guard.deadline < time.monotonic() + 6


def test_guards_nest():
    with guarded(("a",)):
        with guarded(("b",)):
            pass
        with pytest.raises(EgressRefused):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
