"""`Fetch`: one listed item in, its `media` row out: fetched, measured and kept in the lake.

Listing is in `listing`, the network in `download`, archives in `archives`, measuring in `probe`.
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
from haetae.media import archives
from haetae.media.addresses import is_web
from haetae.media.archives import INSIDE, ArchiveLimits
from haetae.media.companions import CAPTION_LANGUAGES, CAPTIONS_MAX_BYTES
from haetae.media.download import Downloaded, DownloadLimits, download
from haetae.media.hosts import USER_AGENT, Manners, state_folder
from haetae.media.listing import Found, discover
from haetae.media.manifest import forbids_training, read_manifest
from haetae.media.partial import partial_folder, remember, remembered
from haetae.media.probe import MediaInfo, ProbeLimits, probe
from haetae.provenance.sources import identities_of, redact

__all__ = ["Fetch", "Found", "discover"]

Row = dict[str, Any]
CAPTION_EXTENSIONS = ("srt", "vtt")
COPY = "fetched"
LISTED = frozenset({"page", "feed", "channel"})
"""Kinds of sources whose items a machine found: for them robots.txt is asked."""
SHARE_OF_TIME = 0.9
"""Of the time for an item, what fetching may take, so that it is told what was too slow."""


@dataclass
class Fetch:
    """Item row with what its source declares (see `intake.fetch_rows`) to one row of the `media` table.

    Row keys that may be missing: `known`, its media row of before, whose bytes are then not fetched again;
    `mask`, address of a mask; `text`, a transcript. An address is of the web, a path, or inside a container
    (see `archives`).
    max_bytes, max_duration_s: limits for one file. allow_hosts: see `egress.Guard`. timeout_s: for one
    item. requests_per_s, per_host, retries, max_wait_s, user_agent: see `hosts.Manners`.
    Raises, per row: Rejected with the reasons of `probe`, `download` and `archives.fetch`, and
    `symlink_refused`, `changed` for a file that is not the one that was listed.
    """

    lake_root: str
    max_bytes: int = 2_000_000_000
    max_duration_s: float = 7200.0
    allow_hosts: tuple[str, ...] = ()
    timeout_s: float = 900.0
    allowed_extractors: tuple[str, ...] = ("default",)
    requests_per_s: float = 2.0
    per_host: int = 2
    retries: int = 4
    max_wait_s: float = 120.0
    backoff_s: float = 1.0
    user_agent: str = USER_AGENT

    stage: ClassVar[str] = "media"
    key: ClassVar[str] = "item_id"
    num_cpus: ClassVar[float] = 1
    num_gpus: ClassVar[float] = 0

    _lake: Lake | None = field(init=False, default=None, compare=False, repr=False)

    def setup(self) -> None:
        self._lake = Lake(self.lake_root)

    def __call__(self, row: Row) -> Sequence[Row]:
        assert self._lake is not None, "setup() was not called"
        try:
            made = self._from_web(row) if "://" in row["address"] else self._from_disk(row)
        except Rejected as no:
            detail = no.detail.removeprefix(f"{COPY}: ")
            raise Rejected(no.reason, f"{redact(row['uri'])}: {detail}") from no
        return [made]

    def _from_disk(self, row: Row) -> Row:
        with self._store.tmp_dir() as folder:
            return self._keep(row, self._local(row, folder), folder)

    def _from_web(self, row: Row) -> Row:
        known = row.get("known")
        if known and known["language"] == row["language"] and self._has(known):
            return self._measured_again(row, known)
        with partial_folder(self._store, row["item_id"], SHARE_OF_TIME * self.timeout_s) as folder:
            done = remembered(folder, row)
            if done is None or not self._has(done):
                robots = row["kind"] in LISTED
                limits = self._limits()
                got = download(
                    row["address"], folder, row["language"], limits, self._manners(), robots=robots
                )
                done = self._keep(row, got, folder)
                remember(folder, row, done)
            return done

    def _keep(self, row: Row, got: Downloaded, folder: Path) -> Row:
        """Measure a fetched file and put it and its companions into the lake."""
        lake = self._store
        info = probe(got.path, self._probe_limits)
        manifest = manifest_of(got.path, *got.parts)
        got = _with_stated_text(got, row, folder)
        blobs = {
            "blob_id": lake.put_blob(got.path, info.real_extension),
            "captions_blob": lake.put_blob(got.captions, got.captions.suffix) if got.captions else None,
            "captions_kind": got.captions_kind if got.captions else None,
            "thumbnail_blob": lake.put_blob(got.thumbnail, got.thumbnail.suffix) if got.thumbnail else None,
            "masks_blob": self._mask(row, folder),
        }
        told = {"title": got.title, "origin_info": got.origin_info, "fetched_at": dt.datetime.now(dt.UTC)}
        return media_row(row, info, manifest, blobs | told)

    def _measured_again(self, row: Row, known: Row) -> Row:
        """The row of bytes that are in the lake already, by what is declared and how it is measured today."""
        path = self._store.open_local(known["blob_id"])
        info = probe(path, self._probe_limits)
        manifest = manifest_of(path)
        if manifest is None and known["c2pa"]:
            # It was in a part that the film was merged from, and is gone with it.
            manifest = (known["c2pa"], forbids_training(known["c2pa"]))
        kept = ("blob_id", "captions_blob", "captions_kind", "thumbnail_blob", "title", "origin_info")
        with self._store.tmp_dir() as folder:
            masks = {"masks_blob": self._mask(row, folder)}
        old = {name: known[name] for name in (*kept, "fetched_at")}
        return media_row(row, info, manifest, old | masks)

    def _has(self, row: Row) -> bool:
        """Whether the lake still holds what a media row names."""
        names = ("blob_id", "captions_blob", "thumbnail_blob")
        blobs = [row[name] for name in names if row[name] is not None]
        return all(self._store.files.exists(self._store.blob_path(blob)) for blob in blobs)

    def _mask(self, row: Row, folder: Path) -> str | None:
        """The blob of an item's mask; None where it has none that can be read."""
        address = row.get("mask")
        if not address:
            return None
        where = folder / "mask"
        where.mkdir()
        try:
            got = self._local({**row, "address": address, "sha256": None}, where)
            return self._store.put_blob(got.path, probe(got.path, self._probe_limits).real_extension)
        except Rejected:
            return None

    def _local(self, row: Row, folder: Path) -> Downloaded:
        address = row["address"]
        inside = address.endswith("/") or (INSIDE in address and not os.path.lexists(address))
        if not inside and not archives.is_archive(address):
            return copy_local(row, folder, self.max_bytes)
        limits = ArchiveLimits(max_member_bytes=self.max_bytes, timeout_s=SHARE_OF_TIME * self.timeout_s)
        if not inside:
            _, refusals = archives.list_members(Path(address), limits)
            whole = next((one for one in refusals if not one.name), None)
            raise Rejected(*(whole[1:] if whole else ("changed", "its members are listed by the next run")))
        got = archives.fetch(address, folder, limits)
        return Downloaded(got.path, got.name, *member_captions(address, row["language"], folder, limits))

    @property
    def _store(self) -> Lake:
        assert self._lake is not None
        return self._lake

    @property
    def _probe_limits(self) -> ProbeLimits:
        return ProbeLimits(self.max_bytes, self.max_duration_s)

    def _limits(self) -> DownloadLimits:
        return DownloadLimits(
            max_bytes=self.max_bytes,
            max_duration_s=self.max_duration_s,
            timeout_s=SHARE_OF_TIME * self.timeout_s,
            allow_hosts=self.allow_hosts,
            allowed_extractors=self.allowed_extractors,
        )

    def _manners(self) -> Manners:
        return Manners(
            state=state_folder(self._store),
            requests_per_s=self.requests_per_s,
            per_host=self.per_host,
            retries=self.retries,
            max_wait_s=self.max_wait_s,
            backoff_s=self.backoff_s,
            user_agent=self.user_agent,
        )


def _with_stated_text(got: Downloaded, row: Row, folder: Path) -> Downloaded:
    """The transcript that a data set states, where the file has no captions of its own."""
    text = row.get("text")
    if got.captions or not text:
        return got
    captions = folder / "stated.txt"
    captions.write_text(text, encoding="utf-8")
    return replace(got, captions=captions, captions_kind="sidecar")


def manifest_of(*paths: Path) -> tuple[str, bool] | None:
    """Summary of the first C2PA manifest in some files, and whether any of them forbids training."""
    found = [one for one in map(read_manifest, paths) if one is not None]
    if not found:
        return None
    forbidding = [one for one in found if one.forbids_training]
    return (forbidding or found)[0].summary_json, bool(forbidding)


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


def media_row(row: Row, info: MediaInfo, manifest: tuple[str, bool] | None, kept: Row) -> Row:
    """The row of `media`: what is declared and measured of a file, and `kept`: its blobs and what the origin told."""
    uri = row["uri"]
    name = Path(urlsplit(uri).path).name if is_web(uri) else Path(uri).name
    summary, forbids = manifest or (None, False)
    return {
        "media_id": kept["blob_id"].partition(".")[0],
        "source_id": row["source_id"],
        "batch": row["batch"],
        "item_id": row["item_id"],
        "origin_url": redact(uri),
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
        "encoder": info.encoder,
        "bit_rate_bps": info.bit_rate_bps,
        "language": row["language"],
        "use_case": row["use_case"],
        "identities": identities_of(name, row["identities"], kind=row["kind"]),
        "declared_verdict": row["verdict"],
        "declared_generator": row["generator"],
        "c2pa": summary,
        "training_allowed": "training" in row["purposes"] and not forbids,
        **kept,
    }


def member_captions(
    address: str, language: str, folder: Path, limits: ArchiveLimits
) -> tuple[Path, str] | tuple[None, None]:
    """The captions beside a member of an archive, by the names of `find_sidecar`."""
    container, inside, member = address.partition(INSIDE)
    if not inside or member.endswith("/") or not archives.is_archive(container):
        return None, None
    names = {one.name for one in archives.list_members(Path(container), limits)[0]}
    for name in sidecar_names(Path(member), language):
        beside = f"{container}{INSIDE}{Path(member).with_name(name).as_posix()}"
        if Path(member).with_name(name).as_posix() in names and beside != address:
            captions = folder / f"captions{Path(name).suffix.lower()}"
            captions.write_bytes(archives.read_member(beside, CAPTIONS_MAX_BYTES, limits))
            return captions, "sidecar"
    return None, None


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
    for name in sidecar_names(path, language):
        sidecar = path.with_name(name)
        if sidecar != path and sidecar.is_file() and not sidecar.is_symlink():
            return sidecar
    return None


def sidecar_names(path: Path, language: str) -> list[str]:
    """Names that the captions of a file may have, the best first."""
    tags = [*(f".{code}" for code in CAPTION_LANGUAGES.get(language, ())), ""]
    return [*(f"{path.stem}{tag}.{ext}" for tag in tags for ext in CAPTION_EXTENSIONS), f"{path.stem}.txt"]
