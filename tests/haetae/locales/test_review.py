"""The round trip: every sentence of every locale is spoken, timed, in its script, and known for its language."""

from __future__ import annotations

from dataclasses import replace

import pytest

from haetae.locales import load
from haetae.locales.load import USE_CASES
from haetae.locales.review import Reviewed, as_table, review, script_ratio
from haetae.locales.schema import Locale

LANGUAGES = ("en-SG", "ko", "ms", "ta")


def _with(locale: Locale, sentence: str) -> Locale:
    """The locale with few sentences, the first of news another one."""
    few = {use_case: locale.sentences_for(use_case)[:3] for use_case in USE_CASES}
    few["news"] = (sentence, *few["news"][1:])
    return locale.model_copy(update={"sentences": locale.sentences.model_copy(update=few)})


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_survives_the_round_trip(language: str) -> None:
    rows = review(load(language))
    print("\n" + as_table(rows))
    assert len(rows) >= 72
    assert [row for row in rows if row.problems] == []
    for use_case in USE_CASES:
        assert sum(row.use_case == use_case for row in rows) >= 24


@pytest.mark.parametrize(
    ("language", "sentence", "problem"),
    [
        ("ms", "오늘 밤부터 전국에 비가 내리겠습니다.", "100% of its letters are not LATIN"),
        ("ms", "The committee has decided to postpone the meeting until further notice.", "reads as en"),
        ("ko", "오늘 비가 와요.", "lasts"),
        ("ta", "         ", "cannot be said"),
    ],
)
def test_a_bad_sentence_is_found_and_told(language: str, sentence: str, problem: str) -> None:
    rows = review(_with(load(language), sentence))
    mine = next(row for row in rows if row.sentence == sentence)
    assert any(problem in told for told in mine.problems), mine.problems
    assert f"{sentence}: " in as_table(rows)


def test_plain_english_is_no_singlish_locale() -> None:
    locale = load("en-SG")
    plain = tuple(
        f"The committee will publish its annual report on the {day} of the month." for day in
        ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    )  # fmt: skip
    few = {use_case: locale.sentences_for(use_case)[:3] for use_case in USE_CASES} | {"news": plain}
    sentences = locale.sentences.model_copy(update=few)
    rows = [r for r in review(locale.model_copy(update={"sentences": sentences})) if r.use_case == "news"]
    assert all(row.problems == ("reads as en",) for row in rows)


def test_script_ratio_counts_letters_and_their_vowel_signs_only() -> None:
    assert script_ratio("மழை 12!", "TAMIL") == 1.0
    assert script_ratio("ab가", "HANGUL") == pytest.approx(1 / 3)
    assert script_ratio("12 !", "LATIN") == 0.0


def test_the_table_counts_what_it_shows() -> None:
    row = Reviewed("ko", "news", "하나", 1.0, "ko", 1.0, 2.0, ())
    table = as_table([row, replace(row, sentence="둘", duration_s=None, problems=("cannot be said: x",))])
    lines = table.splitlines()
    assert lines[1].split() == ["ko", "news", "2", "1.00", "100%", "2.0", "to", "2.0", "1"]
    assert lines[2] == "  둘: cannot be said: x"
