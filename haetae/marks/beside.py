"""Reading the sidecar beside a file: whether it is sealed, and whether it is about these bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from haetae.errors import UsageError
from haetae.marks.export import MAX_SIDECAR_BYTES, masks_of, sidecar_of
from haetae.marks.payload import mark_of
from haetae.marks.seal import read_seal
from haetae.provenance.ids import file_sha256

_DIGEST = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Sidecar:
    """fake_id: as it states it, None where it is unreadable; mark: that of the id; wrong: as `word: detail`."""

    fake_id: str | None
    mark: str | None
    wrong: tuple[str, ...]


def read_sidecar(path: Path, sha256: str, anchors_pem: str | None) -> Sidecar | None:
    """The sidecar beside a file of this digest; None where there is none."""
    beside = sidecar_of(path)
    if not beside.is_file():
        return None
    try:
        with beside.open("rb") as file:
            content = file.read(MAX_SIDECAR_BYTES + 1)
        if len(content) > MAX_SIDECAR_BYTES:
            raise ValueError("too large")
        text = content.decode("utf-8")
        told = json.loads(text)
        fake_id, stated, masks = told["fake_id"], told["sha256"], told.get("masks")
        if not isinstance(fake_id, str) or not _DIGEST.match(stated):
            raise TypeError("other values than a sidecar has")
        masks_sha256 = None if masks is None else str(masks["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Sidecar(None, None, (f"sidecar_unreadable: {type(error).__name__}",))
    wrong = []
    seal = read_seal(text, anchors_pem)
    if seal == "broken":
        wrong.append("sidecar_changed: it is not as it was sealed")
    elif anchors_pem is not None and seal != "trusted":
        wrong.append("sidecar_untrusted: sealed by a signer that is not known here")
    if stated != sha256:
        wrong.append("sidecar_differs: it is about other bytes")
    wrong += _of_masks(path, masks_sha256)
    return Sidecar(fake_id[:64], mark_or_none(fake_id), tuple(wrong))


def mark_or_none(fake_id: str) -> str | None:
    """The mark of an id, where it is one."""
    try:
        return mark_of(fake_id)
    except UsageError:
        return None


def _of_masks(path: Path, sha256: str | None) -> list[str]:
    """Masks that lie beside the file must be those of the sidecar; they need not lie there."""
    masks = masks_of(path)
    if sha256 is None or not masks.is_file():
        return []
    return [] if file_sha256(masks) == sha256 else ["masks_differ: the sidecar is about others"]
