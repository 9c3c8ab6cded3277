"""Text is cut at spaces, and vowel signs stay with their letters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from haetae.voice.tokens import plain_text, tokenize


def test_outer_punctuation_goes_and_inner_stays() -> None:
    said = [token.text for token in tokenize("“Don't, (really) — RM25.50!” … 20%")]
    assert said == ["Don't", "really", "—", "RM25.50", "…", "20"]
    assert [token.text for token in tokenize("நன்றி. உள்ளது,")] == ["நன்றி", "உள்ளது"]


def test_a_dash_is_not_a_word_and_a_number_is() -> None:
    assert [token.is_word for token in tokenize("a — 7 அ 가")] == [True, False, True, True, True]


@given(st.text(max_size=60))
def test_tokens_point_into_the_text(text: str) -> None:
    plain = plain_text(text)
    assert plain_text(plain) == plain
    tokens = tokenize(plain)
    assert " ".join(plain[token.first : token.last] for token in tokens) == plain
    assert all(token.text in plain[token.first : token.last] for token in tokens)


@given(st.text(max_size=60))
def test_plain_text_has_nothing_hidden_in_it(text: str) -> None:
    assert all(character.isprintable() for character in plain_text(text))
