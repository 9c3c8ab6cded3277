"""Taking a fake out of the store: a copy with both watermarks, a signed manifest, and what lies beside it.

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
from haetae.marks.signing import ALGORITHMS, COMPOSITE, MIME, Statement, sign, source_type
from haetae.marks.subtitles import digest_of
from haetae.media.encode import CRF
from haetae.provenance.ids import file_sha256
from haetae.provenance.policy import Verdict

SIDECAR = ".json"
MASKS = ".masks.npz"
SUBTITLES = ".srt"
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
    """What an export is made of. blob, source, masks: files of the lake: the fake, the clip it was made from, its
    masks; subtitles: the document of those that it changes, None where it changes none; subtitles_language: that they
    are written in, None where it cannot be told."""

    blob: Path
    source: Path | None = None
    masks: Path | None = None
    subtitles: str | None = None
    subtitles_language: str | None = None


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
    subtitles: Path | None
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
    """Write a marked copy of a fake to `out`, with sidecar, masks and changed subtitles beside it; all or nothing.

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
        made = Statement(_made(fake, card_digest, media_sha256, found, parts), mark, source_type(fake))
        signed = Path(scratch) / f"signed{out.suffix}"
        sign(marked, signed, made, credentials, _ingredient(fake, parts))
        exported = Exported(
            path=out,
            sidecar=sidecar_of(out),
            masks=masks_of(out) if parts.masks is not None else None,
            subtitles=subtitles_beside(out) if parts.subtitles is not None else None,
            mark=mark,
            watermarks=found,
            media_sha256=media_sha256,
            sha256=file_sha256(signed),
            psnr_db=psnr,
            snr_db=snr,
        )
        sidecar = sealed(_sidecar(fake, card_digest, exported, parts), credentials)
        _put_in_place(scratch, signed, sidecar, parts, exported)
    return exported


def sidecar_of(path: Path) -> Path:
    """The sidecar of an exported file."""
    return path.with_name(path.name + SIDECAR)


def masks_of(path: Path) -> Path:
    """The masks beside an exported file."""
    return path.with_name(path.name + MASKS)


def subtitles_beside(path: Path) -> Path:
    """The changed subtitles beside an exported file, under the name by which players find them."""
    return path.with_suffix(SUBTITLES)


def finished(out: Path, fake_id: str, card_digest: str, subtitles: str | None = None) -> bool:
    """Whether `out` is a whole export of this fake: file, masks, subtitles and sidecar as they were written together.

    subtitles: the document that belongs to it, None where there is none.
    """
    try:
        with sidecar_of(out).open("rb") as file:
            told = json.loads(file.read(MAX_SIDECAR_BYTES))
        asked = {"fake_id": fake_id, "card_digest": card_digest, "file": out.name}
        if any(told.get(name) != value for name, value in asked.items()) or "seal" not in told:
            return False
        masks = told["masks"]
        whole = masks is None or file_sha256(masks_of(out)) == masks["sha256"]
        if subtitles is not None:
            digest = digest_of(subtitles)
            whole = whole and told["subtitles"]["sha256"] == digest == file_sha256(subtitles_beside(out))
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


def _put_in_place(scratch: str, signed: Path, sidecar: str, parts: Parts, exported: Exported) -> None:
    """The file comes last: where it is, all that lies beside it is."""
    told = Path(scratch) / "sidecar"
    told.write_text(sidecar, encoding="utf-8")
    if parts.masks is not None and exported.masks is not None:
        copy = Path(scratch) / "masks"
        shutil.copyfile(parts.masks, copy)
        os.replace(copy, exported.masks)
    if parts.subtitles is not None and exported.subtitles is not None:
        shown = Path(scratch) / "subtitles"
        shown.write_bytes(parts.subtitles.encode("utf-8"))
        os.replace(shown, exported.subtitles)
    os.replace(told, exported.sidecar)
    os.replace(signed, exported.path)


def _ingredient(fake: Mapping[str, Any], parts: Parts) -> tuple[str, Path] | None:
    return None if parts.source is None else (str(fake["clip_id"]), parts.source)


def _made(
    fake: Mapping[str, Any], card_digest: str, media_sha256: str, found: Sequence[str], parts: Parts
) -> dict[str, Any]:
    """What the manifest itself states of the fake; nothing of the person beyond ids."""
    told = {name: fake[name] for name in ("fake_id", "generator", "clip_id", "donor_id", "seed", "licence")}
    told |= {"card_digest": card_digest, "modalities": list(fake["modalities"])}
    told |= {"watermarks": list(found), "media_sha256": media_sha256}
    told |= {"source_sha256": file_sha256(parts.source)} if parts.source is not None else {}
    told |= {"subtitles_sha256": digest_of(parts.subtitles)} if parts.subtitles is not None else {}
    # JSON numbers of a manifest are read as doubles by some: a seed of 63 bits must not lose its end.
    told["seed"] = str(told["seed"])
    return {name: value for name, value in told.items() if value is not None}


def _sidecar(fake: Mapping[str, Any], card_digest: str, exported: Exported, parts: Parts) -> dict[str, Any]:
    masks = subtitles = None
    if parts.masks is not None and exported.masks is not None:
        masks = {"file": exported.masks.name, "sha256": file_sha256(parts.masks)}
    if parts.subtitles is not None and exported.subtitles is not None:
        subtitles = {
            "file": exported.subtitles.name,
            "sha256": digest_of(parts.subtitles),
            "language": parts.subtitles_language,
            "synthetic": True,
            "source_type": COMPOSITE,
        }
    return {
        "fake_id": fake["fake_id"],
        "file": exported.path.name,
        "sha256": exported.sha256,
        "media_sha256": exported.media_sha256,
        "card_digest": card_digest,
        "parents": {name: fake[name] for name in _PARENTS},
        "parameters": json.loads(fake["params"]),
        "masks": masks,
        "subtitles": subtitles,
        **{name: fake[name] for name in _TOLD},
        "marks": {
            "payload": exported.mark,
            "watermarks": {where: ALGORITHMS[where] for where in exported.watermarks},
            "psnr_db": exported.psnr_db,
            "snr_db": exported.snr_db,
            "c2pa": True,
        },
    }
