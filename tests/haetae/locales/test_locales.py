"""Locale files hold speakable sentences and captions in their own script, and say where they are wrong."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest

from haetae import locales
from haetae.errors import UsageError
from haetae.locales.load import CAPTION_LANGUAGES, FAMILIES, FOLDER, PLACEHOLDERS, USE_CASES, read
from haetae.locales.review import script_ratio
from haetae.locales.schema import Topics, editor_schema
from haetae.voice.espeak import VARIANTS
from haetae.voice.tokens import tokenize

LANGUAGES = ("en-SG", "ko", "ms", "ta")


def test_there_is_a_locale_for_each_of_the_four_languages() -> None:
    assert locales.languages() == LANGUAGES
    for language in LANGUAGES:
        assert locales.load(language).language == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_many_different_and_in_their_script(language: str) -> None:
    locale = locales.load(language)
    for use_case in USE_CASES:
        assert len(locale.sentences_for(use_case)) >= 24
    every = locale.sentences_for("other")
    assert len(set(every)) == len(every) == sum(len(locale.sentences_for(u)) for u in USE_CASES)
    assert all(script_ratio(sentence, locale.script) == 1.0 for sentence in every)
    assert all(unicodedata.is_normalized("NFC", sentence) for sentence in every)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_voice_variants_are_those_of_espeak(language: str) -> None:
    assert set(locales.load(language).voice.variants) <= set(VARIANTS)


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
        ("\nsentences:", "\nsentences: [", "ms.yaml: not valid YAML"),
        ("female: [Aisyah, Nurul", "female: [Aisyah, Aisyah", "ms.yaml: .*'Aisyah' stands in two groups"),
        ("months: [Januari, ", "months: [", "ms.yaml: reading.months"),
        ("    KRW: {", "    XXX: {", "ms.yaml: reading.currency.XXX"),
        ("contour: rise,", "contour: up,", "ms.yaml: prosody.particles.1.contour"),
        (
            "Jom kita pergi makan nasi lemak pagi ini.",
            "Terima kasih kerana menonton, jumpa lagi esok.",
            "stands twice",
        ),
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


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_packs_hold_what_each_maker_of_fakes_needs(language: str) -> None:
    locale = read(FOLDER / f"{language}.yaml")
    assert len(locale.names.female) >= 8
    assert len(locale.names.male) >= 8
    assert not set(locale.names.female) & set(locale.names.male)
    assert len(locale.prompts.scenes) >= 8
    assert all(script_ratio(scene, "LATIN") == 1.0 for scene in locale.prompts.scenes)
    assert len(locale.prosody.particles) >= 3
    assert len(locale.code_switching) >= 8
    words = [w for group in (*locale.swaps, *locale.places, locale.names.female) for w in group]
    assert all(script_ratio(word, locale.script) == 1.0 for word in words)
    assert all(unicodedata.is_normalized("NFC", word) for word in words)


def test_localized_scenes_name_the_places_of_each_country() -> None:
    scenes = {language: " ".join(locales.load(language).prompts.scenes) for language in LANGUAGES}
    for language, wanted in {
        "en-SG": ("HDB void deck", "hawker centre", "kopitiam", "newsroom", "MRT"),
        "ko": ("subway", "newsroom", "Myeongdong"),
        "ms": ("pasar malam", "kopitiam", "newsroom"),
        "ta": ("temple street", "newsroom", "tea shop"),
    }.items():
        assert all(place in scenes[language] for place in wanted)


@pytest.mark.parametrize("language", LANGUAGES)
def test_most_sentences_tell_their_topic(language: str) -> None:
    locale = locales.load(language)
    told = [locale.topics_of(sentence) for sentence in locale.sentences_for("other")]
    assert sum(bool(topics) for topics in told) >= 0.6 * len(told)
    assert set().union(*told) == set(Topics.model_fields)


def test_topics_are_known_by_the_beginnings_of_words() -> None:
    assert locales.load("ms").topics_of("Hujan lebat di Ipoh.") == {"weather"}
    assert locales.load("ko").topics_of("버스 요금이 올랐습니다.") == {"transport", "money"}
    assert locales.load("en-SG").topics_of("Something else entirely.") == frozenset()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_files_fit_the_schema_that_editors_are_given(language: str) -> None:
    import jsonschema
    import yaml

    schema = editor_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    raw = yaml.safe_load((FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))
    assert list(validator.iter_errors(raw)) == []
    del raw["prosody"]["rhythm"]
    raw["voice"]["speed"] = 3
    assert {error.json_path for error in validator.iter_errors(raw)} == {"$.prosody", "$.voice"}


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "ms.yaml"
    path.write_text("# " + "x" * 1_000_000)
    with pytest.raises(UsageError, match=r"ms\.yaml: 1000002 bytes, at most 1000000"):
        read(path)
