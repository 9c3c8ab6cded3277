"""Each generator gets clips it can change, a donor who is someone else, and a sentence that fits."""

from __future__ import annotations

from typing import Any

import pytest

from generators.combination.dubbed import Dubbed
from generators.face_swap.mesh_swap import MeshSwap
from generators.face_swap.self_blend import SelfBlend
from generators.lip_sync.mouth_retrieval import MouthRetrieval
from generators.lip_sync.viseme_sync import VisemeSync
from generators.plan import (
    budget_of,
    choose_donor,
    choose_sentence,
    eligible,
    plan,
    room_for_speech,
    spoken_s,
    within_budget,
)
from generators.speech.espeak_tts import EspeakTts
from generators.speech.world_voice import WorldVoice
from generators.text.caption_edit import CaptionEdit
from haetae.errors import UsageError
from haetae.locales import load

Row = dict[str, Any]
SPEECH = [{"start_s": 0.5, "end_s": 3.5}]
SPEECH_WITHOUT_WORDS: list[Row] = [{**SPEECH[0], "words": []}]


def _track(**changes: Any) -> Row:
    base = {"index": 0, "size_px": 180.0, "found_fraction": 1.0, "identity": None}
    return base | {"yaw_deg": 0.0, "pitch_deg": 0.0, "mouth_open": 0.3, "exposure": 0.5} | changes


def _clip(clip_id: str = "clip-a", **changes: Any) -> Row:
    base = {"clip_id": clip_id, "media_id": f"media-{clip_id}", "language": "ms", "use_case": "news"}
    base |= {"duration_s": 4.0, "has_video": True, "has_audio": True, "identities": [clip_id]}
    return base | {"tracks": [_track()], "utterances": []} | changes


def test_an_ordinary_clip_suits_every_generator() -> None:
    for generator in (MeshSwap, SelfBlend, VisemeSync, EspeakTts, Dubbed):
        assert eligible(generator.card, _clip(), [_track()], SPEECH) is None


@pytest.mark.parametrize(
    ("generator", "clip", "tracks", "utterances", "reason"),
    [
        (MeshSwap, {}, [], SPEECH, "no_face"),
        (MeshSwap, {"has_video": False}, [], SPEECH, "no_face"),
        (MeshSwap, {}, [_track(size_px=63.0)], SPEECH, "face_too_small"),
        (MeshSwap, {}, [_track(yaw_deg=-61.0)], SPEECH, "face_turned_away"),
        (SelfBlend, {}, [_track(pitch_deg=46.0)], SPEECH, "face_turned_away"),
        (SelfBlend, {}, [_track(found_fraction=0.4)], SPEECH, "face_lost"),
        (EspeakTts, {"has_audio": False}, [], [], "no_audio"),
        (EspeakTts, {}, [], [], "no_speech"),
        (EspeakTts, {}, [], [{"start_s": 0.0, "end_s": 0.3}], "no_speech"),
        (EspeakTts, {"language": "other"}, [], SPEECH, "language_not_claimed"),
        (Dubbed, {}, [], SPEECH, "no_face"),
        (Dubbed, {"has_audio": False}, [_track()], [], "no_audio"),
        (VisemeSync, {"language": "other"}, [_track()], SPEECH, "language_not_claimed"),
    ],
)
def test_a_clip_that_a_generator_cannot_change_is_named_with_its_reason(
    generator: Any, clip: Row, tracks: list[Row], utterances: list[Row], reason: str
) -> None:
    assert eligible(generator.card, _clip(**clip), tracks, utterances) == reason


def test_a_generator_that_needs_words_passes_over_a_clip_without() -> None:
    card = EspeakTts.card.model_copy(update={"needs": ("speech", "words")})
    untold = [{"start_s": 0.5, "end_s": 3.5, "words": []}]
    told = [{"start_s": 0.5, "end_s": 3.5, "words": [{"word": "apa", "start_s": 0.5, "end_s": 0.9}]}]
    assert eligible(card, _clip(), [], untold) == "no_words"
    assert eligible(card, _clip(), [], told) is None


def test_a_voice_is_lent_only_by_a_clip_that_speaks_and_words_only_in_the_same_language() -> None:
    silent = _clip(clip_id="d1", media_id="d1", identities=["x"]) | {"utterances": []}
    spoken = silent | {
        "clip_id": "d2",
        "media_id": "d2",
        "utterances": [{**SPEECH[0], "words": [{"word": "a"}]}],
    }
    abroad = spoken | {"clip_id": "d3", "media_id": "d3", "language": "ta"}
    voice = EspeakTts.card.model_copy(update={"needs": ("donor_voice",)})
    words = EspeakTts.card.model_copy(update={"needs": ("donor_words",)})
    assert choose_donor(voice, _clip(), [silent], 1) is None
    assert choose_donor(voice, _clip(), [silent, spoken], 1) == spoken
    assert choose_donor(words, _clip(), [silent, abroad], 1) is None
    assert choose_donor(words, _clip(), [silent, spoken, abroad], 1) == spoken


def test_sound_alone_is_enough_for_speech_and_a_silent_clip_for_a_face() -> None:
    assert eligible(EspeakTts.card, _clip(has_video=False), [], SPEECH) is None
    assert eligible(SelfBlend.card, _clip(has_audio=False), [_track()], []) is None
    assert eligible(VisemeSync.card, _clip(has_audio=False), [_track()], []) is None


def test_a_donor_is_another_person_from_other_media() -> None:
    me = _clip("clip-a")
    alike = [
        _clip("clip-b", media_id=me["media_id"], identities=[]),
        _clip("clip-c", identities=["clip-a"]),
        _clip("clip-d", identities=[], tracks=[_track(identity="clip-a")]),
        _clip("clip-e", tracks=[]),
        _clip("clip-f", tracks=[_track(size_px=30.0)]),
        _clip("clip-h", tracks=[_track(yaw_deg=80.0)]),
        _clip("clip-g", tracks=[_track(found_fraction=0.2)]),
    ]
    assert choose_donor(MeshSwap.card, me, alike, 1) is None
    chosen = choose_donor(MeshSwap.card, me, [*alike, _clip("clip-z")], 1)
    assert chosen is not None
    assert chosen["clip_id"] == "clip-z"


def test_a_donor_is_near_in_pose_and_the_order_of_candidates_does_not_matter() -> None:
    near = [_clip(f"clip-n{k}", tracks=[_track(yaw_deg=float(k))]) for k in range(3)]
    far = [_clip(f"clip-f{k}", tracks=[_track(yaw_deg=40.0 + k)]) for k in range(5)]
    seen = set()
    for seed in range(30):
        chosen = choose_donor(MeshSwap.card, _clip(), [*far, *near], seed)
        again = choose_donor(MeshSwap.card, _clip(), [*near, *far][::-1], seed)
        assert chosen is not None
        assert again is not None
        assert chosen["clip_id"] == again["clip_id"]
        seen.add(chosen["clip_id"])
    assert seen == {"clip-n0", "clip-n1", "clip-n2"}


@pytest.mark.parametrize("language", ["ko", "ms", "ta", "en-SG"])
def test_a_sentence_fits_the_time_it_is_asked_for(language: str) -> None:
    rates = load(language).voice.rate_wpm
    chosen = {choose_sentence(language, "news", seed, 1.0, 3.5) for seed in range(8)}
    assert len(chosen) > 1
    for sentence in chosen:
        assert sentence in load(language).sentences_for("news")
        assert 1.0 <= spoken_s(sentence, language, sum(rates) // 2) <= 3.5
    assert choose_sentence(language, "news", 3, 1.0, 3.5) == choose_sentence(language, "news", 3, 1.0, 3.5)


def test_no_sentence_is_better_than_one_that_cannot_be_said_in_time() -> None:
    assert choose_sentence("ms", "news", 1, 0.1, 0.4) is None
    with pytest.raises(UsageError):
        choose_sentence("other", "news", 1, 1.0, 3.0)


def test_a_plan_holds_what_the_card_needs_and_nothing_else() -> None:
    others = [_clip("clip-b")]
    swap = plan(MeshSwap.card, _clip(), [_track()], SPEECH, others, 1)
    assert swap.reason is None
    assert swap.donor is not None
    assert swap.sentence is None
    said = plan(EspeakTts.card, _clip(), [_track()], SPEECH, others, 1)
    assert said.reason is None
    assert said.donor is None
    assert said.sentence in load("ms").sentences_for("news")
    assert plan(MeshSwap.card, _clip(), [_track()], SPEECH, [], 1).reason == "no_donor"
    brief = [{"start_s": 0.0, "end_s": 0.7}]
    assert plan(EspeakTts.card, _clip(duration_s=0.8), [_track()], brief, [], 1).reason == "no_sentence_fits"


def test_room_for_speech_reaches_from_the_first_word_to_the_end() -> None:
    low_s, high_s = room_for_speech(_clip(), SPEECH)
    assert 0 < low_s < high_s
    assert high_s == pytest.approx(3.4)
    assert room_for_speech(_clip(), SPEECH, placed_in_speech=False)[1] == pytest.approx(3.9)


def test_words_that_no_rule_can_change_are_no_words_to_edit() -> None:
    def saying(*words: str) -> list[Row]:
        return [{**SPEECH[0], "words": [{"word": word} for word in words]}]

    assert eligible(CaptionEdit.card, _clip(), [], saying("Hmm")) == "no_edit"
    assert eligible(CaptionEdit.card, _clip(), [], saying("Saya", "tidak", "suka", "kopi")) is None
    assert eligible(CaptionEdit.card, _clip(), [], SPEECH_WITHOUT_WORDS) == "no_words"


def test_a_mouth_that_never_moves_has_no_mouths_to_take() -> None:
    card = MouthRetrieval.card
    assert eligible(card, _clip(), [_track(mouth_travel=0.05)], SPEECH) == "mouth_too_still"
    assert eligible(card, _clip(), [_track(mouth_travel=0.2)], SPEECH) is None
    assert eligible(card, _clip(), [], SPEECH) == "no_face"


def test_what_is_said_of_a_family_and_language_comes_before_what_is_said_of_all() -> None:
    budget = {"*": {"*": 9, "ko": 8}, "face_swap": {"ko": 2}}
    assert budget_of(MeshSwap.card, budget) == {"*": 9, "ko": 2}
    assert budget_of(EspeakTts.card, budget) == {"*": 9, "ko": 8}
    assert budget_of(EspeakTts.card, {}) == {}


def test_a_budget_is_kept_by_language_and_spent_on_many_people() -> None:
    clips = [
        _clip(f"clip-{language}-{person}-{k}", language=language, identities=[person])
        for language in ("ko", "ms")
        for person in ("hana", "mina", "sora")
        for k in range(4)
    ]
    kept = within_budget(MeshSwap.card, clips, {"face_swap": {"ko": 3, "*": 5}})
    korean = [row for row in kept if row["language"] == "ko"]
    assert sorted(row["identities"][0] for row in korean) == ["hana", "mina", "sora"]
    assert len(kept) == 3 + 5
    assert [clip for clip in clips if clip in kept] == kept, "the order stays"
    assert within_budget(MeshSwap.card, clips[::-1], {"face_swap": {"ko": 3, "*": 5}}) == kept[::-1]
    assert within_budget(MeshSwap.card, clips, {"speech": {"*": 0}}) == clips
    assert within_budget(MeshSwap.card, clips, {"face_swap": {"*": 0}}) == []


def test_a_larger_budget_keeps_what_a_smaller_one_kept() -> None:
    clips = [_clip(f"clip-{k}", identities=[f"p{k % 5}"]) for k in range(20)]
    kept: list[Row] = []
    for most in range(1, 21):
        more = within_budget(MeshSwap.card, clips, {"*": {"*": most}})
        assert len(more) == most
        assert all(row in more for row in kept)
        kept = more


def _speaking(clip_id: str, f0_hz: float | None, **changes: Any) -> Row:
    return _clip(clip_id, utterances=[{"start_s": 0.0, "end_s": 2.0, "words": [], "f0_hz": f0_hz}], **changes)


def test_a_voice_is_lent_by_who_speaks_about_as_high_and_in_the_same_language() -> None:
    low = [_speaking(f"clip-low{k}", 105.0 + k) for k in range(3)]
    high = [_speaking(f"clip-high{k}", 210.0 + k) for k in range(3)]
    foreign = [_speaking(f"clip-foreign{k}", 104.0, language="ko") for k in range(3)]
    unvoiced = [_speaking(f"clip-unvoiced{k}", None) for k in range(3)]
    everybody = [*high, *unvoiced, *foreign, *low]
    for me, nearest in ((_speaking("clip-a", 104.0), low), (_speaking("clip-a", 214.0), high)):
        chosen = [choose_donor(WorldVoice.card, me, everybody, seed) for seed in range(20)]
        assert {row["clip_id"] for row in chosen if row} == {row["clip_id"] for row in nearest}
    assert choose_donor(WorldVoice.card, _speaking("clip-a", None), everybody, 1) is not None


def test_a_face_is_lent_by_who_stands_in_like_light() -> None:
    dark = [_clip(f"clip-dark{k}", tracks=[_track(exposure=0.1)]) for k in range(3)]
    bright = [_clip(f"clip-bright{k}", tracks=[_track(exposure=0.6)]) for k in range(3)]
    for seed in range(10):
        chosen = choose_donor(MeshSwap.card, _clip(), [*dark, *bright], seed)
        assert chosen in bright
