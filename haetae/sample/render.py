"""Rendering the sample: every planned file as a row of the engine, then `sources.yaml`.

What is in the files is in `plan`; `haetae sample` and `haetae run` without sources call `render_sample`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml
from numpy.typing import NDArray

from haetae.engine import Engine, Failed, OnProgress, PoolEngine, Row
from haetae.errors import UsageError
from haetae.media.encode import FPS, write_video
from haetae.provenance.ids import file_sha256, seed_of
from haetae.sample.camera import OnStage, Shot, film
from haetae.sample.cast import look_of
from haetae.sample.looks import Look, Place
from haetae.sample.motion import perform
from haetae.sample.plan import EDITION, ClipSpec, SampleParams, plan, sources
from haetae.sample.puppet import Placing, Puppet
from haetae.sample.scenery import PLACES
from haetae.sample.speech import Line, Recording, Script, record, silent_script, write_script
from haetae.voice.words import as_rows

MANIFEST = "sample.json"
SOURCES = "sources.yaml"
TRUNCATED_SHARE = 0.6
TRUNCATED_FRAMES = 30


@dataclass(frozen=True)
class SampleReport:
    """What a call of `render_sample` did: files rendered and files kept from before (media files)."""

    folder: Path
    sources: Path
    rendered: int
    kept: int
    files: tuple[str, ...]


def render_sample(
    folder: Path,
    *,
    seed: int = 0,
    clip_s: float = 4.0,
    size_px: int = 320,
    engine: Engine | None = None,
    on_progress: OnProgress | None = None,
) -> SampleReport:
    """Render the sample into `folder`; what a render with the same parameters has finished there is kept.

    Every file appears under its name only when complete, `sources.yaml` last of all. The same parameters give
    the same bytes. engine: runs the rows; None: a pool of processes, one per core, for this call.
    Raises: UsageError for parameters out of range or a folder that holds something else; RuntimeError when
    a file cannot be rendered.
    """
    params = SampleParams(seed, clip_s, size_px)
    folder = folder.resolve()
    done = _open_folder(folder, params)
    specs = plan()
    missing = [spec for spec in specs if not _is_finished(folder, spec, done)]
    own = engine is None
    engine = engine or PoolEngine(on_progress=on_progress)
    step = RenderActor(str(folder), params.seed, params.clip_s, params.size_px)
    failed: list[Failed] = []
    try:
        for result in engine.map_rows(step, [spec.row() for spec in missing]):
            if isinstance(result, Failed):
                failed.append(result)
                continue
            for row in result.rows:
                done.update(row["sha256"])
            _write_manifest(folder, params, done)
    finally:
        if own:
            engine.close()
    if failed:
        reasons = "; ".join(f"{one.item_id}: {one.reason}: {one.detail.strip()}" for one in failed)
        raise RuntimeError(
            f"{len(failed)} of {len(missing)} files of the sample were not rendered: {reasons}"
        )
    _write_text(folder / SOURCES, _sources_text(params))
    return SampleReport(
        folder, folder / SOURCES, len(missing), len(specs) - len(missing), tuple(spec.file for spec in specs)
    )


@dataclass
class RenderActor:
    """Render one file of the sample with its captions. Row: a `ClipSpec`; result: SHA-256 of each file."""

    stage: ClassVar[str] = "sample"
    key: ClassVar[str] = "file"
    num_cpus: ClassVar[float] = 1
    num_gpus: ClassVar[float] = 0

    folder: str
    seed: int = 0
    clip_s: float = 4.0
    size_px: int = 320
    timeout_s: float = 300.0
    _puppets: dict[str, Puppet] = field(init=False, default_factory=dict, repr=False, compare=False)

    def setup(self) -> None:
        """Segment and mesh the portrait, both ways round."""
        import cv2

        from haetae.sample.sheet import load_sheet

        cv2.setNumThreads(1)
        load_sheet(False)
        load_sheet(True)

    def __call__(self, row: Row) -> Sequence[Row]:
        spec = ClipSpec.of(row)
        params = SampleParams(self.seed, self.clip_s, self.size_px)
        target = Path(self.folder) / spec.file
        target.parent.mkdir(parents=True, exist_ok=True)
        if spec.kind == "truncated":
            _write_truncated(target, *self._clip(spec, params, TRUNCATED_FRAMES)[:2])
        else:
            frames, audio, scripts = self._clip(spec, params, params.n_frames)
            _write_sidecars(Path(self.folder), spec, scripts, params)
            write_video(target, frames, audio, fps=FPS)
        made = {name: file_sha256(Path(self.folder) / name) for name in spec.outputs()}
        return [{"file": spec.file, "sha256": made}]

    def _clip(
        self, spec: ClipSpec, params: SampleParams, n_frames: int
    ) -> tuple[Iterator[NDArray[np.uint8]], NDArray[np.float32], list[Script]]:
        """Frames, recorded sound and one script per shot."""
        seed = seed_of("clip", params.seed, spec.file)
        looks = [look_of(name, params.seed) for name in spec.identities]
        n_shots = 2 if spec.kind == "two_shots" else 1
        scripts: list[Script] = []
        shots: list[Shot] = []
        for k in range(n_shots):
            if spec.speaker is None:
                script = silent_script(n_frames)
            else:
                speaker = looks[spec.speaker]
                script = write_script(speaker, spec.use_case, n_frames, params.seed, spec.turn + 3 * k)
            scripts.append(script)
            shots.append(self._shot(spec, looks, script, n_frames, seed_of(seed, "shot", k), k))
        recording = Recording.drawn(seed_of("recording", seed))
        dry = np.concatenate([script.audio for script in scripts])
        return chain.from_iterable(film(shot) for shot in shots), record(dry, recording, seed), scripts

    def _shot(
        self, spec: ClipSpec, looks: list[Look], script: Script, n_frames: int, seed: int, index: int
    ) -> Shot:
        rng = np.random.default_rng(seed)
        pair = len(looks) == 2
        height = self.size_px
        width = SampleParams(self.seed, self.clip_s, self.size_px).wide_px if pair else height
        centres = (0.265, 0.735) if pair else (0.5 + float(rng.uniform(-0.04, 0.04)) - 0.06 * index,)
        actors = []
        for k, (look, centre) in enumerate(zip(looks, centres, strict=True)):
            speaks = k == spec.speaker
            heard = script if speaks else silent_script(n_frames)
            yaw, pitch = look.turn_deg
            if pair:  # they face each other a little
                yaw += 5.0 if k == 0 else -5.0
            play = perform(heard.phonemes, heard.audio, n_frames, seed_of(seed, k), rest_deg=(yaw, pitch))
            zoom = (0.84 if pair else 1.0 - 0.14 * index) * float(rng.uniform(0.96, 1.05))
            actors.append(OnStage(self._puppet(look), Placing(centre * width, height, zoom), play))
        place: Place = looks[0].place
        if index or pair:
            others = [name for name in PLACES if name != place]
            place = others[int(rng.integers(len(others)))]
        return Shot(actors, place, seed_of(seed, "camera"), width, height)

    def _puppet(self, look: Look) -> Puppet:
        if look.identity not in self._puppets:
            self._puppets = (
                {look.identity: Puppet(look)}
                if len(self._puppets) > 1
                else {**self._puppets, look.identity: Puppet(look)}
            )
        return self._puppets[look.identity]


def _write_sidecars(folder: Path, spec: ClipSpec, scripts: list[Script], params: SampleParams) -> None:
    shot_s = params.n_frames / FPS
    lines = [
        Line(line.text, line.start_s + k * shot_s, line.end_s + k * shot_s)
        for k, script in enumerate(scripts)
        for line in script.lines
    ]
    words = [word.shifted(k * shot_s) for k, script in enumerate(scripts) for word in script.words]
    text = " ".join(line.text for line in lines)
    truth = {
        "language": spec.language,
        "text": text,
        "words": as_rows(words),
        "lines": [asdict(line) for line in lines],
        "identities": list(spec.identities),
        "speaker": spec.speaker,
        "shots_s": [k * shot_s for k in range(len(scripts) + 1)],
    }
    contents = {".srt": _srt(lines), ".txt": text + "\n"}
    contents[".json"] = json.dumps(truth, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    for name in spec.outputs()[:-1]:
        _write_text(folder / name, contents[Path(name).suffix])


def _srt(lines: list[Line]) -> str:
    cues = []
    for k, line in enumerate(lines, 1):
        cues.append(f"{k}\n{_clock(line.start_s)} --> {_clock(line.end_s)}\n{line.text}\n")
    return "\n".join(cues)


def _clock(at_s: float) -> str:
    ms = round(at_s * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"


def _write_truncated(target: Path, frames: Iterator[NDArray[np.uint8]], audio: NDArray[np.float32]) -> None:
    """A recording that broke off: the media data begins, the index that should follow was never written."""
    with tempfile.TemporaryDirectory(prefix=f".{target.stem}-", dir=target.parent) as scratch:
        whole = Path(scratch) / "whole.mp4"
        write_video(whole, frames, audio, fps=FPS)
        data = whole.read_bytes()
        boxes = dict(_boxes(data))
        cut = round(TRUNCATED_SHARE * len(boxes[b"mdat"]))
        partial = Path(scratch) / "partial.mp4"
        partial.write_bytes(boxes[b"ftyp"] + boxes[b"mdat"][:cut])
        os.replace(partial, target)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Top-level boxes of an MP4 file: type and bytes, header included (ISO/IEC 14496-12)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at : at + size]
        at += size


def _open_folder(folder: Path, params: SampleParams) -> dict[str, str]:
    """Make the folder ready; returns SHA-256 by path of what an earlier render finished in it."""
    manifest = folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a folder ({error.strerror}); give another name") from error
    if not manifest.exists():
        if any(not entry.name.startswith(f".{MANIFEST}") for entry in folder.iterdir()):
            raise UsageError(f"{folder} is not empty and holds no sample; give the name of a new folder")
        _write_manifest(folder, params, {})
        return {}
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        made_with, files = found["params"], dict(found["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{manifest} cannot be read ({error}); give the name of a new folder") from error
    if made_with != _params_of(params):
        given = json.dumps(_params_of(params), sort_keys=True)
        held = json.dumps(made_with, sort_keys=True)
        raise UsageError(
            f"{folder} holds a sample made with {held}, not {given}; give a new folder or remove it"
        )
    _sweep(folder)
    return files


def _sweep(folder: Path) -> None:
    """Remove the scratch folders of a render that was killed; only names that a render makes."""
    stems = {Path(spec.file).stem for spec in plan()}
    for sub in folder.iterdir():
        if not sub.is_dir():
            continue
        for entry in sub.glob(".*-*"):
            if entry.is_dir() and entry.name[1:].rsplit("-", 1)[0] in stems:
                shutil.rmtree(entry, ignore_errors=True)


def _is_finished(folder: Path, spec: ClipSpec, done: dict[str, str]) -> bool:
    for name in spec.outputs():
        path = folder / name
        if name not in done or not path.is_file() or file_sha256(path) != done[name]:
            return False
    return True


def _params_of(params: SampleParams) -> dict[str, Any]:
    return {**asdict(params), "edition": EDITION}


def _write_manifest(folder: Path, params: SampleParams, done: dict[str, str]) -> None:
    content = {"params": _params_of(params), "files": done}
    _write_text(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _sources_text(params: SampleParams) -> str:
    head = "# Made by `haetae sample`: synthetic people and voices. Paths are relative to this file.\n"
    return head + yaml.safe_dump(sources(params), sort_keys=False, allow_unicode=True, width=110)


def _write_text(path: Path, text: str) -> None:
    """Write and rename, so that a reader sees the whole file or none; an equal file is left alone."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
