"""Colours of the report: text stands out from its ground in the light and in the dark scheme."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import haetae.web.report

STYLE = (Path(haetae.web.report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")


def scheme(name: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", light if name == "light" else dark))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    """After: WCAG 2.2, contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "grounds"),
    [
        ("ink", ("paper", "surface", "sunk", "fake-wash")),
        ("soft", ("paper", "surface", "sunk")),
        ("fake", ("paper", "surface", "fake-wash")),
        ("real", ("paper", "surface", "real-wash")),
        ("unknown", ("surface", "unknown-wash")),
    ],
)
def test_text_has_a_contrast_of_at_least_four_and_a_half(
    name: str, text: str, grounds: tuple[str, ...]
) -> None:
    colours = scheme(name)
    for ground in grounds:
        assert contrast(colours[text], colours[ground]) >= 4.5, ground


@pytest.mark.parametrize("name", ["light", "dark"])
def test_marks_and_curves_have_a_contrast_of_at_least_three(name: str) -> None:
    colours = scheme(name)
    for mark in ("fake-fill", "real-fill", "focus", "c0", "c1", "c2", "c3", "c4", "c5", "c6"):
        assert contrast(colours[mark], colours["paper"]) >= 3, mark


def test_the_style_loads_nothing() -> None:
    assert "url(" not in STYLE
    assert "@import" not in STYLE
