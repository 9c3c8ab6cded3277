"""One word becomes another: nothing else changes, and nobody hears where it was set in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from generators.protocol import ClipView, FakeRequest, FakeResult, Word
from generators.speech.joins import measure_join
from generators.speech.splice import FADE
from generators.speech.timbre import distance_db, voiceprint
from generators.speech.word_edit import WordEdit
from generators.verify import same, verify
from haetae.errors import Rejected
from haetae.locales.edits import apply, proposals
from haetae.voice.level import loud_dbfs
from haetae.voice.pitch import median_f0_hz
from haetae.voice.world import analyse
from tests.generators.speech.recordings import RATE_HZ, Exchange, OneExchange, recording, samples_of

SENTENCES = {
    "ko": "오늘 밤부터 전국에 비가 내리겠습니다.",
    "en-SG": "Heavy rain expected this evening, so bring umbrella ah.",
    "ms": "Hujan lebat dijangka di pantai timur petang ini.",
    "ta": "புதிய பாலம் அடுத்த மாதம் திறக்கப்படும்.",
}
EXCHANGES = {
    "ko": ("오늘", "내일"),
    "en-SG": ("evening", "morning"),
    "ms": ("timur", "barat"),
    "ta": ("புதிய", "பழைய"),
}
LANGUAGES = list(SENTENCES)


@pytest.fixture(scope="module", params=LANGUAGES)
def made(request: pytest.FixtureRequest) -> tuple[ClipView, FakeRequest, FakeResult, Word]:
    """A clip, its fake, and the word that was exchanged, in each language."""
    language = request.param
    clip = recording(language, SENTENCES[language], variant="f2", pitch=55)
    asked = FakeRequest(clip, 1, language)
    result = WordEdit(OneExchange(*EXCHANGES[language])).generate(asked)
    (old,) = [w for w in clip.words if w.word == EXCHANGES[language][0]]
    return clip, asked, result, old


def test_the_segment_is_the_slot_of_the_word_and_all_else_stays(
    made: tuple[ClipView, FakeRequest, FakeResult, Word],
) -> None:
    clip, asked, result, old = made
    verify(WordEdit.card, asked, result)
    (segment,) = result.segments
    assert segment.start_s == pytest.approx(old.start_s, abs=0.02)
    assert segment.end_s == pytest.approx(old.end_s, abs=0.02)
    changed = np.flatnonzero(result.audio != clip.audio) / RATE_HZ
    assert segment.start_s == pytest.approx(changed[0], abs=0.001)
    assert segment.end_s == pytest.approx(changed[-1], abs=0.001)


def test_text_and_words_say_what_is_heard_now(made: tuple[ClipView, FakeRequest, FakeResult, Word]) -> None:
    clip, _, result, old = made
    new = EXCHANGES[clip.language][1]
    at = clip.words.index(old)
    assert result.text == " ".join(new if w is old else w.word for w in clip.words)
    assert [w.word for w in result.words] == [new if w is old else w.word for w in clip.words]
    assert (*result.words[:at], *result.words[at + 1 :]) == (*clip.words[:at], *clip.words[at + 1 :])
    assert (result.words[at].start_s, result.words[at].end_s) == pytest.approx(
        (old.start_s, old.end_s), abs=1e-6
    )


def test_no_click_and_no_silence_is_left_at_the_joins(
    made: tuple[ClipView, FakeRequest, FakeResult, Word],
) -> None:
    clip, _, result, old = made
    ((start_s, end_s),) = clip.speech
    said = samples_of(clip)[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    for at in (round(old.start_s * RATE_HZ) - FADE // 2, round(old.end_s * RATE_HZ) + FADE // 2):
        join = measure_join(samples_of(clip), result.audio, at, said)
        assert join.click < 1.0
        assert join.gap_s <= 0.03


def test_the_level_fits_that_of_the_words_beside_it(
    made: tuple[ClipView, FakeRequest, FakeResult, Word],
) -> None:
    clip, _, result, old = made
    at = clip.words.index(old)
    beside = [w for i, w in enumerate(clip.words) if i != at and abs(i - at) <= 2]
    around = np.concatenate(
        [samples_of(clip)[round(w.start_s * RATE_HZ) : round(w.end_s * RATE_HZ)] for w in beside]
    )
    new = result.audio[round(old.start_s * RATE_HZ) : round(old.end_s * RATE_HZ)]
    assert loud_dbfs(new) == pytest.approx(loud_dbfs(around), abs=3.0)


def test_the_new_word_is_in_the_voice_of_the_clip(
    made: tuple[ClipView, FakeRequest, FakeResult, Word],
) -> None:
    clip, _, result, old = made
    span = slice(round(old.start_s * RATE_HZ), round(old.end_s * RATE_HZ))
    assert median_f0_hz(result.audio[span]) == pytest.approx(median_f0_hz(samples_of(clip)[span]), rel=0.12)
    own = voiceprint(analyse(samples_of(clip), quick=True), "clip")
    stranger = voiceprint(
        analyse(samples_of(recording(clip.language, SENTENCES[clip.language], variant="m7")), quick=True),
        "m7",
    )
    heard = voiceprint(analyse(result.audio[span], quick=True), "word", 0.05)
    assert distance_db(heard, own) < distance_db(heard, stranger)


def test_the_new_word_itself_is_heard(made: tuple[ClipView, FakeRequest, FakeResult, Word]) -> None:
    """Its spectra lie nearer to those of the new word spoken by the clip's voice than to the old word's."""
    clip, _, result, old = made
    truth = recording(
        clip.language,
        SENTENCES[clip.language].replace(*EXCHANGES[clip.language]),
        variant="f2",
        pitch=55,
    )
    (meant,) = [w for w in truth.words if w.word == EXCHANGES[clip.language][1]]
    wanted, own = _spectra(samples_of(truth), meant), _spectra(samples_of(clip), old)
    heard = _spectra(result.audio, old)
    assert _path_cost(heard, wanted) < 0.85 * _path_cost(own, wanted)
    assert _path_cost(heard, wanted) < 0.75 * _path_cost(heard, own)


def _spectra(audio: np.ndarray, word: Word) -> np.ndarray:
    """Log spectra of a word in 24 bands up to 5 kHz, level removed: [T, 24]."""
    frames = analyse(audio[round(word.start_s * RATE_HZ) : round(word.end_s * RATE_HZ)], quick=True)
    edges = np.unique(np.round(np.geomspace(8, 320, 25)).astype(int))
    bands = np.stack([frames.envelope[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)
    level = np.log(bands + 1e-9)
    return level - level.max()


def _path_cost(one: np.ndarray, two: np.ndarray) -> float:
    """Mean distance along the best time alignment."""
    from scipy.spatial.distance import cdist

    cost = cdist(one, two)
    total = np.full((len(one) + 1, len(two) + 1), np.inf)
    total[0, 0] = 0
    for i in range(len(one)):
        for j in range(len(two)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1]) / (len(one) + len(two))


def test_equal_requests_give_equal_samples() -> None:
    clip = recording("ms", "Ke pantai timur.")
    editor = OneExchange(*EXCHANGES["ms"])
    one, two = (WordEdit(editor).generate(FakeRequest(clip, 7, "ms")) for _ in range(2))
    assert same(one, two) is None


def test_a_word_that_is_far_too_long_or_short_is_refused() -> None:
    clip = recording("ms", SENTENCES["ms"])
    for old, new in (("di", "perpustakaan negeri"), ("dijangka", "di")):
        with pytest.raises(Rejected, match="word_does_not_fit"):
            WordEdit(OneExchange(old, new)).generate(FakeRequest(clip, 1, "ms", params={"max_neighbours": 0}))


def test_a_word_that_does_not_fit_alone_is_spoken_with_those_beside_it() -> None:
    clip = recording("ms", SENTENCES["ms"])
    editor = OneExchange("ini", "semalam")
    asked = FakeRequest(clip, 1, "ms")
    with pytest.raises(Rejected, match="word_does_not_fit"):
        WordEdit(editor).generate(replace(asked, params={"max_neighbours": 0}))
    result = WordEdit(editor).generate(asked)
    verify(WordEdit.card, asked, result)
    assert [w.word for w in result.words] == [*(w.word for w in clip.words[:-1]), "semalam"]
    spoken = int(result.metrics["words_spoken"])
    assert 2 <= spoken <= 3
    (segment,) = result.segments
    assert segment.start_s == pytest.approx(clip.words[-spoken].start_s, abs=0.02)
    assert segment.end_s == pytest.approx(clip.words[-1].end_s, abs=0.02)


def test_a_word_that_is_added_takes_its_room_from_as_many_others_as_it_needs() -> None:
    clip = recording("en-SG", "Later we makan at the kopitiam downstairs.")
    asked = FakeRequest(clip, 1, "en-SG", params={"kinds": "negation"})
    with pytest.raises(Rejected, match="word_does_not_fit"):
        WordEdit().generate(replace(asked, params={"kinds": "negation", "max_neighbours": 2}))
    result = WordEdit().generate(asked)
    verify(WordEdit.card, asked, result)
    assert result.text == "Later we don't makan at the kopitiam downstairs"
    assert 4 < result.metrics["words_spoken"] < 8
    assert result.metrics["length_ratio"] <= 1.3


@pytest.mark.parametrize(
    ("language", "kind", "text"),
    [
        ("ko", "number", "민수 씨가 부산에서 사진을 세 장 보냈어요."),
        ("en-SG", "place", "Weekend go East Coast cycle, who want to join?"),
        ("ms", "negation", "Jom kita pergi makan nasi lemak pagi ini."),
        ("ta", "word", "வாருங்கள், மாலையில் கடற்கரைக்குப் போகலாம்."),
    ],
)
def test_the_locale_knows_what_may_be_exchanged(language: str, kind: str, text: str) -> None:
    clip = recording(language, text)
    request = FakeRequest(clip, 3, language, params={"kinds": kind})
    result = WordEdit().generate(request)
    verify(WordEdit.card, request, result)
    said = [w.word for w in clip.words]
    assert result.text in {apply(said, edit) for edit in proposals(said, language, (kind,))}
    assert result.metrics["join_click"] < 1.0
    assert result.metrics["join_gap_s"] <= 0.03
    assert abs(result.metrics["level_error_db"]) < 1.0


def test_words_of_an_edit_that_stay_are_not_spoken_anew() -> None:
    class Whole(OneExchange):
        def proposals(self, words: Sequence[str], language: str, kinds: Sequence[str]) -> Sequence[Exchange]:
            return [Exchange(1, 3, "di pantai timur", "di pantai barat", "place")]

    clip = recording("ms", "Ribut di pantai timur.")
    whole, alone = (
        WordEdit(editor).generate(FakeRequest(clip, 1, "ms"))
        for editor in (Whole("", ""), OneExchange("timur", "barat"))
    )
    assert same(whole, alone) is None


@pytest.mark.parametrize("noise", [0.002, 0.015])
def test_the_room_is_heard_under_the_new_word_as_beside_it(noise: float) -> None:
    """Where the voice has nothing, above 7 kHz and in its quietest moments, the room is left."""
    clip = recording("ms", "Ke pantai timur.", variant="f2", pitch=55, noise=noise)
    result = WordEdit(OneExchange("timur", "barat")).generate(FakeRequest(clip, 1, "ms"))
    first, last = (round(result.metrics[f"word_{end}_s"] * RATE_HZ) for end in ("start", "end"))
    assert _hiss_db(result.audio[first:last]) == pytest.approx(_hiss_db(samples_of(clip)[:8000]), abs=3.0)


def _hiss_db(audio: np.ndarray) -> float:
    """Level between 7 and 7.9 kHz in the quieter moments."""
    pieces = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), 320)[::80] * np.hanning(320)
    power = (np.abs(np.fft.rfft(pieces, axis=1))[:, 140:158] ** 2).mean(axis=1)
    return float(10 * np.log10(np.percentile(power, 20)))


def test_two_words_may_become_one_and_one_two() -> None:
    class Two(OneExchange):
        def proposals(self, words: Sequence[str], language: str, kinds: Sequence[str]) -> Sequence[Exchange]:
            return [Exchange(2, 2, "dijangka di", "meninggalkan", "word")]

    clip = recording("ms", SENTENCES["ms"])
    result = WordEdit(Two("", "")).generate(FakeRequest(clip, 1, "ms"))
    assert [w.word for w in result.words] == [
        "Hujan",
        "lebat",
        "meninggalkan",
        "pantai",
        "timur",
        "petang",
        "ini",
    ]
    verify(WordEdit.card, FakeRequest(clip, 1, "ms"), result)


def test_clips_that_cannot_be_edited_are_refused_with_the_reason() -> None:
    clip = recording("ms", SENTENCES["ms"])
    for bad, language, editor, reason in (
        (replace(clip, audio=None), "ms", OneExchange("timur", "barat"), "no_audio"),
        (replace(clip, words=()), "ms", OneExchange("timur", "barat"), "no_words"),
        (clip, "other", OneExchange("timur", "barat"), "no_voice"),
        (clip, "ms", OneExchange("utara", "barat"), "no_edit"),
    ):
        with pytest.raises(Rejected) as caught:
            WordEdit(editor).generate(FakeRequest(bad, 1, language))
        assert caught.value.reason == reason


def test_odd_word_times_do_no_harm() -> None:
    clip = recording("ms", SENTENCES["ms"])
    at = next(i for i, w in enumerate(clip.words) if w.word == "timur")
    true, generator = clip.words[at], WordEdit(OneExchange("timur", "barat"))

    def timed(start_s: float, end_s: float) -> FakeRequest:
        words = (*clip.words[:at], Word("timur", start_s, end_s), *clip.words[at + 1 :])
        return FakeRequest(replace(clip, words=words), 1, "ms", params={"max_neighbours": 0})

    for start_s, end_s in ((1.0, 1.0), (-5.0, 90.0), (3.0, 2.0)):
        with pytest.raises(Rejected, match="word_does_not_fit"):
            generator.generate(timed(start_s, end_s))
    beside = timed(true.start_s - 0.05, true.end_s + 0.05)
    result = generator.generate(beside)
    verify(WordEdit.card, beside, result)
    (segment,) = result.segments
    assert segment.start_s >= clip.words[at - 1].end_s - 0.02
    assert segment.end_s <= clip.words[at + 1].start_s + 0.02
