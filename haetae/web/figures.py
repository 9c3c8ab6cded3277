"""Drawings of the report as inline SVG: pure functions from values to markup.

Colours and fonts are in `templates/report.css`, which also serves the dark scheme; photographs are in
`pictures`. Every text goes through `Markup.format`, which escapes it. Lanes and bars are drawn in
percent of their width without a view box, so that their texts keep their size on a narrow screen.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

Stretch = tuple[float, float]
"""Start and end, seconds."""

ROC_SIDE = 300
_MAX_CURVE_POINTS = 160
_PATH_COLUMNS = 240
_NARROW_LANE_PX = 165
_WIDE_LANE_PX = 360
"""Widths of a lane on a phone and beside another plate, scores included."""


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def _percent(part: float, whole: float) -> str:
    share = min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def _seconds(stretches: Sequence[Stretch]) -> str:
    return ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in stretches) or "nowhere"


def tick_step_s(duration_s: float, max_ticks: int = 6) -> float:
    """The smallest round step (1, 2 or 5 times a power of ten) that gives at most `max_ticks` steps."""
    if duration_s <= 0:
        return 1.0
    rough = duration_s / max_ticks
    base = 10.0 ** math.floor(math.log10(rough))
    return next(base * m for m in (1, 2, 5, 10) if base * m >= rough * (1 - 1e-9))


def time_axis(duration_s: float) -> Markup:
    """Ticks in seconds under the lanes of one clip."""
    step = tick_step_s(duration_s)
    marks = []
    for i in range(int(duration_s / step + 1e-9) + 1):
        at = i * step
        anchor = "start" if i == 0 else "end" if at > 0.96 * duration_s else "middle"
        x = _percent(at, duration_s)
        marks.append(
            Markup(
                '<line x1="{0}" x2="{0}" y1="0" y2="4"/><text x="{0}" y="15" text-anchor="{1}">{2:g}</text>'
            ).format(x, anchor, round(at, 6))
        )
    return Markup('<svg class="axis" height="18" aria-hidden="true">{}</svg>').format(_join(marks))


def segment_lane(what: str, changed: Sequence[Stretch], duration_s: float) -> Markup:
    """One lane of the timeline: the clip's length, with the changed stretches filled."""
    bars = _join(
        Markup(
            '<rect class="changed" x="{}" width="{}" height="100%"><title>{:.2f}–{:.2f} s</title></rect>'
        ).format(_percent(start, duration_s), _percent(end - start, duration_s), start, end)
        for start, end in changed
    )
    return Markup(
        '<svg class="lane" height="14" role="img" aria-label="{} changed: {}">'
        '<rect class="base" width="100%" height="100%"/>{}</svg>'
    ).format(what, _seconds(changed), bars)


def word_lane(
    words: Sequence[Mapping[str, Any]],
    changed: Sequence[Stretch],
    duration_s: float,
    wide_px: float = _WIDE_LANE_PX,
) -> Markup:
    """Words at their times, spelled out where there is room; marked if their middle was changed.

    wide_px: width of the lane on a wide screen.
    """
    drawn = []
    for word in words:
        start, end = word["start_s"], word["end_s"]
        middle = (start + end) / 2
        made = any(a <= middle <= b for a, b in changed)
        drawn.append(
            Markup(
                '<svg x="{}" width="{}" height="100%"><title>{} ({:.2f}–{:.2f} s)</title>'
                '<rect class="word{}" width="100%" height="100%"/><text class="{}" x="3" y="14">{}</text></svg>'
            ).format(
                _percent(start, duration_s),
                _percent(end - start, duration_s),
                word["word"],
                start,
                end,
                " made" if made else "",
                _room_for(word["word"], (end - start) / duration_s if duration_s else 0, wide_px),
                word["word"],
            )
        )
    spoken = " ".join(str(word["word"]) for word in words)
    return Markup('<svg class="lane words" height="20" role="img" aria-label="words: {}">{}</svg>').format(
        spoken, _join(drawn)
    )


def _room_for(word: str, share: float, wide_px: float) -> str:
    """CSS class of a word: shown everywhere, on wide screens only, or nowhere but in its tooltip."""
    wanted_px = 5 + sum(11 if unicodedata.east_asian_width(c) in "WF" else 6.4 for c in word)
    if share * _NARROW_LANE_PX >= wanted_px:
        return "fits"
    return "fits-wide" if share * wide_px >= wanted_px else "tight"


def waveform(audio: NDArray[np.float32], changed: Sequence[Stretch], duration_s: float, what: str) -> Markup:
    """Extremes of the sound per column, changed stretches shaded. audio: float32 [N] in [-1, 1]."""
    shades = _join(
        Markup('<rect class="shade" x="{}" width="{}" height="100%"/>').format(
            _percent(start, duration_s), _percent(end - start, duration_s)
        )
        for start, end in changed
    )
    return Markup(
        '<svg class="wave" height="44" role="img" aria-label="{}">{}'
        '<svg width="100%" height="100%" viewBox="0 0 {} 100" preserveAspectRatio="none">'
        '<path d="{}"/></svg></svg>'
    ).format(what, shades, _PATH_COLUMNS, _wave_path(audio))


def _wave_path(audio: NDArray[np.float32]) -> str:
    if len(audio) == 0:
        return f"M0 50H{_PATH_COLUMNS}"
    edges = np.linspace(0, len(audio), _PATH_COLUMNS + 1).astype(int)
    parts = []
    for column in range(_PATH_COLUMNS):
        piece = audio[edges[column] : max(edges[column + 1], edges[column] + 1)]
        top, bottom = round(50 - 49 * float(piece.max())), round(50 - 49 * float(piece.min()))
        parts.append(f"M{column} {top}V{max(bottom, top + 1)}")
    return "".join(parts)


def score_scale(fake: float | None, twin: float | None, threshold: float | None) -> Markup:
    """The model's scores of a fake and its twin on one scale from 0 (real) to 1 (fake)."""
    said = [
        f"fake {fake:.2f}" if fake is not None else "",
        f"untouched twin {twin:.2f}" if twin is not None else "",
    ]
    marks = [Markup('<line class="rail" x1="0" x2="100%" y1="9" y2="9"/>')]
    if threshold is not None:
        said.append(f"threshold {threshold:.2f}")
        marks.append(
            Markup('<line class="threshold" x1="{0}" x2="{0}" y1="1" y2="17"/>').format(
                _percent(threshold, 1)
            )
        )
    if twin is not None:
        marks.append(Markup('<circle class="twin" cx="{}" cy="9" r="5"/>').format(_percent(twin, 1)))
    if fake is not None:
        marks.append(Markup('<circle class="fake" cx="{}" cy="9" r="5"/>').format(_percent(fake, 1)))
    return Markup('<svg class="scale" height="18" role="img" aria-label="{}">{}</svg>').format(
        "score: " + ", ".join(filter(None, said)), _join(marks)
    )


def whisker(value: float | None, low: float | None, high: float | None, chance: float | None) -> Markup:
    """A metric between 0 and 1 as a dot, its 95 % interval as a whisker, chance as a faint line."""
    if value is None:
        return Markup("")
    marks = [Markup('<line class="rail" x1="0" x2="100%" y1="8" y2="8"/>')]
    if chance is not None:
        marks.append(
            Markup('<line class="chance" x1="{0}" x2="{0}" y1="0" y2="16"/>').format(_percent(chance, 1))
        )
    if low is not None and high is not None:
        ends = (_percent(low, 1), _percent(high, 1))
        marks.append(Markup('<line class="ci" x1="{}" x2="{}" y1="8" y2="8"/>').format(*ends))
        marks.extend(
            Markup('<line class="ci" x1="{0}" x2="{0}" y1="4" y2="12"/>').format(end) for end in ends
        )
    marks.append(Markup('<circle cx="{}" cy="8" r="3.5"/>').format(_percent(value, 1)))
    return Markup('<svg class="whisker" height="16" aria-hidden="true">{}</svg>').format(_join(marks))


def stacked_bar(parts: Sequence[tuple[str, str, int]], most: int) -> Markup:
    """One bar of counts, scaled so that `most` fills the width. parts: (name, CSS class, count)."""
    drawn, before = [], 0
    for name, css, count in parts:
        drawn.append(
            Markup('<rect class="{}" x="{}" width="{}" height="100%"><title>{}: {}</title></rect>').format(
                css, _percent(before, most), _percent(count, most), name, count
            )
        )
        before += count
    said = ", ".join(f"{name} {count}" for name, _, count in parts)
    return Markup('<svg class="bar" height="18" role="img" aria-label="{}">{}</svg>').format(
        said, _join(drawn)
    )


def roc_figure(curves: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]]) -> Markup:
    """ROC curves on one square. curves: (protocol, fpr [K], tpr [K]), both rates rising from 0 to 1."""
    lines = []
    for protocol, fpr, tpr in curves:
        points = " ".join(f"{_roc_x(x):.1f},{_roc_y(y):.1f}" for x, y in _thinned(fpr, tpr))
        lines.append(
            Markup('<polyline class="curve p-{}" points="{}"><title>{}</title></polyline>').format(
                protocol, points, protocol
            )
        )
    said = ", ".join(protocol for protocol, _, _ in curves)
    return Markup(
        '<svg class="roc" viewBox="0 0 356 352" role="img" aria-label="ROC curves by protocol: {}">'
        '<g class="grid">{}</g><line class="chance" x1="44" y1="310" x2="344" y2="10"/>{}'
        '<text x="194" y="347" text-anchor="middle">false positive rate</text>'
        '<text x="12" y="160" text-anchor="middle" transform="rotate(-90 12 160)">true positive rate</text>'
        "</svg>"
    ).format(said, _join(map(_roc_grid, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))), _join(lines))


def _roc_x(rate: float) -> float:
    return 44 + ROC_SIDE * rate


def _roc_y(rate: float) -> float:
    return 10 + ROC_SIDE * (1 - rate)


def _roc_grid(rate: float) -> Markup:
    x, y = _roc_x(rate), _roc_y(rate)
    return Markup(
        '<line x1="44" x2="344" y1="{1:g}" y2="{1:g}"/><line x1="{0:g}" x2="{0:g}" y1="10" y2="310"/>'
        '<text x="37" y="{2:g}" text-anchor="end">{3:g}</text>'
        '<text x="{0:g}" y="327" text-anchor="middle">{3:g}</text>'
    ).format(x, y, y + 4, rate)


def _thinned(fpr: NDArray[np.float64], tpr: NDArray[np.float64]) -> list[tuple[float, float]]:
    """At most about 160 points, evenly spaced along the curve's path, ends included."""
    if len(fpr) > _MAX_CURVE_POINTS:
        path = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(fpr)) + np.abs(np.diff(tpr)))])
        wanted = np.linspace(0, path[-1], _MAX_CURVE_POINTS)
        kept = np.unique(np.clip(np.searchsorted(path, wanted), 0, len(path) - 1))
        fpr, tpr = fpr[kept], tpr[kept]
    return list(zip(fpr.tolist(), tpr.tolist(), strict=True))
