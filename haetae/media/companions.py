"""What a site has beside a medium: subtitles in the source's language, a preview picture, what it tells of it.

A medium without them is fine, and so is one whose companions cannot be had: that is only noted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haetae.errors import Rejected
from haetae.media.addresses import without_secrets
from haetae.media.probe import ProbeLimits, probe
from haetae.media.wire import refusal_in, require_web
from haetae.provenance.ids import canonical_json
from haetae.provenance.sources import redact

Info = Mapping[str, Any]
CAPTION_FORMATS = ("vtt", "srt")
CAPTIONS_MAX_BYTES = 5 << 20
CAPTION_LANGUAGES = {"ko": ("ko",), "en-SG": ("en-SG", "en"), "ms": ("ms",), "ta": ("ta",)}
THUMBNAIL_LIMITS = ProbeLimits(max_bytes=10 << 20, max_duration_s=1.0, max_pixels=50_000_000)
THUMBNAILS_TRIED = 2
_TOLD = ("id", "title", "uploader", "channel", "upload_date", "license", "language")
_LONGEST_TEXT = 500


@dataclass
class Companions:
    """Fetched companions; `left_out` says what there was and could not be had, and why."""

    captions: Path | None = None
    captions_kind: str | None = None
    thumbnail: Path | None = None
    left_out: list[str] = field(default_factory=list)


def fetch_companions(session: Any, info: Info, folder: Path, language: str) -> Companions:
    """Subtitles (manual before automatic) and a preview picture of what was extracted, into a folder.

    Raises: Rejected `timeout` only.
    """
    found = Companions()
    for kind, key in (("manual", "subtitles"), ("automatic", "automatic_captions")):
        track = choose_captions(info.get(key) or {}, language, automatic=kind == "automatic")
        if track is not None and found.captions is None:
            fetch = functools.partial(_captions, session, track, folder / f"captions.{kind}.{track['ext']}")
            found.captions = _attempt(found.left_out, f"{kind} captions", fetch)
            found.captions_kind = kind if found.captions else None
    for number, address in enumerate(_pictures(info)):
        if found.thumbnail is None:
            fetch = functools.partial(_picture, session, address, folder / f"thumbnail.{number}")
            found.thumbnail = _attempt(found.left_out, "thumbnail", fetch)
    return found


def origin_info(info: Info, left_out: Sequence[str] = ()) -> str:
    """What an origin tells of a medium, as canonical JSON; only what is there, and no secrets."""
    told: dict[str, Any] = {name: _text(info.get(name)) for name in _TOLD}
    told["extractor"] = _text(info.get("extractor_key"))
    told["webpage_url"] = redact(str(info["webpage_url"])) if info.get("webpage_url") else None
    if isinstance(info.get("duration"), int | float):
        told["duration_s"] = round(float(info["duration"]), 3)
    for name, key in (("n_subtitles", "subtitles"), ("n_automatic_captions", "automatic_captions")):
        told[name] = len([code for code in info.get(key) or {} if code != "live_chat"]) or None
    told["left_out"] = sorted(set(left_out))
    return canonical_json({name: value for name, value in told.items() if value})


def choose_captions(tracks: Mapping[str, Sequence[Info]], language: str, *, automatic: bool) -> Info | None:
    """The subtitle track in a source's language, in a format that is read here; None if there is none.

    Automatic tracks named `<language>-orig` were heard; plain ones may be machine translations of speech
    in another language, so they count only where the site offers no original at all.
    """
    codes = CAPTION_LANGUAGES.get(language, ())
    originals = [name for name in tracks if name.endswith("-orig")]
    for code in codes:
        names = [name for name in tracks if name == code or name.lower().startswith(f"{code.lower()}-")]
        if automatic and originals:
            names = [name for name in names if name in originals]
        for name in sorted(names, key=lambda n: (n != code, n)):
            for wanted in CAPTION_FORMATS:
                for track in tracks[name]:
                    if track.get("ext") == wanted and (track.get("protocol") in _CAPTION_PROTOCOLS):
                        return track
    return None


_STREAMED = ("m3u8_native", "m3u8", "http_dash_segments")
_CAPTION_PROTOCOLS = (None, "http", "https", *_STREAMED)


def _attempt(left_out: list[str], name: str, fetch: Callable[[], Path]) -> Path | None:
    """What was fetched; None, with a note, where it cannot be had."""
    from yt_dlp.networking.exceptions import RequestError
    from yt_dlp.utils import YoutubeDLError

    try:
        return fetch()
    except (Rejected, YoutubeDLError, RequestError, OSError, ValueError) as error:
        no = refusal_in(error)
        if no is not None and no.reason == "timeout":
            raise no from error
        left_out.append(without_secrets(f"{name}: {no or type(error).__name__}"))
        return None


def _captions(session: Any, track: Info, path: Path) -> Path:
    if track.get("data") is not None:
        path.write_text(str(track["data"]), encoding="utf-8")
    elif track.get("protocol") in _STREAMED:
        require_web(track["url"])
        # yt-dlp does not say whether subtitles came; it renames the file when they are whole.
        session.dl(str(path), dict(track), subtitle=True)
        if not path.exists():
            raise Rejected("download_failed", "their stream could not be read")
    else:
        path.write_bytes(_read(session, track["url"]))
    if not 0 < path.stat().st_size <= CAPTIONS_MAX_BYTES:
        raise Rejected("too_large", f"{path.stat().st_size} bytes; at most {CAPTIONS_MAX_BYTES}, and not 0")
    return path


def _pictures(info: Info) -> list[str]:
    """Addresses of preview pictures, the one that the site prefers first."""
    listed = [one.get("url") for one in reversed(info.get("thumbnails") or [])] or [info.get("thumbnail")]
    return [str(url) for url in dict.fromkeys(listed) if url][:THUMBNAILS_TRIED]


def _picture(session: Any, address: str, path: Path) -> Path:
    content = _read(session, address)
    if len(content) > THUMBNAIL_LIMITS.max_bytes:
        raise Rejected("too_large", f"{len(content)} bytes; at most {THUMBNAIL_LIMITS.max_bytes}")
    path.write_bytes(content)
    info = probe(path, THUMBNAIL_LIMITS)
    if not info.is_still:
        raise Rejected("not_a_picture", "it moves")
    return path.rename(path.with_suffix(f".{info.real_extension}"))


def _read(session: Any, address: str) -> bytes:
    require_web(address)
    content: bytes = session.urlopen(address).read()
    return content


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(c for c in value if c.isprintable())[:_LONGEST_TEXT].strip() or None
