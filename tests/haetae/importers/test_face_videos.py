"""Celeb-DF, DFDC and WildDeepfake: inverted and mixed label words, spaces in names, numbers that begin anew."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from haetae.media.archives import fetch_member
from haetae.media.probe import probe
from tests.haetae.importers.planted import faults, inventory, labels, pack, plant, write


def videos(said: dict[str, tuple[str | None, ...]]) -> dict[str, tuple[str | None, str | None]]:
    """Verdict of the picture and split; of sound and sync these sets state nothing."""
    assert all(audio is None and sync is None for _, audio, sync, _ in said.values())
    return {key: (verdict, split) for key, (verdict, _, _, split) in said.items()}


# Celeb-DF


@pytest.fixture(scope="module")
def celeb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("Celeb-DF-v2")
    plant(root, *(f"Celeb-real/{n}.mp4" for n in ("id0_0000", "id0_0001", "id1_0000", "odd")))
    plant(root, *(f"YouTube-real/{n}.mp4" for n in ("00000", "00170")))
    plant(root, *(f"Celeb-synthesis/{n}.mp4" for n in ("id0_id1_0000", "id1_id0_0000", "id1_id0_0009")))
    plant(
        root,
        "Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0001.mp4",
        "Celeb-synthesis/FaceReenact/LIA/id1_id0_0000.mp4",
        "Celeb-synthesis/TalkingFace/SadTalker/id0_0001_test_03.mp4",
        "Celeb-synthesis/TalkingFace/Novel/id1_0000_test_01.mp4",
    )
    write(
        root,
        "List_of_testing_videos.txt",
        "1 Youtube-real/00170.mp4\n1 Celeb-real/id0_0001.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
        "1 Celeb-synthesis/id1_id0_0000.mp4\n1 Celeb-real/id9_0000.mp4\nfake Celeb-real/id1_0000.mp4\n\n",
    )
    return root


def test_one_is_real_in_the_list_of_celeb_df_and_the_rest_is_train(celeb: Path) -> None:
    assert videos(labels(inventory("celeb-df", celeb))) == {
        "Celeb-real/id0_0000": ("real", "train"),
        "Celeb-real/id0_0001": ("real", "test"),
        "Celeb-real/id1_0000": (None, "test"),
        "Celeb-real/odd": ("real", "train"),
        "YouTube-real/00000": ("real", "train"),
        "YouTube-real/00170": ("real", "test"),
        "Celeb-synthesis/id0_id1_0000": ("fake", "test"),
        "Celeb-synthesis/id1_id0_0000": (None, "test"),
        "Celeb-synthesis/id1_id0_0009": ("fake", "train"),
        "Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0001": ("fake", "train"),
        "Celeb-synthesis/FaceReenact/LIA/id1_id0_0000": ("fake", "train"),
        "Celeb-synthesis/TalkingFace/SadTalker/id0_0001_test_03": ("fake", "train"),
        "Celeb-synthesis/TalkingFace/Novel/id1_0000_test_01": ("fake", "train"),
    }


def test_faults_of_celeb_df_are_told(celeb: Path) -> None:
    assert faults(inventory("celeb-df", celeb)) == {
        ("label_mismatch", "Celeb-synthesis/id1_id0_0000.mp4"),
        ("label_mismatch", "Celeb-real/id1_0000.mp4"),
        ("missing", "Celeb-real/id9_0000.mp4"),
        ("missing", "Celeb-synthesis/id1_id0_0009"),
        ("layout", "Celeb-real/odd.mp4"),
        ("layout", "Celeb-synthesis/TalkingFace/Novel/id1_0000_test_01.mp4"),
    }


def test_targets_and_sources_of_celeb_df_are_kept(celeb: Path) -> None:
    of = {entry.key: entry for entry in inventory("celeb-df++", celeb).entries}
    swap = of["Celeb-synthesis/id0_id1_0000"]
    blend = of["Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0001"]
    moved = of["Celeb-synthesis/FaceReenact/LIA/id1_id0_0000"]
    talking = of["Celeb-synthesis/TalkingFace/SadTalker/id0_0001_test_03"]

    assert (swap.pair, swap.identities, swap.generator) == ("Celeb-real/id0_0000", ("id0", "id1"), "Celeb-DF")
    assert (blend.pair, blend.generator, blend.family) == ("Celeb-real/id0_0001", "BlendFace", "face_swap")
    assert (moved.pair, moved.identities, moved.family) == (None, ("id1", "id0"), "face_reenactment")
    assert (talking.pair, talking.identities) == ("Celeb-real/id0_0001", ("id0",))


def test_without_its_list_celeb_df_has_no_split(tmp_path: Path) -> None:
    plant(tmp_path, "Celeb-real/id0_0000.mp4")
    found = inventory("celeb-df", tmp_path)

    assert [entry.split for entry in found.entries] == [None]
    assert faults(found) == {("missing", "List_of_testing_videos.txt")}


# DFDC and DFDCP


@pytest.fixture(scope="module")
def dfdc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("DFDC")
    plant(root, *(f"dfdc_train_part_0/{n}.mp4" for n in ("fake", "real", "orphan", "odd", "more")))
    plant(root, "dfdc_train_part_1/real.mp4", "test/a.mp4", "test/b.mp4", "test/c.mp4")
    train = {"split": "train"}
    write(
        root,
        "dfdc_train_part_0/metadata.json",
        {
            "fake.mp4": {"label": "FAKE", "original": "real.mp4", **train},
            "real.mp4": {"label": "REAL", "original": None, **train},
            "orphan.mp4": {"label": "FAKE", "original": "gone.mp4", **train},
            "odd.mp4": {"label": "FAKED", **train},
            "lost.mp4": {"label": "REAL", **train},
        },
    )
    write(
        root, "dfdc_train_part_1/metadata.json", {"real.mp4": {"label": "REAL", "original": "x.mp4", **train}}
    )
    write(root, "test/labels.csv", "filename,label\na.mp4,0\nb.mp4,1\nc.mp4,FAKE\nd.mp4,1\n")
    plant(root, "method_A/1/1_2_A.mp4", "original_videos/1/1.mp4", "method_B/1/1_3_B.mp4")
    write(
        root,
        "dataset.json",
        {
            "method_A/1/1_2_A.mp4": {"label": "fake", "set": "train", "target_id": 1, "augmentations": []},
            "original_videos/1/1.mp4": {"label": "real", "set": "test"},
            "method_B/1/1_3_B.mp4": {"label": "real", "set": "practice"},
        },
    )
    return root


def test_words_of_metadata_and_numbers_of_labels_say_the_same(dfdc: Path) -> None:
    assert videos(labels(inventory("dfdc", dfdc))) == {
        "dfdc_train_part_0/fake": ("fake", "train"),
        "dfdc_train_part_0/real": ("real", "train"),
        "dfdc_train_part_0/orphan": ("fake", "train"),
        "dfdc_train_part_0/odd": (None, "train"),
        "dfdc_train_part_1/real": (None, "train"),
        "test/a": ("real", "test"),
        "test/b": ("fake", "test"),
        "test/c": (None, "test"),
        "method_A/1/1_2_A": ("fake", "train"),
        "original_videos/1/1": ("real", "test"),
        "method_B/1/1_3_B": (None, None),
    }


def test_faults_of_dfdc_are_told(dfdc: Path) -> None:
    assert faults(inventory("dfdc", dfdc)) == {
        ("missing", "dfdc_train_part_0/orphan"),
        ("label_mismatch", "dfdc_train_part_0/odd.mp4"),
        ("missing", "dfdc_train_part_0/lost.mp4"),
        ("extra", "dfdc_train_part_0/more.mp4"),
        ("label_mismatch", "dfdc_train_part_1/real.mp4"),
        ("label_mismatch", "test/c.mp4"),
        ("missing", "test/d.mp4"),
        ("label_mismatch", "method_B/1/1_3_B.mp4"),
        ("missing", "dfdc_train_part_1/real"),
    }


def test_originals_of_dfdc_are_pairs_within_their_part(dfdc: Path) -> None:
    of = {entry.key: entry for entry in inventory("dfdcp", dfdc).entries}

    assert of["dfdc_train_part_0/fake"].pair == "dfdc_train_part_0/real"
    assert of["dfdc_train_part_0/orphan"].pair is None
    assert of["method_A/1/1_2_A"].generator == "method_A"
    assert of["method_A/1/1_2_A"].detail == {"label": "fake", "target_id": 1}


def test_a_part_that_is_still_packed_has_the_keys_of_the_unpacked_one(dfdc: Path, tmp_path: Path) -> None:
    names = ("metadata.json", "fake.mp4", "real.mp4")
    content = {name: (dfdc / "dfdc_train_part_0" / name).read_bytes() for name in names}
    pack(tmp_path, "dfdc_train_part_0.zip", content)
    found = inventory("dfdc", tmp_path)

    assert [(entry.key, entry.pair, entry.path) for entry in found.entries] == [
        ("dfdc_train_part_0/fake", "dfdc_train_part_0/real", "dfdc_train_part_0.zip!/fake.mp4"),
        ("dfdc_train_part_0/real", None, "dfdc_train_part_0.zip!/real.mp4"),
    ]


# WildDeepfake


PICTURE = cv2.imencode(".png", np.full((32, 32, 3), 90, np.uint8))[1].tobytes()


def shard(root: Path, path: str, number: int, label: str, sequences: dict[int, tuple[int, ...]]) -> None:
    """An archive with the numbered pictures of some sequences."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / path, "w:gz") as archive:
        for sequence, frames in sequences.items():
            for frame in frames:
                info = tarfile.TarInfo(f"{number}/{label}/{sequence}/{frame}.png")
                info.size = len(PICTURE)
                archive.addfile(info, io.BytesIO(PICTURE))


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("wild") / "deepfake_in_the_wild"
    shard(root, "real train/0.tar.gz", 0, "real", {0: (3, 11, 2), 5: (7,)})
    shard(root, "real test/0.tar.gz", 0, "real", {0: (1,)})
    shard(root, "fake train/0.tar.gz", 0, "fake", {0: (1,), 1: (1,)})
    shard(root, "fake train/7.tar.gz", 7, "real", {0: (1,)})
    plant(root, "fake test/0/fake/0/12.png", "fake_test/1/1/fake/0/4.png")
    (root / "fake test" / "9.tar.gz").write_bytes(b"\x1f\x8b cut short")
    return root


def test_shards_that_begin_anew_in_each_group_are_told_apart(wild: Path) -> None:
    assert videos(labels(inventory("wilddeepfake", wild.parent))) == {
        "real_train/0/0": ("real", "train"),
        "real_train/0/5": ("real", "train"),
        "real_test/0/0": ("real", "test"),
        "fake_train/0/0": ("fake", "train"),
        "fake_train/0/1": ("fake", "train"),
        "fake_train/7/0": (None, "train"),
        "fake_test/0/0": ("fake", "test"),
        "fake_test/1/0": ("fake", "test"),
    }


def test_sequences_are_folders_of_frames_inside_their_archive(wild: Path) -> None:
    found = inventory("wilddeepfake", wild)
    of = {entry.key: entry for entry in found.entries}
    first = of["real_train/0/0"]

    assert (first.path, first.form) == ("real train/0.tar.gz!/0/real/0/", "frames")
    assert first.detail == {"shard": "real_train/0", "first_frame": 2, "last_frame": 11}
    assert of["fake_test/0/0"].path == "fake test/0/fake/0/"
    assert faults(found) == {
        ("label_mismatch", "fake train/7.tar.gz!/7/real/0/"),
        ("damaged", "fake test/9.tar.gz"),
    }


def test_what_an_entry_names_can_be_fetched_from_its_archive(wild: Path, tmp_path: Path) -> None:
    of = {entry.key: entry for entry in inventory("wilddeepfake", wild).entries}
    made = fetch_member(f"{wild}/{of['real_train/0/0'].path}", tmp_path)

    assert probe(made).n_frames == 3


@pytest.mark.parametrize(
    ("name", "tree"), [("celeb-df", "celeb"), ("dfdc", "dfdc"), ("wilddeepfake", "wild")]
)
def test_a_second_reading_is_equal(name: str, tree: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(tree)

    assert inventory(name, root).entries == inventory(name, root).entries
    assert inventory(name, root).as_json() == inventory(name, root).as_json()
