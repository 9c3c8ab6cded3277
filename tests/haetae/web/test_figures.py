"""Drawings of the report."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haetae.web import figures

HOSTILE = '"><script>alert(1)</script>&\u202e'


def drawn(markup: str) -> ElementTree.Element:
    """The drawing as XML: it must be well formed whatever its texts are."""
    return ElementTree.fromstring(str(markup))


def numbers(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name].rstrip("%"))


def test_a_changed_stretch_is_drawn_where_it_lies() -> None:
    lane = drawn(figures.segment_lane("video", [(1.0, 2.0)], 4.0))
    (bar,) = [e for e in lane if e.attrib.get("class") == "changed"]
    assert numbers(bar, "x") == 25
    assert numbers(bar, "width") == 25
    assert lane.attrib["aria-label"] == "video changed: 1.00 to 2.00 s"


def test_a_lane_without_a_change_says_so() -> None:
    assert drawn(figures.segment_lane("audio", [], 4.0)).attrib["aria-label"] == "audio changed: nowhere"


@given(st.floats(0.05, 5000))
def test_ticks_are_round_and_few(duration_s: float) -> None:
    step = figures.tick_step_s(duration_s)
    assert duration_s / step <= 6 * (1 + 1e-6)
    assert duration_s / step > 2.3
    assert f"{step:e}"[0] in "125"


def test_words_are_marked_where_the_sound_was_changed_and_escaped() -> None:
    words = [
        {"word": HOSTILE, "start_s": 0.0, "end_s": 1.0},
        {"word": "나비", "start_s": 2.0, "end_s": 3.0},
    ]
    lane = drawn(figures.word_lane(words, [(1.5, 4.0)], 4.0))
    texts = [e.text for e in lane.iter("text")]
    classes = [e.attrib["class"] for e in lane.iter("rect")]
    assert texts == [HOSTILE, "나비"]
    assert classes == ["word", "word made"]


def test_a_word_is_spelled_out_only_where_it_has_room() -> None:
    words = [
        {"word": "ya", "start_s": 0.0, "end_s": 2.0},
        {"word": "kesimpulannya", "start_s": 2.0, "end_s": 5.0},
        {"word": "사랑해요", "start_s": 5.0, "end_s": 5.2},
    ]
    lane = drawn(figures.word_lane(words, [], 10.0))
    assert [e.attrib["class"] for e in lane.iter("text")] == ["fits", "fits-wide", "tight"]
    assert lane.attrib["aria-label"] == "words: ya kesimpulannya 사랑해요"


def test_a_waveform_reaches_as_far_as_the_sound() -> None:
    audio = np.zeros(16_000, np.float32)
    audio[8_000] = 1.0
    audio[12_000] = -1.0
    path = drawn(figures.waveform(audio, [(0.5, 1.0)], 1.0, "sound")).find(".//path")
    assert path is not None
    reach = [(int(a), int(b)) for a, b in re.findall(r" (\d+)V(\d+)", path.attrib["d"])]
    assert min(a for a, _ in reach) == 1
    assert max(b for _, b in reach) == 99


def test_an_empty_sound_is_a_line() -> None:
    assert "H240" in str(figures.waveform(np.zeros(0, np.float32), [], 1.0, "nothing"))


def test_scores_stand_on_their_scale() -> None:
    scale = drawn(figures.score_scale(0.9, 0.1, 0.5))
    at = {e.attrib["class"]: numbers(e, "cx") for e in scale if e.tag == "circle"}
    assert at == {"fake": 90, "twin": 10}
    assert scale.attrib["aria-label"] == "score: fake 0.90, untouched twin 0.10, threshold 0.50"


def test_a_whisker_spans_its_interval() -> None:
    marks = [e for e in drawn(figures.whisker(0.8, 0.7, 0.95, 0.5)) if e.attrib.get("class") == "ci"]
    assert (numbers(marks[0], "x1"), numbers(marks[0], "x2")) == (70, 95)


def test_an_undefined_metric_has_no_whisker() -> None:
    assert figures.whisker(None, None, None, 0.5) == ""


def test_a_bar_is_as_long_as_its_counts() -> None:
    bar = drawn(figures.stacked_bar([("untouched", "untouched", 3), (HOSTILE, "family-1", 1)], 8))
    assert [(numbers(e, "x"), numbers(e, "width")) for e in bar] == [(0, 37.5), (37.5, 12.5)]


def test_a_long_roc_curve_is_thinned_but_keeps_its_ends() -> None:
    fpr = np.linspace(0, 1, 5000)
    figure = drawn(figures.roc_figure([("sample", fpr, np.sqrt(fpr))]))
    (curve,) = figure.iter("polyline")
    points = [tuple(map(float, p.split(","))) for p in curve.attrib["points"].split()]
    assert len(points) <= 161
    assert points[0] == (44, 310)
    assert points[-1] == (344, 10)


@pytest.mark.parametrize("text", [HOSTILE, "</svg>", "\u202eabc"])
def test_texts_in_drawings_stay_texts(text: str) -> None:
    assert drawn(figures.waveform(np.zeros(9, np.float32), [], 1.0, text)).attrib["aria-label"] == text
