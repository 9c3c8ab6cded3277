"""Packed bytes to plain ones, in pieces of bounded size and memory: deflate, gzip, bzip2, xz.

Which bytes of an archive belong to what is told by `zip_archive` and `tar_archive`.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

from haetae.errors import Rejected
from haetae.media.members import PIECE_BYTES, Clock

Packing = Literal["stored", "deflate", "gzip", "bzip2", "xz"]
READ_BYTES = 1 << 16
XZ_MEMORY = 192 << 20
"""Memory that an xz stream may ask for; its strongest preset asks for 65 MiB."""


class _Zlib:
    """zlib's decompressor with the manners of those of bz2 and lzma."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits=wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, packed: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + packed, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(piece) < max_length
        return piece


_START: dict[Packing, Callable[[], Any]] = {
    "deflate": lambda: _Zlib(-15),
    "gzip": lambda: _Zlib(31),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
}
_NEXT: dict[Packing, bytes] = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}
"""How a further stream behind the first begins; anything else behind it is padding."""


def inflate(read: Callable[[int], bytes], packing: Packing, clock: Clock) -> Iterator[bytes]:
    """Plain bytes in pieces of at most 256 KiB, from `read(n)`, which gives up to n packed bytes.

    Raises: Rejected `truncated_archive`, `damaged_archive`, `timeout`.
    """
    if packing == "stored":
        while piece := read(PIECE_BYTES):
            clock.check()
            yield piece
        return
    try:
        yield from _streams(read, packing, clock)
    except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise Rejected("damaged_archive", f"its {packing} data cannot be unpacked: {error}") from error


def _streams(read: Callable[[int], bytes], packing: Packing, clock: Clock) -> Iterator[bytes]:
    packed = read(READ_BYTES)
    while True:
        one = _START[packing]()
        while not one.eof:
            clock.check()
            if one.needs_input and not packed:
                packed = read(READ_BYTES)
                if not packed:
                    raise Rejected("truncated_archive", f"its {packing} data end in the middle")
            piece = one.decompress(packed, PIECE_BYTES)
            packed = b""
            if piece:
                yield piece
        packed = one.unused_data
        begin = _NEXT.get(packing)
        if begin is None:
            return
        while len(packed) < len(begin) and (more := read(READ_BYTES)):
            packed += more
        if not packed.startswith(begin):
            return
