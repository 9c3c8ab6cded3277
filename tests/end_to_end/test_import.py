"""`haetae import`: the inventory first, then rows; what is stated reaches the labels; the second time nothing."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.conftest import Haetae
from tests.haetae.media.broken import make, picture, sound

pytestmark = pytest.mark.slow

LABELS = """
SELECT i.item_key, l.modality, l.verdict, l.segments, l.boxes, l.evidence, l.author, c.start_s
FROM labels l JOIN clips c ON c.clip_id = l.sample_id JOIN media m USING (media_id) JOIN imports i USING (item_id)
ORDER BY i.item_key, c.start_s, l.modality
"""


@pytest.fixture(scope="module")
def faceforensics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two originals and both of their swaps, one with a mask, and a file that no list knows."""
    root = tmp_path_factory.mktemp("ff")
    originals = root / "original_sequences/youtube/c23/videos"
    fakes = root / "manipulated_sequences/Deepfakes/c23/videos"
    masks = root / "manipulated_sequences/Deepfakes/masks/videos"
    for folder in (originals, fakes, masks, root / "splits"):
        folder.mkdir(parents=True)
    for k, path in enumerate([*(originals / f"{n}.mp4" for n in ("071", "054")), fakes / "071_054.mp4"]):
        make(path, picture("160x120", 3.2), "-vf", f"hue=h={40 * k}")
    make(
        masks / "071_054.mp4",
        ["-f", "lavfi", "-i", "color=black:s=160x120:d=3.2"],
        "-vf",
        "drawbox=40:30:60:50:white:fill",
    )
    (fakes / "054_071.mp4").write_bytes(b"")
    for split, pairs in {"train": [["071", "054"]], "val": [], "test": []}.items():
        (root / f"splits/{split}.json").write_text(json.dumps(pairs))
    return root


@pytest.fixture(scope="module")
def lav_df(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds, in which the sound of the second second was replaced, and what it was made from."""
    root = tmp_path_factory.mktemp("lavdf")
    (root / "dev").mkdir()
    make(root / "dev/000001.mp4", picture("160x120", 12), sound(12))
    make(root / "dev/000002.mp4", picture("160x120", 12), sound(12, hz=700))
    common = {"split": "dev", "duration": 12.0, "modify_video": False}
    rows = [
        {"file": "dev/000001.mp4", "n_fakes": 0, "fake_periods": [], "original": None, "modify_audio": False, **common},
        {
            "file": "dev/000002.mp4", "n_fakes": 1, "fake_periods": [[1.0, 2.0]], "original": "dev/000001.mp4",
            "modify_audio": True, **common,
        },
    ]  # fmt: skip
    (root / "metadata.min.json").write_text(json.dumps(rows))
    return root


def labels(lake: Haetae) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in lake.sql(LABELS):
        found[row["item_key"].rsplit("/", 1)[-1]].append(row)
    return found


def test_an_inventory_tells_what_is_there_and_writes_nothing(faceforensics, haetae, tmp_path):
    lake = haetae(tmp_path / "lake")
    told = json.loads(lake("import", "FF++", faceforensics, "--inventory", "--json").stdout)
    assert told["entries"] == 3
    assert told["counts"]["video"] == {"fake": 1, "real": 2}
    assert told["findings"]["damaged"]["count"] == 1
    assert "054_071" in told["findings"]["damaged"]["examples"][0]["subject"]
    assert "terms of use" in told["terms"]["access"]
    shown = lake("import", "faceforensics", faceforensics, "--inventory").stdout
    assert "LicenseRef-FaceForensics" in shown
    assert not (tmp_path / "lake" / "tables").exists()


def test_an_import_reaches_its_labels_and_a_second_one_changes_nothing(
    faceforensics: Path, haetae: Callable[[Path], Haetae], tmp_path: Path
) -> None:
    lake = haetae(tmp_path / "lake")
    done = lake("import", "faceforensics", faceforensics)
    assert "The terms are not accepted" in done.stdout
    found = labels(lake)
    assert {name: [(r["modality"], r["verdict"]) for r in rows] for name, rows in found.items()} == {
        "071": [("video", "real")],
        "054": [("video", "real")],
        "071_054": [("video", "fake")],
    }
    fake = found["071_054"][0]
    assert (fake["evidence"], fake["author"]) == ("imported", "dataset:faceforensics")
    box = fake["boxes"][0]["boxes"][30]
    assert box == pytest.approx([40, 30, 100, 80], abs=2)
    before = lake.files("tables", "media")
    again = lake("import", "faceforensics", faceforensics)
    assert "0 new items in 0 batches" in again.stdout
    assert lake.files("tables", "media") == before
    (source,) = lake.sql("SELECT purposes, licence, kind FROM sources")
    assert source == {"purposes": [], "licence": "LicenseRef-FaceForensics", "kind": "dataset:faceforensics"}


@pytest.fixture(scope="module")
def accepted(faceforensics, haetae, tmp_path_factory) -> Haetae:
    """A lake to which a data set was declared whose terms were accepted, and nothing of it fetched."""
    lake = haetae(tmp_path_factory.mktemp("accepted") / "lake")
    lake("import", "faceforensics", faceforensics, "--accept-terms", "--declare-only")
    return lake


def test_accepting_the_terms_is_recorded_and_declaring_fetches_nothing(accepted):
    assert accepted.sql("SELECT count(*) AS n FROM media")[0]["n"] == 0
    assert accepted.sql("SELECT purposes FROM sources")[0]["purposes"] == ["training", "benchmark"]
    entries = json.loads(accepted("ledger", "show", "--json").stdout)
    assert [(one["kind"], one["subject"], one["decision"]) for one in entries] == [
        ("terms", "faceforensics", "accepted")
    ]


def test_declared_data_sets_run_with_the_graph_and_what_they_state_reaches_the_right_clip(
    accepted, lav_df, haetae, tmp_path
):
    source = {
        "id": "lavdf", "uri": str(lav_df), "kind": "dataset:lav-df", "language": "other", "licence": "CC-BY-NC-4.0",
        "consent": {"basis": "none"}, "purposes": ["training", "benchmark"],
    }  # fmt: skip
    shutil.copytree(accepted.lake, tmp_path / "lake")
    lake = haetae(tmp_path / "lake")
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump([source]))
    lake("run", "--sources", tmp_path / "sources.yaml", "--until", "original_labels")
    found = labels(lake)
    assert {row["verdict"] for row in found["000001.mp4"]} == {"real"}
    sound_of = [row for row in found["000002.mp4"] if row["modality"] == "audio"]
    assert [row["verdict"] for row in sound_of] == ["fake", "real"]
    assert sound_of[0]["segments"] == [{"start_s": 1.0, "end_s": 2.0}]
    assert {row["verdict"] for row in found["000002.mp4"] if row["modality"] == "video"} == {"real"}
    assert [row["verdict"] for row in found["071_054"]] == ["fake"], "what was declared before was fetched"

    lake("run", "--sources", tmp_path / "sources.yaml", "--until", "groups")
    splits = "SELECT DISTINCT split FROM groups JOIN clips USING (clip_id) WHERE source_id = 'faceforensics'"
    assert lake.sql(splits) == [{"split": "train"}], "the official split is kept"


def test_a_folder_of_another_layout_is_refused_with_what_was_expected(haetae, tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday/beach.mp4").write_bytes(b"x")
    said = haetae(tmp_path / "lake")("import", "celeb-df", tmp_path / "holiday", exits=2).stderr
    assert "Celeb-real" in said
    said = haetae(tmp_path / "lake")("import", "redface", tmp_path / "holiday", exits=2).stderr
    assert "mapping" in said
