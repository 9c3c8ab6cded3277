"""Words that differ are marked; the punctuation that one side is written with is no difference."""

from __future__ import annotations

from haetae.web.wording import wording


def _said(text: str) -> list[dict[str, object]]:
    return [{"word": word, "start_s": 0.3 * n, "end_s": 0.3 * n + 0.2} for n, word in enumerate(text.split())]


def test_punctuation_is_no_difference() -> None:
    found = wording(_said("Saya tidak suka kopi"), _said("“Saya, tidak suka kopi.”"), [])
    assert not found.is_changed
    assert " ".join(word.text for word in found.after) == "“Saya, tidak suka kopi.”"


def test_an_exchanged_word_is_marked_on_both_sides() -> None:
    found = wording(_said("Saya suka kopi"), _said("Saya suka teh."), [(0.6, 0.8)])
    assert [word.text for word in found.before if word.changed] == ["kopi"]
    assert [word.text for word in found.after if word.changed] == ["teh."]
