"""Items with changes that can be seen and heard, made from arithmetic: what a detector must be able to learn.

Real crops are smooth textures that differ per person; a changed crop carries a faint checkerboard in its
lower half. Real sound is coloured noise in syllables; changed sound has a faint steady tone. Real
mouths follow the sound; a changed pair does not.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.dataset.items import GRID, Item, encode_crop, in_segments

N_FRAMES, CROP_PX, N_MELS, SECONDS = 8, 64, 32, 4.0
SEGMENT = (1.0, 3.0)


def item(
    number: int,
    *,
    split: str,
    video: str | None = "real",
    audio: str | None = "real",
    sync: str | None = "real",
    person: int | None = None,
    strength: float = 14.0,
) -> Item:
    """One item; a modality given as None is absent. The same arguments give the same item."""
    rng = np.random.default_rng([number, 7])
    light = np.random.default_rng([number, 9])
    face = np.random.default_rng([number if person is None else person, 8])
    fields: dict[str, object] = {}
    index = np.round(np.linspace(0, SECONDS * 25 - 1, N_FRAMES)).astype(int)
    changed = in_segments((index + 0.5) / 25, (SEGMENT,)) if video == "fake" else np.zeros(N_FRAMES, bool)
    if video is not None:
        base = _texture(face)
        crops = [encode_crop(_crop(base, light, strength if one else 0.0)) for one in changed]
        fields |= {
            "track_id": f"track-{number if person is None else person}",
            "n_clip_frames": int(SECONDS * 25),
            "frame_index": tuple(index.tolist()),
            "frames": tuple(crops),
            "to_crop": np.repeat(np.array([[[0.5, 0, 0], [0, 0.5, 0]]], float), N_FRAMES, axis=0),
            "frame_fake": None if video == "unknown" else tuple(changed.tolist()),
            "regions": None if video == "unknown" else _regions(changed),
        }
    syllables = np.abs(np.sin(np.linspace(0, rng.uniform(9, 14), int(SECONDS * 100)) + rng.uniform(0, 3)))
    other = np.abs(np.sin(np.linspace(0, rng.uniform(9, 14), len(syllables)) + rng.uniform(0, 3)))
    if audio is not None:
        fields |= {
            "mel": _mel(np.random.default_rng([number, 10]), syllables, audio == "fake"),
            "mel_step_s": 0.01,
            "audio_segments": {"fake": (SEGMENT,), "real": ()}.get(audio),
        }
    if sync is not None:
        mouth = other if sync == "fake" else syllables
        fields |= {
            "mouth": (0.3 * mouth[::4] + rng.normal(0, 0.02, len(mouth[::4]))).astype(np.float32),
            "envelope": syllables[::4].astype(np.float32),
            "sync_segments": {"fake": ((0.0, SECONDS),), "real": ()}.get(sync),
        }
    sample_id = f"sample-{number:03}"
    return Item(
        item_id=f"{sample_id}.0",
        sample_id=sample_id,
        split=split,
        verdicts={"video": video, "audio": audio, "sync": sync},
        **fields,
    )


def dataset(n: int, split: str, first: int = 0) -> list[Item]:
    """n items: a quarter untouched, then picture, sound and lip-sync changed, each with known labels."""
    kinds = [
        {},
        {"video": "fake"},
        {"audio": "fake"},
        {"sync": "fake"},
    ]
    return [item(first + i, split=split, person=first + i // 4, **kinds[i % 4]) for i in range(n)]


def _texture(rng: np.random.Generator) -> NDArray[np.float32]:
    small = rng.normal(0, 40, (6, 6, 3)).astype(np.float32) + rng.uniform(90, 160)
    return np.asarray(cv2.resize(small, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC), np.float32)


def _crop(base: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.uint8]:
    moved = np.roll(base, rng.integers(-4, 5, 2), axis=(0, 1)) + rng.normal(0, 3, base.shape)
    y, x = np.mgrid[:CROP_PX, :CROP_PX]
    board = np.where((x + y) % 2 == 0, strength, -strength) * (y >= CROP_PX // 2)
    return np.clip(moved + board[..., None], 0, 255).astype(np.uint8)


def _regions(changed: NDArray[np.bool_]) -> NDArray[np.uint8]:
    grids = np.zeros((len(changed), GRID, GRID), np.uint8)
    grids[changed, GRID // 2 :] = 255
    return grids


def _mel(rng: np.random.Generator, syllables: NDArray[np.float64], fake: bool) -> NDArray[np.float16]:
    n = len(syllables)
    tilt = np.linspace(0, rng.uniform(-4, -2), N_MELS)
    mel = tilt + 3 * syllables[:, None] + rng.normal(0, 0.7, (n, N_MELS)) - 6
    if fake:
        inside = in_segments(np.arange(n) * 0.01, (SEGMENT,))
        mel[inside, N_MELS // 2] += 2.5
    return mel.astype(np.float16)
