"""Changed words are shown with the punctuation of the text that they were changed in, and nothing else differs."""

from __future__ import annotations

import pytest

from haetae.voice.tokens import tokenize
from haetae.voice.written import as_written


def known(text: str) -> list[str]:
    return [token.text for token in tokenize(text) if token.is_word]


@pytest.mark.parametrize(
    "text",
    [
        "Nama saya Farid, sila semak suara saya.",
        "“Why so expensive one?” – he asked…",
        "도서관 운영 시간이, 한 시간 늘어납니다!",
        "மாம்பழச் சாறு (மிகவும்) இனிப்பாக உள்ளது.",
        "no marks at all",
    ],
)
def test_untouched_words_are_the_text_again(text: str) -> None:
    assert " ".join(as_written(known(text), known(text), text)) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "words", "written"),
    [
        ("Nama saya Farid, sila semak.", "Nama saya Wei Jie sila semak", "Nama saya Wei Jie, sila semak."),
        ("I am calling about it, why so dear one?", "I am not calling about it why so dear one",
         "I am not calling about it, why so dear one?"),
        ("It is good.", "It is bad", "It is bad."),
        ("Saya tidak, suka kopi", "Saya suka kopi", "Saya suka kopi"),
        ("We go now lah!", "We go now", "We go now!"),
        ("We go now!", "We go now lah", "We go now lah!"),
        ("“Five, six.”", "seven six", "“seven, six.”"),
        ("Yes.", "Something (else altogether).", "Something (else altogether)."),
    ],
)  # fmt: skip
def test_changed_words_take_the_marks_of_their_place(text: str, words: str, written: str) -> None:
    assert " ".join(as_written(words.split(), known(text), text)) == written


def test_the_first_words_of_a_text_are_enough() -> None:
    text = "One, two. Three, four."
    assert as_written(["One", "two"], known(text)[:2], text) == ["One,", "two."]


def test_words_of_another_text_stay_as_they_are() -> None:
    assert as_written(["a", "b"], ["a", "b"], "x, y.") == ["a", "b"]
    assert as_written([], ["a"], "a.") == []
