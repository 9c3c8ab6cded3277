"""What one exchanged word leaves behind, in every language: ends, lips, loudness, clicks, gaps, room.

Heard: sentences of the locales, spoken by six voices in rooms of three loudnesses, one word exchanged by
`word_edit`. The same voice saying the edited sentence from the start is the truth against which the level at the
joins is judged. Seen and heard: people of the embedded sample, through `dubbed_word`. The measures know nothing of
how the edits are made (`edit_measures`). Where HAETAE_DEV_MEDIA names a folder, real voices too, at word times that
are shares of their speech: there is no aligner here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks import edit_measures as measure
from benchmarks.edit_measures import RATE_HZ, Samples, Spans
from generators.combination.dubbed_word import DubbedWord
from generators.protocol import ClipView, FakeRequest, FakeResult
from generators.speech.word_edit import WordEdit
from haetae.errors import Rejected
from haetae.locales import load
from haetae.voice.espeak import speak
from haetae.voice.words import Word

LANGUAGES = ("ko", "en-SG", "ms", "ta")
VOICES = (("m3", 30), ("f2", 60), ("m1", 45), ("f4", 50), ("m7", 20), ("f5", 75))
ROOMS = (0.0008, 0.002, 0.008)
LEAD_S = 0.6
HEARD, SEEN = 8, 2
"""Sentences and people of each language."""
MARGIN_S = 0.06
QUIET_DB = 25.0
"""How far below the louder speech a level at a join is as good as silence."""
REAL = {
    "ms_real_shafiqah": ("ms", "nama saya shafiqah idayu"),
    "ms_real_haqkiem": (
        "ms",
        "sebagai pembangkang yang matang dan sejahtera pas akan menghadapi pilihan raya umum",
    ),
    "ko_real_kih00001": ("ko", "원래 가족이 더 힘든 법이에요 힘내세요"),
    "ko_real_nea00001": ("ko", "심폐소생술 자격증 취득을 원하시면 인터넷으로 신청해주세요"),
    "ko_real_neb00002": ("ko", "주연 배우 캐스팅이 마무리되는 대로 촬영을 시작할 거래"),
    "other_en_picovoice": (
        "en-SG",
        "mr quilter is the apostle of the middle classes and we are glad to welcome his gospel",
    ),
    "ta_fake_fs2_01_01": ("ta", "ஆற்றின் நீர் குளிர்ச்சியாக இருந்தது"),
}
"""What is said in recordings of the development media; Tamil only as synthetic speech."""


@dataclass(frozen=True)
class Proof:
    """What was measured of one edit; of several, the worst of each.

    ends_ms: labelled segment against changed samples; word_ms: the changed words' times against them;
    lips_frames: from the labelled sound to the furthest changed frame; loudness_db, room_lack_db, room_surplus_db,
    click, gap_ms, pause_ms: as in `edit_measures`; join_db: how far the 50 ms at a join lie outside of what the
    voice has there when it says the old and the new sentence, NaN where the new one is not at hand.
    """

    ends_ms: float
    word_ms: float
    lips_frames: float
    loudness_db: float
    join_db: float
    click: float
    gap_ms: float
    pause_ms: float
    room_lack_db: float
    room_surplus_db: float


def spoken(language: str, text: str, voice: tuple[str, int], noise: float, name: str = "clip") -> ClipView:
    """A sentence between two pauses in a room with noise, its words with their true times."""
    variant, pitch = voice
    said = speak(text, language, variant=variant, pitch=pitch, rate_wpm=150)
    lead = round(LEAD_S * RATE_HZ)
    audio = np.random.default_rng(3).normal(0, noise, said.audio.size + 2 * lead).astype(np.float32)
    audio[lead : lead + said.audio.size] += 0.4 * said.audio
    words = tuple(w.shifted(LEAD_S) for w in said.words)
    return ClipView(name, language, None, audio, (), ((words[0].start_s, words[-1].end_s),), words)


def prove(clip: ClipView, result: FakeResult, truth: ClipView | None = None) -> Proof:
    """Measure an edit. truth: the same voice saying what is said now."""
    old, new = clip.audio, result.audio
    assert old is not None
    assert new is not None
    told = [(s.start_s, s.end_s) for s in result.segments if s.modality == "audio"]
    is_at = [w for w in result.words if w not in clip.words]
    lips = 0
    if clip.frames is not None and result.frames is not None:
        lips = measure.frames_beyond(clip.frames, result.frames, told)
    speech = clip.speech or [(w.start_s, w.end_s) for w in clip.words]
    said = np.concatenate([old[round(a * RATE_HZ) : round(b * RATE_HZ)] for a, b in speech])
    room = room_of(old, speech)
    return Proof(
        ends_ms=measure.boundary_ms(told, measure.changed(old, new)),
        word_ms=measure.boundary_ms(told, [(is_at[0].start_s, is_at[-1].end_s)]),
        lips_frames=float(lips),
        loudness_db=measure.loudness_step_db(old, new, told, speech),
        join_db=_join_db(clip, result, truth, is_at),
        click=measure.click_ratio(old, new, told),
        gap_ms=measure.gap_ms(old, new, told, measure.level_db(room)),
        pause_ms=measure.pause_ms(old, new, told, measure.loud_db(said)),
        room_lack_db=measure.room_lack_db(new, told, room),
        room_surplus_db=measure.room_surplus_db(old, new, told, room),
    )


def room_of(audio: Samples, speech: Spans) -> Samples:
    """What is heard between speech."""
    edges = [
        0.0,
        *(t for span in speech for t in (span[0] - MARGIN_S, span[1] + MARGIN_S)),
        audio.size / RATE_HZ,
    ]
    free = [
        audio[round(a * RATE_HZ) : round(b * RATE_HZ)]
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if b > a
    ]
    return np.concatenate(free)


def _join_db(clip: ClipView, result: FakeResult, truth: ClipView | None, is_at: Sequence[Word]) -> float:
    """Both ends of the changed words, in the fake, in what it was made of, and in the truth."""
    if truth is None:
        return float("nan")
    assert clip.audio is not None
    assert truth.audio is not None
    assert result.audio is not None
    first = result.words.index(is_at[0])
    if [w.word for w in truth.words] != [w.word for w in result.words]:
        return float("nan")
    theirs = truth.words[first], truth.words[first + len(is_at) - 1]
    joins = (is_at[0].start_s, is_at[-1].end_s)
    quiet_db = measure.loud_db(clip.audio) - QUIET_DB
    return measure.beyond_db(
        measure.join_levels_db(result.audio, joins), quiet_db,
        measure.join_levels_db(clip.audio, joins),
        measure.join_levels_db(truth.audio, (theirs[0].start_s, theirs[1].end_s)),
    )  # fmt: skip


def worst(proofs: Sequence[Proof]) -> Proof:
    """The worst of each measure, over those that have it."""
    columns = np.array([astuple(p) for p in proofs], np.float64)
    columns = np.where(np.isnan(columns), -np.inf, columns).max(axis=0)
    return Proof(*(float(c) for c in np.where(np.isneginf(columns), np.nan, columns)))


def heard(language: str, n: int = HEARD) -> Iterator[Callable[[], Proof]]:
    """Edits of sentences, each made and measured when it is called. Raises then: Rejected."""
    sentences = [s for use in ("news", "social_media") for s in load(language).sentences_for(use)]
    for k, text in enumerate(sentences[:n]):
        voice, noise = VOICES[k % len(VOICES)], ROOMS[k % len(ROOMS)]

        def one(
            text: str = text, voice: tuple[str, int] = voice, noise: float = noise, seed: int = k
        ) -> Proof:
            clip = spoken(language, text, voice, noise)
            result = WordEdit().generate(FakeRequest(clip, seed, language))
            return prove(clip, result, spoken(language, str(result.text), voice, noise))

        yield one


def seen(n: int = SEEN) -> dict[str, list[Callable[[], Proof]]]:
    """The same of people who are filmed, by language."""
    from generators.conformance.clips import Size, film, read, talkers

    small = Size("partial edits", 3.2, 256, 256, long_clips=False, limit_s=120.0, effort=1.0)
    cases: dict[str, list[Callable[[], Proof]]] = {language: [] for language in LANGUAGES}
    for k, (_, shot) in enumerate(film(talkers(LANGUAGES, n * len(LANGUAGES)), small).items()):

        def one(path: str = shot.path, seed: int = k) -> Proof:
            clip = read(Path(path))
            return prove(clip, DubbedWord().generate(FakeRequest(clip, seed, clip.language)))

        cases[shot.language].append(one)
    return cases


class Exchanges:
    """An editor that exchanges a word of a sentence for another of about its length, of the same sentence."""

    @dataclass(frozen=True)
    class Edit:
        index: int
        old: str
        new: str
        count: int = 1
        kind: str = "word"

    def proposals(self, words: Sequence[str], _language: str, _kinds: Sequence[str]) -> Sequence[Edit]:
        pairs = [(i, old, new) for i, old in enumerate(words) for new in words]
        return [
            self.Edit(*pair) for pair in pairs if pair[1] != pair[2] and abs(len(pair[1]) - len(pair[2])) <= 1
        ]

    def apply(self, words: Sequence[str], edit: Edit) -> str:
        return " ".join([*words[: edit.index], edit.new, *words[edit.index + 1 :]])


def real_voice(folder: Path, name: str) -> ClipView:
    """A recording of the development media; each letter of what it says gets an equal share of its speech."""
    from haetae.media.audio import read_audio
    from haetae.voice.activity import speech_regions

    language, text = REAL[name]
    audio = read_audio(folder / "audio" / f"{name}.wav")[: 8 * RATE_HZ]
    speech = speech_regions(audio)
    spoken_words = text.split()
    share = np.cumsum([0, *(len(word) for word in spoken_words)]) / sum(map(len, spoken_words))
    edges = speech[0][0] + share * (speech[-1][1] - speech[0][0])
    words = tuple(
        Word(w, float(a), float(b)) for w, (a, b) in zip(spoken_words, pairwise(edges), strict=True)
    )
    return ClipView(name, language, None, audio, (), tuple(speech), words)


def real(folder: Path) -> dict[str, list[Callable[[], Proof]]]:
    """Edits of real voices, by language; which word comes from the locale where it knows one."""
    cases: dict[str, list[Callable[[], Proof]]] = {language: [] for language in LANGUAGES}
    for k, name in enumerate(REAL):

        def one(name: str = name, seed: int = k) -> Proof:
            clip = real_voice(folder, name)
            return prove(clip, WordEdit(Exchanges()).generate(FakeRequest(clip, seed, clip.language)))

        cases[REAL[name][0]].append(one)
    return cases


def main() -> None:
    began = time.perf_counter()
    names = [field.name for field in fields(Proof)]
    print(f"  {'':14}{'made':>6} " + " ".join(f"{name:>{len(name)}}" for name in names))
    given = os.environ.get("HAETAE_DEV_MEDIA")
    groups = {"heard": {language: list(heard(language)) for language in LANGUAGES}, "seen": seen()}
    if given and (Path(given) / "audio").is_dir():
        groups["real"] = real(Path(given))
    for group, cases in groups.items():
        for language, of in cases.items():
            _report(f"{group} {language}", of, names)
    print(f"  in {time.perf_counter() - began:.0f} s", file=sys.stderr)


def _report(title: str, cases: Sequence[Callable[[], Proof]], names: Sequence[str]) -> None:
    proofs, refused = [], list[str]()
    for case in cases:
        try:
            proofs.append(case())
        except Rejected as refusal:
            refused.append(refusal.reason)
    if not proofs:
        print(f"  {title:14}{0:>3}/{len(cases)} {', '.join(refused)}")
        return
    values = " ".join(
        f"{value:>{len(name)}.2f}" for name, value in zip(names, astuple(worst(proofs)), strict=True)
    )
    print(f"  {title:14}{len(proofs):>3}/{len(cases):<2} {values} {', '.join(refused)}", flush=True)


if __name__ == "__main__":
    main()
