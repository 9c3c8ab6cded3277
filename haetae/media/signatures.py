"""What the first bytes and the outer boxes of a file say: its kind, its real extension, whether it is whole.

Nothing is decoded here; see `probe`.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import BinaryIO

_TEXTUAL = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"#extm3u", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"<mpd", "a streaming manifest"),
    (b"ffconcat", "a list of files"),
    (b"v=0", "a session description"),
    (b"<?xml", "XML text"),
    (b"{", "JSON text"),
    (b"webvtt", "subtitles"),
)
_BINARY = ((b"PK\x03\x04", "a ZIP archive"), (b"%PDF", "a PDF document"), (b"\x1f\x8b", "a gzip file"))
_MEDIA = (
    b"RIFF", b"\x1aE\xdf\xa3", b"ID3", b"fLaC", b"OggS", b"\x89PNG", b"\xff\xd8\xff", b"FLV", b"GIF8",
    b"FORM", b"caff", b".snd", b"#!AMR", b"0&\xb2u", b"BM", b"II*\x00", b"MM\x00*",
)  # fmt: skip
_TOP_BOXES = frozenset(
    b"ftyp moov mdat moof free skip wide udta meta sidx styp mfra uuid pdin emsg prft ssix".split()
)
JPEG_PARTS = 10_000
"""Parts before its picture that a JPEG is searched for; they are a few dozen."""
STREAMED_BYTES = 0x7FFF_0000
_FIXED = {
    "avi": "avi", "mpegts": "ts", "mpeg": "mpg", "flv": "flv", "gif": "gif", "wav": "wav", "w64": "w64",
    "mp3": "mp3", "aac": "aac", "flac": "flac", "aiff": "aiff", "amr": "amr", "caf": "caf", "au": "au",
    "png_pipe": "png", "jpeg_pipe": "jpg", "webp_pipe": "webp", "bmp_pipe": "bmp", "tiff_pipe": "tiff",
}  # fmt: skip


def describe_head(head: bytes) -> str | None:
    """What a file that no demuxer reads begins like, for a person; None if it does begin like media."""
    if head.startswith(_MEDIA) or head[4:8] in _TOP_BOXES:
        return None
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, kind in _TEXTUAL:
        if text.startswith(start) or (kind == "an HTML page" and start in text[:1024]):
            return f"it is {kind}"
    for start, kind in _BINARY:
        if head.startswith(start):
            return f"it is {kind}"
    if b"\x00" not in head and _is_text(head):
        return "it is text"
    return "it is in no media format that is accepted"


def _is_text(head: bytes) -> bool:
    try:
        head[: max(1, len(head) - 4)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def real_extension(demuxer: str, head: bytes, has_picture: bool) -> str:
    """Extension, without dot, that fits what a file is: by its demuxer, brand and streams."""
    first = demuxer.partition(",")[0]
    if first in _FIXED:
        return _FIXED[first]
    if first == "mov":
        brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
        if brand == b"qt  ":
            return "mov"
        if brand[:3] in (b"hei", b"mif", b"avi"):
            return "avif" if brand[:3] == b"avi" else "heic"
        return "mp4" if has_picture else "m4a"
    if first in ("matroska", "webm"):
        if b"webm" in head[:64]:
            return "webm"
        return "mkv" if has_picture else "mka"
    if first == "ogg":
        return "ogv" if has_picture else "ogg"
    if first == "asf":
        return "wmv" if has_picture else "wma"
    return "bin"


def find_cut_short(path: Path) -> str | None:
    """Why an MP4, QuickTime, WAV, AVI or JPEG file is not whole, by its outer parts; None: it is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg_cut_short(file, size)
        if short := _riff_cut_short(head, size):
            return short
        seen: set[bytes] = set()
        at = 0
        for kind, length in _boxes(file, size):
            if not seen and kind not in _TOP_BOXES:
                return None
            if kind not in _TOP_BOXES:
                break  # junk after the last box is harmless
            seen.add(kind)
            if at + length > size:
                missing = at + length - size
                return f"its {kind.decode()} part is cut short, {missing} bytes are missing"
            at += length
    if seen and not seen & {b"moov", b"meta"}:
        return "it ends before its index (moov)"
    return None


def _riff_cut_short(head: bytes, size: int) -> str | None:
    stated = int.from_bytes(head[4:8], "little") + 8
    # A writer to a pipe states 0, or about 2 or 4 GiB, because it cannot know; others are a few bytes off.
    if not head.startswith(b"RIFF") or stated >= STREAMED_BYTES or stated - size <= max(64, size // 50):
        return None
    return f"it states {stated} bytes and has {size}"


def _jpeg_cut_short(file: BinaryIO, size: int) -> str | None:
    """A decoder fills what is missing of a JPEG with grey, without a word."""
    at = 2
    for _ in range(JPEG_PARTS):
        if at + 4 > size:
            return "it ends before its picture"
        file.seek(at)
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF:
            return None  # not as the standard has it: left to the decoder
        if kind == 0xDA:
            # From here on FF is followed by 00 or by a mark, so FF D9 is the end and nothing else.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
                return None if whole.find(b"\xff\xd9", at) >= 0 else "it ends before its end mark (FF D9)"
        at += 1 if kind == 0xFF else 2 + length
    return None


def _boxes(file: BinaryIO, size: int) -> list[tuple[bytes, int]]:
    """Type and length in bytes of the outer boxes, up to the first that leaves the file."""
    found: list[tuple[bytes, int]] = []
    at = 0
    while at + 8 <= size:
        file.seek(at)
        start = file.read(16)
        length, kind = struct.unpack(">I4s", start[:8])
        if length == 1 and len(start) == 16:
            length = struct.unpack(">Q", start[8:])[0]
        elif length == 0:
            length = size - at
        if length < 8:
            break
        found.append((kind, length))
        if kind not in _TOP_BOXES:
            break
        at += length
    return found
