"""Locale files hold speakable sentences and captions in their own script, and say where they are wrong."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest

from haetae import locales
from haetae.errors import UsageError
from haetae.locales.load import CAPTION_LANGUAGES, FAMILIES, FOLDER, PLACEHOLDERS, USE_CASES, read
from haetae.voice.espeak import VARIANTS, speak
from haetae.voice.tokens import tokenize

LANGUAGES = ("en-SG", "ko", "ms", "ta")


def script_ratio(text: str, script: str) -> float:
    letters = [c for c in text if unicodedata.category(c)[0] in "LM"]
    return sum(unicodedata.name(c).startswith(script) for c in letters) / len(letters)


def test_there_is_a_locale_for_each_of_the_four_languages() -> None:
    assert locales.languages() == LANGUAGES
    for language in LANGUAGES:
        assert locales.load(language).language == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_many_different_and_in_their_script(language: str) -> None:
    locale = locales.load(language)
    for use_case in USE_CASES:
        assert len(locale.sentences_for(use_case)) >= 12
    every = locale.sentences_for("other")
    assert len(set(every)) == len(every) == sum(len(locale.sentences_for(u)) for u in USE_CASES)
    assert all(script_ratio(sentence, locale.script) == 1.0 for sentence in every)
    assert all(unicodedata.is_normalized("NFC", sentence) for sentence in every)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_spoken_in_two_to_four_seconds_with_every_word_timed(language: str) -> None:
    locale = locales.load(language)
    assert set(locale.voice.variants) <= set(VARIANTS)
    rate_wpm = sum(locale.voice.rate_wpm) // 2
    for sentence in locale.sentences_for("other"):
        speech = speak(sentence, language, rate_wpm=rate_wpm)
        assert 1.8 <= speech.duration_s <= 4.2, sentence
        assert [word.word for word in speech.words] == [token.text for token in tokenize(sentence)]


def test_singlish_is_singlish() -> None:
    words = {t.text.lower() for s in locales.load("en-SG").sentences_for("other") for t in tokenize(s)}
    assert {"lah", "leh", "lor", "ah", "shiok", "makan", "jalan", "kopitiam"} <= words


@pytest.mark.parametrize("language", CAPTION_LANGUAGES)
def test_captions_are_whole_sentences_with_every_value_in_place(language: str) -> None:
    script = locales.load(CAPTION_LANGUAGES[language]).script
    for kind, wanted in PLACEHOLDERS.items():
        for family in FAMILIES:
            said = locales.caption(language, kind, family=family, start_s=1.24, end_s=12.5)  # type: ignore[arg-type]
            assert "{" not in said
            assert said.endswith(".")
            assert script_ratio(said, script) == 1.0
            for number in ("1.2", "12.5"):
                assert (number in said) == ("start_s" in wanted)


def test_families_have_different_names_in_each_language() -> None:
    for language in LANGUAGES:
        assert len(set(locales.load(language).families.model_dump().values())) == len(FAMILIES)


def test_the_english_captions_are_standard_english() -> None:
    said = locales.caption("en", "audio", family="speech", start_s=0.5, end_s=2)
    assert said == (
        "The voice was changed (synthetic speech) between 0.5 and 2.0 seconds; the picture is untouched."
    )


def test_what_is_not_there_is_answered_with_what_is() -> None:
    with pytest.raises(UsageError, match="'xx'; there are en-SG, ko, ms, ta"):
        locales.load("xx")
    with pytest.raises(UsageError, match=r"'\.\./ko'"):
        locales.load("../ko")
    with pytest.raises(UsageError, match="there are ko, en, ms, ta"):
        locales.caption("en-SG", "real")
    with pytest.raises(UsageError, match="needs end_s, family"):
        locales.caption("ko", "video", start_s=1.0)
    with pytest.raises(UsageError, match="there are face_swap"):
        locales.caption("ko", "video", family="magic", start_s=1.0, end_s=2.0)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("script: LATIN", "script: GREEK", "ms.yaml: script"),
        ("rate_wpm: [150, 180]", "rate_wpm: [180, 150]", "ms.yaml: voice.rate_wpm"),
        ("captions:", "captionz:", "ms.yaml: captions: Field required"),
        ("dari saat {start_s} hingga", "dari saat {begin} hingga", "ms.yaml: captions: .*video"),
        ("language: ms", "language: ko", "ms.yaml: language"),
        ("sentences:", "sentences: [", "ms.yaml: not valid YAML"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_key(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = tmp_path / "ms.yaml"
    shutil.copy(FOLDER / "ms.yaml", path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=named):
        read(path)
