"""`Fetch`: one listed item in, its `media` row out: fetched, measured and kept in the lake.

Listing is in `listing`, the network in `download` and `egress`, measuring in `probe`.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from urllib.parse import urlsplit

from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.media.download import CAPTION_LANGUAGES, CAPTIONS_MAX_BYTES, Downloaded, DownloadLimits, download
from haetae.media.listing import Found, discover
from haetae.media.probe import MediaInfo, ProbeLimits, probe
from haetae.provenance.sources import identities_of, redact

__all__ = ["Fetch", "Found", "discover"]

Row = dict[str, Any]
CAPTION_EXTENSIONS = ("srt", "vtt")
COPY = "fetched"


@dataclass
class Fetch:
    """Item row with what its source declares (see `intake.fetch_rows`) to one row of the `media` table.

    max_bytes, max_duration_s: limits for one file. allow_hosts: see `egress.Guard`. timeout_s: for one item.
    Raises, per row: Rejected with the reasons of `probe` and `download`, and `symlink_refused`,
    `changed` for a file that is not the one that was listed.
    """

    lake_root: str
    max_bytes: int = 2_000_000_000
    max_duration_s: float = 7200.0
    allow_hosts: tuple[str, ...] = ()
    timeout_s: float = 900.0
    allowed_extractors: tuple[str, ...] = ("default",)

    stage: ClassVar[str] = "media"
    key: ClassVar[str] = "item_id"
    num_cpus: ClassVar[float] = 1
    num_gpus: ClassVar[float] = 0

    _lake: Lake | None = field(init=False, default=None, compare=False, repr=False)

    def setup(self) -> None:
        self._lake = Lake(self.lake_root)

    def __call__(self, row: Row) -> Sequence[Row]:
        assert self._lake is not None, "setup() was not called"
        with self._lake.tmp_dir() as folder:
            try:
                got = self._get(row, folder)
                info = probe(got.path, ProbeLimits(self.max_bytes, self.max_duration_s))
            except Rejected as no:
                detail = no.detail.removeprefix(f"{COPY}: ")
                raise Rejected(no.reason, f"{redact(row['uri'])}: {detail}") from no
            blob_id = self._lake.put_blob(got.path, info.real_extension)
            captions = self._lake.put_blob(got.captions, got.captions.suffix) if got.captions else None
        return [media_row(row, got, info, blob_id, captions)]

    def _get(self, row: Row, folder: Path) -> Downloaded:
        if "://" not in row["address"]:
            return copy_local(row, folder, self.max_bytes)
        limits = DownloadLimits(
            max_bytes=self.max_bytes,
            max_duration_s=self.max_duration_s,
            timeout_s=self.timeout_s,
            allow_hosts=self.allow_hosts,
            allowed_extractors=self.allowed_extractors,
        )
        got = download(row["address"], folder, row["language"], limits)
        return replace(got, path=got.path.rename(folder / COPY))


def copy_local(row: Row, folder: Path, max_bytes: int) -> Downloaded:
    """Copy a listed file and its sidecar captions into a folder.

    Raises: Rejected `unreadable`, `symlink_refused`, `too_large`; `changed` where it is not what was listed.
    """
    path, copy = Path(row["address"]), folder / COPY
    sha = hashlib.sha256()
    with open_no_link(path) as source, copy.open("wb") as target:
        size = os.fstat(source.fileno()).st_size
        if size > max_bytes:
            raise Rejected("too_large", f"{size} bytes; at most {max_bytes}")
        while piece := source.read(1 << 20):
            sha.update(piece)
            target.write(piece)
    if row["sha256"] not in (None, sha.hexdigest()):
        raise Rejected("changed", "not the file that was listed; it is listed anew by the next run")
    sidecar = find_sidecar(path, row["language"])
    if sidecar is None:
        return Downloaded(copy, path.name)
    captions = folder / f"captions{sidecar.suffix.lower()}"
    with open_no_link(sidecar) as source:
        captions.write_bytes(source.read(CAPTIONS_MAX_BYTES))
    return Downloaded(copy, path.name, captions, "sidecar")


def media_row(row: Row, got: Downloaded, info: MediaInfo, blob_id: str, captions: str | None) -> Row:
    """The `media` row of a fetched file."""
    return {
        "media_id": blob_id.partition(".")[0],
        "source_id": row["source_id"],
        "batch": row["batch"],
        "item_id": row["item_id"],
        "origin_url": redact(row["uri"]),
        "title": got.title,
        "blob_id": blob_id,
        "size_bytes": info.size_bytes,
        "container": info.container,
        "video_codec": info.video_codec,
        "audio_codec": info.audio_codec,
        "duration_s": info.duration_s if not info.is_still else 0.0,
        "width": info.width,
        "height": info.height,
        "rotation_deg": info.rotation_deg,
        "fps": info.fps,
        "is_vfr": info.is_vfr,
        "has_audio": info.has_audio,
        "has_video": info.has_video,
        "sample_rate_hz": info.sample_rate_hz,
        "language": row["language"],
        "use_case": row["use_case"],
        "identities": identities_of(
            Path(urlsplit(row["uri"]).path).name, row["identities"], kind=row["kind"]
        ),
        "declared_verdict": row["verdict"],
        "declared_generator": row["generator"],
        "captions_blob": captions,
        "captions_kind": got.captions_kind if captions else None,
        "c2pa": None,
        "training_allowed": "training" in row["purposes"],
        "fetched_at": dt.datetime.now(dt.UTC),
    }


def open_no_link(path: Path) -> BinaryIO:
    """Open a regular file that is not itself a link. Raises: Rejected `symlink_refused`, `unreadable`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP and path.exists():
            raise Rejected("symlink_refused", "it is a link that leads out of its folder") from error
        why = "a link to nothing" if error.errno == errno.ELOOP else error.strerror
        raise Rejected("unreadable", str(why)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Rejected("unreadable", "not a regular file")
    return os.fdopen(handle, "rb")


def find_sidecar(path: Path, language: str) -> Path | None:
    """The captions beside a file: `X.<language>.srt|vtt`, then `X.srt|vtt`, then the transcript `X.txt`."""
    tags = [*(f".{code}" for code in CAPTION_LANGUAGES.get(language, ())), ""]
    names = [f"{path.stem}{tag}.{ext}" for tag in tags for ext in CAPTION_EXTENSIONS]
    names.append(f"{path.stem}.txt")
    for name in names:
        sidecar = path.with_name(name)
        if sidecar != path and sidecar.is_file() and not sidecar.is_symlink():
            return sidecar
    return None
