"""What the pages that stand in a lake have in common: templates, their own style and script, and what a page may load.

What a page says is told in its own module; the HTTP service has pages of its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import jinja2
from markupsafe import Markup

TEMPLATES = Path(__file__).with_name("templates")
LANGUAGE_NAMES = {
    "ko": "Korean",
    "en": "English",
    "en-SG": "Singlish",
    "ms": "Malay",
    "ta": "Tamil",
    "other": "other language",
}
PLAYABLE = re.compile(r"^[0-9a-f]{64}\.(mp4|wav)$")
"""Blobs that a browser can play."""


def environment() -> jinja2.Environment:
    """Templates in which every value is escaped and a missing one is a fault."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["score"] = lambda value: "–" if value is None else f"{value:.2f}"
    made.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"
    made.filters["thousands"] = lambda n: f"{n:,}"
    made.filters["of"] = lambda n, thing: f"{n:,} {thing}{'' if n == 1 else 's'}"
    made.globals["language_name"] = lambda code: LANGUAGE_NAMES.get(code, code)
    return made


def own_markup(*names: str) -> Markup:
    """Files of `templates/`, one after the other, as they are: styles and scripts, which no outside text enters."""
    return Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names))  # noqa: S704


def content_policy(style: str, script: str, loads: Iterable[str] = ("img",)) -> str:
    """Nothing but the page's own style and script, by hash, and what `loads` names (img, media) from its own place."""

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    own = "".join(f"{kind}-src 'self' file:; " for kind in loads)
    return (
        f"default-src 'none'; {own}style-src {hashed(style)}; script-src {hashed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
