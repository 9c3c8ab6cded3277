"""Timed words become subtitles that can be read, and that a reader of subtitles reads back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.voice.captions import Caption, parse
from haetae.voice.subtitles import MAX_CUE_CHARACTERS, MAX_CUE_S, PAUSE_S, cues_of, webvtt
from haetae.voice.words import Word


def test_a_pause_begins_a_new_cue() -> None:
    words = [Word("오늘", 0.1, 0.4), Word("밤부터", 0.5, 0.9), Word("비가", 0.95 + PAUSE_S, 1.8)]
    assert cues_of(words) == [Caption(0.1, 0.9, "오늘 밤부터"), Caption(0.95 + PAUSE_S, 1.8, "비가")]
    assert cues_of([]) == []


@given(
    steps=st.lists(
        st.tuples(st.text("abcmn", min_size=1, max_size=20), st.floats(0.05, 1.0), st.floats(0, 0.9))
    )
)
def test_cues_hold_every_word_in_order_and_can_be_read(steps: list[tuple[str, float, float]]) -> None:
    words, at_s = [], 0.0
    for text, length_s, gap_s in steps:
        words.append(Word(text, at_s, at_s + length_s))
        at_s += length_s + gap_s
    cues = cues_of(words)
    assert " ".join(cue.text for cue in cues) == " ".join(word.word for word in words)
    for cue in cues:
        assert cue.end_s - cue.start_s <= MAX_CUE_S
        assert len(cue.text) <= MAX_CUE_CHARACTERS
    assert all(one.end_s <= two.start_s + 1e-9 for one, two in pairwise(cues))


def test_the_document_is_read_back_as_it_was(tmp_path: Path) -> None:
    cues = [
        Caption(0.1, 0.9, "Ya & tidak <3"),
        Caption(1.5, 1.5, "மழை பெய்கிறது"),
        Caption(3661.25, 3662.0, "오늘 밤 --> 내일"),
    ]
    path = tmp_path / "s.vtt"
    path.write_text(webvtt(cues), encoding="utf-8")
    assert path.read_text(encoding="utf-8").startswith("WEBVTT\n\n00:00:00.100 --> 00:00:00.900\n")
    read = parse(path)
    assert [cue.text for cue in read] == ["Ya & tidak <3", "மழை பெய்கிறது", "오늘 밤 --> 내일"]
    assert read[1].end_s == pytest.approx(1.501)
    assert read[2].start_s == 3661.25
