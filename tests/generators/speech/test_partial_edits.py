"""One word is exchanged in four languages, and samples and pixels show no more of it than its segment says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks import edit_measures as measure
from benchmarks.partial_edits import REAL, Exchanges, Proof, prove, real_voice, room_of, spoken
from generators.combination.dubbed_word import DubbedWord
from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.speech.word_edit import WordEdit
from generators.verify import verify
from haetae.errors import Rejected
from tests.generators.speech.recordings import RATE_HZ, OneExchange, samples_of

SEEN = {
    "ko": ("오늘 밤부터 비가 와요.", "밤부터", "낮부터", ("f2", 60), 0.002),
    "en-SG": ("Heavy rain this evening ah.", "evening", "morning", ("m3", 30), 0.0008),
    "ms": ("Hujan di pantai timur.", "pantai", "tepi", ("f4", 50), 0.008),
    "ta": ("புதிய பாலம் திறக்கும்.", "பாலம்", "சாலை", ("m1", 45), 0.002),
}
"""Sentence, old and new word, voice, and how loud the room is."""
HEARD = {
    "ko": ("내일 기온이 크게 떨어지지 않아요.", "크게", "다시", ("m7", 20), 0.0008),
    "en-SG": ("They take the table today lah.", "take", "keep", ("f5", 75), 0.008),
    "ms": ("Dia tidak tutup pintu itu.", "tutup", "tekan", ("m1", 45), 0.002),
    "ta": ("நாளை பள்ளி திறக்கப்படும்.", "திறக்கப்படும்", "திறக்கப்படாது", ("f4", 50), 0.0008),
}
"""Words that begin with a stop, old and new: both begin with silence."""
LIMITS = Proof(
    ends_ms=20, word_ms=20, lips_frames=1, loudness_db=2, join_db=8, click=1, gap_ms=30, pause_ms=30,
    room_lack_db=3, room_surplus_db=3,
)  # fmt: skip
"""At a join, two voices may give one vowel another loudness; a sound that is missing, or cut into, is 15 dB."""
CASES = [*(f"seen {language}" for language in SEEN), *(f"heard {language}" for language in HEARD)]


@dataclass(frozen=True)
class Made:
    clip: ClipView
    result: FakeResult
    truth: ClipView
    proof: Proof


@pytest.fixture(scope="module")
def made(actor: ClipView) -> Callable[[str], Made]:
    """Each case, made once: those that are seen by DubbedWord, the others by WordEdit."""

    @cache
    def _made(case: str) -> Made:
        group, language = case.split()
        text, old, new, voice, noise = (SEEN if group == "seen" else HEARD)[language]
        clip = spoken(language, text, voice, noise)
        clip = _shown(actor, clip) if group == "seen" else clip
        generator = (DubbedWord if group == "seen" else WordEdit)(OneExchange(old, new))
        request = FakeRequest(clip, 1, language, params={"max_neighbours": 0})
        result = generator.generate(request)
        verify(generator.card, request, result)
        truth = spoken(language, text.replace(old, new), voice, noise)
        return Made(clip, result, truth, prove(clip, result, truth))

    return _made


def _shown(actor: ClipView, clip: ClipView) -> ClipView:
    """The actor, forwards and backwards, while the clip is heard."""
    assert actor.frames is not None
    (face,) = actor.faces
    n = samples_of(clip).size * 25 // RATE_HZ
    there_and_back = np.concatenate([np.arange(len(actor.frames)), np.arange(len(actor.frames))[::-1]])
    order = np.resize(there_and_back, n)
    face = replace(face, mesh=face.mesh[order], found=face.found[order])
    audio = samples_of(clip)[: n * 640]
    return replace(clip, frames=actor.frames[order], audio=audio, faces=(face,))


@pytest.mark.parametrize("case", CASES)
def test_an_edit_leaves_no_more_than_its_segment_says(made: Callable[[str], Made], case: str) -> None:
    proof = made(case).proof
    found = {field.name: (getattr(proof, field.name), getattr(LIMITS, field.name)) for field in fields(Proof)}
    assert {name: pair for name, pair in found.items() if not pair[0] <= pair[1]} == {}


@pytest.mark.parametrize("case", CASES)
def test_the_new_word_is_there_and_all_else_is_as_it_was(made: Callable[[str], Made], case: str) -> None:
    one = made(case)
    old, new = samples_of(one.clip), samples_of(replace(one.clip, audio=one.result.audio))
    (span,) = measure.changed(old, new)
    first, last = (round(t * RATE_HZ) for t in span)
    assert (new[first:last] != old[first:last]).mean() > 0.98
    assert np.array_equal(new[:first], old[:first]) and np.array_equal(new[last:], old[last:])
    assert measure.level_db(new[first:last] - old[first:last]) > measure.level_db(old[first:last]) - 6
    room = room_of(old, one.clip.speech)
    assert measure.room_lack_db(new, one.clip.speech, room) < 3


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("seen")])
def test_the_mouth_moves_while_the_word_lasts_and_nothing_else_does(
    made: Callable[[str], Made], case: str
) -> None:
    one = made(case)
    assert one.clip.frames is not None and one.result.frames is not None
    difference = np.abs(one.result.frames.astype(np.int16) - one.clip.frames).max(axis=3)
    at = np.flatnonzero(difference.reshape(len(difference), -1).any(axis=1))
    assert one.result.audio is not None
    ((start_s, end_s),) = measure.changed(samples_of(one.clip), one.result.audio)
    inside = np.arange(int(np.ceil(start_s * 25)), int(end_s * 25))
    assert np.isin(inside, at).mean() > 0.6
    (picture,) = [s for s in one.result.segments if s.modality == "video"]
    assert (picture.start_s, picture.end_s) == pytest.approx((at[0] / 25, (at[-1] + 1) / 25))
    (face,) = one.clip.faces
    for t in at:
        nose_y, lids_y = face.mesh[t, 1, 1], face.mesh[t, [159, 386], 1].min()
        assert difference[t, : int(lids_y)].max() < 8, "brows and lids are the person's own"
        assert difference[t, int(nose_y) :].sum() > 0.6 * difference[t].sum(), "it moves below the nose"


def test_planted_faults_are_found(made: Callable[[str], Made]) -> None:
    """Each of the measures fails on the fault it is there for, and on a real edit."""
    one = made("heard ms")
    assert one.result.audio is not None
    (segment,) = one.result.segments
    first, last = round(segment.start_s * RATE_HZ), round(segment.end_s * RATE_HZ)
    middle = (first + last) // 2

    def proof(change: Callable[[np.ndarray], None], shift_s: float = 0.0) -> Proof:
        audio = np.array(one.result.audio)
        change(audio)
        told = replace(segment, start_s=segment.start_s + shift_s)
        return prove(one.clip, replace(one.result, audio=audio, segments=(told,)), one.truth)

    def click(audio: np.ndarray) -> None:
        audio[first + 60] += 0.4

    def hole(audio: np.ndarray) -> None:
        audio[middle : middle + 960] = 0

    def late(audio: np.ndarray) -> None:
        audio[last : last + 800] += 0.01

    def louder(audio: np.ndarray) -> None:
        audio[first:last] *= 2.0

    def muffled(audio: np.ndarray) -> None:
        smooth = np.hanning(9) / np.hanning(9).sum()
        audio[first:last] = np.convolve(audio[first:last], smooth, "same")

    def hissing(audio: np.ndarray) -> None:
        audio[first:last] += np.random.default_rng(0).normal(0, 0.02, last - first).astype(np.float32)

    def cut_in(audio: np.ndarray) -> None:
        audio[first + 200 : first + 1000] = audio[middle : middle + 800]

    for change, name in (
        (click, "click"), (hole, "gap_ms"), (hole, "pause_ms"), (late, "ends_ms"), (louder, "loudness_db"),
        (muffled, "room_lack_db"), (hissing, "room_surplus_db"), (cut_in, "join_db"),
    ):  # fmt: skip
        assert getattr(proof(change), name) > getattr(LIMITS, name), name
    shifted = proof(lambda _audio: None, shift_s=0.04)
    assert shifted.ends_ms > LIMITS.ends_ms and shifted.word_ms > LIMITS.word_ms
    frames = np.zeros((40, 4, 4, 3), np.uint8)
    for t, beyond in ((9, 1), (8, 2), (26, 1), (28, 3)):
        other = frames.copy()
        other[t] = 1
        assert measure.frames_beyond(frames, other, [(0.41, 1.03)]) == beyond


@pytest.mark.slow
@pytest.mark.parametrize("name", list(REAL))
def test_real_voices_are_edited_without_a_trace_at_the_joins(dev_media: Path, name: str) -> None:
    """At word times that are shares of the speech, which cut in the middle of sounds."""
    clip = real_voice(dev_media, name)
    made = 0
    for seed in range(2):
        try:
            result = WordEdit(Exchanges()).generate(FakeRequest(clip, seed, clip.language))
        except Rejected:
            continue
        made += 1
        proof = prove(clip, result)
        for measured in ("ends_ms", "word_ms", "click", "gap_ms", "pause_ms"):
            assert getattr(proof, measured) <= getattr(LIMITS, measured), (seed, measured)
        assert proof.loudness_db <= 4
    assert made
