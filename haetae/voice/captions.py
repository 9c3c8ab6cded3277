"""Captions and transcripts from files that nobody vouches for: .srt, .vtt and plain .txt.

Which part of a clip a caption belongs to is not decided here.
"""

from __future__ import annotations

import codecs
import html
import math
import re
from dataclasses import dataclass
from pathlib import Path

from haetae.errors import Rejected
from haetae.voice.tokens import plain_text

MAX_BYTES = 4_000_000
MAX_CAPTIONS = 20_000
MAX_LINE = 2_000
MAX_TEXT = 2_000
MAX_TIME_S = 24 * 3600.0

_CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMING = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s|$)")
_TAG = re.compile(r"<[^<>]{0,300}>|\{\\[^{}]{0,300}\}")
_NOT_SPOKEN = re.compile(r"\[[^\[\]]{0,200}\]|[♪♫♬#*_]+")


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said from start_s to end_s, seconds of media time; an end of infinity means: to the end."""

    start_s: float
    end_s: float
    text: str


def parse(path: Path) -> list[Caption]:
    """Captions of a file in order of their start; a .txt file is one caption over the whole of the media.

    The text is on one line without tags, sound descriptions in square brackets, control and bidirectional
    characters. UTF-8, UTF-16 with its mark, and CP949 are read. Cues with impossible times or without text
    are left out.
    Raises: Rejected `bad_captions` for a file that is too large, not text, or holds no caption at all.
    """
    if not path.is_file():
        raise Rejected("bad_captions", f"{path.name}: no such file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Rejected("bad_captions", f"{path.name}: {size} bytes, at most {MAX_BYTES} are read")
    text = _decode(path.read_bytes(), path.name)
    kind = path.suffix.lower()
    if kind == ".txt":
        return _transcript(text, path.name)
    if kind not in (".srt", ".vtt"):
        raise Rejected("bad_captions", f"{path.name}: not .srt, .vtt or .txt")
    captions, n_timings = _cues(text, path.name)
    is_vtt = text.lstrip().startswith("WEBVTT")
    if n_timings == 0 and not is_vtt:
        raise Rejected("bad_captions", f"{path.name}: no line of the form 00:00:01,000 --> 00:00:02,000")
    return sorted(captions, key=lambda caption: (caption.start_s, caption.end_s))


def _decode(raw: bytes, name: str) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "cp949")
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Rejected("bad_captions", f"{name}: not text in UTF-8, UTF-16 or CP949")


def _clean(text: str) -> str:
    untagged = _TAG.sub("", html.unescape(_TAG.sub("", text)))
    return plain_text(_NOT_SPOKEN.sub(" ", untagged))


def _transcript(text: str, name: str) -> list[Caption]:
    cleaned = _clean(text)
    if not any(c.isalpha() for c in cleaned):
        raise Rejected("bad_captions", f"{name}: no words in it")
    return [Caption(0.0, math.inf, cleaned)]


def _cues(text: str, name: str) -> tuple[list[Caption], int]:
    """Captions, and how many timing lines there were."""
    captions: list[Caption] = []
    n_timings = 0
    span: tuple[float, float] | None = None
    lines: list[str] = []

    def finish() -> None:
        if span is None:
            return
        said = _clean("\n".join(lines))[:MAX_TEXT].strip()
        if said and 0.0 <= span[0] < span[1] <= MAX_TIME_S:
            captions.append(Caption(span[0], span[1], said))

    for raw in text.splitlines():
        line = raw[:MAX_LINE]
        timing = _TIMING.match(line)
        if timing:
            # A counter line belongs to the cue that follows, also where the blank line between is missing.
            if lines and lines[-1].strip().isdigit():
                lines.pop()
            finish()
            n_timings += 1
            if n_timings > MAX_CAPTIONS:
                raise Rejected("bad_captions", f"{name}: more than {MAX_CAPTIONS} captions")
            span, lines = (_seconds(timing.groups()[:4]), _seconds(timing.groups()[4:])), []
        elif not line.strip():
            finish()
            span, lines = None, []
        elif span is not None and sum(map(len, lines)) < MAX_TEXT:
            lines.append(line)
    finish()
    return captions, n_timings


def _seconds(clock: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in clock)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000.0
