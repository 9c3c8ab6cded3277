"""Fetching over http(s): yt-dlp as a library, with bounds, behind the egress guard.

What a fetched file is, and whether it is kept, is decided in `crawl`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from haetae.errors import Rejected
from haetae.media.egress import Guard, guarded
from haetae.media.ffmpeg import exe
from haetae.media.opening import MOVING_DEMUXERS

Info = Mapping[str, Any]
PROTOCOLS = frozenset(
    {"http", "https", "m3u8", "m3u8_native", "http_dash_segments", "http_dash_segments_generator"}
)
"""What is downloaded in this process, through sockets that the guard sees; the others start programs."""
FORMAT = "bv*[height<=1080]+ba/b[height<=1080]/bv*+ba/b/ba"
CAPTION_FORMATS = ("vtt", "srt")
CAPTIONS_MAX_BYTES = 5 << 20
CAPTION_LANGUAGES = {"ko": ("ko",), "en-SG": ("en-SG", "en"), "ms": ("ms",), "ta": ("ta",)}
SOCKET_TIMEOUT_S = 20


@dataclass(frozen=True)
class Downloaded:
    """A fetched file, and its subtitles where the origin has them in the wanted language."""

    path: Path
    title: str
    captions: Path | None = None
    captions_kind: str | None = None


@dataclass(frozen=True)
class DownloadLimits:
    max_bytes: int
    max_duration_s: float
    timeout_s: float
    allow_hosts: tuple[str, ...] = ()
    allowed_extractors: tuple[str, ...] = ("default",)


def download(address: str, folder: Path, language: str, limits: DownloadLimits) -> Downloaded:
    """Fetch the media behind one address into a folder.

    language: of the subtitles that are wanted, as in `sources.yaml`.
    Raises: Rejected `bad_address`, `egress_refused`, `too_large`, `too_long`, `live_stream`,
    `many_media`, `not_accepted`, `timeout`, `download_failed`.
    """
    require_http(address)
    bounds = _Bounds(limits)
    options = {
        "outtmpl": {"default": str(folder / "media.%(ext)s")},
        "format": FORMAT,
        "max_filesize": limits.max_bytes,
        "progress_hooks": [bounds.on_progress],
        "match_filter": bounds.on_info,
        "merge_output_format": "mkv",
    }
    with _session(limits, options) as session:
        info = session.extract_info(address, download=False)
        info = _only_one(info)
        bounds.on_info(info)
        info = session.process_ie_result(info, download=True)
        path = _downloaded_file(info, folder, limits)
        captions = _fetch_captions(session, info, folder, language)
    return Downloaded(path, str(info.get("title") or path.name), *captions)


def list_entries(address: str, limit: int, limits: DownloadLimits) -> list[str]:
    """Addresses of the media on a page, in a feed or on a channel, newest as the site orders them.

    Raises: as `download`.
    """
    require_http(address)
    options = {"extract_flat": "in_playlist", "playlist_items": f"1:{limit}"}
    with _session(limits, options) as session:
        found = _entries(session, address, limit, depth=0)
    return list(dict.fromkeys(found))[:limit]


def require_http(address: str) -> None:
    """Raises: Rejected `bad_address` for anything that is not an http(s) address with a host."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Rejected("bad_address", f"only http and https addresses are fetched, not {parts.scheme}:")


def _entries(session: Any, address: str, limit: int, depth: int) -> list[str]:
    info = session.sanitize_info(session.extract_info(address, download=False))
    if info.get("_type") not in ("playlist", "multi_video"):
        return [address]
    found: list[str] = []
    for entry in info.get("entries") or []:
        if not entry or len(found) >= limit:
            continue
        link = _link_of(entry)
        if link is None:
            continue
        if depth == 0 and re.search(r"Tab|Playlist|Channel|User$", entry.get("ie_key") or ""):
            found += _entries(session, link, limit - len(found), depth + 1)
        else:
            found.append(link)
    return found


def _link_of(entry: Info) -> str | None:
    from yt_dlp.utils import unsmuggle_url

    # An entry that is already resolved, such as the second <video> of a page, names its own file.
    formats = entry.get("formats") or []
    link = entry.get("url") or (formats[-1].get("url") if formats else None) or entry.get("webpage_url")
    plain = str(unsmuggle_url(link)[0]) if link else ""
    return plain if urlsplit(plain).scheme in ("http", "https") else None


@dataclass
class _Bounds:
    """Stops a download that grows beyond its limits while it runs."""

    limits: DownloadLimits
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.limits.timeout_s

    def on_progress(self, state: Info) -> None:
        size = max(state.get("downloaded_bytes") or 0, state.get("total_bytes") or 0)
        if size > self.limits.max_bytes:
            raise Rejected("too_large", f"{size} bytes; at most {self.limits.max_bytes}")
        if time.monotonic() > self.deadline:
            raise Rejected("timeout", f"not fetched within {self.limits.timeout_s:g} s")

    def on_info(self, info: Info, **_: Any) -> None:
        if info.get("is_live"):
            raise Rejected("live_stream", "it is still running; fetch it when it has ended")
        duration_s = info.get("duration") or 0
        if duration_s > self.limits.max_duration_s:
            raise Rejected("too_long", f"{duration_s:g} s; at most {self.limits.max_duration_s:g} s")
        for part in info.get("requested_formats") or [info]:
            protocol = part.get("protocol")
            if protocol is not None and protocol not in PROTOCOLS:
                raise Rejected("not_accepted", f"it is only offered over {protocol}")


@contextmanager
def _session(limits: DownloadLimits, options: dict[str, Any]) -> Iterator[Any]:
    """A yt-dlp object behind the guard; its errors come out as Rejected."""
    # Read when yt_dlp is imported: plug-ins found on the path would be code that nobody chose to run.
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    import yt_dlp
    from yt_dlp.networking.exceptions import RequestError
    from yt_dlp.utils import YoutubeDLError

    _keep_in_process()
    everything = {**_common_options(limits), **options}
    with guarded(limits.allow_hosts) as guard:
        try:
            with yt_dlp.YoutubeDL(everything) as session:
                _only_http(session)
                yield session
        except (YoutubeDLError, RequestError, OSError, ValueError) as error:
            raise _as_rejected(error, guard) from error


def _common_options(limits: DownloadLimits) -> dict[str, Any]:
    demuxers = ",".join(sorted(MOVING_DEMUXERS))
    return {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "logger": _Silent(),
        "color": "never",
        "allowed_extractors": list(limits.allowed_extractors),
        "noplaylist": True,
        "cachedir": False,
        "proxy": "",  # through a proxy the guard would see the proxy's address only
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retries": 2,
        "extractor_retries": 1,
        "fragment_retries": 2,
        "skip_unavailable_fragments": False,
        "concurrent_fragment_downloads": 1,
        "hls_prefer_native": True,
        "fixup": "never",
        "updatetime": False,
        "overwrites": True,
        "restrictfilenames": True,
        "ffmpeg_location": exe(),
        "postprocessor_args": {
            "merger+ffmpeg_i": ["-protocol_whitelist", "file", "-format_whitelist", demuxers],
            # Without it a merged file holds a random id, and the same address gives other media each time.
            "merger+ffmpeg_o": ["-fflags", "+bitexact", "-map_metadata", "-1"],
        },
    }


def _only_http(session: Any) -> None:
    """Leave one request handler, and of its schemes http and https."""
    director = session._request_director
    for key in list(director.handlers):
        if key != "Urllib":
            director.handlers.pop(key).close()
    director.handlers["Urllib"]._SUPPORTED_URL_SCHEMES = ("http", "https")


def _keep_in_process() -> None:
    """Take away yt-dlp's downloaders that are programs of their own: the guard does not see their sockets."""
    from yt_dlp.downloader.external import ExternalFD, FFmpegFD

    def refuse(*_: Any) -> Any:
        raise Rejected("not_accepted", "it can only be fetched by another program")

    for kind in (ExternalFD, FFmpegFD):
        kind._call_downloader = refuse
    FFmpegFD.available = staticmethod(lambda *_: False)


def _only_one(info: Info | None) -> Info:
    if not info:
        raise Rejected("download_failed", "nothing was found there")
    while info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info.get("entries") or [] if entry]
        if len(entries) != 1:
            detail = f"{len(entries)} media there; declare it as kind page, feed or channel to fetch each"
            raise Rejected("many_media", detail)
        info = entries[0]
    return info


def _downloaded_file(info: Info, folder: Path, limits: DownloadLimits) -> Path:
    done = [Path(one["filepath"]) for one in info.get("requested_downloads") or [] if one.get("filepath")]
    inside = [path for path in done if path.is_file() and path.resolve().parent == folder.resolve()]
    if not inside:
        # yt-dlp gives up without an error when the stated size is beyond max_filesize.
        size = info.get("filesize") or info.get("filesize_approx")
        raise Rejected("too_large", f"{size or 'more'} bytes; at most {limits.max_bytes}")
    return inside[0]


def _fetch_captions(
    session: Any, info: Info, folder: Path, language: str
) -> tuple[Path, str] | tuple[None, None]:
    """The best subtitles in the language, manual before automatic; media without them are fine."""
    from yt_dlp.networking.exceptions import RequestError

    for kind, key in (("manual", "subtitles"), ("automatic", "automatic_captions")):
        track = choose_captions(info.get(key) or {}, language, automatic=kind == "automatic")
        if track is None:
            continue
        try:
            if track.get("data") is not None:
                content = str(track["data"]).encode()
            else:
                require_http(track["url"])
                content = session.urlopen(track["url"]).read(CAPTIONS_MAX_BYTES + 1)
        except (Rejected, RequestError, OSError):
            continue
        if content and len(content) <= CAPTIONS_MAX_BYTES:
            path = folder / f"captions.{track['ext']}"
            path.write_bytes(content)
            return path, kind
    return None, None


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
                    if track.get("ext") == wanted and track.get("protocol") in (None, "http", "https"):
                        return track
    return None


def _as_rejected(error: Exception, guard: Guard) -> Rejected:
    if guard.refused:
        return Rejected("egress_refused", guard.refused[-1])
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Rejected):
            return cause
        cause = cause.__cause__ or cause.__context__
    return Rejected("download_failed", _without_secrets(str(error)))


def _without_secrets(message: str) -> str:
    """A yt-dlp message without the queries and credentials of addresses, and without its advice."""
    message = message.split("; please report this issue", 1)[0]
    message = re.sub(r"(https?://)[^/\s@]*@", r"\1", message)
    return re.sub(r"(https?://[^\s?#]+)[?#]\S*", r"\1", message)[:500]


class _Silent:
    """Takes yt-dlp's messages; what matters arrives as an exception."""

    def debug(self, _: str) -> None:
        return None

    info = warning = error = debug
