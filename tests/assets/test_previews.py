"""The picture of a lesson: the losses that it told of, and nothing where it told of none."""

from __future__ import annotations

import cv2
import numpy as np

from assets.previews import lesson_preview

CURVE = [{"step": 10.0 * n, "loss": 0.5**n, "other_loss": 0.7**n} for n in range(1, 6)]


def _drawn(curve: list[dict[str, float]]) -> np.ndarray:
    preview = lesson_preview(curve)
    assert preview is not None
    return np.asarray(cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR))


def _coloured(picture: np.ndarray) -> int:
    """Pixels that are neither grey nor black: the lines and their marks in the legend."""
    return int((np.ptp(picture.astype(int), axis=2) > 60).sum())


def test_each_loss_is_drawn_as_a_line() -> None:
    one = [{name: point[name] for name in ("step", "loss")} for point in CURVE]
    assert _coloured(_drawn(CURVE)) > 1.3 * _coloured(_drawn(one)) > 200


def test_a_loss_of_some_steps_only_is_drawn_where_it_is_known() -> None:
    partly = [*CURVE[:3], {"step": 40.0, "loss": 0.01}, {"step": 50.0, "loss": 0.0}]
    assert _coloured(_drawn(partly)) > 200


def test_a_lesson_that_told_of_nothing_has_no_picture() -> None:
    assert lesson_preview([]) is None
    assert lesson_preview([{"step": 1.0}]) is None
