"""Reading every mark of a file: both watermarks, the manifest and the sidecar, and where they do not agree.

Whether a file is a fake at all, when nothing marks it, is for the detector to say.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.marks.audio import MAX_READ_S, AudioMark, read_audio_mark
from haetae.marks.beside import Sidecar, file_of, of_masks, of_subtitles, read_sidecar
from haetae.marks.export import masks_of, subtitles_beside
from haetae.marks.headline import headline, parts_changed, parts_missing
from haetae.marks.payload import OPEN_KEY
from haetae.marks.release import exports_of, mastered_by, resolve, text_fakes_of
from haetae.marks.stated import Stated, read_stated
from haetae.marks.video import VideoMark, read_frames_mark
from haetae.media.audio import iter_audio
from haetae.media.frames import iter_frames
from haetae.media.opening import open_local
from haetae.provenance.ids import file_sha256

Conclusion = Literal["marked", "disagrees", "unmarked"]
MAX_BYTES = 8 << 30
MAX_PIXELS = 4096 * 2304
MAX_DECODE_S = 60.0
"""How long pictures, and how long sound, are decoded; what was read until then counts."""
TIMEOUT_S, MEMORY_BYTES = 240.0, 4 << 30
"""What reading one file may take where it is read in a process of its own."""
_NOTHING_THERE = ("no_video", "no_audio")
_MANIFEST_MISSING = (
    "manifest_missing: an export leaves with a signed manifest; this file was written again since"
)


@dataclass(frozen=True)
class Report:
    """What was found in a file.

    conclusion: `marked` where all that was found agrees, `disagrees`, or `unmarked` where nothing of ours was found;
    headline: that in words; changed: which of `file`, `sidecar`, `masks` and `subtitles` are not as they were exported;
    intact: whether every byte of all of them is, None where nothing tells; mark: 16 hex digits, with which the id
    of the fake begins; fake_id: as a manifest states it whose signature holds (and is trusted, where anchors are
    given); video, audio: the watermarks, each with its payload and how sure it is; manifest: its summary, and under
    `fake` what it states of the fake; sidecar: `agrees`, `differs` or none, whatever masks and subtitles are;
    resolves_to: fakes of the lake that the mark stands for, or without a mark those whose master this is, None without
    a lake; text_fakes: how many fakes of text alone have an unmarked file as theirs, which does not make it a fake,
    None without a lake; disagreements: what does not fit together, as `word: detail`; notes: what could not be looked
    at, and why, what is missing, and what else is worth knowing.
    """

    file: str
    sha256: str
    conclusion: Conclusion
    headline: str
    changed: tuple[str, ...]
    intact: bool | None
    mark: str | None
    fake_id: str | None
    video: VideoMark | None
    audio: AudioMark | None
    manifest: dict[str, Any] | None
    sidecar: str | None
    resolves_to: list[dict[str, Any]] | None
    text_fakes: int | None
    disagreements: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def verify(
    path: Path, *, key: bytes = OPEN_KEY, anchors_pem: str | None = None, lake: Lake | None = None
) -> Report:
    """Read the marks of a file, or of that beside which this sidecar, these masks or subtitles lie.

    What it holds is a finding, however odd. key: of the watermarks; anchors_pem: certificates to trust: without them a
    manifest can be `valid`, but not `trusted`; lake: where the mark is looked up. At most `MAX_DECODE_S` seconds of
    work on pictures and on sound.
    Raises: Rejected `unreadable`, `empty_file` where there is no such file, or no media in it; `too_large`.
    """
    notes: list[str] = []
    path = _file_to_read(path, notes)
    unread: list[str] = []
    video = _video(path, key, notes, unread)
    audio = _audio(path, key, notes, unread)
    sha256 = file_sha256(path)
    stated = read_stated(path, anchors_pem)
    sidecar = read_sidecar(path, sha256, anchors_pem)
    if len(unread) == 2 and stated is None and sidecar is None:
        why = "; ".join(dict.fromkeys(unread)).replace(f"{path.name}: ", "")
        raise Rejected("unreadable", f"{path.name} holds neither pictures nor sound ({why})")
    found = list(dict.fromkeys(one.mark for one in (video, audio) if one is not None))
    wrong = _disagreements(video, audio, stated, sidecar, found)
    wrong += _of_others(path, stated, sidecar, found, notes)
    notes += stated.notes if stated is not None else ()
    mark = _first(*found, stated.mark if stated else None, sidecar.mark if sidecar else None)
    if found and stated is None:
        notes.append(_MANIFEST_MISSING)
    resolved = None if lake is None else mastered_by(lake, sha256) if mark is None else resolve(lake, mark)
    texts = None if lake is None else text_fakes_of(lake, sha256) if mark is None else 0
    exported = _exports(lake, resolved)
    if mark is not None and resolved is not None:
        wrong += _of_lake(sha256, resolved, exported, stated, notes)
    ours = bool(found) or sidecar is not None or (stated is not None and stated.fake_id is not None)
    changed = parts_changed(wrong, stated, rewritten=bool(found) and stated is None, known=sha256 in exported)
    return Report(
        file=path.name,
        sha256=sha256,
        **_concluded(ours, wrong, changed, stated, notes, resolved or (), texts or 0),
        changed=changed,
        mark=mark,
        fake_id=stated.fake_id if stated is not None and stated.holds else None,
        video=video,
        audio=audio,
        manifest=stated.summary if stated is not None else None,
        sidecar=None if sidecar is None else _of_sidecar(wrong),
        resolves_to=resolved,
        text_fakes=texts,
        disagreements=tuple(wrong),
        notes=tuple(notes),
    )


class VerifyFile:
    """Step: `verify` in a worker, so that a hostile file can cost no more than `TIMEOUT_S` and its worker's memory."""

    stage: ClassVar[str] = "verify"
    key: ClassVar[str] = "path"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0

    def __init__(
        self,
        watermark_key: bytes,
        anchors_pem: str | None,
        lake_root: str | None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._watermark_key, self._anchors_pem, self._lake_root = watermark_key, anchors_pem, lake_root
        self.timeout_s = timeout_s

    def setup(self) -> None:
        self._lake = None if self._lake_root is None else Lake(self._lake_root)

    def __call__(self, row: Row) -> Sequence[Row]:
        """row: `path`. Returns one row: the report as JSON."""
        report = verify(
            Path(row["path"]), key=self._watermark_key, anchors_pem=self._anchors_pem, lake=self._lake
        )
        return [report.as_json()]


def _file_to_read(path: Path, notes: list[str]) -> Path:
    """The file that a path is about. Raises: Rejected, as `verify` does before it reads anything."""
    file = file_of(path)
    if file != path:
        notes.append(f"read: {file.name}, beside which {path.name} lies")
    with open_local(file):
        size = file.stat().st_size
    if size > MAX_BYTES:
        raise Rejected("too_large", f"{file.name} has {size} bytes; at most {MAX_BYTES} are looked at")
    return file


def _video(path: Path, key: bytes, notes: list[str], unread: list[str]) -> VideoMark | None:
    until = time.monotonic() + MAX_DECODE_S

    def in_time() -> Iterator[NDArray[np.uint8]]:
        any_seen = False
        try:
            for frame in iter_frames(path, max_pixels=MAX_PIXELS):
                any_seen = True
                yield frame
                if time.monotonic() > until:
                    notes.append(f"pictures read for {MAX_DECODE_S:g} s and no longer")
                    return
        except Rejected as error:
            unread.extend([] if any_seen else [str(error)])
            if error.reason not in _NOTHING_THERE:
                notes.append(f"pictures not read{' to the end' if any_seen else ''}: {error}")

    return read_frames_mark(in_time(), key)


def _audio(path: Path, key: bytes, notes: list[str], unread: list[str]) -> AudioMark | None:
    until = time.monotonic() + MAX_DECODE_S
    blocks: list[NDArray[np.float32]] = []
    try:
        # A stream may claim to begin hours late, and is filled with silence up to the limit: so the limit is low.
        for block in iter_audio(path, max_s=MAX_READ_S):
            blocks.append(block)
            if time.monotonic() > until:
                notes.append(f"sound read for {MAX_DECODE_S:g} s and no longer")
                break
    except Rejected as error:
        if error.reason != "too_long":
            unread.extend([] if blocks else [str(error)])
            if error.reason not in _NOTHING_THERE:
                notes.append(f"sound not read{' to the end' if blocks else ''}: {error}")
    return read_audio_mark(np.concatenate(blocks), key) if blocks else None


def _disagreements(
    video: VideoMark | None,
    audio: AudioMark | None,
    stated: Stated | None,
    sidecar: Sidecar | None,
    found: Sequence[str],
) -> list[str]:
    wrong = []
    if video is not None and audio is not None and video.mark != audio.mark:
        wrong.append(f"watermarks_differ: {video.mark} in the pictures, {audio.mark} in the sound")
    if stated is not None:
        wrong += stated.wrong
        read = {"video": video, "audio": audio}
        wrong += [f"watermark_missing: {name}" for name in stated.watermarks if read.get(name) is None]
        others = [mark for mark in found if stated.mark is not None and mark != stated.mark]
        wrong += [f"manifest_names_another: {stated.fake_id}, and a watermark says {mark}" for mark in others]
    if sidecar is not None:
        wrong += sidecar.wrong
        if _names_another(sidecar, stated, found) and sidecar.fake_id is not None:
            wrong.append(f"sidecar_names_another: {sidecar.fake_id}")
    return wrong


def _names_another(sidecar: Sidecar, stated: Stated | None, found: Sequence[str]) -> bool:
    known = [stated.mark] if stated is not None and stated.mark is not None else found
    return any(mark != sidecar.mark for mark in known)


def _of_sidecar(wrong: Sequence[str]) -> str:
    return "differs" if any(one.startswith("sidecar_") for one in wrong) else "agrees"


def _of_others(
    path: Path, stated: Stated | None, sidecar: Sidecar | None, found: Sequence[str], notes: list[str]
) -> list[str]:
    """What is wrong with masks and subtitles beside the file; those that do not lie there are noted.

    A sidecar that is about another fake has no say in them.
    """
    mine = Sidecar() if sidecar is None or _names_another(sidecar, stated, found) else sidecar
    told = stated.subtitles if stated is not None and stated.holds else None
    masks, subtitles = masks_of(path), subtitles_beside(path)
    if mine.masks is not None and not masks.is_file():
        notes.append(f"masks_missing: {masks.name}, which its sidecar names, does not lie beside it")
    if (told or mine.subtitles) is not None and not subtitles.is_file():
        notes.append(f"subtitles_missing: {subtitles.name}, the changed ones, do not lie beside it")
    wrong = of_masks(path, mine.masks) + of_subtitles(path, told) + of_subtitles(path, mine.subtitles)
    return list(dict.fromkeys(wrong))


def _exports(lake: Lake | None, resolved: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """SHA-256 of every export of these fakes, as the lake's ledger has them."""
    if lake is None:
        return []
    return [one for fake in resolved or () for one in exports_of(lake, fake["fake_id"])]


def _of_lake(
    sha256: str,
    resolved: Sequence[Mapping[str, Any]],
    exported: Sequence[str],
    stated: Stated | None,
    notes: list[str],
) -> list[str]:
    """What the lake says of a mark: which fake it is, and whether these bytes are those that were exported."""
    if not resolved:
        notes.append("not_of_this_lake: no fake of this lake has such an id")
        return []
    if stated is None:
        return []  # written again since, as noted
    if exported and sha256 not in exported:
        return ["differs_from_export: the ledger has other bytes of every export of it"]
    return []


def _first(*marks: str | None) -> str | None:
    return next((mark for mark in marks if mark is not None), None)


def _concluded(
    ours: bool,
    wrong: Sequence[str],
    changed: Sequence[str],
    stated: Stated | None,
    notes: Sequence[str],
    resolved: Sequence[Mapping[str, Any]],
    text_fakes: int,
) -> dict[str, Any]:
    """`conclusion`, `intact` and `headline` of a report."""
    conclusion: Conclusion = "disagrees" if wrong else "marked" if ours else "unmarked"
    intact = None
    if ours or stated is not None:
        intact = not wrong and stated is not None and stated.holds
    masters = [fake["fake_id"] for fake in resolved]
    missing = parts_missing(notes)
    said = headline(
        conclusion, intact, changed, wrong, stated, missing=missing, masters=masters, text_fakes=text_fakes
    )
    return {"conclusion": conclusion, "intact": intact, "headline": said}
