"""The egress guard: while it is up, its threads can connect to public addresses and to nothing else.

It knows addresses, not protocols; which schemes are fetched at all is decided in `download`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class EgressRefused(OSError):
    """A connection that the guard did not let out; network code sees an ordinary connection error."""


@dataclass
class Guard:
    """What one guarded block may reach, and what it was refused.

    allow_hosts: `host`, `host:port` or `[ipv6]:port`; reachable although their addresses are not public.
    """

    allow_hosts: tuple[str, ...] = ()
    refused: list[str] = field(default_factory=list)
    _resolved: set[tuple[str, int]] = field(default_factory=set)

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


def is_public(address: Address) -> bool:
    """Whether an address is on the open internet, looking also at IPv4 addresses wrapped in IPv6 ones."""
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo
        wrapped = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
        if wrapped is None and address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if wrapped is not None:
            return is_public(wrapped)
    return address.is_global and not address.is_multicast


@contextlib.contextmanager
def guarded(allow_hosts: tuple[str, ...] = ()) -> Iterator[Guard]:
    """Guard this thread, and every thread that starts meanwhile, for the length of the block.

    Threads that ran before are left alone, so a database connection of the orchestrator is not touched.
    """
    guard = Guard(allow_hosts)
    with _lock:
        if not _active:
            _patch()
        others = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
        _active.append((guard, threading.get_ident(), others))
    try:
        yield guard
    finally:
        with _lock:
            _active[:] = [entry for entry in _active if entry[0] is not guard]
            if not _active:
                _unpatch()


_lock = threading.Lock()
_active: list[tuple[Guard, int, set[int | None]]] = []
_getaddrinfo = socket.getaddrinfo
_METHODS = ("connect", "connect_ex", "sendto")


def _current() -> Guard | None:
    """The guard of this thread: its own, else one that was up when the thread started."""
    me = threading.get_ident()
    entries = list(_active)
    own = [guard for guard, owner, _ in entries if owner == me]
    started = [guard for guard, owner, others in entries if owner != me and me not in others]
    mine = own or started
    return mine[-1] if mine else None


def _guarded_getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    found = _getaddrinfo(host, port, *args, **kwargs)
    guard = _current()
    if guard is None or not found:
        return found
    name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    return guard.resolved(name, int(found[0][4][1]), found)


def _guarded_method(name: str) -> Any:
    original = getattr(socket.socket, name)

    def method(self: socket.socket, *args: Any) -> Any:
        guard = _current()
        # sendto(data, [flags,] address): the address is the last argument in all three.
        if guard is not None and args:
            _check_address(guard, self.family, args[-1])
        return original(self, *args)

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


def _patch() -> None:
    socket.getaddrinfo = _guarded_getaddrinfo
    for name in _METHODS:
        setattr(socket.socket, name, _guarded_method(name))


def _unpatch() -> None:
    socket.getaddrinfo = _getaddrinfo
    for name in _METHODS:
        # The class inherits these from the C type, so removing ours brings the original back.
        delattr(socket.socket, name)


def _host_and_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.lower().rpartition(":")
    if colon and port.isdigit() and (host.startswith("[") or ":" not in host):
        return host.strip("[]"), int(port)
    return text.lower().strip("[]"), None


def _bare(host: str) -> str:
    return host.partition("%")[0]
