"""A generator that learns is taught before it is tried, and two lessons must come to the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from generators.conformance import check
from tests.generators.conformance.conftest import TINY
from tests.generators.mean_face import mean_face


@pytest.mark.parametrize(
    ("drawn", "state"), [("0.0", "holds"), ("np.random.default_rng().normal()", "broken")]
)
def test_the_conformance_suite_teaches_first_and_wants_two_lessons_alike(
    shared_clips: None, install: Callable[..., None], drawn: str, state: str
) -> None:
    install("mean_package", mean_face(drawn), mean_face="mean_package:MeanFace")
    report = check("mean_face@1", size=TINY, clips=1)
    lesson = report.finding("lesson")
    assert lesson.state == state, lesson
    if state == "holds":
        report.raise_if_broken()
