"""Fetching over http(s): yt-dlp as a library, with bounds and manners, behind the egress guard.

What a fetched file is, and whether it is kept, is decided in `crawl`; what comes with it is in `companions`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from haetae.errors import Rejected
from haetae.media.addresses import host_of, same_item, without_secrets
from haetae.media.companions import choose_captions, fetch_companions, origin_info
from haetae.media.egress import Guard, guarded
from haetae.media.ffmpeg import exe
from haetae.media.hosts import Courtesy, Hosts, Manners
from haetae.media.opening import MOVING_DEMUXERS
from haetae.media.partial import SameVersion, keep_state_whole, prepare
from haetae.media.robots import MAX_BYTES as ROBOTS_MAX_BYTES
from haetae.media.robots import Answer, Robots
from haetae.media.wire import bound, refusal_in, require_web
from haetae.provenance.ids import content_id

__all__ = ["DownloadLimits", "Downloaded", "Entry", "choose_captions", "download", "list_entries"]

Info = Mapping[str, Any]
PROTOCOLS = frozenset(
    {"http", "https", "m3u8", "m3u8_native", "http_dash_segments", "http_dash_segments_generator"}
)
"""What is downloaded in this process, through sockets that the guard sees; the others start programs."""
FORMAT = "bv*[height<=1080]+ba/b[height<=1080]/bv*+ba/b/ba"
PAGE_MAX_BYTES = 16 << 20
PIECE_BYTES = 64 << 10
SOCKET_TIMEOUT_S = 20
RETRIES_UNLESS_TOLD = 2
NAMELESS = ("Generic", "HTML5")
"""Extractors that make an id up from the address; it does not name the item."""


@dataclass(frozen=True)
class Downloaded:
    """A fetched file, with what the origin has beside it.

    parts: the files that it was merged from, where it was. origin_info: see `companions.origin_info`.
    """

    path: Path
    title: str
    captions: Path | None = None
    captions_kind: str | None = None
    thumbnail: Path | None = None
    origin_info: str | None = None
    parts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class DownloadLimits:
    max_bytes: int
    max_duration_s: float
    timeout_s: float
    allow_hosts: tuple[str, ...] = ()
    allowed_extractors: tuple[str, ...] = ("default",)


class Entry(NamedTuple):
    """One media address at a site, and what names the item whatever its address is today."""

    address: str
    name: str


def download(
    address: str,
    folder: Path,
    language: str,
    limits: DownloadLimits,
    manners: Manners | None = None,
    *,
    robots: bool = False,
) -> Downloaded:
    """Fetch the media behind one address into a folder, going on with what a cut-off try left there.

    language: of the subtitles that are wanted, as in `sources.yaml`. manners: see `hosts`; None for a
    host that is asked by nobody else. robots: whether robots.txt is asked about the address.
    Raises: Rejected `bad_address`, `egress_refused`, `robots_disallowed`, `rate_limited`, `too_large`,
    `too_long`, `live_stream`, `many_media`, `not_accepted`, `timeout`, `download_failed`.
    """
    require_web(address)
    bounds = _Bounds(limits)
    options = {
        # The format is in the name, so that a try with another format does not go on with this one's bytes.
        "outtmpl": {"default": str(folder / "media.%(format_id).40s.%(ext)s")},
        "format": FORMAT,
        "max_filesize": limits.max_bytes,
        "progress_hooks": [bounds.on_progress],
        "match_filter": bounds.on_info,
        "merge_output_format": "mkv",
        "keepvideo": True,
    }
    prepare(folder)
    with _visit(limits, options, manners) as visit:
        session = visit.session
        same = SameVersion(folder)
        same.attach(session)
        if robots:
            visit.obey_robots(address)
        info = session.extract_info(address, download=False)
        info = _only_one(info)
        bounds.on_info(info)
        same.is_on = True
        info = session.process_ie_result(info, download=True)
        same.is_on = False
        path = _downloaded_file(info, folder, limits)
        refused = len(visit.guard.refused)
        beside = fetch_companions(session, info, folder, language)
        # What a companion was refused is no fault of the medium.
        del visit.guard.refused[refused:]
        told = origin_info(session.sanitize_info(info), beside.left_out)
    title = "".join(c for c in str(info.get("title") or path.name) if c.isprintable())[:500]
    parts = tuple(sorted(p for p in folder.glob("media.*.f*.*") if p != path and p.suffix != ".part"))
    return Downloaded(path, title, beside.captions, beside.captions_kind, beside.thumbnail, told, parts)


def list_entries(
    address: str, limit: int, limits: DownloadLimits, manners: Manners | None = None
) -> list[Entry]:
    """The media on a page, in a feed or on a channel, newest as the site orders them.

    With manners, robots.txt is asked about the page and the lists that it leads to. Raises: as `download`.
    """
    require_web(address)
    options = {"extract_flat": "in_playlist", "playlist_items": f"1:{limit}"}
    with _visit(limits, options, manners) as visit:
        found = _entries(visit, address, limit, depth=0)
    once: dict[str, Entry] = {}
    for entry in found:
        once.setdefault(entry.name, entry)
    return list(once.values())[:limit]


def _entries(visit: _Visit, address: str, limit: int, depth: int) -> list[Entry]:
    visit.obey_robots(address)
    info = visit.session.sanitize_info(visit.session.extract_info(address, download=False))
    if info.get("_type") not in ("playlist", "multi_video"):
        return [Entry(address, name_of(info, address))]
    found: list[Entry] = []
    for entry in info.get("entries") or []:
        if not entry or len(found) >= limit:
            continue
        link = _link_of(entry)
        if link is None:
            continue
        if depth == 0 and re.search(r"Tab|Playlist|Channel|User$", entry.get("ie_key") or ""):
            found += _entries(visit, link, limit - len(found), depth + 1)
        else:
            found.append(Entry(link, name_of(entry, link)))
    return found


def name_of(entry: Info, address: str) -> str:
    """Extractor and id where yt-dlp knows them, else a hash of the address without its signature."""
    extractor = str(entry.get("ie_key") or entry.get("extractor_key") or "")
    if extractor and entry.get("id") and not extractor.startswith(NAMELESS):
        return f"{extractor}:{entry['id']}"
    return content_id("address", same_item(address))


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


@dataclass
class _Visit:
    """One yt-dlp session behind the guard, with its manners."""

    session: Any
    guard: Guard
    robots: Robots | None = None
    _closed: set[str] = field(default_factory=set)

    def obey_robots(self, address: str) -> None:
        """Ask robots.txt about an address now, and about each redirect from it. Raises: `robots_disallowed`."""
        if self.robots is not None:
            self._closed.add(address)
            self.robots.require(address)

    def may_ask(self, asked: str, hop: str) -> None:
        if self.robots is not None and asked in self._closed:
            self.robots.require(hop)

    def ask_robots(self, address: str) -> Answer:
        from yt_dlp.networking.exceptions import HTTPError, TransportError

        try:
            answer = self.session.urlopen(address)
            text = b""
            while len(text) < ROBOTS_MAX_BYTES and (piece := answer.read(ROBOTS_MAX_BYTES - len(text))):
                text += piece
            answer.close()
            if len(text) >= ROBOTS_MAX_BYTES:
                # Half a rule would close or open more than the whole one.
                text = text.rpartition(b"\n")[0]
        except HTTPError as error:
            return Answer(error.status)
        except TransportError:
            return Answer(0)
        return Answer(answer.status, text.decode("utf-8-sig", "replace"))


@contextmanager
def _visit(limits: DownloadLimits, options: dict[str, Any], manners: Manners | None) -> Iterator[_Visit]:
    """A yt-dlp session behind the guard; its errors come out as Rejected."""
    # Read when yt_dlp is imported: plug-ins found on the path would be code that nobody chose to run.
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    import yt_dlp
    from yt_dlp.networking.exceptions import RequestError
    from yt_dlp.utils import YoutubeDLError

    _keep_in_process()
    keep_state_whole()
    everything = {**_common_options(limits, manners), **options}
    deadline = time.monotonic() + limits.timeout_s
    with guarded(limits.allow_hosts) as guard:
        try:
            with yt_dlp.YoutubeDL(everything) as session:
                media_bytes = max(limits.max_bytes, PAGE_MAX_BYTES)
                bound(session, page_bytes=PAGE_MAX_BYTES, media_bytes=media_bytes, deadline=deadline)
                visit = _Visit(session, guard)
                if manners is None:
                    yield visit
                    return
                courtesy = Courtesy(Hosts(manners), deadline, visit.may_ask)
                visit.robots = Robots(courtesy.hosts, visit.ask_robots)
                courtesy.spacing_s = visit.robots.delay_s
                courtesy.attach(session)
                try:
                    yield visit
                finally:
                    courtesy.leave()
        except (YoutubeDLError, RequestError, OSError, ValueError) as error:
            raise _as_rejected(error, guard) from error


def _common_options(limits: DownloadLimits, manners: Manners | None) -> dict[str, Any]:
    demuxers = ",".join(sorted(MOVING_DEMUXERS))
    retries = RETRIES_UNLESS_TOLD if manners is None else manners.retries
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
        # For a body that breaks off; requests that fail are tried again by `hosts`.
        "retries": retries,
        "extractor_retries": 1,
        "fragment_retries": 0,
        "skip_unavailable_fragments": False,
        "concurrent_fragment_downloads": 1,
        # What is read is on the disk soon, so a kill loses little; yt-dlp would take pieces of up to 4 MiB.
        "buffersize": PIECE_BYTES,
        "noresizebuffer": True,
        "hls_prefer_native": True,
        "fixup": "never",
        "updatetime": False,
        "http_headers": {"User-Agent": manners.user_agent} if manners else {},
        "restrictfilenames": True,
        "ffmpeg_location": exe(),
        "postprocessor_args": {
            "merger+ffmpeg_i": ["-protocol_whitelist", "file", "-format_whitelist", demuxers],
            # Without it a merged file holds a random id, and the same address gives other media each time.
            "merger+ffmpeg_o": ["-fflags", "+bitexact", "-map_metadata", "-1"],
        },
    }


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


def _as_rejected(error: Exception, guard: Guard) -> Rejected:
    from yt_dlp.networking.exceptions import HTTPError

    if (no := refusal_in(error) or guard.refusal) is not None:
        return no
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HTTPError) and cause.status == 429:
            host = host_of(cause.response.url)
            return Rejected("rate_limited", f"{host} still asks to be left alone (status 429)")
        cause = cause.__cause__ or cause.__context__
    return Rejected("download_failed", without_secrets(str(error).split("; please report this issue", 1)[0]))


class _Silent:
    """Takes yt-dlp's messages; what matters arrives as an exception."""

    def debug(self, _: str) -> None:
        return None

    info = warning = error = debug
