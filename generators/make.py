"""Making one fake of one clip: decode, generate, check the contract, encode, store, describe as a row.

Which clip goes to which generator, and whether it may, is decided before; labels are written after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from generators.masks import masks_to_bytes, regions_of
from generators.measured import Measurer
from generators.protocol import (
    Card,
    ClipView,
    Face,
    FakeRequest,
    FakeResult,
    Generator,
    Word,
    as_learner,
    settings,
)
from generators.registry import card_digest, find
from generators.runtimes.memory import generate_within_memory
from generators.segments import FPS, RATE_HZ
from generators.verify import same, verify
from haetae.errors import Rejected
from haetae.lake import Lake
from haetae.provenance.ids import canonical_json, content_id, seed_of
from haetae.voice.subtitles import cues_of, webvtt
from haetae.voice.written import as_written

Row = dict[str, Any]


@dataclass
class MakeFakes:
    """One clip in, one `fakes` row out; the fake and its masks are in the lake when the row comes back.

    A row holds the columns of a clip and: generator (key), tracks, utterances (rows of the clip), donor (clip
    columns and tracks, or None), sentence (or None), seed, licence; lesson_id and learned_blob (of the lesson that
    taught the generator, or None).

    lake_root: folder or URL of the lake; crf: x264 quality, the same as that of the clips; device: where
    weights go; recheck_every: one of so many fakes, drawn by its seed, is made twice and must come out the
    same (0: none); params: overrides of the card's parameters; recogniser, listener: see `generators.measured`.
    Raises on a row: Rejected with the generator's reason; Rejected("contract_broken") for a wrong plug-in.
    """

    stage: ClassVar[str] = "fakes"
    key: ClassVar[str] = "clip_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0

    lake_root: str
    crf: int = 18
    device: str = "cpu"
    timeout_s: float = 900.0
    recheck_every: int = 16
    params: dict[str, Any] = field(default_factory=dict)
    recogniser: tuple[str, str] | None = None
    listener: tuple[str, str] | None = None
    _loaded: dict[str, Generator] = field(init=False, default_factory=dict, repr=False, compare=False)
    _measurer: Measurer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._measurer = Measurer(self.recogniser, self.listener)

    def setup(self) -> None:
        """Nothing is shared by all rows; a generator is loaded with its first row and kept."""

    def __call__(self, row: Row) -> list[Row]:
        lake = Lake(self.lake_root)
        generator = self._generator(lake, row["generator"], row.get("learned_blob"))
        request = self._request(lake, row)
        result = generate_within_memory(generator, request)
        change = verify(generator.card, request, result)
        self._recheck(generator, request, result)
        measured = self._measurer.measure(request, result)
        metrics = {**result.metrics, **change.as_metrics()}
        if measured.face_found_again is not None:
            metrics["face_found_again"] = measured.face_found_again
        made = self._store(lake, row, generator.card, request, result, metrics)
        return [made | measured.quality.as_columns()]

    def _generator(self, lake: Lake, key: str, learned: str | None) -> Generator:
        if key not in self._loaded:
            generator = find(key)()
            if learned is not None:
                as_learner(generator).use(lake.open_local(learned))
            generator.load(self.device)
            self._loaded[key] = generator
        return self._loaded[key]

    def _request(self, lake: Lake, row: Row) -> FakeRequest:
        donor = row.get("donor")
        return FakeRequest(
            target=view(lake, row, row["tracks"], row["utterances"]),
            seed=row["seed"],
            language=row["language"],
            donor=None if donor is None else view(lake, donor, donor["tracks"], donor["utterances"]),
            sentence=row.get("sentence"),
            params=self.params,
        )

    def _recheck(self, generator: Generator, request: FakeRequest, result: FakeResult) -> None:
        if not made_twice(request.seed, self.recheck_every):
            return
        if differs := same(result, generate_within_memory(generator, request)):
            raise Rejected("contract_broken", f"determinism: a second call gave other {differs}")

    def _store(
        self, lake: Lake, row: Row, card: Card, request: FakeRequest, result: FakeResult, metrics: Row
    ) -> Row:
        target = request.target
        donor_id = None if request.donor is None else request.donor.clip_id
        params: Row = dict(settings(card, request))
        params |= {"donor_id": donor_id} if donor_id else {}
        params |= {"sentence": request.sentence} if request.sentence else {}
        frames = target.frames if result.frames is None else result.frames
        audio = target.audio if result.audio is None else result.audio
        touched = result.frames is not None or result.audio is not None
        words, text, subtitles = result.words, result.text, None
        if "text" in card.modalities:
            words = _as_written(card, row, request, result)
            text, subtitles = " ".join(word.word for word in words), webvtt(cues_of(words)).encode()
        masks_blob = None if result.masks is None else lake.put_blob(masks_to_bytes(result.masks), "npz")
        return {
            "fake_id": content_id("fake", row["clip_id"], card.key, request.seed, params),
            "clip_id": row["clip_id"],
            "batch": row["batch"],
            "donor_id": donor_id,
            "lesson_id": row.get("lesson_id"),
            "generator": card.key,
            "card_digest": card_digest(card),
            "family": card.family,
            # Where only its subtitles were changed, its picture and sound are those of the target, byte for byte.
            "blob_id": _encode(lake, frames, audio, self.crf) if touched else row["blob_id"],
            "modalities": list(card.modalities),
            "segments": [asdict(segment) for segment in result.segments],
            "regions": [] if result.masks is None else regions_of(result.masks, result.track_id),
            "masks_blob": masks_blob,
            "seed": request.seed,
            "params": canonical_json(params),
            "licence": row["licence"],
            "pair_id": row["clip_id"],
            "track_id": result.track_id,
            "language": request.language,
            "text": text,
            "words": [asdict(word) for word in words],
            "captions_blob": None if subtitles is None else lake.put_blob(subtitles, "vtt"),
            "duration_s": _duration_s(frames, audio),
            "n_frames": 0 if frames is None else len(frames),
            "metrics": canonical_json(metrics),
        }


def made_twice(seed: int, recheck_every: int) -> bool:
    """Whether a fake is one of those that are made a second time; drawn by its seed. 0: none is."""
    return bool(recheck_every) and seed_of("recheck", seed) % recheck_every == 0


def view(lake: Lake, clip: Row, tracks: Any, utterances: Any) -> ClipView:
    """A clip decoded, with its meshes: what a generator sees.

    clip: clip columns; tracks, utterances: its rows of these tables. Raises: Rejected by the readers.
    """
    from haetae.faces.tracks import load_mesh
    from haetae.media.audio import read_audio
    from haetae.media.frames import read_frames

    path = lake.open_local(clip["blob_id"])
    faces = []
    for track in sorted(tracks, key=lambda t: t["index"]):
        mesh, found = load_mesh(lake.open_local(track["mesh_blob"]))
        faces.append(Face(track["track_id"], track["first_frame"], mesh, found))
    return ClipView(
        clip_id=clip["clip_id"],
        language=clip["language"],
        frames=read_frames(path) if clip["has_video"] else None,
        audio=read_audio(path) if clip["has_audio"] else None,
        faces=tuple(faces),
        speech=tuple(sorted((float(u["start_s"]), float(u["end_s"])) for u in utterances)),
        words=tuple(sorted(_words(utterances), key=lambda word: (word.start_s, word.end_s))),
    )


def _as_written(card: Card, row: Row, request: FakeRequest, result: FakeResult) -> tuple[Word, ...]:
    """The words of changed subtitles, with the punctuation of the text that they come from."""
    lent = request.donor is not None and "donor_words" in card.needs
    said, of = (request.donor, row["donor"]) if lent and request.donor else (request.target, row)
    utterances = sorted(of["utterances"], key=lambda one: (float(one["start_s"]), float(one["end_s"])))
    text = " ".join(one["text"] or "" for one in utterances)
    written = as_written([w.word for w in result.words], [w.word for w in said.words], text)
    return tuple(replace(w, word=shown) for w, shown in zip(result.words, written, strict=True))


def _words(utterances: Any) -> Iterator[Word]:
    for utterance in utterances:
        for word in utterance["words"] or ():
            yield Word(word["word"], float(word["start_s"]), float(word["end_s"]), float(word["score"]))


def _encode(lake: Lake, frames: NDArray[np.uint8] | None, audio: NDArray[np.float32] | None, crf: int) -> str:
    """Store pictures and sound as .mp4, or sound alone as .wav; returns the blob id."""
    from haetae.media.encode import write_video, write_wav

    with lake.tmp_dir() as folder:
        if frames is None:
            assert audio is not None
            path = Path(folder) / "fake.wav"
            write_wav(path, audio)
        else:
            path = Path(folder) / "fake.mp4"
            write_video(path, frames, audio, crf=crf)
        return lake.put_blob(path, path.suffix)


def _duration_s(frames: NDArray[np.uint8] | None, audio: NDArray[np.float32] | None) -> float:
    if frames is not None:
        return len(frames) / FPS
    return 0.0 if audio is None else audio.size / RATE_HZ
