"""KoDF and K-FACE: Korean names in every spelling that archives and tables use, and files in whatever root."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.importers.registry import find
from haetae.importers.tree import Tree
from tests.haetae.importers.planted import faults, inventory, labels, pack, plant, write

R, F = "real", "fake"
REAL_HEADER = "영상ID,UUID,인물성별,촬영장소,촬영시작,스크립트파일,시나리오번호\n"
FAKE_HEADER = "영상ID,타겟영상,타겟UUID,소스UUID,변조모델,촬영시작,인물성별\n"
TRAIN = "1.Training/[라벨링]train_meta/train_meta_data"
VALID = "2.Validation/[라벨링]validate_meta/validate_meta_data"
EXPECTED = {
    "real/actor1_001": (R, R, R, "train"),
    "real/actor2_007": (R, R, R, "val"),
    "fake/uuidA_uuidB_1_0001": (F, None, None, "train"),
    "fake/uuidA_uuidB_4_0002": (F, None, None, "train"),
    "fake/uuidA_uuidC_5_0003": (F, None, F, "train"),
    "fake/uuidA_uuidB_3_0004": (None, None, None, "train"),
    "fake/uuidA_uuidB_2_0005": (None, None, None, "train"),
    "fake/uuidA_uuidB_2_0006": (F, None, None, "train"),
}


def tables() -> dict[str, str]:
    """Name and content of the tables, with their traps."""
    made = [
        "uuidA_uuidB_1_0001.mp4,actor1_001.mp4,uuidA,uuidB,dfl,2020,남",
        "uuidA_uuidB_4_0002,actor1_001,uuidA,uuidB,fo,2020,남",  # without endings
        "uuidA_uuidC_5_0003.mp4,actor1_001.mp4,uuidA,uuidC,audio-driven,2020,남",
        "uuidA_uuidB_3_0004.mp4,actor1_001.mp4,uuidA,uuidB,dfl,2020,남",  # its name says fsgan
        "uuidA_uuidB_2_0005.mp4,actor1_001.mp4,uuidA,uuidB,새모델,2020,남",
        "uuidA_uuidB_2_0006.mp4,actor9_999.mp4,uuidX,uuidB,dffs,2020,남",  # other people than its name says
        "uuidA_uuidB_2_0404.mp4,actor1_001.mp4,uuidA,uuidB,dffs,2020,남",
    ]
    return {
        "원본영상_training": REAL_HEADER + "actor1_001.mp4,uuidA,남,실내,2020,대본1,1\n",
        "변조영상_training": FAKE_HEADER + "".join(f"{row}\n" for row in made),
        "원본영상_validation": REAL_HEADER + "actor2_007,uuidD,여,실외,2020,대본2,2\n",
    }


def write_tables(root: Path, train: str, valid: str) -> None:
    """One in each encoding that the exports use; the name of one as a Mac writes it."""
    one, two, three = tables().values()
    write(root, f"{train}/원본영상_training_메타데이터.csv", one, "cp949")
    write(root, f"{train}/변조영상_training_메타데이터.csv", two, "utf-8-sig")
    write(root, f"{valid}/{unicodedata.normalize('NFD', '원본영상_validation_메타데이터.csv')}", three)


@pytest.fixture(scope="module")
def kodf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked, each archive to another root."""
    root = tmp_path_factory.mktemp("KoDF")
    write_tables(root, TRAIN, VALID)
    plant(
        root,
        "1.Training/[원천][원본]원본1/actor1/actor1_001.mp4",
        "2.Validation/[원천][원본]원본1/home/data/actor2_007.mp4",
        "1.Training/[원천][변조]train_dfl1_data/uuidA/uuidA_uuidB_1_0001.mp4",
        "1.Training/[원천][변조]train_fo1_data/train_fo/uuidA_uuidB_4_0002.mp4",
        "1.Training/[원천][변조]audio_driven1/uuidA_uuidC_5_0003.mp4",
        "1.Training/[원천][변조]train_fsgan1_data/uuidA_uuidB_3_0004.mp4",
        "1.Training/[원천][변조]train_dffs1_data/uuidA_uuidB_2_0005.mp4",
        "1.Training/[원천][변조]train_dffs1_data/uuidA_uuidB_2_0006.mp4",
        "1.Training/[원천][변조]train_dffs1_data/uuidA_uuidB_2_0777.mp4",
    )
    return root


FAULTS = {
    ("label_mismatch", "fake/uuidA_uuidB_3_0004"),
    ("label_mismatch", "fake/uuidA_uuidB_2_0005"),
    ("label_mismatch", "fake/uuidA_uuidB_2_0006"),
    ("missing", "fake/uuidA_uuidB_2_0006"),  # its original
    ("missing", "uuidA_uuidB_2_0404.mp4"),
}


def test_kodf_reads_tables_in_three_encodings_and_finds_files_by_name(kodf):
    taken = inventory("kodf", kodf)
    assert labels(taken) == EXPECTED
    by_key = {entry.key: entry for entry in taken.entries}
    swap = by_key["fake/uuidA_uuidB_1_0001"]
    assert (swap.generator, swap.family, swap.pair) == ("dfl", "face_swap", "real/actor1_001")
    assert swap.identities == ("uuidA", "uuidB")
    assert by_key["real/actor1_001"].identities == ("uuidA",)
    assert by_key["fake/uuidA_uuidB_4_0002"].family == "face_reenactment"
    assert by_key["fake/uuidA_uuidB_2_0006"].identities == ()
    assert {entry.language for entry in taken.entries} == {"ko"}
    assert swap.detail["인물성별"] == "남"


def test_kodf_tells_of_models_codes_and_people_that_do_not_agree(kodf):
    stray = "1.Training/[원천][변조]train_dffs1_data/uuidA_uuidB_2_0777.mp4"
    assert faults(inventory("kodf", kodf)) == FAULTS | {("extra", stray)}


def test_two_unpacked_files_of_one_name_are_told_and_neither_is_taken(tmp_path):
    write_tables(tmp_path, TRAIN, VALID)
    twice = ("1.Training/원본1/actor1_001.mp4", "1.Training/원본2/actor1_001.mp4")
    plant(tmp_path, *twice, "2.Validation/actor2_007.mp4")
    taken = inventory("kodf", tmp_path)
    assert set(labels(taken)) == {"real/actor2_007"}
    assert {("duplicate", path) for path in twice} <= faults(taken)


@pytest.mark.parametrize("names", ["cp949", "nfd"])
def test_kodf_is_read_from_its_archives_and_the_newer_folders_alike(names, tmp_path):
    write_tables(tmp_path, "라벨링데이터/train_meta_data", "라벨링데이터/validate_meta_data")
    media = {name.removeprefix("real/").removeprefix("fake/"): name.encode() for name in EXPECTED}
    originals = {f"원본/{name}.mp4": data for name, data in media.items() if "actor" in name}
    made = {f"변조/{name}.mp4": data for name, data in media.items() if "uuid" in name}
    pack(tmp_path, "원천데이터/train_원본.zip", originals, names=names)
    pack(tmp_path, "원천데이터/train_변조.zip", made, names=names)
    taken = inventory("kodf", tmp_path)
    assert labels(taken) == EXPECTED
    assert faults(taken) == FAULTS
    (first,) = (entry for entry in taken.entries if entry.key == "fake/uuidA_uuidB_1_0001")
    assert first.path == "원천데이터/train_변조.zip!/변조/uuidA_uuidB_1_0001.mp4"


# K-FACE


@pytest.fixture(scope="module")
def k_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("K-FACE")
    plant(
        root,
        "High/19062421/S001/L1/E01/C1.jpg",
        "High/19062421/S001/L1/E01/C1.txt",
        "High/19062421/S001/L30/E03/C20.jpg",
        "Low/19062421/S001/L1/E01/C1.jpg",
        "19101513/S006/L2/E02/C7.png",
        "High/19062421/S001/L1/E01/preview.jpg",
        "High/1906/S001/L1/E01/C1.jpg",
    )
    return root


def test_k_face_reads_who_and_how_from_its_folders(k_face):
    taken = inventory("aihub-faces", k_face)
    assert labels(taken) == {
        "High/19062421/S001/L1/E01/C1": (R, None, None, None),
        "High/19062421/S001/L30/E03/C20": (R, None, None, None),
        "Low/19062421/S001/L1/E01/C1": (R, None, None, None),
        "any/19101513/S006/L2/E02/C7": (R, None, None, None),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    assert by_key["High/19062421/S001/L30/E03/C20"].identities == ("19062421",)
    assert by_key["High/19062421/S001/L30/E03/C20"].detail == {
        "resolution": "High", "accessories": "S001", "light": "L30", "expression": "E03", "camera": "C20",
    }  # fmt: skip
    assert faults(taken) == {
        ("extra", "High/19062421/S001/L1/E01/preview.jpg"),
        ("extra", "High/1906/S001/L1/E01/C1.jpg"),
        ("extra", "High/1906/S001/L1/E01/"),
    }


def test_k_face_is_read_from_one_archive_for_each_person(tmp_path):
    pack(tmp_path, "High/19062421.zip", {"S001/L1/E01/C1.jpg": b"one", "S001/L1/E01/C1.txt": b"two"})
    taken = inventory("k-face", tmp_path)
    assert labels(taken) == {"High/19062421/S001/L1/E01/C1": (R, None, None, None)}
    assert taken.entries[0].path == "High/19062421.zip!/S001/L1/E01/C1.jpg"


def test_another_face_set_of_ai_hub_is_sent_to_the_mapping(tmp_path):
    plant(tmp_path, "family_dataset/F0001_AGE_D_18_a1.jpg")
    with pytest.raises(UsageError, match="mapping"):
        find("aihub-faces").read(Tree(tmp_path))


@pytest.mark.parametrize(("name", "fixture"), [("kodf", "kodf"), ("aihub-faces", "k_face")])
def test_reading_the_same_tree_again_gives_the_same_entries_and_findings(name, fixture, request):
    root = request.getfixturevalue(fixture)
    assert inventory(name, root) == inventory(name, root)
