"""Taking a fake out of the store: a copy with both watermarks, a signed manifest, and a sidecar beside it.

Whether it may leave is decided before, in `release`; the master in the store is never changed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.errors import GateClosed, Rejected, UsageError
from haetae.marks.copying import marks_read, write_marked
from haetae.marks.credentials import Credentials
from haetae.marks.payload import OPEN_KEY, mark_of
from haetae.marks.seal import sealed
from haetae.marks.signing import ALGORITHMS, MIME, Statement, sign, source_type
from haetae.media.encode import CRF
from haetae.provenance.ids import file_sha256
from haetae.provenance.policy import Verdict

SIDECAR = ".json"
MASKS = ".masks.npz"
MAX_SIDECAR_BYTES = 16 << 20
_PARENTS = ("clip_id", "donor_id", "track_id", "pair_id")
_TOLD = (
    "generator",
    "family",
    "modalities",
    "segments",
    "regions",
    "language",
    "text",
    "words",
    "seed",
    "licence",
)


@dataclass(frozen=True)
class Parts:
    """Files of the lake that an export is made of: the fake, the clip it was made from, its masks."""

    blob: Path
    source: Path | None = None
    masks: Path | None = None


@dataclass(frozen=True)
class Exported:
    """What was written.

    mark: 16 hex digits; watermarks: those that were read back from the file, of `video` and `audio`;
    media_sha256: the file before it was signed, the same at every export; sha256: the file as it is;
    psnr_db: of the marked pictures before encoding, None without any; snr_db: of the marked sound, likewise.
    """

    path: Path
    sidecar: Path
    masks: Path | None
    mark: str
    watermarks: tuple[str, ...]
    media_sha256: str
    sha256: str
    psnr_db: float | None
    snr_db: float | None


def export(
    parts: Parts,
    fake: Mapping[str, Any],
    out: Path,
    *,
    verdict: Verdict,
    card_digest: str,
    credentials: Credentials,
    key: bytes = OPEN_KEY,
    crf: int = CRF,
    timeout_s: float = 900.0,
) -> Exported:
    """Write a marked copy of a fake to `out`, `out` + `.json` and `out` + `.masks.npz` beside it; all or nothing.

    out: of the kind of the fake's own file, .mp4, .wav or .png. fake: its row of `fakes`. verdict: what the policy
    gate says of its release; card_digest: digest of the generator's card; key: of the watermarks. The file is the
    same at every export but for its signature.
    Raises: GateClosed where release is refused; UsageError for an `out` that cannot be; Rejected `mark_unreadable`
    where a watermark cannot be read back, and the readers' and the encoder's own.
    """
    if not verdict.allowed:
        raise GateClosed(f"{fake['fake_id']} may not be released: {', '.join(verdict.reasons)}")
    mark = mark_of(fake["fake_id"])
    _check_target(parts.blob, out)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-") as scratch:
        marked = Path(scratch) / f"marked{out.suffix}"
        psnr, snr = write_marked(parts.blob, marked, mark, key, crf, timeout_s)
        found = marks_read(marked, mark, key)
        # Sound may be too short or too quiet for a mark; pictures never are, so theirs must be there.
        if "video" not in found and (out.suffix != ".wav" or not found):
            raise Rejected("mark_unreadable", f"{fake['fake_id']}: a watermark cannot be read of the copy")
        media_sha256 = file_sha256(marked)
        made = _made(fake, card_digest, media_sha256, found, parts.source)
        signed = Path(scratch) / f"signed{out.suffix}"
        clip = (str(fake["clip_id"]), parts.source) if parts.source is not None else None
        sign(marked, signed, Statement(made, mark, source_type(fake)), credentials, clip)
        exported = Exported(
            path=out,
            sidecar=sidecar_of(out),
            masks=masks_of(out) if parts.masks is not None else None,
            mark=mark,
            watermarks=found,
            media_sha256=media_sha256,
            sha256=file_sha256(signed),
            psnr_db=psnr,
            snr_db=snr,
        )
        told = _sidecar(fake, card_digest, exported, parts.masks)
        _put_in_place(scratch, signed, sealed(told, credentials), parts.masks, exported)
    return exported


def sidecar_of(path: Path) -> Path:
    """The sidecar of an exported file."""
    return path.with_name(path.name + SIDECAR)


def masks_of(path: Path) -> Path:
    """The masks beside an exported file."""
    return path.with_name(path.name + MASKS)


def finished(out: Path, fake_id: str, card_digest: str) -> bool:
    """Whether `out` is a whole export of this fake: file, masks and sidecar as they were written together."""
    try:
        with sidecar_of(out).open("rb") as file:
            told = json.loads(file.read(MAX_SIDECAR_BYTES))
        asked = {"fake_id": fake_id, "card_digest": card_digest, "file": out.name}
        if any(told.get(name) != value for name, value in asked.items()) or "seal" not in told:
            return False
        masks = told["masks"]
        whole = masks is None or file_sha256(masks_of(out)) == masks["sha256"]
        return whole and bool(file_sha256(out) == told["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _check_target(blob: Path, out: Path) -> None:
    if blob.suffix not in MIME:
        raise UsageError(f"{blob.name} cannot be exported: only {', '.join(MIME)} can be marked and signed")
    if out.suffix != blob.suffix:
        raise UsageError(f"{out.name} must end in {blob.suffix}, as the fake does")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}; make it first")
    if out.is_dir() or out.resolve() == blob.resolve():
        raise UsageError(f"{out} is in the way; give another name")


def _put_in_place(scratch: str, signed: Path, sidecar: str, masks: Path | None, exported: Exported) -> None:
    """The file comes last: where it is, its sidecar and its masks are."""
    told = Path(scratch) / "sidecar"
    told.write_text(sidecar, encoding="utf-8")
    if masks is not None and exported.masks is not None:
        copy = Path(scratch) / "masks"
        shutil.copyfile(masks, copy)
        os.replace(copy, exported.masks)
    os.replace(told, exported.sidecar)
    os.replace(signed, exported.path)


def _made(
    fake: Mapping[str, Any], card_digest: str, media_sha256: str, found: Sequence[str], source: Path | None
) -> dict[str, Any]:
    """What the manifest itself states of the fake; nothing of the person beyond ids."""
    told = {name: fake[name] for name in ("fake_id", "generator", "clip_id", "donor_id", "seed", "licence")}
    told |= {"card_digest": card_digest, "modalities": list(fake["modalities"])}
    told |= {"watermarks": list(found), "media_sha256": media_sha256}
    told |= {"source_sha256": file_sha256(source)} if source is not None else {}
    # JSON numbers of a manifest are read as doubles by some: a seed of 63 bits must not lose its end.
    told["seed"] = str(told["seed"])
    return {name: value for name, value in told.items() if value is not None}


def _sidecar(
    fake: Mapping[str, Any], card_digest: str, exported: Exported, masks: Path | None
) -> dict[str, Any]:
    beside = None
    if masks is not None and exported.masks is not None:
        beside = {"file": exported.masks.name, "sha256": file_sha256(masks)}
    return {
        "fake_id": fake["fake_id"],
        "file": exported.path.name,
        "sha256": exported.sha256,
        "media_sha256": exported.media_sha256,
        "card_digest": card_digest,
        "parents": {name: fake[name] for name in _PARENTS},
        "parameters": json.loads(fake["params"]),
        "masks": beside,
        **{name: fake[name] for name in _TOLD},
        "marks": {
            "payload": exported.mark,
            "watermarks": {where: ALGORITHMS[where] for where in exported.watermarks},
            "psnr_db": exported.psnr_db,
            "snr_db": exported.snr_db,
            "c2pa": True,
        },
    }
