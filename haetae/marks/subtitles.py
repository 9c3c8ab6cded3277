"""Changed subtitles as they leave the store: a SubRip file beside the clip.

What they say, and when, is the fake's own; how words become cues is the caller's to say (`voice.subtitles`).
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Cue = tuple[float, float, str]
"""start_s, end_s, seconds from the start of the clip, and what is shown."""
CuesOf = Callable[[Sequence[Mapping[str, Any]]], Sequence[Cue]]
"""Cues of timed words, as the column `words` has them: `word`, `start_s`, `end_s`."""
LanguageOf = Callable[[str, str], str | None]
"""Of a text and the language spoken in its clip: the language it is written in, None where that cannot be told. All are
BCP 47 tags."""


def text_of(fake: Mapping[str, Any]) -> str:
    """What the subtitles of a row of `fakes` say, without times."""
    return str(fake["text"] or " ".join(word["word"] for word in fake["words"] or []))


def subtitles_of(fake: Mapping[str, Any], cues_of: CuesOf) -> str | None:
    """The SubRip document of a row of `fakes` that changes subtitles; None for one that does not.

    Where its words have no times, its text is one cue over what was changed, or over the whole clip.
    """
    if "text" not in fake["modalities"]:
        return None
    words = fake["words"] or []
    timed = bool(words) and all(_is_time(word["start_s"]) and _is_time(word["end_s"]) for word in words)
    cues = list(cues_of(words)) if timed else []
    document = subrip(cues or [_whole(fake)], fake["duration_s"])
    return document or None


def subrip(cues: Sequence[Cue], duration_s: float) -> str:
    """Cues as a SubRip document: within the clip, each a millisecond long at least, on one line; empty without any.

    Nothing is escaped, as players show the text as it is; only an arrow that would read as a line of times is cut.
    """
    blocks: list[str] = []
    for start_s, end_s, text in cues:
        shown = _line(text)
        if not shown:
            continue
        last_ms = max(1, round(1000 * duration_s))
        start_ms = min(max(0, round(1000 * start_s)), last_ms - 1)
        end_ms = max(min(round(1000 * end_s), last_ms), start_ms + 1)
        blocks.append(f"{len(blocks) + 1}\n{_clock(start_ms)} --> {_clock(end_ms)}\n{shown}\n")
    return "\n".join(blocks)


def digest_of(document: str) -> str:
    """SHA-256 of the file that holds a document, lower-case hex."""
    return hashlib.sha256(document.encode("utf-8")).hexdigest()


def _whole(fake: Mapping[str, Any]) -> Cue:
    changed = [s for s in fake["segments"] if s["modality"] == "text"]
    start_s = min((s["start_s"] for s in changed), default=0.0)
    end_s = max((s["end_s"] for s in changed), default=fake["duration_s"])
    return start_s, end_s, text_of(fake)


def _line(text: str) -> str:
    """Text on one line, without control characters: an empty line would end its cue."""
    one_line = " ".join(text.split()).replace("-->", "->")
    return "".join(c for c in one_line if unicodedata.category(c) not in ("Cc", "Cs"))


def _is_time(value: Any) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{rest:03}"
