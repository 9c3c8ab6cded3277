"""What the sample consists of: which files, who is in them, in what language, with which captions.

How a file is made is in `render`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from haetae.errors import UsageError
from haetae.media.encode import FPS
from haetae.sample.cast import cast
from haetae.sample.looks import LANGUAGES

Kind = Literal["talk", "two_shots", "two_faces", "silent", "truncated"]
Captions = Literal["srt", "txt", "none"]

EDITION = 1
"""Changed whenever the same parameters give other bytes."""

COUNTRIES = {"ko": "KR", "en-SG": "SG", "ms": "MY", "ta": "IN"}
USE_CASES = {"ko": "news", "en-SG": "social_media", "ms": "voice_biometrics", "ta": "social_media"}
EXTRAS = "extras"
TWO_SHOTS_BY = "aisyah"
WITHOUT_CAPTIONS = "murugan"


@dataclass(frozen=True)
class SampleParams:
    """seed: 0 to 2**31 - 1, other seeds give other people, sentences and movements; clip_s: length of a shot,
    1 to 20 s (3.2 or more for every clip to pass the default cutting limits); size_px: height of a frame,
    128 to 1024, even; the two-face file is half as wide again."""

    seed: int = 0
    clip_s: float = 4.0
    size_px: int = 320

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"sample.seed: {self.seed} is not in 0 to {2**31 - 1}")
        if not 1.0 <= self.clip_s <= 20.0:
            raise UsageError(f"sample.clip_s: {self.clip_s:g} is not in 1 to 20 seconds")
        if not 128 <= self.size_px <= 1024 or self.size_px % 2:
            raise UsageError(f"sample.size_px: {self.size_px} is not an even number in 128 to 1024")

    @property
    def n_frames(self) -> int:
        """Frames of one shot."""
        return round(self.clip_s * FPS)

    @property
    def wide_px(self) -> int:
        """Width of the two-face file."""
        return self.size_px * 3 // 2 // 2 * 2


@dataclass(frozen=True)
class ClipSpec:
    """One media file: its path below the sample's folder, what it is, who is in it from left to right.

    speaker: index of who speaks, None if nobody does; turn: which sentences are said, see `speech`.
    """

    file: str
    kind: Kind
    identities: tuple[str, ...]
    language: str
    use_case: str
    captions: Captions = "none"
    speaker: int | None = 0
    turn: int = 0

    @property
    def stem(self) -> str:
        return self.file.removesuffix(".mp4")

    def outputs(self) -> list[str]:
        """Every file that is written for it, the media file last."""
        names = []
        if self.captions != "none":
            names.append(f"{self.stem}.{self.language}.srt" if self.captions == "srt" else f"{self.stem}.txt")
        if self.kind != "truncated":
            names.append(f"{self.stem}.words.json")
        return [*names, self.file]

    def row(self) -> dict[str, Any]:
        """The spec as a row for the engine."""
        return {**asdict(self), "identities": list(self.identities)}

    @classmethod
    def of(cls, row: dict[str, Any]) -> ClipSpec:
        return cls(**{**row, "identities": tuple(row["identities"])})


def plan() -> list[ClipSpec]:
    """The fifteen files of the sample."""
    specs: list[ClipSpec] = []
    for language in LANGUAGES:
        people = [look.identity for look in cast() if look.language == language]
        for turn, person in enumerate(people):
            captions: Captions = "none" if person == WITHOUT_CAPTIONS else "txt" if turn == 1 else "srt"
            kind: Kind = "two_shots" if person == TWO_SHOTS_BY else "talk"
            file = f"{language}/{person}__1.mp4"
            specs.append(ClipSpec(file, kind, (person,), language, USE_CASES[language], captions, 0, turn))
    pair = ("daniel", "priya")
    specs += [
        ClipSpec(f"{EXTRAS}/{'+'.join(pair)}__2.mp4", "two_faces", pair, "en-SG", "other", "srt", 1, 4),
        ClipSpec(f"{EXTRAS}/weiling__2.mp4", "silent", ("weiling",), "en-SG", "other", "none", None),
        ClipSpec(f"{EXTRAS}/daniel__3.mp4", "truncated", ("daniel",), "en-SG", "other", "none", 0, 5),
    ]
    return specs


def sources(params: SampleParams) -> list[dict[str, Any]]:
    """The entries of `sources.yaml`: one folder per language, and one of extras."""
    ref = (
        f"people and voices made up by `haetae sample`, seed {params.seed}; no real person speaks or is shown"
    )
    folders = [(language, language, COUNTRIES[language], USE_CASES[language]) for language in LANGUAGES]
    folders.append((EXTRAS, "en-SG", "SG", "other"))
    specs = plan()
    entries = []
    for folder, language, country, use_case in folders:
        here = [spec for spec in specs if spec.file.startswith(f"{folder}/")]
        entries.append(
            {
                "id": f"sample-{folder}",
                "uri": folder,
                "kind": "folder",
                "language": language,
                "country": country,
                "use_case": use_case,
                "licence": "CC0-1.0",
                "consent": {"basis": "synthetic", "ref": ref},
                "purposes": ["synthesis", "training", "benchmark", "release"],
                "verdict": "real",
                "identities": list(dict.fromkeys(name for spec in here for name in spec.identities)),
            }
        )
    return entries
