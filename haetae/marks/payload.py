"""The word that both watermarks carry: 64 bits of a fake's id and a checksum, coded against errors; and keyed noise.

The code is told in `coding`, how bits are hidden in pictures and sound in `video` and `audio`.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haetae.errors import UsageError
from haetae.marks import coding

OPEN_KEY = b"haetae"
"""Key of marks that anybody may read. A secret one lets only its holders read, forge or search for marks."""
ID_BYTES = 8
CHECK_BYTES = 4
N_BITS = coding.N_CODED
_DOMAIN = b"haetae marks 1"
_CONTENT_ID = re.compile(r"^[a-z]+-([0-9a-f]{16})[0-9a-f]*$")


@dataclass(frozen=True)
class Decoded:
    """A word that was read.

    mark: 16 hex digits, those an id begins with after its prefix; bit_errors: of N_BITS, before correction;
    agreement: soft bits along the word over their sum of magnitudes, 1 where every bit agrees, near 0 by chance.
    """

    mark: str
    bit_errors: int
    agreement: float


def mark_of(item_id: str) -> str:
    """The 16 hex digits that a mark keeps of a content id such as `fake-3f9a…`.

    Raises: UsageError for an id of another form.
    """
    found = _CONTENT_ID.match(item_id)
    if found is None:
        raise UsageError(f"{item_id!r} cannot be marked: an id looks like fake-<16 or more hex digits>")
    return found[1]


def word_of(mark: str, key: bytes = OPEN_KEY) -> NDArray[np.bool_]:
    """The coded word of a mark: bool [N_BITS]."""
    identity = bytes.fromhex(mark)
    if len(identity) != ID_BYTES:
        raise ValueError(f"a mark has {2 * ID_BYTES} hex digits, not {mark!r}")
    message = np.unpackbits(np.frombuffer(identity + _check(identity, key), np.uint8))
    return coding.encode(message.astype(np.bool_)) ^ _pad(key)


def read_word(soft: NDArray[np.floating], key: bytes = OPEN_KEY) -> Decoded | None:
    """The word in soft bits float [N_BITS] (above 0: one; further from 0: surer), or None."""
    soft = np.asarray(soft, np.float64)
    total = float(np.abs(soft).sum())
    if soft.shape != (N_BITS,) or not np.isfinite(total) or total <= 0:
        return None
    plain = np.where(_pad(key), -soft, soft) / (total / N_BITS)
    message = bytes(np.packbits(coding.decode(plain)))
    identity, check = message[:ID_BYTES], message[ID_BYTES:]
    if check != _check(identity, key):
        return None
    sent = np.where(word_of(identity.hex(), key), 1.0, -1.0)
    errors = int(np.count_nonzero((soft > 0) != (sent > 0)))
    return Decoded(identity.hex(), errors, round(float(soft @ sent) / total, 4))


def false_read_bound(tries: int = 1) -> float:
    """Most probable share of unmarked inputs in which a mark is read.

    tries: positions or shapes at which a reader attempts to decode one input. Each attempt yields one message, and
    the key's noise makes every one alike probable: its checksum fits by chance.
    """
    return float(tries / 256**CHECK_BYTES)


def signs(key: bytes, label: str, n: int) -> NDArray[np.float32]:
    """n values of -1 and 1, the same for a key and label for ever."""
    bits = np.unpackbits(np.frombuffer(_noise(key, label, -(-n // 8)), np.uint8))[:n]
    return (2.0 * bits - 1.0).astype(np.float32)


def order(key: bytes, label: str, n: int) -> NDArray[np.intp]:
    """A permutation of 0…n-1, the same for a key and label for ever."""
    drawn = np.frombuffer(_noise(key, label, 8 * n), "<u8")
    return np.argsort(drawn, kind="stable")


def uniform(key: bytes, label: str, n: int) -> NDArray[np.float64]:
    """n values in [0, 1), the same for a key and label for ever."""
    drawn = np.frombuffer(_noise(key, label, 4 * n), "<u4")
    return np.asarray(drawn / 2.0**32, dtype=np.float64)


def _noise(key: bytes, label: str, n_bytes: int) -> bytes:
    # Not numpy's generators: their streams may change between versions, and marks are read for years.
    seed = b"\0".join([_DOMAIN, hashlib.sha256(key).digest(), label.encode()])
    return hashlib.shake_256(seed).digest(n_bytes)


def _check(identity: bytes, key: bytes) -> bytes:
    return zlib.crc32(identity, zlib.crc32(_noise(key, "checksum", 16))).to_bytes(CHECK_BYTES, "big")


def _pad(key: bytes) -> NDArray[np.bool_]:
    return np.asarray(signs(key, "pad", N_BITS) > 0)
