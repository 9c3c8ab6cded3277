"""What a generator is: its card, what it is asked, and what it gives back.

How requests are chosen, stored and labelled is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from haetae.errors import UsageError
from haetae.voice.words import Word

__all__ = [
    "Card",
    "ClipView",
    "Face",
    "FaceSet",
    "FakeRequest",
    "FakeResult",
    "Family",
    "Generator",
    "Learned",
    "Learner",
    "Lesson",
    "Modality",
    "Need",
    "Segment",
    "Weights",
    "Word",
    "as_learner",
    "settings",
]

Modality = Literal["video", "audio", "text"]
Family = Literal["face_swap", "lip_sync", "speech", "diffusion", "text", "combination"]
Need = Literal[
    "face", "mouth", "speech", "words", "edit", "donor_face", "donor_voice", "donor_words", "sentence"
]


class Weights(BaseModel):
    """One pinned weight file of a `full` generator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str
    revision: str
    filename: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: str


class Card(BaseModel):
    """What a person and a gate must know of a generator."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$")
    family: Family
    modalities: tuple[Modality, ...] = Field(min_length=1)
    languages: tuple[str, ...] = ("ko", "en-SG", "ms", "ta", "other")
    needs: tuple[Need, ...] = ()
    profile: Literal["embedded", "full"] = "embedded"
    runtime: Literal["in_process", "pipes", "container"] = "in_process"
    hardware: Literal["cpu", "gpu"] = "cpu"
    licence: str = "Apache-2.0"
    weights: tuple[Weights, ...] = ()
    learns: bool = False
    """Its network is trained on faces of the lake before its first fake; it is a `Learner`."""
    params: dict[str, float | int | str | bool] = Field(default_factory=dict)
    description: str
    intended_use: str
    paper: str | None = None

    @property
    def key(self) -> str:
        """`name@version`: the partition key and the value of every `generator` column."""
        return f"{self.name}@{self.version}"

    @property
    def wants_weights(self) -> bool:
        """Whether it loads weights that the card does not name; who learns makes its own."""
        return self.profile == "full" and not self.weights and not self.learns


@dataclass(frozen=True)
class Face:
    """One followed face: frames first_frame + [0, T) of the clip.

    mesh: float32 [T, 478, 3] pixels; found: bool [T]. Short gaps are interpolated with found False; rows of
    longer gaps are NaN.
    """

    track_id: str
    first_frame: int
    mesh: NDArray[np.float32]
    found: NDArray[np.bool_]


@dataclass(frozen=True)
class ClipView:
    """A decoded clip, either part of which may be None.

    frames: uint8 [T, H, W, 3] RGB at 25 fps; audio: float32 [N] at 16 kHz.
    """

    clip_id: str
    language: str
    frames: NDArray[np.uint8] | None
    audio: NDArray[np.float32] | None
    faces: tuple[Face, ...] = ()
    """Largest face first; the generator changes faces[0] and leaves the others as they are."""
    speech: tuple[tuple[float, float], ...] = ()
    """Speech stretches, seconds."""
    words: tuple[Word, ...] = ()
    """What is said, in order, seconds; empty where it is not known."""


@dataclass(frozen=True)
class FakeRequest:
    """One clip in. `donor` is present when the card needs one, `sentence` when it needs one."""

    target: ClipView
    seed: int
    language: str
    donor: ClipView | None = None
    sentence: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Segment:
    """A changed stretch of one modality, seconds from the start of the clip."""

    modality: Modality
    start_s: float
    end_s: float


@dataclass(frozen=True)
class FakeResult:
    """One fake out, before encoding.

    frames: uint8 [T, H, W, 3], same T, H, W as the target, or None when the picture is unchanged;
    masks: bool [T, H, W], true where a pixel may differ from the target's; given with frames;
    audio: float32 [N] at 16 kHz, same N as the target's (within one frame), or None when unchanged;
    segments: what was changed when; track_id: the changed face, or None;
    text, words: what the fake says, and when, where speech was made or the subtitles changed; a card that changes
    text gives all words of its subtitles, in order, and `text` is these words between single spaces.
    """

    segments: tuple[Segment, ...]
    frames: NDArray[np.uint8] | None = None
    masks: NDArray[np.bool_] | None = None
    audio: NDArray[np.float32] | None = None
    track_id: str | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


@runtime_checkable
class Generator(Protocol):
    """A maker of fakes. `load` runs once per worker; `generate` is deterministic under request.seed.

    `generate` raises `haetae.errors.Rejected` for a clip it cannot change, with the reason.
    """

    card: Card

    def load(self, device: str) -> None: ...

    def generate(self, request: FakeRequest) -> FakeResult: ...


@dataclass(frozen=True)
class FaceSet:
    """Faces to learn from, of clips that may be used for it and are in the train split.

    crops: uint8 [N, S, S, 3] RGB, eyes level, cut by `haetae.faces.warp.align_crop`; meshes: float32 [N, 478, 2],
    pixels of the crop; person, track: int64 [N], which crops show the same person, and the same track;
    frame: int64 [N], frame of the clip. Crops of a track stand together, in order.
    """

    crops: NDArray[np.uint8]
    meshes: NDArray[np.float32]
    person: NDArray[np.int64]
    track: NDArray[np.int64]
    frame: NDArray[np.int64]


def _untold(_done: int, _of: int, _losses: Mapping[str, float]) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Lesson:
    """How to learn. effort: share of the steps that the generator holds right, above 0; device: as for `load`.

    tell: called now and then with the steps done, the steps in all, and the losses by name.
    """

    seed: int
    effort: float = 1.0
    device: str = "cpu"
    tell: Callable[[int, int, Mapping[str, float]], None] = _untold


@dataclass(frozen=True)
class Learned:
    """What was learned. weights: content of one `.safetensors` file, written by `generators.learned_file`.

    curve: losses by name and "step", from first to last; metrics: what was measured on faces held back.
    """

    weights: bytes
    curve: Sequence[Mapping[str, float]]
    metrics: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Learner(Generator, Protocol):
    """A generator whose card says that it learns: taught once, then told where its weights lie, then loaded.

    `learn` is deterministic under the lesson's seed on one device; it raises UsageError for faces that are too
    few to learn from. `use` comes before `load`, which reads the file.
    """

    def learn(self, faces: FaceSet, lesson: Lesson) -> Learned: ...

    def use(self, weights: Path) -> None: ...


def as_learner(generator: Generator) -> Learner:
    """The generator as one that can be taught. Raises: UsageError where its class cannot, though its card says so."""
    if not isinstance(generator, Learner):
        raise UsageError(
            f"{generator.card.key}: its card says that it learns, but it has no `learn` and `use`"
        )
    return generator


def settings(card: Card, request: FakeRequest) -> dict[str, float | int | str | bool]:
    """The parameters of one request: the card's, overridden by the request's.

    Raises: UsageError for a parameter that the card does not have or a value of another type.
    """
    values = dict(card.params)
    for name, value in request.params.items():
        if name not in values:
            raise UsageError(
                f"{card.key} has no parameter {name!r}; it has: {', '.join(sorted(values)) or 'none'}"
            )
        if type(value) is not type(values[name]):
            kind = type(values[name]).__name__
            raise UsageError(f"{card.key}: parameter {name!r} must be of type {kind}, not {value!r}")
        values[name] = value
    return values
