"""Subtitles that lie: what they say differs from what is said, where the segments say, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.make import MakeFakes
from generators.protocol import Card, ClipView, FakeRequest, FakeResult, Generator, Segment, Word
from generators.text.caption_edit import CaptionEdit
from generators.text.caption_mistranslation import CaptionMistranslation
from generators.text.subtitle_swap import SubtitleSwap
from generators.text.wording import MAX_CHARACTERS_PER_S, spread
from generators.verify import same, verify
from haetae.engine import Done, InlineEngine
from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.locales import load
from haetae.locales.edits import KINDS
from haetae.locales.review import script_ratio
from haetae.media.audio import read_audio
from haetae.media.encode import write_wav
from haetae.voice.espeak import speak
from haetae.voice.singlish import singlish_evidence
from haetae.voice.words import as_rows

LANGUAGES = ("ko", "en-SG", "ms", "ta")
RATE_HZ = 16_000


def _clip(language: str, first: int = 0, n: int = 2, clip_id: str = "clip-1") -> ClipView:
    """Sentences of the bank, spoken one after the other with a second between them."""
    audio, words, speech, at_s = [np.zeros(RATE_HZ // 2, np.float32)], [], [], 0.5
    for sentence in load(language).sentences_for("news")[first : first + n]:
        said = speak(sentence, language)
        words += [word.shifted(at_s) for word in said.words]
        speech.append((at_s, at_s + said.duration_s))
        audio += [said.audio, np.zeros(RATE_HZ, np.float32)]
        at_s += said.duration_s + 1.0
    return ClipView(clip_id, language, None, np.concatenate(audio), (), tuple(speech), tuple(words))


def _request(clip: ClipView, seed: int = 1, **more: object) -> FakeRequest:
    return FakeRequest(clip, seed, clip.language, **more)  # type: ignore[arg-type]


def _texts(language: str) -> list[tuple[Generator, FakeRequest]]:
    donor = _clip(language, 6, 2, "clip-donor")
    return [
        (CaptionEdit(), _request(_clip(language))),
        (SubtitleSwap(), _request(_clip(language), donor=donor)),
        (CaptionMistranslation(), _request(_clip(language))),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_gets_each_kind_of_text_fake_within_the_contract(language: str) -> None:
    for generator, request in _texts(language):
        result = generator.generate(request)
        verify(generator.card, request, result)
        assert same(result, generator.generate(request)) is None
        assert result.frames is result.audio is None
        assert result.text != " ".join(word.word for word in request.target.words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_edit_changes_one_place_and_leaves_the_times_of_all_other_words(language: str) -> None:
    clip = _clip(language)
    result = CaptionEdit().generate(_request(clip))
    (segment,) = result.segments
    outside = [w for w in clip.words if w.end_s <= segment.start_s or w.start_s >= segment.end_s]
    assert [w for w in result.words if w.end_s <= segment.start_s or w.start_s >= segment.end_s] == outside
    assert len(clip.words) - len(outside) <= 3
    inside = [w for w in result.words if w not in outside]
    assert inside[0].start_s == segment.start_s
    assert inside[-1].end_s == pytest.approx(segment.end_s)


def test_only_the_kinds_that_are_asked_for_are_used() -> None:
    clip = _clip("ms", 3, 1)  # "Pelajar sekolah kembali belajar mulai hari Isnin."
    with pytest.raises(Rejected, match="no_edit"):
        CaptionEdit().generate(_request(clip, params={"kinds": "name", "word_if_none": False}))
    instead = CaptionEdit().generate(_request(clip, params={"kinds": "name"})).text
    assert instead is not None
    assert "Isnin" not in instead
    said = CaptionEdit().generate(_request(clip, params={"kinds": "word"})).text
    assert said is not None
    assert "Isnin" not in said
    with pytest.raises(UsageError, match="no edits of kind 'colour'"):
        CaptionEdit().generate(_request(clip, params={"kinds": "colour"}))
    assert set(str(CaptionEdit.card.params["kinds"]).split()) == set(KINDS) - {"word"}


def test_swapped_subtitles_say_the_donors_words_while_somebody_speaks() -> None:
    clip, donor = _clip("ko"), _clip("ko", 6, 2, "clip-donor")
    result = SubtitleSwap().generate(_request(clip, donor=donor))
    assert [w.word for w in result.words] == [w.word for w in donor.words]
    for word in result.words:
        assert any(a - 1e-6 <= word.start_s and word.end_s <= b + 1e-6 for a, b in clip.speech)
    assert len(result.segments) == 2
    assert {segment.modality for segment in result.segments} == {"text"}


def test_a_donor_of_another_language_or_with_the_same_words_is_refused() -> None:
    clip = _clip("ko")
    for donor, reason in (
        (None, "no_donor"),
        (replace(_clip("ko", 6, 2), words=()), "no_donor"),
        (_clip("ms", 6, 2), "donor_language"),
        (_clip("ko", 0, 3), "same_text"),
    ):
        with pytest.raises(Rejected) as caught:
            SubtitleSwap().generate(_request(clip, donor=donor))
        assert caught.value.reason == reason


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_mistranslation_is_in_another_language_and_tells_of_something_else(language: str) -> None:
    clip = _clip(language)
    about = load(language).topics_of(" ".join(word.word for word in clip.words))
    assert about
    for into in LANGUAGES:
        if into == language:
            continue
        text = CaptionMistranslation().generate(_request(clip, params={"into": into})).text
        assert text is not None
        assert script_ratio(text, load(into).script) == 1.0
        told = load(into).topics_of(text)
        assert told
        assert not told & about
    drawn = {CaptionMistranslation().generate(_request(clip, seed)).text for seed in range(12)}
    assert len(drawn) == 12


def test_a_language_that_is_not_another_one_is_wrong_use() -> None:
    for into in ("ko", "xx"):
        with pytest.raises(UsageError, match="is not one of en-SG, ms, ta, any"):
            CaptionMistranslation().generate(_request(_clip("ko"), params={"into": into}))


def test_a_singlish_mistranslation_is_singlish() -> None:
    texts = [
        CaptionMistranslation().generate(_request(_clip("ko", n=1), seed, params={"into": "en-SG"})).text
        for seed in range(20)
    ]
    assert sum(bool(singlish_evidence(text or "")) for text in texts) >= 10


@pytest.mark.parametrize("make", [CaptionEdit, CaptionMistranslation, SubtitleSwap])
def test_a_clip_whose_words_are_not_known_is_refused(make: type[Generator]) -> None:
    clip = replace(_clip("ms"), words=())
    with pytest.raises(Rejected, match="no_words"):
        make().generate(_request(clip, donor=_clip("ms", 6)))


def test_more_words_than_can_be_read_in_the_time_are_left_out() -> None:
    clip = replace(_clip("ms", 0, 1), words=(Word("Hujan", 0.5, 1.5),))
    result = SubtitleSwap().generate(_request(clip, donor=_clip("ms", 6, 4)))
    assert result.text is not None
    assert 8 <= len(result.text) <= MAX_CHARACTERS_PER_S * 1.0
    with pytest.raises(Rejected, match="no_time"):
        SubtitleSwap().generate(
            _request(replace(clip, words=(Word("Hujan", 0.5, 0.5),)), donor=_clip("ms", 6, 4))
        )
    with pytest.raises(Rejected, match="no_time"):
        CaptionEdit().generate(_request(replace(clip, words=(Word("Ipoh", 0.5, 0.51),))))


def test_words_are_spread_over_stretches_and_never_across_a_pause() -> None:
    texts = ["a" * n for n in (3, 9, 1, 4, 7, 2, 5)]
    words = spread(texts, [(0.0, 1.0), (3.0, 3.5), (5.0, 7.0)])
    assert [w.word for w in words] == texts
    assert [w.start_s for w in words] == sorted(w.start_s for w in words)
    for word in words:
        assert any(a <= word.start_s < word.end_s <= b for a, b in ((0.0, 1.0), (3.0, 3.5), (5.0, 7.0)))
    assert {w.start_s for w in words} >= {0.0, 5.0}


CARD = Card(name="liar", version="1", family="text", modalities=("text",), description="d", intended_use="t")


def _honest() -> tuple[FakeRequest, FakeResult]:
    words = (Word("Saya", 0.1, 0.4), Word("tidak", 0.5, 0.8), Word("pergi", 0.9, 1.2), Word("esok", 1.3, 1.6))
    clip = ClipView("clip-1", "ms", None, np.zeros(2 * RATE_HZ, np.float32), (), ((0.1, 1.6),), words)
    changed = (words[0], Word("akan", 0.5, 0.8), *words[2:])
    return FakeRequest(clip, 1, "ms"), FakeResult(
        (Segment("text", 0.5, 0.8),), text="Saya akan pergi esok", words=changed
    )


def test_an_honest_text_fake_passes() -> None:
    request, result = _honest()
    verify(CARD, request, result)


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        ("text", {"text": "Saya akan pergi"}),
        ("text", {"text": "Saya  akan pergi esok"}),
        ("text", {"words": (Word("Saya\u202eakan", 0.1, 1.6),), "text": "Saya\u202eakan"}),
        ("text", {"words": (Word("esok", 1.3, 1.6), Word("Saya", 0.1, 0.4)), "text": "esok Saya"}),
        (
            "text",
            {"words": tuple(Word("abcd", 0.1, 0.4) for _ in range(500)), "text": " ".join(["abcd"] * 500)},
        ),
        ("text_segments", {"segments": ()}),
        ("text_segments", {"segments": (Segment("text", 1.3, 1.6),)}),
        ("text_segments", {"segments": (Segment("text", 0.5, 0.8), Segment("text", 1.3, 1.6))}),
        ("text_segments", {"segments": (Segment("text", 0.55, 0.8),)}),
        ("text_segments", {"segments": (Segment("text", 0.5, 1.0),)}),
        ("words", {"words": (Word("Saya", 0.1, 9.0),), "text": "Saya"}),
    ],
)
def test_a_text_fake_that_breaks_its_contract_is_caught(rule: str, more: dict[str, object]) -> None:
    request, result = _honest()
    with pytest.raises(Rejected) as caught:
        verify(CARD, request, replace(result, **more))  # type: ignore[arg-type]
    assert caught.value.reason == "contract_broken"
    assert caught.value.detail.startswith(f"{rule}:"), caught.value.detail


def test_a_text_that_stays_or_a_target_without_words_is_caught() -> None:
    request, result = _honest()
    with pytest.raises(Rejected, match="text_segments: 0 words differ"):
        verify(CARD, request, replace(result, words=request.target.words, text="Saya tidak pergi esok"))
    with pytest.raises(Rejected, match="text: the result has other subtitles"):
        verify(CARD, replace(request, target=replace(request.target, words=())), result)


@pytest.mark.parametrize("name", ["caption_edit", "subtitle_swap", "caption_mistranslation"])
def test_a_text_fake_is_made_stored_and_described_as_a_row(
    tmp_path: Path, install: Callable[..., None], name: str
) -> None:
    classes = {
        "caption_edit": "CaptionEdit",
        "subtitle_swap": "SubtitleSwap",
        "caption_mistranslation": "CaptionMistranslation",
    }
    install("haetae", **{name: f"generators.text.{name}:{classes[name]}"})
    lake = Lake(tmp_path / "lake")
    clip = _row_of(lake, _clip("ms"))
    asked = {
        **clip, "generator": f"{name}@1", "donor": _row_of(lake, _clip("ms", 6, 2, "clip-donor")), "sentence": None,
        "seed": 5, "licence": "CC-BY-4.0",
    }  # fmt: skip
    (result,) = InlineEngine().map_rows(MakeFakes(str(lake.root), recheck_every=1), [asked])
    assert isinstance(result, Done), result
    (made,) = result.rows
    assert made["modalities"] == ["text"]
    assert made["text"] == " ".join(word["word"] for word in made["words"])
    assert made["text"] != " ".join(word.word for word in _clip("ms").words)
    assert {segment["modality"] for segment in made["segments"]} == {"text"}
    assert made["masks_blob"] is None
    assert made["regions"] == []
    before, after = (read_audio(lake.open_local(row["blob_id"])) for row in (clip, made))
    assert np.abs(before - after).max() <= 2 / 32768
    if name == "subtitle_swap":
        assert [word["word"] for word in made["words"]] == [w.word for w in _clip("ms", 6, 2).words]


def _row_of(lake: Lake, clip: ClipView) -> dict[str, Any]:
    """A recording in the lake: the columns of its clip, its tracks and its utterances."""
    assert clip.audio is not None
    with lake.tmp_dir() as folder:
        write_wav(Path(folder) / "c.wav", clip.audio)
        blob_id = lake.put_blob(Path(folder) / "c.wav", ".wav")
    utterances = []
    for a, b in clip.speech:
        said = [w for w in clip.words if a <= w.start_s < b]
        text = " ".join(w.word for w in said)
        utterances.append({"start_s": a, "end_s": b, "text": text, "words": as_rows(said)})
    return {
        "clip_id": clip.clip_id, "media_id": f"media-{clip.clip_id}", "batch": "b1", "blob_id": blob_id,
        "language": clip.language, "has_video": False, "has_audio": True, "tracks": [], "utterances": utterances,
    }  # fmt: skip
