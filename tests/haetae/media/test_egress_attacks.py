"""What the web may try on a crawler: each attack is refused with its reason, and works where nobody guards.

Everything goes through the real `download` and `list_entries`, real yt-dlp and real sockets.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from haetae.errors import Rejected
from haetae.media import companions, download
from haetae.media.download import DownloadLimits, list_entries
from haetae.media.egress import Guard
from tests.haetae.media.internet import CLIP, DRIP_S, MEBI, SITE, Internet

SECRET = b"nobody may read this"
LIMIT_S = 0.6

Harm = Callable[[Internet, bytes], bool]


def reached_inside(net: Internet, got: bytes) -> bool:
    return bool(net.hits)


def read_the_file(net: Internet, got: bytes) -> bool:
    return SECRET in got


def read_to_the_end(net: Internet, got: bytes) -> bool:
    """The segment that the last line of an overlong playlist names was asked for."""
    return net.asked["/reached.ts"] > 0


def took_it_whole(net: Internet, got: bytes) -> bool:
    return bool(net.taken_whole)


def told_a_password(net: Internet, got: bytes) -> bool:
    return bool(net.told)


@dataclass(frozen=True)
class Attack:
    address: str
    reason: str = "egress_refused"
    harm: Harm = reached_inside
    listed: bool = False
    """Through `list_entries` and not through `download`."""


def at(path: str, *args: Any, **kwargs: Any) -> Attack:
    return Attack(f"http://site.example{path}", *args, **kwargs)


ATTACKS = {
    "loopback": Attack("http://127.0.0.1/a.mp4"),
    "loopback, another of its addresses": Attack("http://127.9.8.7/a.mp4"),
    "loopback, on a port": Attack("http://127.0.0.1:5432/a.mp4"),
    "loopback by name": Attack("http://localhost/a.mp4"),
    "loopback as one decimal number": Attack("http://2130706433/a.mp4"),
    "loopback in octal": Attack("http://0177.0.0.1/a.mp4"),
    "loopback in hex": Attack("http://0x7f000001/a.mp4"),
    "loopback in two parts": Attack("http://127.1/a.mp4"),
    "loopback in other digits": Attack("http://①②⑦.0.0.1/a.mp4"),
    "loopback, IPv6": Attack("http://[::1]/a.mp4"),
    "loopback, mapped into IPv6": Attack("http://[::ffff:127.0.0.1]/a.mp4"),
    "loopback, compatible IPv6": Attack("http://[::127.0.0.1]/a.mp4"),
    "loopback, 6to4": Attack("http://[2002:7f00:1::]/a.mp4"),
    "loopback, NAT64": Attack("http://[64:ff9b::127.0.0.1]/a.mp4"),
    "private, local NAT64": Attack("http://[64:ff9b:1::10.0.0.1]/a.mp4"),
    "this host": Attack("http://0.0.0.0/a.mp4"),
    "private": Attack("http://10.0.0.1/a.mp4"),
    "shared by a carrier": Attack("http://100.100.100.200/a.mp4"),
    "link-local": Attack("http://169.254.1.1/a.mp4"),
    "link-local, IPv6": Attack("http://[fe80::1]/a.mp4"),
    "site-local, IPv6": Attack("http://[fec0::1]/a.mp4"),
    "multicast": Attack("http://224.0.0.1/a.mp4"),
    "metadata": Attack("http://169.254.169.254/latest/meta-data/"),
    "metadata, IPv6": Attack("http://[fd00:ec2::254]/latest/meta-data/"),
    "metadata among protocol assignments": Attack("http://192.0.0.192/opc/v1/instance/"),
    "metadata at an address that looks public": Attack("http://168.63.129.16/machine"),
    "a name of an inner host": Attack("http://intranet.example/a.mp4"),
    "listing loopback": Attack("http://127.0.0.1/feed.xml", listed=True),
    "listing a page that leads to metadata": at("/to-metadata", listed=True),
    "redirect to loopback": at("/to-loopback"),
    "redirect to metadata": at("/to-metadata"),
    "redirect to metadata, IPv6": at("/to-metadata-6"),
    "redirect to an inner name": at("/to-name"),
    "redirect to ftp inside": at("/to-ftp", "bad_address"),
    "redirect to ftp": at("/to-public-ftp", "bad_address"),
    "video of a page": at("/inside.html"),
    "HLS segment": at("/segment.m3u8"),
    "HLS segment in a file": at("/file-segment.m3u8", "bad_address", read_the_file),
    "HLS key": at("/key.m3u8"),
    "HLS map": at("/map.m3u8"),
    "HLS variant": at("/variant.m3u8"),
    "DASH base": at("/dash.mpd"),
    "DASH segment in a file": at("/file-dash.mpd", "bad_address", read_the_file),
    "DNS rebinding": Attack("http://rebind.example/page.html"),
    "DNS rebinding to IPv6": Attack("http://rebind6.example/page.html"),
    "credentials": Attack("http://user:s3cr3t@site.example/clip.mp4", "bad_address", told_a_password),
    "user name": Attack("http://user@site.example/clip.mp4", "bad_address", told_a_password),
    "a file": Attack("{secret}", "bad_address", read_the_file),
    "huge Content-Length": at("/huge.m3u8", "too_large", took_it_whole),
    "endless body": at("/endless.m3u8", "too_large", read_to_the_end),
    "endless body, listed": at("/endless.m3u8", "too_large", took_it_whole, listed=True),
    "endless key": at("/endless-key.m3u8", "too_large", took_it_whole),
    "endless body of a redirect": at("/endless-redirect", "too_large", took_it_whole),
    "gzip bomb": at("/bomb-gzip.m3u8", "too_large", read_to_the_end),
    "deflate bomb": at("/bomb-zlib.m3u8", "too_large", read_to_the_end),
    "deflate bomb without a header": at("/bomb-raw.m3u8", "too_large", read_to_the_end),
    "gzip bomb in gzip": at("/bomb-twice.m3u8", "not_accepted", read_to_the_end),
    "dripping body": at("/drip-body.m3u8", "timeout", took_it_whole),
    "dripping headers": at("/drip-head.m3u8", "timeout", took_it_whole),
    "dripping media": at("/drip.mp4", "timeout", took_it_whole),
}


@dataclass(frozen=True)
class Beside:
    """An attack on what comes with a medium: the medium is had, and its companion is not."""

    address: str
    note: str
    harm: Harm = reached_inside


COMPANIONS = {
    "subtitle on loopback": Beside("http://site.example/track.html", "egress_refused: 127.0.0.1:80"),
    "subtitle in a file": Beside("http://site.example/file-track.html", "bad_address", read_the_file),
    "subtitles of a stream": Beside("http://site.example/subtitles.m3u8", "egress_refused: 127.0.0.1:80"),
    "thumbnail on loopback": Beside("http://site.example/poster.html", "egress_refused: 127.0.0.1:80"),
}


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("private") / "a.mp4"
    path.write_bytes(SECRET)
    path.with_suffix(".vtt").write_bytes(SECRET)
    return path


@pytest.fixture(scope="module")
def internet(secret: Path) -> Iterator[Internet]:
    net = Internet(secret)
    yield net
    net.close()


@pytest.fixture
def net(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> Internet:
    internet.forget()
    monkeypatch.setattr("socket.getaddrinfo", internet.getaddrinfo)
    monkeypatch.setattr("socket.socket.connect", lambda sock, address: internet.connect(sock, address))
    monkeypatch.setattr(download, "PAGE_MAX_BYTES", MEBI)
    return internet


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the guard and the limits of the wire away, and let yt-dlp read files, which it does not by itself."""

    @contextlib.contextmanager
    def unguarded(*_: Any, **__: Any) -> Iterator[Guard]:
        yield Guard()

    def unbound(session: Any, **_: Any) -> None:
        handlers = session._request_director.handlers
        for key in [key for key in handlers if key != "Urllib"]:
            handlers.pop(key).close()

    usual = download._common_options
    monkeypatch.setattr(download, "guarded", unguarded)
    monkeypatch.setattr(download, "bound", unbound)
    monkeypatch.setattr(download, "PROTOCOLS", download.PROTOCOLS | {"file"})
    monkeypatch.setattr(download, "require_web", lambda _: None)
    monkeypatch.setattr(companions, "require_web", lambda _: None)
    monkeypatch.setattr(download, "_common_options", lambda *a: usual(*a) | {"enable_file_urls": True})


def launch(
    attack: Attack | Beside, folder: Path, secret: Path, drip_limit_s: float = LIMIT_S
) -> download.Downloaded | None:
    address = attack.address.format(secret=secret.as_uri())
    drips = isinstance(attack, Attack) and attack.reason == "timeout"
    limits = DownloadLimits(max_bytes=MEBI, max_duration_s=60, timeout_s=drip_limit_s if drips else 60)
    if isinstance(attack, Attack) and attack.listed:
        list_entries(address, 10, limits)
        return None
    return download.download(address, folder, "ko", limits)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused_with_its_reason(net: Internet, secret: Path, tmp_path: Path, name: str) -> None:
    attack, began = ATTACKS[name], time.monotonic()
    with pytest.raises(Rejected) as no:
        launch(attack, tmp_path, secret)
    assert no.value.reason == attack.reason, no.value.detail
    assert not attack.harm(net, everything_in(tmp_path))
    assert net.hits == []
    assert "s3cr3t" not in str(no.value)
    if attack.reason == "timeout":
        assert time.monotonic() - began < LIMIT_S + 1.0


@pytest.mark.parametrize("name", ATTACKS)
def test_it_works_where_nobody_guards(
    net: Internet, no_guard: None, secret: Path, tmp_path: Path, name: str
) -> None:
    attack = ATTACKS[name]
    with contextlib.suppress(Exception):
        # The download's own clock must not end what only the guard should.
        launch(attack, tmp_path, secret, drip_limit_s=60)
    assert attack.harm(net, everything_in(tmp_path))


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_companion_from_inside_is_left_out_and_noted(
    net: Internet, secret: Path, tmp_path: Path, name: str
) -> None:
    attack = COMPANIONS[name]
    got = launch(attack, tmp_path, secret)
    assert got is not None
    assert (got.captions, got.thumbnail) == (None, None)
    assert attack.note in str(got.origin_info)
    assert not attack.harm(net, everything_in(tmp_path))
    assert net.hits == []


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_companion_from_inside_is_taken_where_nobody_guards(
    net: Internet, no_guard: None, secret: Path, tmp_path: Path, name: str
) -> None:
    attack = COMPANIONS[name]
    with contextlib.suppress(Rejected):
        launch(attack, tmp_path, secret)
    assert attack.harm(net, everything_in(tmp_path))


@pytest.mark.parametrize("path", ["/to-file", "/to-data", "/to-credentials"])
def test_a_redirect_that_leaves_the_web_is_not_followed(net: Internet, tmp_path: Path, path: str) -> None:
    """Python's own redirects stop these as well; the reason is ours."""
    with pytest.raises(Rejected) as no:
        launch(at(path), tmp_path, tmp_path)
    assert no.value.reason == "bad_address"
    assert net.asked == {path: 1}


def test_of_several_answers_for_a_name_only_public_ones_are_tried(net: Internet, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as no:
        launch(Attack("http://both.example/a.mp4"), tmp_path, tmp_path)
    assert no.value.reason == "download_failed"
    assert net.hits == []


def test_of_several_answers_for_a_name_the_inner_one_is_reached_where_nobody_guards(
    net: Internet, no_guard: None, tmp_path: Path
) -> None:
    with contextlib.suppress(Rejected):
        launch(Attack("http://both.example/a.mp4"), tmp_path, tmp_path)
    assert net.hits == ["127.0.0.1"]


@pytest.mark.parametrize("address", ["http://site.example/page.html", f"http://{SITE}/clip.mp4"])
def test_what_is_public_is_fetched(net: Internet, tmp_path: Path, address: str) -> None:
    got = launch(Attack(address), tmp_path, tmp_path)
    assert got is not None
    assert got.path.read_bytes() == CLIP


def test_a_drip_lasts_longer_than_what_is_allowed() -> None:
    assert DRIP_S > 2 * LIMIT_S
