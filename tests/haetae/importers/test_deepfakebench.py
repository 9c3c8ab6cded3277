"""DeepfakeBench JSON and DF40: folders of frames under foreign paths, splits that leak, labels that turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from haetae.errors import UsageError
from tests.haetae.importers.planted import faults, inventory, labels, plant, write

FF = "FaceForensics++"
YOUTUBE = f"{FF}/original_sequences/youtube/c23/frames"
SWAPPED = f"{FF}/manipulated_sequences/Deepfakes/c23"
CELEB = "Celeb-DF-v2"


def told(
    label: str, folder: str, *frames: str, masks: tuple[str, ...] = (), mark: str = "/"
) -> dict[str, Any]:
    """A video as the JSON has it, with paths in the manner of Windows where the mark is a backslash."""
    named = [f"{folder}/{frame}".replace("/", mark) for frame in frames or ("000.png", "031.png")]
    return {"label": label, "frames": named, "masks": [one.replace("/", mark) for one in masks]}


def pictures(root: Path, folder: str, *names: str) -> None:
    plant(root, *(f"{folder}/{name}" for name in names or ("000.png", "031.png")))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deepfakebench")
    rgb = root / "datasets" / "rgb"
    for video in ("000", "003"):
        pictures(rgb, f"{YOUTUBE}/{video}")
    for video in ("000_003", "003_000"):
        pictures(rgb, f"{SWAPPED}/frames/{video}")
        plant(rgb, f"{SWAPPED}/landmarks/{video}/000.npy")
    pictures(rgb, f"{SWAPPED}/masks/000_003")
    pictures(rgb, f"{SWAPPED}/masks/003_000", "000.png")
    for video in ("id0_0000", "id0_0001"):
        pictures(rgb, f"{CELEB}/Celeb-real/frames/{video}")
    for video in ("id0_id1_0000", "id0_id1_0001", "id0_id1_0002"):
        pictures(rgb, f"{CELEB}/Celeb-synthesis/frames/{video}")
    pictures(rgb, "UADFV/odd/frames/0001")
    pictures(rgb, "UADFV/unlisted/frames/0002")
    real = {
        "train": {"c23": {"000": told("FF-real", f".\\datasets\\rgb\\{YOUTUBE}/000", mark="\\")}},
        "val": {},
    }
    masks = {
        video: tuple(f"/mnt/rgb/{SWAPPED}/masks/{video}/{n}.png" for n in ("000", "031"))
        for video in ("000_003", "003_000")
    }
    fake = {
        "train": {"c23": {"000_003": told("FF-DF", f"/mnt/rgb/{SWAPPED}/frames/000_003", masks=masks["000_003"])}},
        "test": {"c23": {"003_000": told("FF-DF", f"{SWAPPED}/frames/003_000", masks=masks["003_000"])}},
    }  # fmt: skip
    write(root, "preprocessing/dataset_json/FF-DF.json", {"FF-DF": {"FF-real": real, "FF-DF": fake}})
    also_real = {
        "train": {"c23": {"000": real["train"]["c23"]["000"], "003": told("FF-real", f"{YOUTUBE}/003")}}
    }
    write(root, "preprocessing/dataset_json/FF-F2F.json", {"FF-F2F": {"FF-real": also_real}})
    celeb = f"{CELEB}\\Celeb-synthesis\\frames\\"
    cdf_real = {
        "train": {
            n: told("CelebDFv2_real", f"{CELEB}/Celeb-real/frames/{n}") for n in ("id0_0000", "id0_0001")
        },
        "val": {"id0_0001": told("CelebDFv2_real", f"{CELEB}/Celeb-real/frames/id0_0001")},
        "test": {"id0_0001": told("CelebDFv2_real", f"{CELEB}/Celeb-real/frames/id0_0001")},
    }
    cdf_fake = {
        "train": {
            "id0_id1_0000": told("CelebDFv2_fake", f"{celeb}id0_id1_0000", "000.png", "031.png", "099.png"),
            "id0_id1_0001": told("CelebDFv2_real", f"{celeb}id0_id1_0001"),
            "id0_id1_0009": told("CelebDFv2_fake", f"{celeb}id0_id1_0009"),
            "empty": {"label": "CelebDFv2_fake", "frames": []},
        },
        "val": told("CelebDFv2_fake", f"{celeb}id0_id1_0000"),
    }
    turned = {"train": {"id0_id1_0002": told("CelebDFv2_real", f"{celeb}id0_id1_0002")}}
    content = {"Celeb-DF-v2": {"CelebDFv2_real": cdf_real, "CelebDFv2_fake": cdf_fake}}
    write(root, "preprocessing/dataset_json/Celeb-DF-v2.json", content)
    write(root, "preprocessing/dataset_json/turned.json", {"Celeb-DF-v2": {"CelebDFv2_real": turned}})
    odd = {"test": {"0001": told("UADFV_Forged", "UADFV/odd/frames/0001")}}
    write(root, "preprocessing/dataset_json/UADFV.json", {"UADFV": {"UADFV_Forged": odd}})
    write(root, "package.json", {"name": "something else"})
    return root


def test_pictures_under_foreign_paths_get_the_verdict_of_their_label(bench: Path) -> None:
    said = labels(inventory("deepfakebench", bench))

    assert {key: (verdict, split) for key, (verdict, _, _, split) in said.items()} == {
        "original_sequences/youtube/c23/000": ("real", "train"),
        "original_sequences/youtube/c23/003": ("real", "train"),
        "manipulated_sequences/Deepfakes/c23/000_003": ("fake", "train"),
        "manipulated_sequences/Deepfakes/c23/003_000": ("fake", "test"),
        "Celeb-DF-v2/Celeb-real/id0_0000": ("real", "train"),
        "Celeb-DF-v2/Celeb-real/id0_0001": ("real", "test"),
        "Celeb-DF-v2/Celeb-synthesis/id0_id1_0000": ("fake", "train"),
        "Celeb-DF-v2/Celeb-synthesis/id0_id1_0001": (None, "train"),
        "Celeb-DF-v2/Celeb-synthesis/id0_id1_0002": (None, "train"),
        "UADFV/odd/0001": (None, "test"),
    }


def test_every_planted_fault_is_told(bench: Path) -> None:
    rgb = "datasets/rgb"
    json = "preprocessing/dataset_json/Celeb-DF-v2.json: Celeb-DF-v2/CelebDFv2_fake"

    assert faults(inventory("deepfakebench", bench)) == {
        ("damaged", f"{rgb}/{SWAPPED}/masks/003_000/"),
        ("duplicate", "Celeb-DF-v2/CelebDFv2_real"),
        ("missing", f"{rgb}/{CELEB}/Celeb-synthesis/frames/id0_id1_0000/"),
        ("label_mismatch", f"{rgb}/{CELEB}/Celeb-synthesis/frames/id0_id1_0001/"),
        ("label_mismatch", f"{rgb}/{CELEB}/Celeb-synthesis/frames/id0_id1_0002/"),
        ("missing", f"{CELEB}/Celeb-synthesis/frames/id0_id1_0009"),
        ("missing", f"{json}/train/empty"),
        ("layout", f"{json}/val/label"),
        ("layout", f"{json}/val/frames"),
        ("layout", f"{json}/val/masks"),
        ("label_mismatch", f"{rgb}/UADFV/odd/frames/0001/"),
        ("extra", f"{rgb}/UADFV/unlisted/frames/0002/"),
    }


def test_pairs_masks_and_methods_are_kept(bench: Path) -> None:
    of = {entry.key: entry for entry in inventory("deepfakebench", bench).entries}
    swap, other = (of[f"manipulated_sequences/Deepfakes/c23/{n}"] for n in ("000_003", "003_000"))

    assert swap.form == "frames" and swap.path == f"datasets/rgb/{SWAPPED}/frames/000_003/"
    assert (swap.generator, swap.family, swap.identities) == ("Deepfakes", "face_swap", ("000", "003"))
    assert swap.pair == "original_sequences/youtube/c23/000"
    assert (swap.mask, other.mask) == (f"datasets/rgb/{SWAPPED}/masks/000_003/", None)
    celeb = of["Celeb-DF-v2/Celeb-synthesis/id0_id1_0000"]
    assert (celeb.pair, celeb.identities) == ("Celeb-DF-v2/Celeb-real/id0_0000", ("id0", "id1"))


def test_a_label_dict_in_the_tree_is_read_and_may_not_turn_the_labels(tmp_path: Path) -> None:
    pictures(tmp_path, "new/frames/1")
    content = {"New": {"New_made": {"test": {"1": told("New_made", "new/frames/1")}}}}
    write(tmp_path, "New.json", content)
    write(tmp_path, "test_config.yaml", "label_dict:\n  New_made: 1\n")
    assert [entry.video for entry in inventory("deepfakebench", tmp_path).entries] == ["fake"]

    write(tmp_path, "test_config.yaml", "label_dict:\n  New_made: 1\n  FF-real: 1\n")
    with pytest.raises(UsageError, match="FF-real"):
        inventory("deepfakebench", tmp_path)


# DF40


@pytest.fixture(scope="module")
def df40(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("df40")
    for folder in (
        "DF40/blendface/ff/frames/000_003",
        "DF40/blendface/cdf/frames/id0_id1_0000",
        "DF40/blendface/ff/frames/003_000",
        "DF40/ddim/ff/frames/000",
        "DF40/heygen/fake/frames/a",
        "DF40/heygen/real/b",
        "DF40_train/simswap/frames/010_011",
        "DF40/novel/ff/frames/000_003",
        "DF40/novel/elsewhere/x/y",
        f"{YOUTUBE}/000",
        f"{YOUTUBE}/003",
        f"{CELEB}/Celeb-real/frames/id0_0000",
    ):
        pictures(root, folder)
    plant(root, "DF40/MidJourney/fake/1.png", "DF40/MidJourney/fake/2.jpg", "DF40/MidJourney/real/1.png")
    (root / "DF40/lia/ff/frames/000_003").mkdir(parents=True)
    real = {"test": {"c23": {"000": told("blendface_Real", f"/youtu/{YOUTUBE}/000")}}}
    fake = {
        "train": {"000_003": told("blendface_Fake", "deepfakes\\DF40\\blendface\\ff\\frames\\000_003")},
        "test": {"lost": told("blendface_Fake", "/youtu/DF40/blendface/ff/frames/lost")},
    }  # fmt: skip
    write(
        root,
        "dataset_json/blendface_ff.json",
        {"blendface_ff": {"blendface_Real": real, "blendface_Fake": fake}},
    )
    turned = {"test": {"003_000": told("simswap_Real", "DF40/blendface/ff/frames/003_000")}}
    write(root, "dataset_json/simswap_ff.json", {"simswap_ff": {"simswap_Real": turned}})
    cdf = {"test": {"id0_0000": told("CelebDFv2_real", f"{CELEB}/Celeb-real/frames/id0_0000")}}
    write(root, "dataset_json/blendface_cdf.json", {"blendface_cdf": {"CelebDFv2_real": cdf}})
    return root


def test_known_methods_hold_fakes_and_unknown_ones_both(df40: Path) -> None:
    said = labels(inventory("df40", df40))

    assert {key: (verdict, split) for key, (verdict, _, _, split) in said.items()} == {
        "DF40/blendface/ff/000_003": ("fake", "train"),
        "DF40/blendface/ff/003_000": (None, "test"),
        "DF40/blendface/cdf/id0_id1_0000": ("fake", "test"),
        "DF40/ddim/ff/000": ("fake", "test"),
        "DF40/heygen/fake/a": ("fake", "test"),
        "DF40/heygen/real/b": ("real", "test"),
        "DF40_train/simswap/010_011": ("fake", "train"),
        "DF40/novel/ff/000_003": ("fake", "test"),
        "DF40/MidJourney/fake/1.png": ("fake", "test"),
        "DF40/MidJourney/fake/2.jpg": ("fake", "test"),
        "DF40/MidJourney/real/1.png": ("real", "test"),
        "original_sequences/youtube/c23/000": ("real", "test"),
        "Celeb-DF-v2/Celeb-real/id0_0000": ("real", "test"),
    }


def test_faults_of_df40_are_told(df40: Path) -> None:
    assert faults(inventory("df40", df40)) == {
        ("label_mismatch", "DF40/blendface/ff/frames/003_000/"),
        ("missing", "/youtu/DF40/blendface/ff/frames/lost"),
        ("missing", "DF40/lia/ff/frames/000_003/"),
        ("layout", "DF40/novel/ff/frames/000_003/"),
        ("extra", "DF40/novel/elsewhere/x/y/"),
        ("extra", f"{YOUTUBE}/003/"),
    }


def test_methods_domains_and_pairs_of_df40_are_kept(df40: Path) -> None:
    of = {entry.key: entry for entry in inventory("df40", df40).entries}
    ff, cdf = of["DF40/blendface/ff/000_003"], of["DF40/blendface/cdf/id0_id1_0000"]

    assert (ff.generator, ff.family, ff.pair) == (
        "blendface",
        "face_swap",
        "original_sequences/youtube/c23/000",
    )
    assert (cdf.pair, cdf.detail["domain"]) == ("Celeb-DF-v2/Celeb-real/id0_0000", "cdf")
    assert (of["DF40/ddim/ff/000"].family, of["DF40/ddim/ff/000"].pair) == ("whole_face", None)
    assert (of["DF40/heygen/real/b"].generator, of["DF40/heygen/real/b"].family) == (None, None)
    assert of["DF40/MidJourney/fake/1.png"].form == "file"


@pytest.mark.parametrize(("name", "tree"), [("deepfakebench", "bench"), ("df40", "df40")])
def test_a_second_reading_is_equal(name: str, tree: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(tree)

    assert inventory(name, root).as_json() == inventory(name, root).as_json()
