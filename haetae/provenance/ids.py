"""Ids and seeds, derived from content only, so the same input gets the same name in every lake.

What the ids name is not known here.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. Raises: TypeError, ValueError (NaN)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(*parts: Any) -> str:
    """BLAKE2b-256 of the canonical JSON of the parts, as 64 hex digits."""
    return hashlib.blake2b(canonical_json(parts).encode(), digest_size=32).hexdigest()


def content_id(prefix: str, *parts: Any) -> str:
    """An id such as `clip-3f9a…`: the prefix and 20 hex digits of the digest of the parts."""
    return f"{prefix}-{digest(prefix, *parts)[:20]}"


def seed_of(*parts: Any) -> int:
    """A seed in [0, 2**63) derived from the parts."""
    return int(digest("seed", *parts)[:16], 16) >> 1


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, lower-case hex, read in pieces of 1 MiB."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            sha.update(piece)
    return sha.hexdigest()
