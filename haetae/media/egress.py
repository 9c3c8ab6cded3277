"""The egress guard: while it is up, its threads reach public addresses and nothing else, within a budget.

It knows addresses, bytes and time, not protocols: what a request and its answer may be is in `wire`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from haetae.errors import Rejected

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# What `is_global` of older Python versions, or the registries themselves, take for ordinary addresses.
_SPECIAL = tuple(
    ipaddress.ip_network(net)
    for net in (
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata service answers in it
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # the host beneath a virtual machine of a large cloud
        "2001::/23",  # Teredo, ORCHID and other protocol assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise, and nobody publishes there any more
        "3fff::/20",  # documentation
    )
)


class EgressRefused(OSError):
    """A connection that the guard did not let out; network code sees an ordinary connection error."""


def refused_at(where: str) -> Rejected:
    """What a person is told of a refused `host:port`; its first word is that place."""
    return Rejected(
        "egress_refused", f"{where} is not public; to reach it all the same, add it to crawl.allow_hosts"
    )


class BudgetSpent(OSError):
    """The bytes or the time of a guarded block are spent; `why` is the refusal that says which."""

    def __init__(self, why: Rejected) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True)
class Budget:
    """What a guarded block may take in all: bytes received over all its sockets, and seconds from its start.

    It is kept at the sockets, so that an endless body or one that drips a byte at a time cannot defeat it.
    """

    max_bytes: int
    timeout_s: float


@dataclass
class Guard:
    """What one guarded block may reach, and what it was refused.

    allow_hosts: `host`, `host:port` or `[ipv6]:port`; reachable although their addresses are not public.
    max_bytes, deadline: see `Budget`; the deadline is a moment of `time.monotonic`, seconds.
    """

    allow_hosts: tuple[str, ...] = ()
    refused: list[str] = field(default_factory=list)
    max_bytes: int | None = None
    deadline: float | None = None
    received: int = 0
    spent: Rejected | None = None
    _resolved: set[tuple[str, int]] = field(default_factory=set)

    @property
    def refusal(self) -> Rejected | None:
        """Why the block must fail: its budget is spent, or else the last address that it was refused."""
        if self.spent is not None:
            return self.spent
        return refused_at(self.refused[-1]) if self.refused else None

    def narrow(self, *, max_bytes: int, deadline: float) -> None:
        """Lower the budget; a limit that is already tighter stays."""
        self.max_bytes = max_bytes if self.max_bytes is None else min(self.max_bytes, max_bytes)
        self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)

    def allows(self, host: str, port: int, address: Address) -> bool:
        named = host.strip("[]").lower()
        return is_public(address) or any(
            allowed == named and allowed_port in (None, port)
            for allowed, allowed_port in map(_host_and_port, self.allow_hosts)
        )

    def resolved(self, host: str, port: int, found: list[Any]) -> list[Any]:
        """The answers of a look-up that may be connected to. Raises: EgressRefused if there is none."""
        fine = [one for one in found if self.allows(host, port, ipaddress.ip_address(_bare(one[4][0])))]
        self._resolved.update((_bare(one[4][0]), port) for one in fine)
        if found and not fine:
            self.refuse(host, port)
        return fine

    def check(self, host: str, port: int) -> None:
        """Raises: EgressRefused unless this literal address may be connected to."""
        address = ipaddress.ip_address(_bare(host))
        if (str(address), port) not in self._resolved and not self.allows(host, port, address):
            self.refuse(host, port)

    def refuse(self, host: str, port: int) -> None:
        where = f"{host}:{port}"
        self.refused.append(where)
        raise EgressRefused(f"{where} is not a public address; add it to crawl.allow_hosts if it is yours")

    def require_budget(self) -> None:
        """Raises: BudgetSpent when the bytes or the time of the block are over."""
        if self.spent is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.spent = Rejected("timeout", "the time for this address is over")
        if self.spent is None and self.max_bytes is not None and self.received > self.max_bytes:
            detail = f"more than {self.max_bytes} bytes were sent in all"
            self.spent = Rejected("too_large", detail)
        if self.spent is not None:
            raise BudgetSpent(self.spent)

    def within(self, sock: socket.socket, work: Callable[[], Any]) -> Any:
        """Do one piece of work on a socket, which waits no longer than until the deadline."""
        self.require_budget()
        own = sock.gettimeout()
        left = None if self.deadline is None else max(0.001, self.deadline - time.monotonic())
        if left is None or own == 0 or (own is not None and own <= left):
            return work()
        sock.settimeout(left)
        try:
            return work()
        except TimeoutError:
            self.require_budget()
            raise
        finally:
            with contextlib.suppress(OSError):
                sock.settimeout(own)

    def took(self, n_bytes: int) -> None:
        """Count what a socket received. Raises: BudgetSpent."""
        self.received += n_bytes
        self.require_budget()


def is_public(address: Address) -> bool:
    """Whether an address is on the open internet, looking also at IPv4 addresses wrapped in IPv6 ones."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped
        if wrapped is None and address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if wrapped is not None:
            return is_public(wrapped)
        if address not in _GLOBAL_UNICAST:
            return False
    special = any(address in net for net in _SPECIAL if net.version == address.version)
    return address.is_global and not address.is_multicast and not special


@contextlib.contextmanager
def guarded(allow_hosts: tuple[str, ...] = (), budget: Budget | None = None) -> Iterator[Guard]:
    """Guard this thread, and every thread that starts meanwhile, for the length of the block.

    Threads that ran before are left alone, so a database connection of the orchestrator is not touched.
    Without a budget only the addresses are guarded, until `Guard.narrow` sets one.
    """
    guard = Guard(allow_hosts)
    if budget is not None:
        guard.narrow(max_bytes=budget.max_bytes, deadline=time.monotonic() + budget.timeout_s)
    with _lock:
        if not _active:
            _patch()
        # The threads themselves and not their idents: a new thread may get the ident of one that ended.
        me = threading.current_thread()
        _active.append((guard, me, set(threading.enumerate()) - {me}))
    try:
        yield guard
    finally:
        with _lock:
            _active[:] = [entry for entry in _active if entry[0] is not guard]
            if not _active:
                _unpatch()


def current() -> Guard | None:
    """The guard of this thread: its own, else one that was up when the thread started."""
    me = threading.current_thread()
    entries = list(_active)
    own = [guard for guard, owner, _ in entries if owner is me]
    started = [guard for guard, owner, others in entries if owner is not me and me not in others]
    mine = own or started
    return mine[-1] if mine else None


_lock = threading.Lock()
_active: list[tuple[Guard, threading.Thread, set[threading.Thread]]] = []
# How each door is opened, and where its last argument is the address to go to.
_CONNECTS = ("connect", "connect_ex", "sendto", "sendmsg")
_RECEIVES: tuple[tuple[type[socket.socket], str], ...] = (
    (socket.socket, "recv"),
    (socket.socket, "recv_into"),
    (ssl.SSLSocket, "read"),
    (ssl.SSLSocket, "do_handshake"),
)
_before: list[tuple[Any, str, Any]] = []


def _patch() -> None:
    _replace(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
    for name in _CONNECTS:
        _replace(socket.socket, name, _guarded_connect(name, getattr(socket.socket, name)))
    for owner, name in _RECEIVES:
        _replace(owner, name, _guarded_receive(name, getattr(owner, name)))


def _replace(owner: Any, name: str, new: Any) -> None:
    _before.append((owner, name, vars(owner).get(name)))
    setattr(owner, name, new)


def _unpatch() -> None:
    while _before:
        owner, name, old = _before.pop()
        if old is None:
            # It was inherited from the C type, so removing ours brings the original back.
            delattr(owner, name)
        else:
            setattr(owner, name, old)


def _guarded_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        guard = current()
        if guard is None:
            return original(host, port, *args, **kwargs)
        guard.require_budget()
        found = original(host, port, *args, **kwargs)
        name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
        return guard.resolved(name, int(found[0][4][1]), found) if found else found

    return getaddrinfo


def _guarded_connect(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: socket.socket, *args: Any) -> Any:
        guard = current()
        # sendmsg(buffers, ancillary, flags, address) goes to where the socket is connected if it has fewer.
        if guard is None or not args or (name == "sendmsg" and len(args) < 4):
            return original(self, *args)
        # sendto(data, [flags,] address): the address is the last argument in all of them.
        _check_address(guard, self.family, args[-1])
        return guard.within(self, lambda: original(self, *args))

    method.__name__ = name
    return method


def _guarded_receive(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: socket.socket, *args: Any, **kwargs: Any) -> Any:
        guard = current()
        if guard is None:
            return original(self, *args, **kwargs)
        got = guard.within(self, lambda: original(self, *args, **kwargs))
        if got:
            guard.took(got if isinstance(got, int) else len(got))
        return got

    method.__name__ = name
    return method


def _check_address(guard: Guard, family: int, address: Any) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        guard.refuse(f"socket of family {int(family)}", 0)
    host, port = str(address[0]), int(address[1])
    try:
        ipaddress.ip_address(_bare(host))
    except ValueError:
        # A name would be resolved below Python, where the answer cannot be checked before it is used.
        guard.refuse(host, port)
    guard.check(host, port)


def _host_and_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.lower().rpartition(":")
    if colon and port.isdigit() and (host.startswith("[") or ":" not in host):
        return host.strip("[]"), int(port)
    return text.lower().strip("[]"), None


def _bare(host: str) -> str:
    return host.partition("%")[0]
