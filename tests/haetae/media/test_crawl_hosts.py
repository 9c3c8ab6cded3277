"""Politeness: one rate for all processes, places at a host, waiting when told to, and robots.txt."""

from __future__ import annotations

import datetime as dt
import itertools
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from haetae.errors import Rejected
from haetae.media.download import DownloadLimits, download, list_entries
from haetae.media.hosts import Hosts, Manners, retry_after_s
from haetae.media.robots import Answer, Robots
from tests.haetae.media.broken import make, picture
from tests.haetae.media.site import Site, serve

LATER = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    make(folder / "film.mp4", picture("160x120", 1))
    site = Site(folder)
    server = serve(site)
    yield site
    server.shutdown()


def manners(tmp_path: Path, **changes: float) -> Manners:
    usual = {"requests_per_s": 1000.0, "retries": 1, "backoff_s": 0.01}
    return Manners(tmp_path / "hosts", **{**usual, **changes})


def limits(site: Site, timeout_s: float = 30.0) -> DownloadLimits:
    return DownloadLimits(10_000_000, 60.0, timeout_s, (site.host,))


def reason_of(site: Site, path: str, manners: Manners, **changes: bool) -> str:
    with pytest.raises(Rejected) as no:
        download(f"{site.base}{path}", manners.state.parent, "ko", limits(site), manners, **changes)
    return no.value.reason


def take_turns(state: Path, n: int, requests_per_s: float, moments: object) -> None:
    hosts = Hosts(Manners(state, requests_per_s=requests_per_s))
    for _ in range(n):
        hosts.take_turn("example.org", time.monotonic() + LATER)
        moments.put(time.time())


def test_two_processes_share_the_rate_of_one_host(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    moments = spawn.Queue()
    workers = [spawn.Process(target=take_turns, args=(tmp_path, 8, 20.0, moments)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = sorted(moments.get(timeout=60) for _ in range(16))
    for worker in workers:
        worker.join()
    assert found[-1] - found[0] >= 15 / 20 - 0.05, "16 turns at 20 a second, whoever takes them"
    for first, last in zip(found, found[5:], strict=False):
        assert last - first >= 4 / 20, "never many at once either"


def test_hosts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    hosts = Hosts(Manners(tmp_path, requests_per_s=0.5))
    started = time.monotonic()
    for number in range(10):
        hosts.take_turn(f"host-{number}.example", time.monotonic() + LATER)
    assert time.monotonic() - started < 1.0


def test_at_most_so_many_are_at_one_host_and_a_place_is_free_again_when_it_is_left(tmp_path: Path) -> None:
    import os

    hosts = Hosts(Manners(tmp_path, per_host=2))
    first, _ = (hosts.take_place("a.example", time.monotonic() + LATER) for _ in range(2))
    with pytest.raises(Rejected, match="busy"):
        hosts.take_place("a.example", time.monotonic() + 0.1)
    hosts.take_place("b.example", time.monotonic())
    os.close(first)
    hosts.take_place("a.example", time.monotonic() + 0.1)


def test_a_host_that_asked_for_an_hour_is_asked_by_nobody_meanwhile(site: Site, tmp_path: Path) -> None:
    site.failures["/film.mp4"] = [(429, {"Retry-After": "3600"})]
    polite = manners(tmp_path, max_wait_s=5.0)
    assert reason_of(site, "/film.mp4", polite) == "rate_limited"
    assert reason_of(site, "/film.mp4", polite) == "rate_limited"
    assert len(site.asked) == 1, "the second fetch did not even ask"


def test_a_host_that_keeps_saying_429_is_left_in_the_end(site: Site, tmp_path: Path) -> None:
    site.always["/film.mp4"] = 429
    assert reason_of(site, "/film.mp4", manners(tmp_path, retries=2)) == "rate_limited"
    assert len(site.asked) == 3


def test_waits_double_where_the_host_states_none(site: Site, tmp_path: Path) -> None:
    site.always["/film.mp4"] = 503
    assert reason_of(site, "/film.mp4", manners(tmp_path, retries=3, backoff_s=0.1)) == "download_failed"
    moments = [one.at for one in site.asked]
    waits = [later - sooner for sooner, later in itertools.pairwise(moments)]
    assert [wait >= least for wait, least in zip(waits, (0.1, 0.2, 0.4), strict=True)] == [True] * 3


def test_what_is_gone_for_good_is_asked_for_once(site: Site, tmp_path: Path) -> None:
    assert reason_of(site, "/nothing.mp4", manners(tmp_path, retries=3)) == "download_failed"
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("stated", "waits"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(stated: str | None, waits: float | None) -> None:
    assert retry_after_s(stated, dt.datetime(2026, 11, 21, 12, 0, 0, tzinfo=dt.UTC)) == waits


# robots.txt


def test_robots_are_asked_for_pages_and_listed_items_and_not_for_a_file_that_a_person_declared(
    site: Site, tmp_path: Path
) -> None:
    (site.folder / "robots.txt").write_text("User-agent: haetae\nDisallow: /film\n")
    polite = manners(tmp_path)
    assert reason_of(site, "/film.mp4", polite, robots=True) == "robots_disallowed"
    assert site.paths() == ["/robots.txt"]
    with pytest.raises(Rejected, match="robots_disallowed"):
        list_entries(f"{site.base}/film.mp4", 5, limits(site), polite)
    assert site.paths() == ["/robots.txt"], "it was kept for a day, for every process"
    made = tmp_path / "made"
    made.mkdir()
    assert download(f"{site.base}/film.mp4", made, "ko", limits(site), polite).path.exists()


def test_a_redirect_into_what_robots_close_is_not_followed(site: Site, tmp_path: Path) -> None:
    (site.folder / "robots.txt").write_text("User-agent: *\nDisallow: /film\n")
    site.moved["/open"] = "/film.mp4"
    assert reason_of(site, "/open", manners(tmp_path), robots=True) == "robots_disallowed"
    assert site.sent["/film.mp4"] == 0


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (500, False), (503, False), (429, False)]
)
def test_no_rules_allow_everything_and_a_host_that_cannot_tell_allows_nothing(
    site: Site, tmp_path: Path, status: int, allowed: bool
) -> None:
    site.always["/robots.txt"] = status
    if allowed:
        assert list_entries(f"{site.base}/film.mp4", 5, limits(site), manners(tmp_path))
    else:
        assert reason_of(site, "/film.mp4", manners(tmp_path, retries=0), robots=True) == "robots_disallowed"


def test_the_delay_that_robots_ask_for_is_kept(site: Site, tmp_path: Path) -> None:
    (site.folder / "robots.txt").write_text("User-agent: *\nCrawl-delay: 0.3\n")
    list_entries(f"{site.base}/film.mp4", 5, limits(site), manners(tmp_path))
    list_entries(f"{site.base}/film.mp4", 5, limits(site), manners(tmp_path))
    first, second = [one.at for one in site.asked if one.path == "/film.mp4"]
    assert second - first >= 0.28


def test_rules_are_asked_for_again_the_next_day_and_failures_sooner(tmp_path: Path, monkeypatch) -> None:
    asked: list[str] = []

    def fetch(address: str) -> Answer:
        asked.append(address)
        return Answer(200 if address.startswith("https://fine") else 503, "")

    now = time.time()
    for hours in (0, 1, 23, 25):
        monkeypatch.setattr(time, "time", lambda h=hours: now + h * 3600)
        robots = Robots(Hosts(Manners(tmp_path)), fetch)
        robots.require("https://fine.example/a?b")
        with pytest.raises(Rejected):
            robots.require("https://down.example/a")
    assert asked.count("https://fine.example/robots.txt") == 2
    assert asked.count("https://down.example/robots.txt") == 4


def test_huge_rules_are_read_up_to_a_limit_and_hostile_ones_in_no_time(site: Site, tmp_path: Path) -> None:
    stars = "User-agent: *\nDisallow: /" + "*a" * 1000 + "b\n"
    (site.folder / "robots.txt").write_text(stars * 500)
    started = time.monotonic()
    path = "/" + "a" * 2000
    reason = reason_of(site, path, manners(tmp_path), robots=True)
    assert reason == "download_failed"
    assert time.monotonic() - started < 10
