"""A small lake with everything that the report shows: clips, fakes, labels, a detector, refusals, lineage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.masks import masks_to_bytes, regions_of
from haetae.engine import Failed
from haetae.evaluation.gate import decide
from haetae.evaluation.scorecard import score_slices
from haetae.labels.construct import label_fake, label_original
from haetae.lake import Lake, Lineage
from haetae.lake.schema import TABLES
from haetae.media.encode import write_video, write_wav

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
LANGUAGES = ("ko", "en-SG", "ms", "ta")
SENTENCES = {
    "ko": "오늘 점심은 떡볶이 먹으러 갈까요",
    "en-SG": "Wah this one very shiok lah",
    "ms": "Jom makan nasi lemak dulu",
    "ta": "இன்று மழை பெய்கிறது",
}
HOSTILE_TITLE = (
    "<script>alert('title')</script>\"><img src=x onerror=alert(1)> \u202egnitirw\u202c שלום مرحبا"
)
HOSTILE_DETAIL = "</td><script>window.hacked = true</script> & ✗ \x00\x1b[31mred"
SIZE_PX = 192
FPS = 25


def row(table: str, **values: Any) -> dict[str, Any]:
    """A row with every column of its table; those not given are null."""
    names = [column.name for column in TABLES[table].columns]
    assert set(values) <= set(names), set(values) - set(names)
    return {name: values.get(name) for name in names}


def talking_frames(portrait: NDArray[np.uint8], n: int, seed: int) -> NDArray[np.uint8]:
    """The portrait drifting a little: uint8 [n, 192, 192, 3]."""
    rng = np.random.default_rng(seed)
    tone = rng.uniform(0.75, 1.15, 3)
    face = np.clip(portrait[:384, 64:448] * tone, 0, 255).astype(np.uint8)
    frames = []
    for i in range(n):
        shift = np.array([[1, 0, 6 * np.sin(i / 6 + seed)], [0, 1, 4 * np.cos(i / 8)]], np.float32)
        moved = cv2.warpAffine(face, shift, (384, 384), borderMode=cv2.BORDER_REFLECT)
        frames.append(cv2.resize(moved, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA))
    return np.stack(frames)


def voice(seconds: float, pitch_hz: float) -> NDArray[np.float32]:
    """A buzzing tone with syllables, 16 kHz."""
    t = np.arange(round(seconds * 16_000)) / 16_000
    tone = sum(np.sin(2 * np.pi * pitch_hz * k * t) / k for k in range(1, 9))
    return (0.2 * tone * (0.55 + 0.45 * np.sin(2 * np.pi * 3.3 * t))).astype(np.float32)


def swap_face(
    frames: NDArray[np.uint8], changed: Sequence[tuple[float, float]]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Frames with a mirrored, tinted face inside an ellipse, in the changed stretches; and the masks."""
    out, masks = frames.copy(), np.zeros(frames.shape[:3], dtype=bool)
    ellipse = np.zeros(frames.shape[1:3], np.uint8)
    cv2.ellipse(ellipse, (80, 58), (30, 40), 0, 0, 360, 1, -1)
    for i in range(len(frames)):
        if any(start <= i / FPS < end for start, end in changed):
            other = cv2.GaussianBlur(frames[i][:, 159::-1], (5, 5), 0)
            other = np.concatenate([other, frames[i][:, 160:]], axis=1)
            masks[i] = ellipse > 0
            out[i] = np.where(masks[i][..., None], np.clip(other * [1.1, 0.95, 0.85], 0, 255), out[i])
    return out, masks


def words_of(language: str, seconds: float) -> list[dict[str, Any]]:
    words = SENTENCES[language].split()
    step = seconds / len(words)
    return [
        {"word": w, "start_s": i * step, "end_s": (i + 0.85) * step, "score": 1.0}
        for i, w in enumerate(words)
    ]


class LakeMaker:
    """Fills a real lake with synthetic media and rows, in the order of the graph."""

    def __init__(self, root: Path, scratch: Path, portrait: NDArray[np.uint8]) -> None:
        self.lake = Lake(root)
        self.scratch = scratch
        self.portrait = portrait
        self.clips: dict[str, dict[str, Any]] = {}
        self.fakes: list[dict[str, Any]] = []
        self.frames: dict[str, NDArray[np.uint8]] = {}
        self.edges: list[tuple[str, str, str]] = []

    def lineage(self, asset: str) -> Lineage:
        return Lineage(asset, f"run-{asset}", "0.1.0")

    def video_blob(self, frames: NDArray[np.uint8], audio: NDArray[np.float32] | None) -> str:
        path = self.scratch / "made.mp4"
        write_video(path, frames, audio)
        return self.lake.put_blob(path, "mp4")

    def wav_blob(self, audio: NDArray[np.float32]) -> str:
        path = self.scratch / "made.wav"
        write_wav(path, audio)
        return self.lake.put_blob(path, "wav")

    def add_clip(self, language: str, number: int, seconds: float, *, picture: bool = True) -> str:
        clip_id = f"clip-{language.lower()}-{number}{'' if picture else 'a'}"
        n = round(seconds * FPS)
        audio = voice(seconds, 110 + 7 * len(self.clips))
        if picture:
            self.frames[clip_id] = talking_frames(self.portrait, n, number + len(self.clips))
            blob = self.video_blob(self.frames[clip_id], audio)
        else:
            blob = self.wav_blob(audio)
        self.clips[clip_id] = row(
            "clips",
            clip_id=clip_id,
            media_id=f"media-{clip_id}",
            batch="b1",
            source_id=f"source-{language}",
            start_s=0.0,
            end_s=seconds,
            duration_s=seconds,
            blob_id=blob,
            fps=25.0 if picture else None,
            n_frames=n if picture else 0,
            width=SIZE_PX if picture else None,
            height=SIZE_PX if picture else None,
            has_video=picture,
            has_audio=True,
            language=language,
            use_case="social_media",
            declared_verdict="real",
        )
        self.edges.append((f"media-{clip_id}", clip_id, "cut_from"))
        return clip_id

    def add_fake(self, clip_id: str, generator: str, family: str, modalities: Sequence[str]) -> str:
        clip = self.clips[clip_id]
        seconds = clip["duration_s"]
        stretch = (0.2 * seconds, 0.9 * seconds)
        fake_id = f"fake-{generator.split('@')[0]}-{clip_id}"
        audio = voice(seconds, 110 + 7 * list(self.clips).index(clip_id))
        words: list[dict[str, Any]] = []
        if "audio" in modalities:
            a, b = (round(s * 16_000) for s in stretch)
            audio[a:b] = 1.4 * voice(seconds, 205)[a:b]
            words = words_of(clip["language"], seconds)
        regions, masks_blob = [], None
        if clip["has_video"]:
            frames = self.frames[clip_id]
            if "video" in modalities:
                frames, masks = swap_face(frames, [stretch])
                regions = regions_of(masks, f"track-{clip_id}")
                masks_blob = self.lake.put_blob(masks_to_bytes(masks), "npz")
            blob = self.video_blob(frames, audio)
        else:
            blob = self.wav_blob(audio)
        self.fakes.append(
            row(
                "fakes",
                fake_id=fake_id,
                clip_id=clip_id,
                batch="b1",
                generator=generator,
                family=family,
                blob_id=blob,
                modalities=list(modalities),
                segments=[{"modality": m, "start_s": stretch[0], "end_s": stretch[1]} for m in modalities],
                regions=regions,
                masks_blob=masks_blob,
                seed=7,
                params='{"strength":0.8}',
                licence="CC0-1.0",
                pair_id=clip_id,
                track_id=f"track-{clip_id}" if regions else None,
                language=clip["language"],
                text=SENTENCES[clip["language"]] if words else None,
                words=words,
                duration_s=seconds,
                n_frames=clip["n_frames"],
                metrics="{}",
            )
        )
        self.edges += [(clip_id, fake_id, "target_of"), (generator, fake_id, "made_by")]
        return fake_id

    def write_media(self) -> None:
        media = [
            row(
                "media",
                media_id=clip["media_id"],
                source_id=clip["source_id"],
                batch="b1",
                title=HOSTILE_TITLE if i == 0 else f"talk about food {i}.mp4",
                duration_s=clip["duration_s"],
                declared_verdict="real",
                language=clip["language"],
            )
            for i, clip in enumerate(self.clips.values())
        ]
        spoken = [
            row(
                "utterances",
                utterance_id=f"utterance-{clip_id}",
                clip_id=clip_id,
                batch="b1",
                start_s=0.0,
                end_s=clip["duration_s"],
                text=SENTENCES[clip["language"]],
                language=clip["language"],
                words=words_of(clip["language"], clip["duration_s"]),
            )
            for clip_id, clip in self.clips.items()
        ]
        failed = [
            Failed("item-1", "media", "not_media", HOSTILE_DETAIL),
            Failed("item-2", "media", "empty_file", "empty.mp4 has 0 bytes"),
            Failed("item-3", "media", "empty_file", "void.wav has 0 bytes"),
            Failed("clip-x", "tracks", "no_face", "no face in 75 frames"),
        ]
        self.lake.write("media", "b1", media, self.lineage("media"), failed=failed)
        self.lake.write("clips", "b1", self.clips.values(), self.lineage("clips"), self.edges)
        self.lake.write("utterances", "b1", spoken, self.lineage("utterances"))

    def write_fakes(self) -> None:
        for generator in sorted({fake["generator"] for fake in self.fakes}):
            key = ("b1", generator)
            mine = [fake for fake in self.fakes if fake["generator"] == generator]
            labels = [one for fake in mine for one in label_fake(fake, self.clips[fake["pair_id"]], [], NOW)]
            self.lake.write("fakes", key, mine, self.lineage("fakes"), self.edges)
            self.lake.write("labels", key, labels, self.lineage("fake_labels"))
        originals = [
            one
            for clip in self.clips.values()
            for one in label_original(clip, {"source_id": clip["source_id"]}, NOW)
        ]
        self.lake.write("labels", "b1", originals, self.lineage("clip_labels"))

    def write_dataset(self, n_extra: int = 0) -> list[dict[str, Any]]:
        """Samples of the test split: every clip and fake, and scored ones without media to fill the curve."""
        samples = []
        for item in [*self.clips.values(), *self.fakes]:
            fake = "fake_id" in item
            clip = self.clips[item["clip_id"]]
            changed = set(item["modalities"]) if fake else set()
            verdict = {m: ("fake" if m in changed else "real") for m in ("video", "audio")}
            both = clip["has_video"]
            samples.append(
                row(
                    "samples",
                    sample_id=item["fake_id"] if fake else item["clip_id"],
                    kind="fake" if fake else "clip",
                    clip_id=item["clip_id"],
                    blob_id=item["blob_id"],
                    split="test",
                    group_id=item["clip_id"],
                    language=clip["language"],
                    generator=item.get("generator"),
                    family=item.get("family"),
                    pair_id=item.get("pair_id"),
                    use_case="social_media",
                    modality="av" if both else "audio",
                    compression="h264-crf18",
                    verdict="fake" if changed else "real",
                    video_verdict=verdict["video"] if both else None,
                    audio_verdict=verdict["audio"],
                    sync_verdict=("fake" if len(changed) == 1 else "real") if both else None,
                    duration_s=clip["duration_s"],
                )
            )
        extra = [
            {**samples[i % len(samples)], "sample_id": f"extra-{i}", "group_id": f"group-{i % 17}"}
            for i in range(n_extra)
        ]
        self.lake.write("samples", None, samples + extra, self.lineage("samples"))
        return samples + extra

    def write_detector(self, samples: list[dict[str, Any]]) -> None:
        rng = np.random.default_rng(5)
        snapshot = row("snapshots", snapshot_id="s-0123456789ab", created_at=NOW, n=len(samples), n_shards=1)
        self.lake.write("snapshots", "s-0123456789ab", [snapshot], self.lineage("snapshot"))

        def score(verdict: str | None, hardness: float) -> float | None:
            if verdict is None:
                return None
            return float(np.clip(rng.normal(0.68 if verdict == "fake" else 0.34, hardness), 0.01, 0.99))

        predictions = [
            row(
                "predictions",
                model_id="model-aaaa",
                snapshot_id="s-0123456789ab",
                sample_id=s["sample_id"],
                split="test",
                score=score(s["verdict"], 0.17),
                video_score=score(s["video_verdict"], 0.2),
                audio_score=score(s["audio_verdict"], 0.15),
                sync_score=score(s["sync_verdict"], 0.3),
            )
            for s in samples
        ]
        model = row(
            "models",
            model_id="model-aaaa",
            snapshot_id="s-0123456789ab",
            threshold=0.51,
            version="1",
            trained_at=NOW,
        )
        evaluations = score_slices(predictions, samples, n_boot=200)
        decision = decide(evaluations, None)
        promotion = row(
            "promotions",
            promotion_id="promotion-1",
            model_id="model-aaaa",
            snapshot_id="s-0123456789ab",
            promoted=decision.promoted,
            reasons=decision.reasons,
        )
        key = "s-0123456789ab"
        self.lake.write(
            "models", key, [model], self.lineage("candidate"), [(key, "model-aaaa", "trained_on")]
        )
        self.lake.write("predictions", key, predictions, self.lineage("predictions"))
        self.lake.write("evaluations", key, evaluations, self.lineage("scorecard"))
        self.lake.write("promotions", key, [promotion], self.lineage("champion"))


def fill_lake(
    root: Path,
    scratch: Path,
    portrait: NDArray[np.uint8],
    *,
    seconds: float = 1.0,
    per_language: int = 1,
    n_extra: int = 40,
) -> Lake:
    """A lake with every table that the report reads, and media that can be decoded."""
    maker = LakeMaker(root, scratch, portrait)
    for language in LANGUAGES:
        for number in range(per_language):
            clip = maker.add_clip(language, number, seconds)
            maker.add_fake(clip, "mesh_swap@1.0", "face_swap", ["video"])
            maker.add_fake(clip, "espeak_viseme@1.0", "combination", ["video", "audio"])
        sound = maker.add_clip(language, per_language, seconds, picture=False)
        maker.add_fake(sound, "espeak_tts@1.0", "speech", ["audio"])
    maker.write_media()
    maker.write_fakes()
    maker.write_detector(maker.write_dataset(n_extra))
    return maker.lake
