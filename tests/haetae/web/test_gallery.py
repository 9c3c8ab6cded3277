"""The gallery as a file: where it may stand, what it says of a fake, and the drawings over its videos."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from lake_of_pairs import DUB, HOSTILE_REF, HOSTILE_WORD, SUBTITLES, SWAP, VOICE
from markupsafe import escape
from numpy.typing import NDArray
from typer.testing import CliRunner

from dagster_project.cli.main import app
from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.params import FakeThresholds
from haetae.web.exhibits import Exhibit
from haetae.web.gallery import page_of, write_gallery
from haetae.web.outlines import MAX_POINTS, box_paths, outline
from haetae.web.wording import wording

STRICT = FakeThresholds(max_flicker=5.0)
CARDS = {
    "mesh_swap@1.0": {
        "description": "warps <b>faces</b>", "intended_use": "tests", "family": "face_swap", "profile": "embedded",
        "modalities": ["video"], "licence": "Apache-2.0", "weights": [], "paper": None,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def shown(gallery_lake: Lake) -> dict[str, Exhibit]:
    return {one.pair.fake_id: one for one in write_gallery(gallery_lake, STRICT, CARDS).exhibits}


def words(*texts: str) -> list[dict[str, Any]]:
    return [{"word": text, "start_s": i, "end_s": i + 0.9} for i, text in enumerate(texts)]


def said(side: Any) -> str:
    return " ".join(f"[{word.text}]" if word.changed else word.text for word in side)


def test_it_stands_in_the_lake_readable_by_its_owner_and_plays_the_files_where_they_lie(
    gallery_lake: Lake,
) -> None:
    made = write_gallery(gallery_lake, STRICT, CARDS)
    assert made.page == Path(gallery_lake.root) / "gallery" / "index.html"
    assert made.page.stat().st_mode & 0o077 == 0
    assert [p.name for p in made.page.parent.iterdir()] == ["index.html"]
    text = made.page.read_text(encoding="utf-8")
    played = re.findall(r'<(?:video|audio)[^>]* src="([^"]+)"', text)
    assert len(played) == 2 * made.of == 8
    for source in played:
        blob = (made.page.parent / source).resolve()
        assert blob.is_file()
        assert blob.is_relative_to(Path(gallery_lake.root) / "media")
    assert re.search(r'role="note"><b>Internal\.</b>', text)


def test_equal_lakes_give_equal_bytes_also_in_another_place(gallery_lake: Lake, tmp_path: Path) -> None:
    other = Lake(shutil.copytree(gallery_lake.root, tmp_path / "elsewhere" / "a store"))
    pages = [write_gallery(lake, STRICT, CARDS).page for lake in (gallery_lake, other)]
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert str(tmp_path) not in pages[1].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "place",
    [
        "{tmp}/page.html",
        "{lake}/page.html",
        "{lake}/gallery/../page.html",
        "{lake}/media/x.html",
        "{lake}/gallery/page.txt",
        "{lake}/gallery",
    ],
)
def test_no_page_of_unmarked_files_stands_outside_the_gallery(
    gallery_lake: Lake, tmp_path: Path, place: str
) -> None:
    out = Path(place.format(tmp=tmp_path, lake=gallery_lake.root))
    with pytest.raises(UsageError, match="carry no mark and stay in the store"):
        write_gallery(gallery_lake, STRICT, CARDS, out=out)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_leads_out_of_the_store_is_another_place(gallery_lake: Lake, tmp_path: Path) -> None:
    lake = Lake(
        shutil.copytree(gallery_lake.root, tmp_path / "lake", ignore=shutil.ignore_patterns("gallery"))
    )
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", tmp_path / "lake" / "gallery")
    with pytest.raises(UsageError, match="stay in the store"):
        write_gallery(lake, STRICT, CARDS)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_choice_has_a_page_of_its_own_and_that_of_the_whole_lake_stays(
    gallery_lake: Lake, tmp_path: Path
) -> None:
    lake = Lake(
        shutil.copytree(gallery_lake.root, tmp_path / "lake", ignore=shutil.ignore_patterns("gallery"))
    )
    folder = Path(lake.root) / "gallery"
    whole = write_gallery(lake, STRICT, CARDS).page
    before = whole.read_bytes()
    swaps = write_gallery(lake, STRICT, CARDS, generator="mesh_swap")
    assert (whole.name, swaps.page) == ("index.html", folder / "mesh_swap.html")
    assert write_gallery(lake, STRICT, CARDS, language="ta").page == folder / "ta.html"
    (language,) = {one.pair.fake["language"] for one in swaps.exhibits}
    both = write_gallery(lake, STRICT, CARDS, generator="mesh_swap@1.0", language=language)
    assert both.page == folder / f"mesh_swap@1.0-{language}.html"
    assert whole.read_bytes() == before
    assert page_of("../x/y", "a b") == "_x_y-a_b.html", "no name leads elsewhere"


def test_it_shows_what_was_asked_for(gallery_lake: Lake) -> None:
    out = Path(gallery_lake.root) / "gallery" / "deeper" / "tamil.html"
    made = write_gallery(gallery_lake, STRICT, CARDS, out=out, language="ta")
    assert (made.page, made.of) == (out, 1)
    assert [one.pair.fake_id for one in made.exhibits] == [SUBTITLES]
    source = re.findall(r'<video[^>]* src="([^"]+)"', out.read_text(encoding="utf-8"))[0]
    assert (out.parent / source).is_file()
    for named in ("mesh_swap", "mesh_swap@1.0"):
        found = write_gallery(gallery_lake, STRICT, CARDS, out=out, generator=named)
        assert [one.pair.fake_id for one in found.exhibits] == [SWAP]
    few = write_gallery(gallery_lake, STRICT, CARDS, out=out, n=2)
    assert (len(few.exhibits), few.of) == (2, 4)
    shutil.rmtree(out.parent)
    with pytest.raises(UsageError, match="no fake of generator nobody and language ko"):
        write_gallery(gallery_lake, STRICT, CARDS, generator="nobody", language="ko")


def test_a_figure_over_a_threshold_is_marked_and_the_others_are_not(shown: dict[str, Exhibit]) -> None:
    marked = {name: [f.column for f in one.figures if f.missed] for name, one in shown.items()}
    assert marked == {SWAP: ["flicker"], DUB: [], SUBTITLES: [], VOICE: []}
    assert [str(miss) for miss in shown[SWAP].missed] == ["flicker 9.5, quality.fakes.max_flicker is 5"]
    assert shown[SWAP].left_out == ("missed_max_flicker", "flicker 9.5, quality.fakes.max_flicker is 5")
    flicker = next(f for f in shown[DUB].figures if f.column == "flicker")
    assert (flicker.value, flicker.bounds) == (1.5, (("≤ 5", "quality.fakes.max_flicker"),))


def test_words_that_differ_are_marked_on_both_sides(shown: dict[str, Exhibit]) -> None:
    assert said(shown[SUBTITLES].wording.before) == "இன்று [மழை] பெய்கிறது"
    assert said(shown[SUBTITLES].wording.after) == f"இன்று [{HOSTILE_WORD}] பெய்கிறது"
    assert not shown[SWAP].wording.is_changed
    # What the generator did not make is still said, outside the stretch that it changed.
    assert said(shown[DUB].wording.before) == "오늘 [점심은] [떡볶이] [먹으러] [갈까요]"
    assert said(shown[DUB].wording.after) == "오늘 [라면]"


def test_a_word_put_in_or_taken_out_moves_no_other_word() -> None:
    put_in = wording(words("this", "is", "true"), words("this", "is", "not", "true"), [(0.0, 4.0)])
    assert (said(put_in.before), said(put_in.after)) == ("this is true", "this is [not] true")
    taken_out = wording(words("not", "so"), words("so"), [(0.0, 2.0)])
    assert (said(taken_out.before), said(taken_out.after)) == ("[not] so", "so")
    assert wording(words("a"), [], []) == wording(words("a"), words("a"), [])


def test_the_page_tells_card_origin_and_text_without_letting_them_be_markup(gallery_lake: Lake) -> None:
    text = write_gallery(gallery_lake, STRICT, CARDS).page.read_text(encoding="utf-8")
    assert str(escape(CARDS["mesh_swap@1.0"]["description"])) in text
    assert "dubbed@1.0 is not installed here" in text
    for outside in (HOSTILE_WORD, HOSTILE_REF):
        assert str(escape(outside)) in text
        assert outside not in text
    assert "clip-ta-0" in re.search(r"<dt>donor</dt>(.*?)</div>", text, re.DOTALL).group(1)  # type: ignore[union-attr]
    # Only what the page brought itself may run; data stand in scripts of another type.
    assert len(re.findall(r"<script>", text)) == 1
    assert "−0.000" not in text
    assert "-0.000" not in text


def test_what_is_lost_is_told_and_the_rest_is_shown(gallery_lake: Lake, tmp_path: Path) -> None:
    lake = Lake(shutil.copytree(gallery_lake.root, tmp_path / "lake"))
    fake = next(f for f in lake.rows("fakes") if f["fake_id"] == DUB)
    lake.open_local(fake["blob_id"]).unlink()
    lake.open_local(fake["masks_blob"]).write_bytes(b"PK\3\4 no masks")
    made = {one.pair.fake_id: one for one in write_gallery(lake, STRICT, CARDS).exhibits}
    told = " ".join(made[DUB].problems)
    assert "no longer in the lake" in told
    assert "masks cannot be shown" in told
    assert "waveform of the fake sound cannot be shown" in told
    assert made[DUB].target.path is not None
    # The swap of the same target has the very same mask.
    assert made[VOICE].problems == ()


@pytest.mark.parametrize("kind", ["disc", "ring", "pixel", "corner"])
def test_an_outline_covers_just_the_changed_pixels(kind: str) -> None:
    mask = drawn(kind)
    found = painted(outline(mask), mask.shape)
    both, either = np.count_nonzero(found & mask), np.count_nonzero(found | mask)
    assert both / either > (0.97 if mask.sum() > 100 else 0.99)


def test_no_frame_costs_more_than_some_hundred_points() -> None:
    dust = np.random.default_rng(0).random((240, 320)) > 0.5
    assert outline(dust).count(" ") <= 2 * MAX_POINTS
    assert outline(np.zeros((8, 8), np.bool_)) == ""


def test_boxes_are_drawn_in_their_frames() -> None:
    region = {"track_id": "t", "first_frame": 1, "boxes": [[1.0, 2.0, 11.0, 22.0], []]}
    assert box_paths([region], 3) == ["", "M1 2H11V22H1Z", ""]


def test_the_command_says_where_the_page_is_and_what_is_on_it(gallery_lake: Lake, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--lake", str(gallery_lake.root), "gallery", "--n", "9", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert Path(told["page"]).is_file() and Path(told["page"]).name == "index.html"
    swaps = CliRunner().invoke(app, ["--lake", str(gallery_lake.root), "gallery", "--generator", "mesh_swap"])
    page = Path(swaps.stdout.strip())
    assert (page.name, page.is_file()) == ("mesh_swap.html", True)
    page.unlink()
    assert told["of"] == len(told["fakes"]) == 4
    swap = next(one for one in told["fakes"] if one["fake_id"] == SWAP)
    assert swap["segments"] == {"video": [[0.4, 1.8]]}
    assert swap["quality"]["flicker"] == 9.5
    assert swap["left_out"] == "missed_max_flicker"
    knobs = tmp_path / "params.yaml"
    knobs.write_text("quality: {fakes: {max_flicker: 9}}")
    strict = ["--lake", str(gallery_lake.root), "--params", str(knobs), "gallery", "--n", "9"]
    said = CliRunner().invoke(app, strict).stderr
    assert "4 of 4 fakes, 1 missing a threshold of quality.fakes (max_flicker ×1)" in said


def drawn(kind: str) -> NDArray[np.bool_]:
    mask = np.zeros((120, 160), np.uint8)
    if kind in ("disc", "ring"):
        cv2.circle(mask, (80, 60), 40, 1, -1)
    if kind == "ring":
        cv2.circle(mask, (80, 60), 20, 0, -1)
    if kind == "pixel":
        mask[60, 80] = 1
    if kind == "corner":
        mask[:30, :50] = 1
    return mask.astype(bool)


def painted(path: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The path filled by the even-odd rule with a stroke of one pixel, as a browser paints it."""
    found = np.zeros(shape, np.uint8)
    edge = np.zeros(shape, np.uint8)
    for part in re.findall(r"M(\d+) (\d+)(?:l([^Z]*)|h0)Z", path):
        at = np.array([int(part[0]), int(part[1])])
        steps = np.array(part[2].split(), int).reshape(-1, 2) if part[2] else np.zeros((0, 2), int)
        points = np.cumsum(np.vstack([at, steps]), axis=0).astype(np.int32)
        one = np.zeros(shape, np.uint8)
        cv2.fillPoly(one, [points], 1)
        found ^= one
        cv2.polylines(edge, [points], isClosed=True, color=1)
    return (found | edge).astype(bool)
