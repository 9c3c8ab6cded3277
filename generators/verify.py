"""The contract of a fake, checked on its pixels and samples before anything is stored.

A plug-in that labels what it did not change, or changes what it did not label, is caught here; what a
good fake looks like is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.protocol import Card, ClipView, FakeRequest, FakeResult, Segment
from generators.segments import FPS, RATE_HZ, changed_frames, runs
from generators.text.changes import changed_words, middle_s
from haetae.errors import Rejected
from haetae.voice.tokens import plain_text

VIDEO_TOLERANCE_FRAMES = 1
AUDIO_TOLERANCE_S = 0.02
WORD_TOLERANCE_S = 0.02
MAX_TEXT = 2000
"""Characters of the subtitles of one clip."""
MAX_OTHER_FACE_SHARE = 0.25
"""Largest share of another face that a mask may cover; two heads may overlap a little."""
MIN_MASK_USE = 0.05
"""Share of the mask pixels that must differ, over the clip: a mask of everything states nothing."""


@dataclass(frozen=True)
class Change:
    """What differs between a fake and its target, as measured.

    video_fraction: frames that differ / frames; mask_fraction: mask pixels / pixels, in those frames;
    mask_use: differing pixels / mask pixels; mean_abs_delta: mean |difference| in the masks, 0 to 255;
    edge_delta: the same on the masks' outermost ring of 1 px (a hard seam is large);
    audio_fraction: samples that differ / samples. Zero where the modality is unchanged.
    """

    video_fraction: float = 0.0
    mask_fraction: float = 0.0
    mask_use: float = 0.0
    mean_abs_delta: float = 0.0
    edge_delta: float = 0.0
    audio_fraction: float = 0.0

    def as_metrics(self) -> dict[str, float]:
        """The figures by name, rounded to 6 places."""
        return {f.name: round(float(getattr(self, f.name)), 6) for f in fields(self)}


def verify(card: Card, request: FakeRequest, result: FakeResult) -> Change:
    """Check a result against its request and card; returns what was measured on the way.

    Raises: Rejected("contract_broken", "<rule>: <figures>"). Rules: modalities, shape, length, samples,
    outside_mask, empty_mask, wide_mask, other_face, track, segment_bounds, segment_order, video_segments,
    audio_segments, words, text, text_segments.
    """
    target = request.target
    _check_modalities(card, target, result)
    _check_segment_bounds(card, target, result)
    _check_words(target, result)
    if "text" in card.modalities:
        _check_text(target, result)
    video = _check_video(target, result) if result.frames is not None else Change()
    audio = _check_audio(target, result) if result.audio is not None else 0.0
    return Change(
        video.video_fraction,
        video.mask_fraction,
        video.mask_use,
        video.mean_abs_delta,
        video.edge_delta,
        audio,
    )


def same(one: FakeResult, two: FakeResult) -> str | None:
    """None if two results are equal in every byte, else the name of the first field that differs."""
    for name in ("frames", "masks", "audio"):
        a, b = getattr(one, name), getattr(two, name)
        if (a is None) != (b is None) or (a is not None and not np.array_equal(a, b)):
            return name
    for name in ("segments", "words", "text", "track_id", "metrics"):
        if getattr(one, name) != getattr(two, name):
            return name
    return None


def _broken(rule: str, detail: str) -> Rejected:
    return Rejected("contract_broken", f"{rule}: {detail}")


def _check_modalities(card: Card, target: ClipView, result: FakeResult) -> None:
    given = {
        "video": result.frames is not None,
        "audio": result.audio is not None,
        "text": result.text is not None,
    }
    for modality in card.modalities:
        if not given[modality]:
            raise _broken("modalities", f"the card claims {modality} and the result has none")
    for modality, original in (("video", target.frames), ("audio", target.audio)):
        if given[modality] and (modality not in card.modalities or original is None):
            claim = (
                "the card does not claim" if modality not in card.modalities else "the target does not have"
            )
            raise _broken("modalities", f"the result has {modality}, which {claim}")
    if (result.frames is None) != (result.masks is None):
        raise _broken("modalities", "frames and masks must be given together")
    if result.track_id is None and result.frames is not None and "face" in card.needs:
        raise _broken("track", "the card needs a face and the result does not say which one it changed")
    if result.track_id is not None and result.track_id not in {face.track_id for face in target.faces}:
        raise _broken("track", f"{result.track_id} is not a face of the target")


def _check_segment_bounds(card: Card, target: ClipView, result: FakeResult) -> None:
    last = {"video": -1.0, "audio": -1.0, "text": -1.0}
    for s in result.segments:
        end_s = _duration_s(target, s.modality)
        if s.modality not in card.modalities:
            raise _broken("segment_bounds", f"a {s.modality} segment, and the card claims {card.modalities}")
        if not (0 <= s.start_s < s.end_s <= end_s + 1 / FPS):
            raise _broken("segment_bounds", f"{s.start_s:.3f} to {s.end_s:.3f} s in a clip of {end_s:.3f} s")
        if s.start_s < last[s.modality]:
            raise _broken(
                "segment_order", f"{s.modality} segments overlap or are unsorted at {s.start_s:.3f} s"
            )
        last[s.modality] = s.end_s


def _check_words(target: ClipView, result: FakeResult) -> None:
    end_s = _duration_s(target, "audio") + AUDIO_TOLERANCE_S
    for w in result.words:
        if not (0 <= w.start_s <= w.end_s <= end_s):
            raise _broken(
                "words", f"{w.word!r} at {w.start_s:.3f} to {w.end_s:.3f} s in a clip of {end_s:.3f} s"
            )


def _check_text(target: ClipView, result: FakeResult) -> None:
    """The subtitles differ from what is said where the segments say, and nowhere else."""
    if not target.words:
        raise _broken("text", "the result has other subtitles, and the target's words are not known")
    text, words = result.text or "", result.words
    if not text or text != " ".join(word.word for word in words) or text != plain_text(text):
        raise _broken("text", f"{text[:60]!r} is not the words of the result between single spaces")
    if len(text) > MAX_TEXT:
        raise _broken("text", f"{len(text)} characters, of at most {MAX_TEXT}")
    if any(after.start_s < before.start_s for before, after in pairwise(words)):
        raise _broken("text", "words are not in order")
    stated = [s for s in result.segments if s.modality == "text"]
    changed = changed_words(target.words, words)
    if not changed or not stated:
        raise _broken("text_segments", f"{len(changed)} words differ, and there are {len(stated)} segments")
    for word in changed:
        if not any(
            s.start_s - WORD_TOLERANCE_S <= middle_s(word) <= s.end_s + WORD_TOLERANCE_S for s in stated
        ):
            raise _broken(
                "text_segments", f"{word.word!r} at {word.start_s:.3f} s differs outside every segment"
            )
    edges = sorted(edge for word in (*target.words, *words) for edge in (word.start_s, word.end_s))
    for s in stated:
        if not any(s.start_s <= middle_s(word) <= s.end_s for word in changed):
            raise _broken("text_segments", f"no word differs from {s.start_s:.3f} to {s.end_s:.3f} s")
        if any(min(abs(edge - at) for edge in edges) > WORD_TOLERANCE_S for at in (s.start_s, s.end_s)):
            raise _broken("text_segments", f"{s.start_s:.3f} to {s.end_s:.3f} s begins or ends inside a word")


def _duration_s(target: ClipView, modality: str) -> float:
    video_s = 0.0 if target.frames is None else target.frames.shape[0] / FPS
    audio_s = 0.0 if target.audio is None else target.audio.size / RATE_HZ
    return {"video": video_s, "audio": audio_s}.get(modality, max(video_s, audio_s))


def _check_video(target: ClipView, result: FakeResult) -> Change:
    before, after, masks = target.frames, result.frames, result.masks
    assert before is not None
    assert after is not None
    assert masks is not None
    if after.shape != before.shape or after.dtype != np.uint8:
        raise _broken("shape", f"frames {after.dtype} {after.shape}, target {before.dtype} {before.shape}")
    if masks.shape != before.shape[:3] or masks.dtype != np.bool_:
        raise _broken("shape", f"masks {masks.dtype} {masks.shape}, target {before.shape[:3]}")
    changed = changed_frames(before, after)
    masked = np.asarray(masks.any(axis=(1, 2)))
    if not changed.any():
        raise _broken("empty_mask", "no frame differs from the target's")
    measured = _check_pixels(before, after, masks, changed)
    _check_other_faces(target, result)
    if bad := _disagreement(changed, masked):
        raise _broken(
            "empty_mask", f"masks and changed frames disagree by more than 1 frame at frame {bad[0]}"
        )
    stated = _stated_frames(result.segments, changed.size)
    if bad := _disagreement(changed, stated):
        detail = (
            f"{len(bad)} frames, first {bad[0]}: changed {changed[bad[0]]}, in a segment {stated[bad[0]]}"
        )
        raise _broken("video_segments", detail)
    return measured


def _check_pixels(
    before: NDArray[np.uint8], after: NDArray[np.uint8], masks: NDArray[np.bool_], changed: NDArray[np.bool_]
) -> Change:
    in_mask = used = edge_n = pixels = 0
    delta_sum = edge_sum = 0.0
    for t in np.flatnonzero(changed):
        delta = cv2.absdiff(before[t], after[t]).max(axis=2)
        outside = int(np.count_nonzero(delta[~masks[t]]))
        if outside:
            raise _broken("outside_mask", f"{outside} pixels of frame {t} differ outside its mask")
        inside = delta[masks[t]]
        ring = masks[t] & ~cv2.erode(masks[t].astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        in_mask, used, pixels = (
            in_mask + inside.size,
            used + int(np.count_nonzero(inside)),
            pixels + delta.size,
        )
        delta_sum += float(inside.sum())
        edge_sum, edge_n = edge_sum + float(delta[ring].sum()), edge_n + int(ring.sum())
    if used < MIN_MASK_USE * in_mask:
        raise _broken(
            "wide_mask", f"only {used} of {in_mask} mask pixels differ ({used / max(in_mask, 1):.1%})"
        )
    return Change(
        video_fraction=float(changed.mean()),
        mask_fraction=in_mask / pixels,
        mask_use=used / in_mask,
        mean_abs_delta=delta_sum / in_mask,
        edge_delta=edge_sum / max(edge_n, 1),
    )


def _check_other_faces(target: ClipView, result: FakeResult) -> None:
    assert result.masks is not None
    shape = result.masks.shape[1:]
    for face in target.faces:
        if face.track_id == result.track_id or result.track_id is None:
            continue
        for i in np.flatnonzero(face.found):
            t = face.first_frame + int(i)
            if t >= result.masks.shape[0] or not result.masks[t].any():
                continue
            hull = cv2.convexHull(np.round(face.mesh[i, :, :2]).astype(np.int32))
            area = cv2.fillConvexPoly(np.zeros(shape, np.uint8), hull, 1).astype(bool)
            share = np.count_nonzero(result.masks[t] & area) / max(int(np.count_nonzero(area)), 1)
            if share > MAX_OTHER_FACE_SHARE:
                raise _broken(
                    "other_face", f"the mask of frame {t} covers {share:.0%} of face {face.track_id}"
                )


def _stated_frames(segments: Sequence[Segment], n: int) -> NDArray[np.bool_]:
    stated = np.zeros(n, dtype=np.bool_)
    for s in segments:
        if s.modality == "video":
            stated[max(0, round(s.start_s * FPS)) : max(0, round(s.end_s * FPS))] = True
    return stated


def _disagreement(
    measured: NDArray[np.bool_], stated: NDArray[np.bool_], slack: int = VIDEO_TOLERANCE_FRAMES
) -> list[int]:
    """Indices where one is true and the other is not within `slack` of there."""
    wrong = (measured & ~_dilated(stated, slack)) | (stated & ~_dilated(measured, slack))
    return [int(i) for i in np.flatnonzero(wrong)]


def _dilated(flags: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    out = np.zeros_like(flags)
    for start, end in runs(flags):
        out[max(0, start - by) : end + by] = True
    return out


def _check_audio(target: ClipView, result: FakeResult) -> float:
    before, after = target.audio, result.audio
    assert before is not None
    assert after is not None
    if after.ndim != 1 or after.dtype != np.float32:
        raise _broken("shape", f"audio {after.dtype} {after.shape}, want float32 [N]")
    if abs(after.size - before.size) > RATE_HZ / FPS:
        raise _broken("length", f"{after.size} samples, target {before.size}; one video frame is 640")
    if not np.isfinite(after).all() or float(np.abs(after).max(initial=0.0)) > 1.0:
        raise _broken("samples", "audio is not finite or leaves [-1, 1]")
    n = min(before.size, after.size)
    changed = before[:n] != after[:n]
    if not changed.any():
        raise _broken("audio_segments", "no sample differs from the target's")
    stated = np.zeros(n, dtype=np.bool_)
    for s in result.segments:
        if s.modality == "audio":
            stated[max(0, round(s.start_s * RATE_HZ)) : max(0, round(s.end_s * RATE_HZ))] = True
    if bad := _disagreement(changed, stated, slack=round(AUDIO_TOLERANCE_S * RATE_HZ)):
        at = bad[0]
        where = f"{len(bad) / RATE_HZ:.3f} s, first at {at / RATE_HZ:.3f} s"
        detail = f"{where}: changed {changed[at]}, stated {stated[at]}"
        raise _broken("audio_segments", detail)
    return float(changed.mean())
