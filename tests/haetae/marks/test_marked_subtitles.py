"""Changed subtitles as a file: cues of the fake's own words, times of the clip, and text as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.marks.subtitles import digest_of, subrip, subtitles_of
from haetae.provenance.ids import file_sha256
from haetae.voice.captions import parse
from haetae.voice.subtitles import cues_of
from haetae.voice.words import Word

WORDS = [
    {"word": "Later", "start_s": 0.32, "end_s": 0.66, "score": 1.0},
    {"word": "we", "start_s": 0.66, "end_s": 0.81, "score": 1.0},
    {"word": "don't", "start_s": 2.0, "end_s": 2.5, "score": 0.7},
]
FAKE: dict[str, Any] = {
    "modalities": ["text"], "text": "Later we don't", "words": WORDS, "duration_s": 3.2,
    "segments": [{"modality": "text", "start_s": 0.66, "end_s": 2.5}],
}  # fmt: skip


def cues(words: Any) -> list[tuple[float, float, str]]:
    made = cues_of([Word(one["word"], one["start_s"], one["end_s"]) for one in words])
    return [(cue.start_s, cue.end_s, cue.text) for cue in made]


def test_timed_words_become_cues_that_a_reader_gets_back(tmp_path: Path) -> None:
    document = subtitles_of(FAKE, cues)
    assert document == (
        "1\n00:00:00,320 --> 00:00:00,810\nLater we\n\n2\n00:00:02,000 --> 00:00:02,500\ndon't\n"
    )
    (tmp_path / "x.srt").write_bytes(document.encode())
    assert digest_of(document) == file_sha256(tmp_path / "x.srt")
    assert [(c.start_s, c.end_s, c.text) for c in parse(tmp_path / "x.srt")] == [
        (0.32, 0.81, "Later we"),
        (2.0, 2.5, "don't"),
    ]


@pytest.mark.parametrize(
    ("change", "times"),
    [
        ({"words": []}, "00:00:00,660 --> 00:00:02,500"),
        ({"words": None, "segments": []}, "00:00:00,000 --> 00:00:03,200"),
        ({"words": [{**WORDS[0], "start_s": None}]}, "00:00:00,660 --> 00:00:02,500"),
    ],
)
def test_text_without_times_is_one_cue_over_what_was_changed_or_the_clip(
    change: dict[str, Any], times: str
) -> None:
    assert subtitles_of({**FAKE, **change}, cues) == f"1\n{times}\nLater we don't\n"


def test_only_a_fake_that_changes_subtitles_has_some() -> None:
    assert subtitles_of({**FAKE, "modalities": ["audio"]}, cues) is None
    assert subtitles_of({**FAKE, "words": [], "text": None}, cues) is None
    assert subtitles_of({**FAKE, "modalities": ["audio", "text"]}, cues) is not None


def test_text_is_written_as_it_is_but_for_what_would_break_the_file(tmp_path: Path) -> None:
    """No entities for < and &, joiners of Tamil kept; line ends, escapes and arrows must not make new cues."""
    text = "5 < 6 & ஸ்\u200dரீ\n\n2\n00:00:00,000 --> 00:00:01,000\x1b[2J\u2028x"
    document = subrip([(0.0, 1.0, text)], 2.0)
    assert document.splitlines()[2:] == ["5 < 6 & ஸ்\u200dரீ 2 00:00:00,000 -> 00:00:01,000[2J x"]
    (tmp_path / "x.srt").write_bytes(document.encode())
    assert len(parse(tmp_path / "x.srt")) == 1


@given(
    st.lists(
        st.tuples(st.floats(-1, 30), st.floats(-1, 30), st.text(st.characters(), max_size=20)), max_size=5
    ),
    st.floats(0.04, 20),
)
def test_every_cue_lies_within_the_clip_and_can_be_encoded(
    given_cues: list[tuple[float, float, str]], duration_s: float
) -> None:
    blocks = subrip(given_cues, duration_s).encode("utf-8").decode().split("\n\n")
    for number, block in enumerate(filter(None, blocks), 1):
        count, times, shown = block.rstrip("\n").split("\n")
        start, end = (_ms(clock) for clock in times.split(" --> "))
        assert int(count) == number and shown.strip()
        assert 0 <= start < end <= max(1, round(1000 * duration_s))


def _ms(clock: str) -> int:
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000)
