"""The report page as a file: what it says, when it is written, and that it is all or nothing."""

from __future__ import annotations

import hashlib
import html
import re
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lake_of_fakes import HOSTILE_TITLE, NOW, row

from haetae.errors import UsageError
from haetae.evaluation.metrics import auc
from haetae.lake import Lake, Lineage
from haetae.web import contents
from haetae.web.pairs import choose_pairs
from haetae.web.report import write_report

BY = Lineage("test", "run-test", "0.1.0")


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def copied(lake: Lake, parent: Path, name: str = "demo-lake") -> Lake:
    shutil.copytree(lake.root, parent / name, ignore=shutil.ignore_patterns("report"))
    return Lake(parent / name)


def refuse(lake: Lake, detail: str) -> None:
    failed = row("quarantine", item_id="late", stage="clips", reason="too_short", detail=detail)
    lake.write("quarantine", "late", [failed], BY)


def test_the_page_stands_in_the_lake_with_its_pictures(filled_lake: Lake) -> None:
    page = write_report(filled_lake)
    assert page == Path(filled_lake.root) / "report" / "index.html"
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r'src="([^"]+)"', text))
    assert len(named) > 40
    assert {f"img/{p.name}" for p in (page.parent / "img").iterdir()} == named


def test_every_fake_is_there_with_its_captions_in_four_languages(filled_lake: Lake) -> None:
    text = write_report(filled_lake).read_text(encoding="utf-8")
    shown = Counter(re.findall(r'<article data-generator="([^"]+)" data-language="([^"]+)"', text))
    made = Counter((f["generator"], f["language"]) for f in filled_lake.rows("fakes"))
    assert shown == made
    for label in filled_lake.rows("labels"):
        if label["verdict"] == "fake":
            for sentence in label["captions"].values():
                assert html.escape(sentence) in text


def test_a_caption_tells_of_each_change_once(filled_lake: Lake, tmp_path: Path) -> None:
    lake = copied(filled_lake, tmp_path)
    fake = lake.rows("fakes", ("b1", "mesh_swap@1.0"))[0]

    def said(modality: str, sentence: str, verdict: str = "fake") -> dict[str, Any]:
        captions = dict.fromkeys(("ko", "en", "ms", "ta"), sentence)
        given = {"evidence": "construction", "author": "a", "labelled_at": NOW, "captions": captions}
        return row("labels", sample_id=fake["fake_id"], modality=modality, verdict=verdict, **given)

    changed = [said("audio", "both, 0 to 1"), said("video", "both, 0 to 2"), said("sync", "lips apart")]
    for labels, expected in (
        (changed, ("both, 0 to 2", "lips apart")),
        ([said("audio", "voice"), said("video", "nothing", "real")], ("voice",)),
        ([said("video", "nothing", "real")], ()),
    ):
        lake.write("labels", ("b1", "mesh_swap@1.0"), labels, BY)
        pairs = {p.fake_id: p for p in choose_pairs(lake, contents.standing(lake), 12)}
        captions = pairs[fake["fake_id"]].captions
        assert captions.get("ta", ()) == expected


def test_nothing_is_written_when_nothing_changed(filled_lake: Lake, tmp_path: Path) -> None:
    lake = copied(filled_lake, tmp_path)
    page = write_report(lake, max_pairs=5)
    before = {p: p.stat().st_mtime_ns for p in [page.parent, *page.parent.rglob("*")]}
    assert write_report(lake, max_pairs=5) == page
    assert {p: p.stat().st_mtime_ns for p in [page.parent, *page.parent.rglob("*")]} == before


def test_a_new_row_or_a_lost_picture_makes_the_page_anew(filled_lake: Lake, tmp_path: Path) -> None:
    lake = copied(filled_lake, tmp_path)
    page = write_report(lake, max_pairs=5)
    first = tree(page.parent)
    refuse(lake, "shorter than 3 s, told late")
    write_report(lake, max_pairs=5)
    assert "told late" in page.read_text(encoding="utf-8")
    next((page.parent / "img").iterdir()).unlink()
    write_report(lake, max_pairs=5)
    assert set(tree(page.parent)) == set(first)


def test_the_same_lake_gives_the_same_bytes(filled_lake: Lake, tmp_path: Path) -> None:
    lakes = [copied(filled_lake, tmp_path / name) for name in ("one", "two")]
    assert tree(write_report(lakes[0], max_pairs=5).parent) == tree(
        write_report(lakes[1], max_pairs=5).parent
    )


def test_two_writers_at_once_leave_one_whole_page(filled_lake: Lake, tmp_path: Path) -> None:
    lake = copied(filled_lake, tmp_path)
    pages: list[Path] = []
    writers = [
        threading.Thread(target=lambda: pages.append(write_report(lake, max_pairs=3))) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(pages) == 2
    named = set(re.findall(r'src="([^"]+)"', pages[0].read_text(encoding="utf-8")))
    assert all((pages[0].parent / name).is_file() for name in named)
    assert list((tmp_path / "demo-lake" / "tmp").iterdir()) == []


def test_a_failure_leaves_the_old_page_and_no_litter(filled_lake: Lake, tmp_path: Path) -> None:
    lake = copied(filled_lake, tmp_path)
    page = write_report(lake, max_pairs=5)
    before = tree(page.parent)
    refuse(lake, "changes the input")
    table = tmp_path / "demo-lake" / "tables" / "edges" / "media~b1.parquet"
    table.write_bytes(table.read_bytes()[:-200] + b"\0" * 200)
    with pytest.raises(Exception):  # noqa: B017 - whichever layer meets the damaged file first
        write_report(lake, max_pairs=5)
    assert tree(page.parent) == before
    assert list((tmp_path / "demo-lake" / "tmp").iterdir()) == []


def test_hostile_texts_are_escaped_and_the_page_loads_nothing_from_elsewhere(
    filled_lake: Lake, tmp_path: Path
) -> None:
    lake = copied(filled_lake, tmp_path, name="<b>lake & co")
    text = write_report(lake).read_text(encoding="utf-8")
    assert str(html.escape(HOSTILE_TITLE)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    assert "<script>alert" not in text
    assert "<script>window" not in text
    assert "&lt;b&gt;lake &amp; co" in text
    assert "\0" not in text
    assert len(re.findall(r"<script", text)) == 1
    assert not re.search(r"""(?:src|href|action)=["']?(?:[a-z]+:|//)""", text)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src &#39;none&#39;")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_lost_media_cost_a_sentence_and_not_the_page(filled_lake: Lake, tmp_path: Path) -> None:
    lake = copied(filled_lake, tmp_path)
    fakes = lake.rows("fakes")
    by_generator = {f["generator"]: f for f in fakes}
    lost, masks_blob = by_generator["mesh_swap@1.0"], by_generator["espeak_viseme@1.0"]["masks_blob"]
    lake.open_local(lost["blob_id"]).unlink()
    lake.open_local(masks_blob).write_bytes(b"no npz")
    without_masks = [f for f in fakes if f["masks_blob"] == masks_blob and f["fake_id"] != lost["fake_id"]]
    sound = by_generator["espeak_tts@1.0"]
    twin = next(c for c in lake.rows("clips") if c["clip_id"] == sound["pair_id"])
    lake.open_local(twin["blob_id"]).write_bytes(b"no sound")
    text = write_report(lake).read_text(encoding="utf-8")
    assert text.count("The fake cannot be shown") == 1
    assert text.count("The masks cannot be shown: bad_masks") == len(without_masks)
    assert text.count("The sound of the untouched clip cannot be shown") == 1
    assert len(re.findall("<article", text)) == len(fakes)


def test_an_empty_lake_has_a_page_that_says_what_to_do(tmp_path: Path) -> None:
    text = write_report(Lake(tmp_path / "new")).read_text(encoding="utf-8")
    assert "No snapshot has been frozen yet." in text
    assert "No fakes have been made yet." in text
    assert "haetae run" in text
    assert "Nothing is in quarantine." in text


def test_a_lake_that_is_not_on_a_local_disk_is_refused() -> None:
    with pytest.raises(UsageError, match="local disk"):
        write_report(Lake("memory://somewhere"))


def test_few_places_are_dealt_evenly_over_generators_and_languages(filled_lake: Lake) -> None:
    standing = contents.standing(filled_lake)
    pairs = choose_pairs(filled_lake, standing, 12)
    assert len({(p.fake["generator"], p.fake["language"]) for p in pairs}) == 12
    assert len(choose_pairs(filled_lake, standing, 5)) == 5
    pictures_first = ["video" in p.fake["modalities"] for p in pairs]
    assert pictures_first == sorted(pictures_first, reverse=True)


def test_scored_fakes_come_before_unscored_ones(filled_lake: Lake, tmp_path: Path) -> None:
    lake = copied(filled_lake, tmp_path)
    fakes = lake.rows("fakes", ("b1", "mesh_swap@1.0"))
    fakes.append({**fakes[0], "fake_id": "fake-aaa-unscored"})
    lake.write("fakes", ("b1", "mesh_swap@1.0"), fakes, BY)
    standing = contents.standing(lake)
    assert "fake-aaa-unscored" not in {p.fake_id for p in choose_pairs(lake, standing, 12)}
    assert "fake-aaa-unscored" in {p.fake_id for p in choose_pairs(lake, standing, 13)}


def test_the_curve_is_that_of_the_scores_in_the_scorecard(filled_lake: Lake) -> None:
    standing = contents.standing(filled_lake)
    curves = contents.roc_curves(filled_lake, standing, contents.scorecard(filled_lake, standing))
    assert [c.protocol for c in curves] == ["sample", "video", "audio", "sync"]
    scores = {p["sample_id"]: p["score"] for p in filled_lake.rows("predictions")}
    samples = filled_lake.rows("samples")
    expected = auc([s["verdict"] == "fake" for s in samples], [scores[s["sample_id"]] for s in samples])
    area = sum((b - a) * (c + d) / 2 for a, b, c, d in _steps(curves[0]))
    assert curves[0].auc is not None
    assert (curves[0].fakes, curves[0].reals) == tuple(
        sum(s["verdict"] == verdict for s in samples) for verdict in ("fake", "real")
    )
    assert area == pytest.approx(expected)
    assert curves[0].auc.value == pytest.approx(expected)


def _steps(curve: contents.Curve) -> list[tuple[float, float, float, float]]:
    return list(zip(curve.fpr, curve.fpr[1:], curve.tpr, curve.tpr[1:], strict=False))


def test_labels_are_counted_once_per_sample_and_modality(filled_lake: Lake) -> None:
    rows = {(r.language, r.family): r for r in contents.label_counts(filled_lake)}
    assert rows["ko", "untouched"].samples == 2
    assert rows["ko", "untouched"].counts == {
        ("video", "real"): 1,
        ("audio", "real"): 2,
        ("sync", "real"): 1,
    }
    assert rows["ta", "combination"].counts["audio", "fake"] == 1
    assert sum(r.samples for r in rows.values()) == len(filled_lake.rows("clips")) + len(
        filled_lake.rows("fakes")
    )


def _with_models(lake: Lake, chain: list[tuple[str, str | None, bool]]) -> Lake:
    """One snapshot, model and gate decision for each (model, champion before, promoted), in this order."""
    for i, (model_id, previous, promoted) in enumerate(chain):
        snapshot_id = f"s-{i}"
        at = NOW.replace(day=1 + i)
        values: list[tuple[str, dict[str, Any]]] = [
            ("snapshots", {"created_at": at, "n": 10 + i}),
            ("models", {"model_id": model_id, "trained_at": at, "threshold": 0.5}),
            (
                "promotions",
                {
                    "promotion_id": f"p-{i}",
                    "model_id": model_id,
                    "promoted": promoted,
                    "previous_model_id": previous,
                    "reasons": ["pass: overall AUC 0.9", "FAIL: slice language=ta lost 0.2"],
                },
            ),
            ("evaluations", _auc(model_id, 0.6 + i / 10)),
        ]
        for table, given in values:
            lake.write(table, snapshot_id, [row(table, snapshot_id=snapshot_id, **given)], BY)
    return lake


def _auc(model_id: str, value: float) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "protocol": "sample",
        "slice": "all",
        "metric": "auc",
        "value": value,
        "ci_low": value - 0.05,
        "ci_high": value + 0.05,
        "n": 40,
    }


def test_a_refused_candidate_is_reported_and_the_champion_stays(tmp_path: Path) -> None:
    lake = _with_models(
        Lake(tmp_path / "l"), [("m-1", None, True), ("m-2", "m-1", True), ("m-3", "m-2", False)]
    )
    standing = contents.standing(lake)
    assert standing.model is not None
    assert (standing.model.model_id, standing.is_champion) == ("m-2", True)
    text = write_report(lake).read_text(encoding="utf-8")
    assert "Not promoted" in text
    assert "slice language=ta lost 0.2" in text
    assert "0.700" in text, "the AUC of m-2"


def test_a_model_promoted_again_after_its_successor_is_the_champion(tmp_path: Path) -> None:
    lake = _with_models(
        Lake(tmp_path / "l"), [("m-1", None, True), ("m-2", "m-1", True), ("m-1", "m-2", True)]
    )
    model = contents.standing(lake).model
    assert model is not None
    assert model.model_id == "m-1"


def test_without_a_champion_the_newest_candidate_is_shown_as_such(tmp_path: Path) -> None:
    lake = _with_models(Lake(tmp_path / "l"), [("m-1", None, False), ("m-2", None, False)])
    standing = contents.standing(lake)
    assert standing.model is not None
    assert (standing.model.model_id, standing.is_champion) == ("m-2", False)
    assert "No model has been promoted" in write_report(lake).read_text(encoding="utf-8")


def test_a_champion_scored_again_is_shown_on_the_newest_snapshot(tmp_path: Path) -> None:
    lake = _with_models(Lake(tmp_path / "l"), [("m-1", None, True), ("m-2", "m-1", False)])
    both = [
        row("evaluations", snapshot_id="s-1", **_auc("m-1", 0.88)),
        row("evaluations", snapshot_id="s-1", **_auc("m-2", 0.7)),
    ]
    lake.write("evaluations", "s-1", both, BY)
    standing = contents.standing(lake)
    (shown,) = contents.scorecard(lake, standing)
    assert standing.scored_on == "s-1"
    assert shown.metrics["auc"].value == 0.88
