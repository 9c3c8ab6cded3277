"""Every knob of the pipeline, as validated values of `params.yaml`.

What a knob does is told where it is used; what it may be is told here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from haetae.errors import UsageError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]


FAMILIES = ("face_swap", "lip_sync", "speech", "diffusion", "text", "combination")
"""Families of generators, as their cards name them."""
LANGUAGES = ("ko", "en-SG", "ms", "ta", "other")
ANY = "*"


class Section(BaseModel):
    """A group of knobs; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Crawl(Section):
    max_bytes: int = Field(2_000_000_000, ge=1_000, le=100_000_000_000)
    max_duration_s: Seconds = 7200.0
    max_items_per_source: int = Field(200, ge=1, le=10_000)
    batch_size: int = Field(200, ge=1, le=500)
    timeout_s: Seconds = 900.0
    allow_hosts: tuple[str, ...] = ()
    allowed_extractors: tuple[str, ...] = ("default",)
    requests_per_s: float = Field(2.0, gt=0, le=1000)
    per_host: int = Field(2, ge=1, le=64)
    retries: int = Field(4, ge=0, le=20)
    max_wait_s: Seconds = 120.0


class Ingest(Section):
    min_clip_s: float = Field(3.0, ge=0.5, le=20.0)
    max_clip_s: float = Field(10.0, ge=1.0, le=20.0)
    min_media_s: float = Field(1.0, ge=0.2, le=20.0)
    max_side_px: int = Field(960, ge=128, le=3840, multiple_of=2)
    crf: int = Field(18, ge=0, le=51)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = "veryfast"
    shot_threshold: float = Field(15.0, gt=0, le=255)
    max_static_s: Seconds = 60.0
    timeout_s: Seconds = 600.0

    @model_validator(mode="after")
    def _ordered(self) -> Ingest:
        if self.max_clip_s < 2 * self.min_clip_s:
            raise ValueError("max_clip_s must be at least twice min_clip_s, so that long shots can be split")
        return self


class Tracks(Section):
    detections_per_s: float = Field(2.5, gt=0, le=25)
    min_face_px: int = Field(40, ge=16, le=1000)
    min_track_s: float = Field(0.6, gt=0, le=20)
    max_gap_s: float = Field(0.5, ge=0, le=5)
    min_found_fraction: Fraction = 0.5
    max_faces: int = Field(8, ge=1, le=50)
    embedding_weights: str | None = None
    embedding_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")


class Speech(Section):
    vad_threshold: Fraction = 0.35
    min_speech_s: float = Field(0.25, gt=0, le=5)
    merge_gap_s: float = Field(0.3, ge=0, le=5)
    align: bool = True


class Cues(Section):
    max_lag_s: float = Field(0.6, gt=0, le=2)
    min_track_s: float = Field(2.0, ge=1, le=20)
    min_speech_s: float = Field(1.0, ge=0.3, le=10)


class Learn(Section):
    effort: float = Field(1.0, gt=0, le=1000)
    crop_px: int = Field(128, ge=64, le=512, multiple_of=16)
    crops_per_track: int = Field(24, ge=4, le=1000)
    max_crops: int = Field(8000, ge=100, le=1_000_000)


class Generate(Section):
    generators: tuple[str, ...] = ()
    profile: Literal["embedded", "full"] = "embedded"
    min_face_px: int = Field(64, ge=16, le=1000)
    max_yaw_deg: float = Field(60.0, ge=0, le=180)
    max_pitch_deg: float = Field(45.0, ge=0, le=90)
    crf: int = Field(18, ge=0, le=51)
    timeout_s: Seconds = 900.0
    recheck_every: int = Field(16, ge=0, le=10_000)
    asr_weights: str | None = None
    asr_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    budget: dict[str, dict[str, int]] = Field(default_factory=dict)
    learn: Learn = Learn()

    @model_validator(mode="after")
    def _pinned(self) -> Generate:
        if (self.asr_weights is None) != (self.asr_sha256 is None):
            raise ValueError("asr_weights and asr_sha256 go together: give both or neither")
        return self

    @field_validator("budget")
    @classmethod
    def _known(cls, budget: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        for family, languages in budget.items():
            if family not in (*FAMILIES, ANY):
                raise ValueError(f"{family!r} is no family of generators: {', '.join(FAMILIES)} or {ANY}")
            for language, most in languages.items():
                if language not in (*LANGUAGES, ANY):
                    raise ValueError(f"{language!r} is no language: {', '.join(LANGUAGES)} or {ANY}")
                if most < 0:
                    raise ValueError(f"{family}, {language}: at least 0 fakes")
        return budget


class Policy(Section):
    commercial: bool = False
    protected: str | None = None


class Marks(Section):
    chain: str | None = None
    key: str | None = None
    secret: str | None = None
    trusted: str | None = None

    @model_validator(mode="after")
    def _paired(self) -> Marks:
        if (self.chain is None) != (self.key is None):
            raise ValueError("chain and key are files that belong together: name both or neither")
        return self


class Dataset(Section):
    train: Fraction = 0.5
    val: Fraction = 0.2
    test: Fraction = 0.3
    frames_per_item: int = Field(16, ge=4, le=64)
    crop_px: int = Field(128, ge=64, le=512, multiple_of=16)
    crop_scale: float = Field(1.3, ge=1.0, le=3.0)
    shard_items: int = Field(64, ge=1, le=10_000)
    stills: bool = False
    official_splits: bool = True

    @model_validator(mode="after")
    def _whole(self) -> Dataset:
        if abs(self.train + self.val + self.test - 1.0) > 1e-6:
            raise ValueError("train, val and test must add up to 1")
        return self


class Detector(Section):
    backbone: str = "haetae_small"
    epochs: int = Field(30, ge=1, le=1000)
    batch_size: int = Field(8, ge=1, le=1024)
    learning_rate: float = Field(0.002, gt=0, le=1)
    weight_decay: float = Field(0.01, ge=0, le=1)
    max_minutes: float = Field(4.0, gt=0, le=10_000)
    self_blends: Fraction = 0.5
    min_steps: int = Field(10, ge=1, le=100_000)
    frames_per_step: int = Field(3, ge=1, le=64)
    patience: int = Field(8, ge=1, le=1000)
    region_weight: float = Field(2.0, ge=0, le=100)
    frame_weight: float = Field(1.0, ge=0, le=100)
    audio_crop_s: float = Field(4.0, gt=0, le=20)


class Evaluate(Section):
    bootstrap_n: int = Field(1000, ge=100, le=100_000)
    min_slice_n: int = Field(2, ge=2, le=10_000)


class Promote(Section):
    min_auc: Fraction = 0.6
    max_eer: Fraction = 0.45
    max_slice_drop: Fraction = 0.1
    min_slice_n: int = Field(20, ge=2, le=100_000)


class FakeThresholds(Section):
    max_flicker: float | None = Field(12.0, ge=0, le=255)
    max_seam: float | None = Field(1.5, ge=-255, le=255)
    max_identity_to_target: float | None = Field(None, ge=-1, le=1)
    min_identity_to_donor: float | None = Field(None, ge=-1, le=1)
    min_identity_kept: float | None = Field(None, ge=-1, le=1)
    max_sync_offset_s: float | None = Field(0.2, ge=0, le=2)
    min_sync_confidence: float | None = Field(None, ge=0, le=2)
    max_loudness_change_lu: float | None = Field(6.0, ge=0, le=100)
    max_duration_change_s: float | None = Field(0.04, ge=0, le=20)
    min_intelligibility: float | None = Field(None, ge=0, le=1)


class Quality(Section):
    min_clip_fps: float = Field(24.9, gt=0, le=25)
    max_clip_fps: float = Field(25.1, ge=25, le=30)
    min_face_found_again: Fraction = 0.95
    fakes: FakeThresholds = FakeThresholds()


class Signals(Section):
    silence_dbfs: float = Field(-60.0, ge=-120, lt=0)
    grid_strength: float = Field(1.5, ge=1, le=100)


class Duplicates(Section):
    min_video_similarity: float = Field(0.8, gt=0.5, le=1)
    min_audio_similarity: float = Field(0.68, gt=0.5, le=1)
    min_overlap_s: float = Field(1.0, gt=0, le=20)
    min_motion_agreement: float = Field(0.35, ge=-1, le=1)
    max_candidates: int = Field(32, ge=1, le=100_000)


class Identities(Section):
    threshold: float = Field(0.65, gt=0, le=1)


class EngineParams(Section):
    workers: int = Field(0, ge=0, le=256)
    worker_memory_gib: float = Field(8.0, ge=1, le=1024)


class Sample(Section):
    clip_s: float = Field(4.0, ge=1.0, le=20.0)
    size_px: int = Field(320, ge=128, le=1024, multiple_of=2)


class Params(Section):
    """The whole of `params.yaml`; every section has defaults."""

    seed: int = Field(0, ge=0, lt=2**31)
    crawl: Crawl = Crawl()
    ingest: Ingest = Ingest()
    tracks: Tracks = Tracks()
    speech: Speech = Speech()
    cues: Cues = Cues()
    signals: Signals = Signals()
    duplicates: Duplicates = Duplicates()
    identities: Identities = Identities()
    policy: Policy = Policy()
    marks: Marks = Marks()
    generate: Generate = Generate()
    dataset: Dataset = Dataset()
    detector: Detector = Detector()
    evaluate: Evaluate = Evaluate()
    promote: Promote = Promote()
    quality: Quality = Quality()
    engine: EngineParams = EngineParams()
    sample: Sample = Sample()


def load_params(path: Path | None) -> Params:
    """Read and check a parameters file; None gives the defaults. Raises: UsageError naming key and range."""
    if path is None:
        return Params()
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    return parse_params(found, str(path))


def parse_params(found: Any, name: str = "params.yaml") -> Params:
    """Check already parsed parameters. Raises: UsageError with one line for each fault."""
    try:
        return Params.model_validate(found)
    except ValidationError as error:
        lines = [f"{name}: {_explain(dict(fault))}" for fault in error.errors()]
        raise UsageError("\n".join(lines)) from error


def _explain(fault: dict[str, Any]) -> str:
    where = [part for part in fault["loc"] if isinstance(part, str)]
    key = ".".join(where) or "the file"
    if fault["type"] == "extra_forbidden":
        model = _model_at(where[:-1])
        return f"{key}: no such key; allowed here: {', '.join(model.model_fields)}"
    allowed = _allowed(where)
    given = "" if isinstance(fault["input"], dict) else f" (given: {fault['input']!r})"
    return f"{key}: {fault['msg']}{given}{f'; allowed: {allowed}' if allowed else ''}"


def _model_at(where: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Params
    for part in where:
        kind = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            break
        model = kind
    return model


def _allowed(where: list[str]) -> str:
    """The allowed range of a knob in words, from its own declaration."""
    if not where:
        return ""
    schema = _model_at(where[:-1]).model_json_schema().get("properties", {}).get(where[-1], {})
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    words = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "multipleOf": "multiple of",
    }
    kind = str(schema.get("type", ""))
    limits = ", ".join(f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema)
    return f"{kind} {limits}".strip()
