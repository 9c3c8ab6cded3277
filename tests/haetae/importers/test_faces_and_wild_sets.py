"""Face pictures, scenes with several people, and what went round in 2024."""

from __future__ import annotations

from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.importers.registry import all_importers, find
from haetae.importers.tree import Tree
from tests.haetae.importers.planted import faults, inventory, labels, plant, video, write

R, F = "real", "fake"

# VGGFace2-HQ


@pytest.fixture(scope="module")
def vggface2_hq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("VGGFace2-HQ")
    plant(
        root,
        "VGGface2_None_norm_512_true_bygfpgan/n000002/0001_01.jpg",
        "VGGface2_None_norm_512_true_bygfpgan/n000002/0002_03.jpg",
        "VGGface2_None_norm_512_true_bygfpgan/n000003/0001_01.jpg",  # the same name, another person
        "VGGface2_None_norm_512_true_bygfpgan/n000003/0009_01.PNG",
        "docs/compare.png",
    )
    return root


def test_restored_pictures_have_people_and_no_verdict(vggface2_hq):
    taken = inventory("vggface2-hq", vggface2_hq)
    assert labels(taken) == dict.fromkeys(
        ("n000002/0001_01", "n000002/0002_03", "n000003/0001_01", "n000003/0009_01"), (None, None, None, None)
    )
    assert [entry.identities for entry in taken.entries] == [
        ("n000002",), ("n000002",), ("n000003",), ("n000003",),
    ]  # fmt: skip
    assert faults(taken) == {("unlabelled", "VGGFace2-HQ"), ("extra", "docs/compare.png")}


def test_masks_beside_the_pictures_are_not_taken_for_pictures(tmp_path):
    plant(tmp_path, "n000002/0001_01.jpg", "VGGface2_HQ_original_aligned_mask/n000002/0001_01.png")
    assert set(labels(inventory("vggface2-hq", tmp_path))) == {"n000002/0001_01"}


# FFIW10K


@pytest.fixture(scope="module")
def ffiw10k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("FFIW10K")
    plant(root, "source/train/a.mp4", "source/val/b.mp4", "target/val/d.mp4", "target/train/e.mp4")
    plant(root, "target_mask/train/e/000.png", "target_mask/train/e/001.png", "elsewhere/f.mp4")
    video(root, "target/train/a.mp4", 12)
    video(root, "target_mask/train/a.mp4", 12)
    video(root, "target/train/c.mp4", 12)
    video(root, "target_mask/train/c.mp4", 5)
    return root


def test_ffiw10k_gives_each_target_its_mask_and_pairs_nothing(ffiw10k):
    taken = inventory("ffiw10k", ffiw10k)
    assert labels(taken) == {
        "source/train/a": (R, None, None, "train"),
        "source/val/b": (R, None, None, "val"),
        "target/train/a": (F, None, None, "train"),
        "target/train/c": (F, None, None, "train"),
        "target/train/e": (F, None, None, "train"),
        "target/val/d": (F, None, None, "val"),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    assert by_key["target/train/a"].mask == "target_mask/train/a.mp4"
    assert by_key["target/train/e"].mask == "target_mask/train/e/"
    assert by_key["target/train/c"].mask is None, "a mask that is shorter than its video marks wrong frames"
    assert {entry.pair for entry in taken.entries} == {None}
    assert by_key["target/train/a"].family == "face_swap" and by_key["source/train/a"].family is None
    assert faults(taken) == {
        ("damaged", "target_mask/train/c.mp4"),
        ("missing", "target_mask/val/d.mp4"),
        ("extra", "elsewhere/f.mp4"),
    }


# Deepfake-Eval-2024


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("Deepfake-Eval-2024")
    write(
        root,
        "video-metadata-publish-with-links.csv",
        "Filename,Video Ground Truth,Audio Ground Truth,Finetuning Set,Language,link\n"
        "v1.mp4,Fake,Real,Train,Korean,https://example.org/?token=secret\n"
        "v2.mp4,Real,Unknown,Test,English,\n"
        "v3.mp4,Unknown,Fake,Test,English,\n"
        "v4.mp4,Fake,,Holdout,English,\n"
        "v404.mp4,Fake,,Test,English,\n",
    )
    write(
        root,
        "audio-metadata-publish-with-links.csv",
        "Filename,Audio Ground Truth,Finetuning Set,link\na1.mp3,Fake,train,\na2.mp3,Real,test,\n",
    )
    write(
        root,
        "image-metadata-publish.csv",
        "Filename,Ground Truth,Finetuning Set\ni1.jpg,Fake,test\n",
    )
    plant(root, *(f"video-data/v{number}.mp4" for number in (1, 2, 3, 4, 5)))
    plant(root, "audio-data/a1.mp3", "audio-data/a2.mp3", "image-data/i1.jpg")
    return root


def test_what_went_round_is_judged_by_kind_and_undecided_items_are_left_out(wild):
    taken = inventory("deepfake-eval-2024", wild)
    assert labels(taken) == {
        "video/v1.mp4": (F, R, None, "train"),
        "video/v2.mp4": (R, None, None, "test"),
        "video/v4.mp4": (F, None, None, None),
        "audio/a1.mp3": (None, F, None, "train"),
        "audio/a2.mp3": (None, R, None, "test"),
        "image/i1.jpg": (F, None, None, "test"),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    assert (by_key["video/v1.mp4"].language, by_key["video/v2.mp4"].language) == ("ko", "other")
    assert "secret" not in str(taken.entries) + str(taken.findings)
    assert faults(taken) == {
        ("unlabelled", "video-data/v3.mp4"),
        ("label_mismatch", "video/v4.mp4"),
        ("missing", "video-data/v404.mp4"),
        ("extra", "video-data/v5.mp4"),
    }


# All of them


@pytest.mark.parametrize(
    ("name", "fixture"),
    [("vggface2-hq", "vggface2_hq"), ("ffiw10k", "ffiw10k"), ("deepfake-eval-2024", "wild")],
)
def test_reading_the_same_tree_again_gives_the_same_entries_and_findings(name, fixture, request):
    root = request.getfixturevalue(fixture)
    assert inventory(name, root) == inventory(name, root)


@pytest.mark.parametrize("name", ["vggface2-hq", "ffiw10k", "deepfake-eval-2024"])
def test_a_folder_of_something_else_is_refused_with_the_layout_that_is_expected(name, tmp_path):
    plant(tmp_path, "holiday/beach.mp4", "holiday/beach.jpg")
    with pytest.raises(UsageError) as no:
        find(name).read(Tree(tmp_path))
    assert find(name).layout.splitlines()[0] in str(no.value)


def test_every_format_says_what_its_holder_asks_and_has_a_name_of_its_own():
    importers = all_importers()
    names = [name for one in importers for name in (one.name, *one.aliases)]
    assert len(set(names)) == len(names) >= 30
    for one in importers:
        assert one.title and len(one.terms.access) > 20 and one.terms.licence
