"""Reading what lies beside a file: whether its sidecar is sealed, and whether that is about these bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from haetae.errors import Rejected, UsageError
from haetae.marks.export import (
    MASKS,
    MAX_SIDECAR_BYTES,
    SIDECAR,
    SUBTITLES,
    masks_of,
    sidecar_of,
    subtitles_beside,
)
from haetae.marks.payload import mark_of
from haetae.marks.seal import read_seal
from haetae.marks.signing import MIME
from haetae.marks.stated import modalities_of, plain
from haetae.provenance.ids import file_sha256

_DIGEST = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Sidecar:
    """fake_id: as it states it, None where it is unreadable; mark: that of the id; masks, subtitles: their SHA-256,
    None where it names none; modalities: those that the fake changes; wrong: with the sidecar itself, as
    `word: detail`."""

    fake_id: str | None = None
    mark: str | None = None
    masks: str | None = None
    subtitles: str | None = None
    modalities: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def file_of(path: Path) -> Path:
    """The exported file that sidecar, masks or subtitles lie beside; any other path as it is.

    Raises: Rejected `unreadable` for a sidecar, masks or subtitles without their file.
    """
    for ending in (SIDECAR, MASKS):
        if (
            path.name.endswith(ending)
            and (file := path.with_name(path.name.removesuffix(ending))).suffix in MIME
        ):
            if path.is_file() and not file.is_file():
                raise Rejected(
                    "unreadable", f"{path.name} tells of {file.name}, which does not lie beside it"
                )
            return file
    if path.suffix != SUBTITLES:
        return path
    clip = next((file for kind in MIME if (file := path.with_suffix(kind)).is_file()), path)
    if clip == path and path.is_file():
        raise Rejected("unreadable", f"{path.name}: the clip that it belongs to does not lie beside it")
    return clip


def read_sidecar(path: Path, sha256: str, anchors_pem: str | None) -> Sidecar | None:
    """The sidecar beside a file of this digest; None where there is none. Masks and subtitles are not read."""
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
        fake_id, stated = told["fake_id"], told["sha256"]
        if not isinstance(fake_id, str) or not _DIGEST.match(stated):
            raise TypeError("other values than a sidecar has")
        masks, subtitles = (
            None if told.get(name) is None else str(told[name]["sha256"]) for name in ("masks", "subtitles")
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Sidecar(wrong=(f"sidecar_unreadable: {type(error).__name__}",))
    wrong = []
    seal = read_seal(text, anchors_pem)
    if seal == "broken":
        wrong.append("sidecar_changed: it is not as it was sealed")
    elif anchors_pem is not None and seal != "trusted":
        wrong.append("sidecar_untrusted: sealed by a signer that is not known here")
    if stated != sha256:
        wrong.append("sidecar_differs: it is about other bytes")
    named = modalities_of(told.get("modalities"))
    return Sidecar(plain(fake_id[:64]), mark_or_none(fake_id), masks, subtitles, named, tuple(wrong))


def mark_or_none(fake_id: str) -> str | None:
    """The mark of an id, where it is one."""
    try:
        return mark_of(fake_id)
    except UsageError:
        return None


def of_subtitles(path: Path, sha256: str | None) -> list[str]:
    """What is wrong with subtitles beside a file that should have this digest; they need not lie there."""
    beside = subtitles_beside(path)
    if sha256 is None or not beside.is_file() or _sha256(beside) == sha256:
        return []
    return [f"subtitles_differ: {beside.name} is not as it was exported"]


def of_masks(path: Path, sha256: str | None) -> list[str]:
    """What is wrong with masks beside a file that should have this digest; they need not lie there."""
    masks = masks_of(path)
    if sha256 is None or not masks.is_file():
        return []
    return [] if _sha256(masks) == sha256 else ["masks_differ: the sidecar is about others"]


def _sha256(path: Path) -> str | None:
    """None for a file that cannot be read."""
    try:
        return file_sha256(path)
    except OSError:
        return None
