"""FaceForensics++ and DFD: pairs, masks and official splits, and what does not agree among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.importers.registry import find
from haetae.importers.tree import Tree
from tests.haetae.importers.planted import faults, inventory, labels, plant, video, write

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pair 000/003 in train, 953/974 in val; 974 is gone at c23. Sequence 111 is in train and test."""
    root = tmp_path_factory.mktemp("FaceForensics++")
    write(root, "splits/train.json", [["000", "003"], ["111", "112"]])
    write(root, "splits/val.json", [["953", "974"]])
    write(root, "splits/test.json", [["111", "113"]])
    write(root, "conversion_dict.json", {"000": "ytid_A-b 2", "003": "other 0"})
    originals = ("000", "003", "111", "112", "113", "953")
    plant(root, *(f"original_sequences/youtube/c23/videos/{name}.mp4" for name in originals))
    for method in METHODS:
        swaps = ("000_003", "003_000", "953_974")
        plant(root, *(f"manipulated_sequences/{method}/c23/videos/{swap}.mp4" for swap in swaps))
    plant(root, "manipulated_sequences/Deepfakes/c40/videos/000_003.mp4")
    video(root, "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4", 10)
    video(root, "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4", 10)
    video(root, "manipulated_sequences/FaceSwap/c23/videos/000_003.mp4", 10)
    video(root, "manipulated_sequences/FaceSwap/masks/videos/000_003.mp4", 6)
    plant(root, "manipulated_sequences/Face2Face/c23/masks/000_003/000.png")
    plant(root, "original_sequences/actors/raw/videos/01__exit_phone_room.mp4")
    plant(
        root,
        "manipulated_sequences/DeepFakeDetection/raw/videos/01_02__exit_phone_room__YVGY8LOK.mp4",
        "manipulated_sequences/Deepfakes/c23/videos/000-003.mp4",
        "manipulated_sequences/Unheard/c23/videos/000_003.mp4",
        "downloaded_videos/x.mp4",
    )
    (root / "manipulated_sequences/Deepfakes/raw/videos").mkdir(parents=True)
    return root


def test_every_video_has_the_verdict_of_its_folder_and_the_split_of_its_pair(root: Path) -> None:
    said = labels(inventory("faceforensics", root))

    expected = {
        f"original_sequences/youtube/c23/{name}": ("real", None, None, split)
        for name, split in {
            "000": "train",
            "003": "train",
            "112": "train",
            "113": "test",
            "953": "val",
        }.items()
    }
    expected["original_sequences/youtube/c23/111"] = ("real", None, None, None)
    for method in METHODS:
        for swap, split in {"000_003": "train", "003_000": "train", "953_974": "val"}.items():
            expected[f"manipulated_sequences/{method}/c23/{swap}"] = ("fake", None, None, split)
    expected["manipulated_sequences/Deepfakes/c40/000_003"] = ("fake", None, None, "train")
    expected["original_sequences/actors/raw/01__exit_phone_room"] = ("real", None, None, None)
    expected["manipulated_sequences/DeepFakeDetection/raw/01_02__exit_phone_room__YVGY8LOK"] = (
        "fake",
        None,
        None,
        None,
    )
    assert said == expected


def test_pairs_people_methods_and_masks_are_kept(root: Path) -> None:
    of = {entry.key: entry for entry in inventory("faceforensics", root).entries}

    swap = of["manipulated_sequences/Deepfakes/c23/003_000"]
    assert (swap.pair, swap.identities) == ("original_sequences/youtube/c23/003", ("003", "000"))
    assert (swap.generator, swap.family) == ("Deepfakes", "face_swap")
    assert swap.detail == {"compression": "c23", "youtube_id": "other"}
    assert of["manipulated_sequences/Face2Face/c23/000_003"].family == "face_reenactment"
    assert of["original_sequences/youtube/c23/000"].detail["youtube_id"] == "ytid_A-b"
    dfd = of["manipulated_sequences/DeepFakeDetection/raw/01_02__exit_phone_room__YVGY8LOK"]
    assert (dfd.pair, dfd.identities) == ("original_sequences/actors/raw/01__exit_phone_room", ("01", "02"))
    masks = {key: entry.mask for key, entry in of.items() if entry.mask}
    top = "manipulated_sequences"
    assert masks == {
        f"{top}/Deepfakes/c23/000_003": f"{top}/Deepfakes/masks/videos/000_003.mp4",
        f"{top}/Deepfakes/c40/000_003": f"{top}/Deepfakes/masks/videos/000_003.mp4",
        f"{top}/Face2Face/c23/000_003": f"{top}/Face2Face/c23/masks/000_003/",
    }


def test_every_planted_fault_is_told(root: Path) -> None:
    told = faults(inventory("faceforensics", root))

    assert told >= {
        ("label_mismatch", "splits: 111"),
        ("unlabelled", "original_sequences/youtube/c23/videos/111.mp4"),
        ("missing", "original_sequences/youtube/c23/974"),
        ("missing", "manipulated_sequences/Deepfakes/c40/003_000"),
        ("missing", "manipulated_sequences/Deepfakes/c40/000_003"),
        ("damaged", "manipulated_sequences/FaceSwap/masks/videos/000_003.mp4"),
        ("layout", "manipulated_sequences/Deepfakes/c23/videos/000-003.mp4"),
        ("layout", "manipulated_sequences/Unheard/c23/videos/000_003.mp4"),
        ("extra", "downloaded_videos/x.mp4"),
        ("missing", "manipulated_sequences/Deepfakes/raw/videos/"),
    }
    assert ("extra", "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4") not in told


def test_a_second_reading_is_equal(root: Path) -> None:
    assert inventory("ff++", root).as_json() == inventory("ff++", root).as_json()


def test_without_split_lists_no_video_has_a_split(tmp_path: Path) -> None:
    plant(tmp_path, "original_sequences/youtube/raw/videos/000.mp4")
    found = inventory("faceforensics", tmp_path)

    assert [entry.split for entry in found.entries] == [None]
    assert ("missing", "splits/val.json") in faults(found)


def test_a_split_list_that_is_none_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "original_sequences/youtube/raw/videos/000.mp4")
    write(tmp_path, "splits/train.json", ["000", "003"])

    with pytest.raises(UsageError, match=r"splits/train\.json is no list of pairs"):
        find("faceforensics").read(Tree(tmp_path))
