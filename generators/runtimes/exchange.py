"""Requests and results as files in a folder: plain arrays (npz, stored, no pickle) and JSON.

Used by both sides, so it needs the standard library and numpy alone. Which process writes what is told by the
folder: `requests/` and `verdicts/` are the parent's, `results/` the worker's. Who starts whom is not known here.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.protocol import Card, ClipView, Face, FakeRequest, FakeResult, Segment, Word
from haetae.errors import Rejected
from haetae.provenance.ids import content_id

MAX_JSON_BYTES = 4 << 20
MAX_REQUEST_BYTES = 64 << 30
AUDIO_SLACK_SAMPLES = 640
"""A fake may be one frame longer than its target."""
Arrays = Mapping[str, NDArray[Any]]
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FAULTS = (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, zlib.error)


class BadExchange(ValueError):
    """A file of the exchange folder that is not what it must be; the message names it."""


@dataclass(frozen=True)
class Exchange:
    """One exchange folder, for one generator and any number of requests.

    A request's id is a plain name chosen by the parent.
    """

    folder: Path

    @property
    def requests(self) -> Path:
        return self.folder / "requests"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def ends(self) -> tuple[Path, Path]:
        """Where a guard tells how a worker ended: one that runs beside the parent, or beside the worker."""
        return self.folder / "ended.json", self.results / "ended.json"

    @property
    def verdicts(self) -> Path:
        return self.folder / "verdicts"

    def create(self, card: Card) -> None:
        """Make the folders and leave the card for the processes that read results later."""
        for folder in (self.requests, self.results, self.verdicts):
            folder.mkdir(parents=True)
        _write_json(self.folder / "card.json", card.model_dump(mode="json"))

    def card(self) -> Card:
        return Card.model_validate(read_json(self.folder / "card.json"))

    def asked(self) -> list[str]:
        """Ids of all requests, sorted."""
        return sorted(path.stem for path in self.requests.glob("*.json"))

    def plan(self, ids: list[str]) -> None:
        """Say which requests the next worker takes, in which order."""
        _write_json(self.folder / "todo.json", ids)

    def planned(self) -> list[str]:
        return [str(one) for one in read_json(self.folder / "todo.json")]

    def started(self, request_id: str) -> Path:
        """The file that tells that a worker began this request."""
        return self.results / f"{request_id}.started"

    def answered(self, request_id: str) -> bool:
        """Whether there is a result or a verdict for a request."""
        return (self.verdicts / f"{request_id}.json").exists() or (
            self.results / f"{request_id}.json"
        ).exists()


def write_request(exchange: Exchange, request_id: str, request: FakeRequest, *, twice: bool = False) -> None:
    """Leave one request; twice: it is to be made a second time, to see whether it comes out the same."""
    arrays: dict[str, NDArray[Any]] = _arrays_of("target", request.target)
    body: dict[str, Any] = {
        "target": _view_to_json(request.target),
        "donor": None,
        "seed": request.seed,
        "language": request.language,
        "sentence": request.sentence,
        "params": request.params,
        "twice": twice,
    }
    if request.donor is not None:
        arrays |= _arrays_of("donor", request.donor)
        body["donor"] = _view_to_json(request.donor)
    _write_npz(exchange.requests / f"{request_id}.npz", arrays)
    _write_json(exchange.requests / f"{request_id}.json", body)


def read_request(exchange: Exchange, request_id: str) -> tuple[FakeRequest, bool]:
    """A request and whether it is to be made twice. Raises: BadExchange."""
    try:
        body = read_json(exchange.requests / f"{request_id}.json")
        with _members(exchange.requests / f"{request_id}.npz", MAX_REQUEST_BYTES) as archive:
            target = _view_from(archive, "target", body["target"])
            donor = None if body["donor"] is None else _view_from(archive, "donor", body["donor"])
    except _FAULTS as error:
        raise BadExchange(f"request {request_id}: {error}") from error
    known = {name: body[name] for name in ("seed", "language", "sentence", "params")}
    return FakeRequest(target=target, donor=donor, **known), bool(body["twice"])


def write_result(exchange: Exchange, name: str, result: FakeResult) -> None:
    """Leave what a generator made; name: the request's id, or that and `.again`."""
    arrays = {
        key: value
        for key, value in (("frames", result.frames), ("masks", result.masks), ("audio", result.audio))
        if value is not None
    }
    body = {
        "status": "done",
        "arrays": sorted(arrays),
        "segments": [[s.modality, float(s.start_s), float(s.end_s)] for s in result.segments],
        "track_id": result.track_id,
        "text": result.text,
        "words": [[w.word, float(w.start_s), float(w.end_s), float(w.score)] for w in result.words],
        "metrics": {key: float(value) for key, value in result.metrics.items()},
    }
    _write_npz(exchange.results / f"{name}.npz", arrays)
    _write_json(exchange.results / f"{name}.json", body)


def write_no(folder: Path, request_id: str, status: str, reason: str, detail: str) -> None:
    """Leave why there is no fake. status: `rejected` by the generator, or `failed`."""
    body = {"status": status, "reason": reason[:100], "detail": detail[-8000:]}
    _write_json(folder / f"{request_id}.json", body)


def read_no(exchange: Exchange, request_id: str) -> tuple[str, str, str] | None:
    """Status, reason and detail of what was not made; None where there is a result. Raises: BadExchange."""
    verdict = exchange.verdicts / f"{request_id}.json"
    try:
        body = read_json(verdict if verdict.exists() else exchange.results / f"{request_id}.json")
        if body["status"] == "done":
            return None
        if body["status"] not in ("rejected", "failed"):
            raise ValueError(f"status {body['status']!r}")
        return body["status"], str(body["reason"])[:100], str(body["detail"])[:8000]
    except _FAULTS as error:
        raise BadExchange(f"result {request_id}: {str(error)[:300]}") from error


def read_result(exchange: Exchange, name: str, target: ClipView) -> FakeResult:
    """What a worker made of a target. Raises: BadExchange for files that cannot be a result for it.

    The files are a stranger's: nothing beyond the sizes that the target implies is read, whatever they state.
    """
    try:
        body = read_json(exchange.results / f"{name}.json")
        given = [str(one) for one in body["arrays"]]
        with _members(exchange.results / f"{name}.npz", _most_bytes(target)) as archive:
            arrays = {one: _result_array(archive, one, target) for one in given}
        return FakeResult(
            segments=tuple(Segment(str(m), _number(a), _number(b)) for m, a, b in body["segments"]),  # type: ignore[arg-type]
            frames=arrays.get("frames"),
            masks=arrays.get("masks"),
            audio=arrays.get("audio"),
            track_id=_text(body["track_id"]),
            text=_text(body["text"]),
            words=tuple(Word(str(w), _number(a), _number(b), _number(s)) for w, a, b, s in body["words"]),
            metrics={str(key): _number(value) for key, value in body["metrics"].items()},
        )
    except (*_FAULTS, AttributeError) as error:
        raise BadExchange(f"result {name}: {str(error)[:300]}") from error


@dataclass
class Exchanged:
    """A generator whose fakes were made before, elsewhere: it hands over what lies in the exchange folder.

    The first call for a request gives the first result, the next one the second, so that a recheck compares
    what the worker made twice.
    """

    exchange: Exchange
    card: Card = field(init=False)
    _handed: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.card = self.exchange.card()

    def load(self, device: str) -> None:
        """Nothing to load: the work is done."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Raises: Rejected with the generator's reason, or that which the runtime gave."""
        name = name_of(self.card, request.target.clip_id, request.seed)
        again = name in self._handed
        self._handed.add(name)
        try:
            if no := read_no(self.exchange, name):
                raise Rejected(no[1], no[2])
            return read_result(self.exchange, f"{name}.again" if again else name, request.target)
        except BadExchange as error:
            raise Rejected("bad_result", str(error)) from error


def name_of(card: Card, clip_id: str, seed: int) -> str:
    """The id of a request, a plain file name: equal for equal clips, generators and seeds."""
    return content_id("request", clip_id, card.key, seed)


def _arrays_of(role: str, view: ClipView) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    if view.frames is not None:
        arrays[f"{role}.frames"] = view.frames
    if view.audio is not None:
        arrays[f"{role}.audio"] = view.audio
    for n, face in enumerate(view.faces):
        arrays[f"{role}.mesh{n}"] = face.mesh
        arrays[f"{role}.found{n}"] = face.found
    return arrays


def _view_to_json(view: ClipView) -> dict[str, Any]:
    return {
        "clip_id": view.clip_id,
        "language": view.language,
        "has_frames": view.frames is not None,
        "has_audio": view.audio is not None,
        "faces": [[face.track_id, face.first_frame] for face in view.faces],
        "speech": [list(stretch) for stretch in view.speech],
        "words": [[w.word, w.start_s, w.end_s, w.score] for w in view.words],
    }


def _view_from(archive: zipfile.ZipFile, role: str, body: dict[str, Any]) -> ClipView:
    faces = [
        Face(track_id, first, _array(archive, f"{role}.mesh{n}"), _array(archive, f"{role}.found{n}"))
        for n, (track_id, first) in enumerate(body["faces"])
    ]
    return ClipView(
        clip_id=body["clip_id"],
        language=body["language"],
        frames=_array(archive, f"{role}.frames") if body["has_frames"] else None,
        audio=_array(archive, f"{role}.audio") if body["has_audio"] else None,
        faces=tuple(faces),
        speech=tuple((float(a), float(b)) for a, b in body["speech"]),
        words=tuple(Word(*word) for word in body["words"]),
    )


def _result_array(archive: zipfile.ZipFile, name: str, target: ClipView) -> NDArray[Any]:
    """One array of a result, of the shape and type that its target implies."""
    if name == "audio" and target.audio is not None:
        dtype, shape = _header(archive, name)
        most = target.audio.size + AUDIO_SLACK_SAMPLES
        if dtype != np.float32 or len(shape) != 1 or shape[0] > most:
            raise ValueError(f"audio {dtype} {shape}, target float32 ({target.audio.size},)")
        audio = _array(archive, name)
        if not np.isfinite(audio).all():
            raise ValueError("audio holds values that are no numbers")
        return audio
    if name not in ("frames", "masks") or target.frames is None:
        raise ValueError(f"{name[:50]!r} is not asked for")
    wanted = (np.uint8, target.frames.shape) if name == "frames" else (np.bool_, target.frames.shape[:3])
    found = _header(archive, name)
    if found != (np.dtype(wanted[0]), wanted[1]):
        raise ValueError(f"{name} {found[0]} {found[1]}, target {np.dtype(wanted[0])} {wanted[1]}")
    array = _array(archive, name)
    # A bool is one byte that may hold anything when it comes from a file; only 0 and 1 behave as bools.
    return np.asarray(array.view(np.uint8) != 0) if name == "masks" else array


def _most_bytes(target: ClipView) -> int:
    frames = 0 if target.frames is None else target.frames.size * 4 // 3
    audio = 0 if target.audio is None else 4 * (target.audio.size + AUDIO_SLACK_SAMPLES)
    return frames + audio + 4096


def _header(archive: zipfile.ZipFile, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"{name}: npy version {version}")
        shape, _, dtype = read(member)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > archive.getinfo(f"{name}.npy").file_size:
        raise ValueError(f"{name}: {dtype} {shape} is not what the file holds")
    return dtype, tuple(int(n) for n in shape)


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    _header(archive, name)
    with archive.open(f"{name}.npy") as member:
        return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


@contextlib.contextmanager
def _members(path: Path, max_bytes: int) -> Any:
    """The archive of an ordinary file whose members are stored as they are, within a number of bytes."""
    with _ordinary(path, max_bytes + (64 << 10)) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(one.compress_type != zipfile.ZIP_STORED for one in members) or len(members) > 1000:
            raise ValueError(f"{path.name} is packed")
        if sum(one.file_size for one in members) > max_bytes + (64 << 10):
            raise ValueError(f"{path.name} unpacks to more than {max_bytes} bytes")
        yield archive


@contextlib.contextmanager
def _ordinary(path: Path, max_bytes: int) -> Any:
    """An ordinary file within a size, opened; no link is followed and no pipe is waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path.name} is no ordinary file")
        if found.st_size > max_bytes:
            raise ValueError(f"{path.name} has {found.st_size} bytes, at most {max_bytes} are expected")
        yield file


def read_json(path: Path) -> Any:
    """The value of an ordinary file of at most 4 MiB. Raises: OSError, ValueError, RecursionError."""
    with _ordinary(path, MAX_JSON_BYTES) as file:
        return json.loads(file.read())


def _write_json(path: Path, value: Any) -> None:
    """All or nothing: the other side sees a whole file or none."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    os.replace(new, path)


def _write_npz(path: Path, arrays: Arrays) -> None:
    new = path.with_name(f".{path.name}.new")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    os.replace(new, path)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{str(value)[:50]!r} is no text")
    return value
