"""The gallery in a real browser: two videos in step, overlays over what was changed, keys, and nothing from outside."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from lake_of_pairs import DUB, HOSTILE_REF, HOSTILE_WORD, SECONDS, SUBTITLES, SWAP, VOICE
from numpy.typing import NDArray
from PIL import Image
from visiting import Visit

from haetae.lake import Lake
from haetae.params import FakeThresholds
from haetae.web.gallery import write_gallery

pytestmark = pytest.mark.browser

FRAME_S = 0.04
CHANGED_LUMA = 12
MIDDLE_FRAME = 27
"""The middle of the changed stretch, 0.4 to 1.8 s: what a player shows first."""


@pytest.fixture(scope="module")
def address(gallery_lake: Lake) -> str:
    return write_gallery(gallery_lake, FakeThresholds(max_flicker=5.0), {}).page.as_uri()


class Player:
    """One player on an open page."""

    def __init__(self, visit: Visit, fake_id: str) -> None:
        self.page = visit.page
        self.article = visit.page.locator(f"article[id='{fake_id}']")
        self.box = self.article.locator(".player")
        self.box.scroll_into_view_if_needed()
        self.page.wait_for_function(
            """(id) => [...document.getElementById(id).querySelectorAll('.medium')]
                .every((m) => m.readyState >= 3 && !m.seeking && m.currentTime > 0)""",
            arg=fake_id,
        )

    def times(self) -> list[float]:
        found: list[float] = self.box.evaluate(
            "(e) => [...e.querySelectorAll('.medium')].map((m) => m.currentTime)"
        )
        return found

    def paused(self) -> list[bool]:
        found: list[bool] = self.box.evaluate(
            "(e) => [...e.querySelectorAll('.medium')].map((m) => m.paused)"
        )
        return found

    def seek(self, to_s: float) -> None:
        self.box.locator(".seek").fill(f"{to_s:.2f}")
        self.settle()

    def settle(self) -> None:
        """Until the frames that were asked for are on the screen."""
        self.box.evaluate(
            """async (e) => {
                for (const m of e.querySelectorAll('.medium')) {
                    while (m.seeking || m.readyState < 2) await new Promise((done) => setTimeout(done, 10));
                }
                for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
            }"""
        )

    def gaps(self, n: int, every_ms: int) -> list[tuple[float, float]]:
        """Times of the fake, and how far the target is from it, n times while they run."""
        found: list[list[float]] = self.box.evaluate(
            """async (e, [n, every]) => {
                const [target, fake] = e.querySelectorAll('.medium'), found = [];
                for (let i = 0; i < n; i++) {
                    await new Promise((done) => setTimeout(done, every));
                    found.push([fake.currentTime, target.currentTime - fake.currentTime]);
                }
                return found;
            }""",
            [n, every_ms],
        )
        return [(at, gap) for at, gap in found]

    def run(self) -> list[tuple[float, float]]:
        """Play from the beginning for a while, and stop; what `gaps` found meanwhile."""
        self.seek(0.0)
        self.box.get_by_role("button", name="Play").click()
        self.page.wait_for_function(
            "(e) => e.querySelector('.medium').currentTime > 0.2", arg=self.box.element_handle()
        )
        found = self.gaps(12, 60)
        self.box.get_by_role("button", name="Pause").click()
        return found

    def picture(self, nth: int) -> NDArray[np.float32]:
        """What is on the screen of the target (0) or the fake (1): luma, float32 [H, W]."""
        shot = self.box.locator(".picture").nth(nth).screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("L"), np.float32)


def test_both_videos_show_the_same_moment_after_seeking(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, SWAP)
        assert player.times() == [pytest.approx((MIDDLE_FRAME + 0.5) * FRAME_S)] * 2
        for to_s in (0.0, 0.52, 1.96, 0.8):
            player.seek(to_s)
            target, fake = player.times()
            assert target == fake == pytest.approx(to_s + FRAME_S / 2, abs=FRAME_S / 2)
            assert player.box.get_attribute("data-frame") == str(round(to_s / FRAME_S))
        assert visit.troubles == []


@pytest.mark.parametrize(("sound", "speed"), [("fake", "0.5"), ("target", "0.25")])
def test_both_videos_run_in_step(browser: Any, address: str, sound: str, speed: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, SWAP)
        player.box.locator(".sound").select_option(sound)
        player.box.locator(".speed").select_option(speed)
        # On a machine that is busy with other work, one of two decoders may be kept waiting for a moment.
        for _ in range(3):
            found = player.run()
            if max(abs(gap) for _, gap in found) < FRAME_S:
                break
        else:
            pytest.fail(f"they are more than a frame apart: {found}")
        assert found[-1][0] - found[0][0] > 0.1
        player.settle()
        target, fake = player.times()
        assert target == fake > found[-1][0] - FRAME_S
        assert player.paused() == [True, True]
        muted = player.box.evaluate("(e) => [...e.querySelectorAll('.medium')].map((m) => m.muted)")
        assert muted == [sound != "target", sound != "fake"]
        assert visit.troubles == []


def test_one_that_was_left_behind_catches_up(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, SWAP)
        player.box.locator(".speed").select_option("0.25")
        player.seek(0.0)
        player.box.get_by_role("button", name="Play").click()
        visit.page.wait_for_function(
            "(e) => e.querySelector('.medium').currentTime > 0.1", arg=player.box.element_handle()
        )
        player.box.evaluate("(e) => { e.querySelector('.medium').currentTime += 0.6; }")
        found = player.gaps(12, 60)
        assert found[-1][0] < SECONDS - 0.7, "the clip had ended before it could be seen"
        assert abs(found[-1][1]) < FRAME_S, found


def test_they_end_together_and_begin_again(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, SWAP)
        player.seek(1.8)
        player.box.get_by_role("button", name="Play").click()
        play = player.box.get_by_role("button", name="Play")
        visit.page.wait_for_function(
            "(e) => [...e.querySelectorAll('.medium')].every((m) => m.paused && m.currentTime > 1.85)",
            arg=player.box.element_handle(),
        )
        play.wait_for()
        player.box.locator(".loop").check()
        play.click()
        visit.page.wait_for_function(
            "(e) => e.querySelector('.medium').currentTime < 1", arg=player.box.element_handle()
        )
        player.box.get_by_role("button", name="Pause").click()


def test_the_mask_lies_over_the_changed_pixels_and_can_be_switched_off(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, SWAP)
        player.settle()
        player.page.get_by_label("segments").uncheck()
        covered = player.picture(1)
        player.page.get_by_label("mask").uncheck()
        fake, target = player.picture(1), player.picture(0)
        overlay = np.abs(covered - fake) > 4
        height, width = fake.shape
        truth = np.zeros((height, width), np.uint8)
        centre = (round(80.5 / 192 * width), round(58.5 / 192 * height))
        cv2.ellipse(truth, centre, (round(30.5 / 192 * width), round(40.5 / 192 * height)), 0, 0, 360, 1, -1)
        # A pixel whose luma is that of the tint does not change: measured on the outside of what is found.
        hull = cv2.morphologyEx(overlay.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
        agree = np.count_nonzero(hull & truth) / np.count_nonzero(hull | truth)
        assert agree > 0.93
        changed = np.abs(fake - target) > CHANGED_LUMA
        assert np.count_nonzero(changed) > 0.2 * np.count_nonzero(truth)
        assert np.count_nonzero(changed & (hull > 0)) > 0.97 * np.count_nonzero(changed)
        player.seek(0.2)
        player.page.get_by_label("mask").check()
        assert player.box.locator("path.mask").get_attribute("d") == ""


def test_boxes_and_segments_are_shown_where_and_when_they_hold(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, DUB)
        boxes, chips = player.box.locator("path.boxes").last, player.box.locator(".now li")
        shown = "(e) => getComputedStyle(e).visibility"
        assert boxes.evaluate(shown) == "hidden"
        player.page.get_by_label("boxes").check()
        assert boxes.evaluate(shown) == "visible"
        around = boxes.evaluate(
            "(e) => { const b = e.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; }"
        )
        assert around == pytest.approx([50, 18, 111, 99], abs=2)
        assert chips.all_inner_texts() == ["video", "audio"]
        assert {chip.evaluate(shown) for chip in chips.all()} == {"visible"}
        player.seek(0.2)
        assert {chip.evaluate(shown) for chip in chips.all()} == {"hidden"}
        player.seek(0.8)
        player.page.get_by_label("segments").uncheck()
        assert {chip.evaluate(shown) for chip in chips.all()} == {"hidden"}


def test_the_keyboard_plays_steps_and_switches(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, SWAP)
        keys = visit.page.keyboard
        player.box.locator(".speed").select_option("0.25")
        player.box.focus()
        assert player.box.evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid"
        before = player.times()[0]
        keys.press("ArrowRight")
        player.settle()
        assert player.times() == [pytest.approx(before + FRAME_S)] * 2
        for key, box in (("m", "show-mask"), ("b", "show-box"), ("g", "show-now")):
            was = visit.page.locator(f"#{box}").is_checked()
            keys.press(key)
            assert visit.page.locator(f"#{box}").is_checked() != was
        keys.press("s")
        assert player.box.locator(".sound").input_value() == "target"
        keys.press(" ")
        visit.page.wait_for_function(
            "(e) => !e.querySelector('.medium').paused", arg=player.box.element_handle()
        )
        keys.press(" ")
        assert player.paused() == [True, True]
        player.box.locator(".seek").focus()
        keys.press("Home")
        player.settle()
        assert player.times() == [pytest.approx(FRAME_S / 2)] * 2
        keys.press("ArrowRight")
        player.settle()
        assert player.times() == [pytest.approx(1.5 * FRAME_S)] * 2
        # In a choice, letters choose.
        player.box.locator(".speed").focus()
        was = visit.page.locator("#show-mask").is_checked()
        keys.press("m")
        assert visit.page.locator("#show-mask").is_checked() == was


def test_the_timeline_is_a_place_to_seek_and_shows_where_one_is(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, VOICE)
        track = player.box.locator(".track").bounding_box()
        assert track is not None
        visit.page.mouse.click(track["x"] + 0.25 * track["width"], track["y"] + 10)
        player.settle()
        assert player.times() == [pytest.approx(0.25 * SECONDS, abs=FRAME_S)] * 2
        head = player.box.locator(".head").bounding_box()
        assert head is not None
        assert head["x"] + 1 - track["x"] == pytest.approx(
            0.25 * track["width"], abs=track["width"] * FRAME_S / SECONDS
        )
        lanes = player.box.locator(".lanes th").all_inner_texts()
        assert lanes == ["audio", "target sound", "fake sound", "words", "seconds"]
        assert player.box.locator(".wave .shade").count() == 2


def test_words_are_marked_as_they_are_spoken_and_where_they_differ(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        player = Player(visit, SUBTITLES)
        assert player.box.locator("del").all_inner_texts() == ["மழை"]
        assert player.box.locator("ins").all_inner_texts() == [HOSTILE_WORD]
        player.seek(0.0)
        assert player.box.locator(".spoken").all_inner_texts() == ["இன்று", "இன்று"]
        assert player.box.locator(".what").all_inner_texts() == ["subtitles", "subtitles"]
        assert HOSTILE_REF in player.article.inner_text()
        assert visit.troubles == []


def test_the_page_asks_for_nothing_but_the_files_of_the_store(
    browser: Any, address: str, gallery_lake: Lake
) -> None:
    with Visit(browser, address) as visit:
        for fake_id in (SWAP, DUB, SUBTITLES, VOICE):
            Player(visit, fake_id)
        store = Path(gallery_lake.root).as_uri()
        assert all(
            url.startswith((f"{store}/media/", f"{store}/gallery/index.html")) for url in visit.requests
        )
        blocked = visit.page.evaluate(
            """async () => {
                const seen = [];
                document.addEventListener('securitypolicyviolation', (e) => seen.push(e.effectiveDirective));
                const script = document.createElement('script');
                script.textContent = 'window.injected = true';
                const image = document.createElement('img');
                image.src = 'https://127.0.0.1:9/x.png';
                const video = document.createElement('video');
                video.src = 'https://127.0.0.1:9/x.mp4';
                document.body.append(script, image, video);
                await fetch('https://127.0.0.1:9/').catch(() => 0);
                await new Promise((done) => setTimeout(done, 300));
                return [seen.sort(), typeof window.injected];
            }"""
        )
        assert blocked == [["connect-src", "img-src", "media-src", "script-src-elem"], "undefined"]


def test_nothing_is_fetched_before_it_can_be_seen(browser: Any, address: str) -> None:
    with Visit(browser, address, viewport={"width": 1280, "height": 400}) as visit:
        visit.page.wait_for_timeout(300)
        lazy = visit.page.locator(".player").last.evaluate("(e) => e.querySelector('.medium').readyState")
        assert lazy == 0


def test_the_filter_shows_what_was_chosen(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        assert len(visit.shown()) == 4
        visit.page.get_by_label("over a threshold only").check()
        assert visit.shown() == [("mesh_swap@1.0", "ko")]
        assert "quality.fakes.max_flicker is 5" in visit.page.locator(f"article[id='{SWAP}']").inner_text()
        visit.page.get_by_label("Language", exact=True).select_option("ta")
        assert visit.page.locator("#none").is_visible()
        visit.page.get_by_role("button", name="Show all").click()
        visit.page.wait_for_function("document.getElementById('shown').textContent === '4 of 4 shown'")


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_the_page_fits_the_screen(browser: Any, address: str, width: int, scheme: str) -> None:
    with Visit(browser, address, viewport={"width": width, "height": 844}, color_scheme=scheme) as visit:
        visit.page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        assert visit.overflow_px() <= 0
        sides = visit.page.evaluate(
            """() => [...document.querySelectorAll('article video')].map((v) => v.getBoundingClientRect())
                .map((b) => [b.left, b.top, b.width])"""
        )
        for (left, top, wide), (right, also, as_wide) in zip(sides[::2], sides[1::2], strict=True):
            assert (top, wide) == pytest.approx((also, as_wide), abs=0.1)
            assert left + wide <= right
        targets = visit.page.evaluate(
            """() => [...document.querySelectorAll('.controls button, .controls select')]
                .map((e) => Math.min(e.clientWidth, e.clientHeight))"""
        )
        assert min(targets) >= 24


def test_without_javascript_every_medium_has_its_own_controls(browser: Any, address: str) -> None:
    with Visit(browser, address, java_script_enabled=False) as visit:
        assert visit.page.locator("article").count() == 4
        assert visit.page.locator(".medium[controls]").count() == 8
        assert not visit.page.locator(".controls").first.is_visible()


def test_everything_that_can_be_used_has_a_name(browser: Any, address: str) -> None:
    with Visit(browser, address) as visit:
        unnamed = visit.page.evaluate(
            """() => [
                ...[...document.querySelectorAll('button')].filter((b) => !(b.textContent.trim() || b.ariaLabel)),
                ...[...document.querySelectorAll('select, input')].filter((i) => !i.labels.length && !i.ariaLabel),
                ...document.querySelectorAll('.medium:not([aria-label]), svg[role=img]:not([aria-label])'),
            ].length"""
        )
        levels = visit.page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3')].map((h) => Number(h.tagName[1]))"
        )
        assert unnamed == 0
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
