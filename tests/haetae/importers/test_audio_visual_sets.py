"""Audio-visual data sets: each modality has its own verdict, and what a list states wrongly is told."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from haetae.errors import UsageError
from haetae.importers.base import Segment
from haetae.importers.registry import find
from haetae.importers.tree import Tree
from tests.haetae.importers.planted import faults, inventory, labels, plant, write

R, F = "real", "fake"
ALL_REAL = (R, R, R)


# FakeAVCeleb

HEADER = "source,target1,target2,method,category,type,race,gender,path,\n"
EAST = "Asian (East)/women/id10006"


@pytest.fixture(scope="module")
def fakeavceleb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("FakeAVCeleb")
    who = "Asian (East),women"
    rows = [
        f"id10006,-,-,real,A,RealVideo-RealAudio,{who},00905.mp4,FakeAVCeleb/RealVideo-RealAudio/{EAST}",
        f"id10006,-,-,rtvc,B,RealVideo-FakeAudio,{who},00905_fake.mp4,FakeAVCeleb/RealVideo-FakeAudio/{EAST}",
        f"id10006,id10005,-,faceswap,C,FakeVideo-RealAudio,{who},00905_id10005_x.mp4,"
        f"FakeAVCeleb/FakeVideo-RealAudio/{EAST}",
        f"id10006,3,id10004,fsgan-wav2lip,D,FakeVideo-FakeAudio,{who},00905_3_id10004_wavtolip.mp4,"
        f"FakeAVCeleb/FakeVideo-FakeAudio/{EAST}",
        # category C, but of a type that has real pictures
        f"id10006,-,-,faceswap,C,RealVideo-FakeAudio,{who},00907.mp4,FakeAVCeleb/RealVideo-FakeAudio/{EAST}",
        # a method nobody has heard of
        f"id10006,-,-,morph,C,FakeVideo-RealAudio,{who},00908.mp4,FakeAVCeleb/FakeVideo-RealAudio/{EAST}",
        f"id10006,-,-,real,A,RealVideo-RealAudio,{who},00999.mp4,FakeAVCeleb/RealVideo-RealAudio/{EAST}",
    ]
    write(root, "meta_data.csv", HEADER + "".join(f"{row}\n" for row in rows))
    plant(
        root,
        f"RealVideo-RealAudio/{EAST}/00905.mp4",
        f"RealVideo-FakeAudio/{EAST}/00905/fake.mp4",
        f"FakeVideo-RealAudio/{EAST}/00905_id10005_x.mp4",
        f"FakeVideo-FakeAudio/{EAST}/00905_3_id10004_wavtolip.mp4",
        f"RealVideo-FakeAudio/{EAST}/00907.mp4",
        f"FakeVideo-RealAudio/{EAST}/00908.mp4",
        f"FakeVideo-RealAudio/{EAST}/00909_not_listed.mp4",
    )
    return root


def test_fakeavceleb_finds_folders_in_the_column_without_a_name_and_labels_each_modality(fakeavceleb):
    taken = inventory("FakeAVCeleb", fakeavceleb)
    assert labels(taken) == {
        f"RealVideo-RealAudio/{EAST}/00905.mp4": (*ALL_REAL, None),
        f"RealVideo-FakeAudio/{EAST}/00905_fake.mp4": (R, F, None, None),
        f"FakeVideo-RealAudio/{EAST}/00905_id10005_x.mp4": (F, R, None, None),
        f"FakeVideo-FakeAudio/{EAST}/00905_3_id10004_wavtolip.mp4": (F, F, None, None),
        f"RealVideo-FakeAudio/{EAST}/00907.mp4": (None, None, None, None),
        f"FakeVideo-RealAudio/{EAST}/00908.mp4": (None, None, None, None),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    swapped = by_key[f"FakeVideo-RealAudio/{EAST}/00905_id10005_x.mp4"]
    assert (swapped.generator, swapped.family) == ("faceswap", "face_swap")
    assert swapped.identities == ("id10006", "id10005")
    both = by_key[f"FakeVideo-FakeAudio/{EAST}/00905_3_id10004_wavtolip.mp4"]
    assert (both.family, both.identities) == ("combination", ("id10006", "id10004"))
    real = f"RealVideo-RealAudio/{EAST}/00905.mp4"
    fakes = [entry for entry in taken.entries if F in (entry.video, entry.audio)]
    assert [entry.pair for entry in fakes] == [real, real, real]
    assert by_key[real].pair is None and by_key[real].generator is None
    sound = by_key[f"RealVideo-FakeAudio/{EAST}/00905_fake.mp4"]
    assert sound.path == f"RealVideo-FakeAudio/{EAST}/00905/fake.mp4"
    assert sound.detail["race"] == "Asian (East)"


def test_fakeavceleb_tells_what_its_table_and_its_folders_do_not_agree_on(fakeavceleb):
    assert faults(inventory("fakeavceleb", fakeavceleb)) == {
        ("label_mismatch", f"RealVideo-FakeAudio/{EAST}/00907.mp4"),
        ("label_mismatch", f"FakeVideo-RealAudio/{EAST}/00908.mp4"),
        ("missing", f"FakeAVCeleb/RealVideo-RealAudio/{EAST}/00999.mp4"),
        ("extra", f"FakeVideo-RealAudio/{EAST}/00909_not_listed.mp4"),
    }


# LAV-DF


def lav_row(file: str, split: str, video: bool, audio: bool, periods: list, **more) -> dict:
    return {
        "file": file, "n_fakes": len(periods), "fake_periods": periods, "duration": 4.0, "original": None,
        "modify_video": video, "modify_audio": audio, "split": split, "video_frames": 100,
        "audio_channels": 1, "audio_frames": 64000,
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def lav_df(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("LAV-DF")
    rows = [
        lav_row("train/000001.mp4", "train", False, False, [], transcript="one two"),
        lav_row("train/000002.mp4", "train", True, False, [[1.0, 1.5]], original="train/000001.mp4"),
        lav_row("dev/000003.mp4", "dev", False, True, [[0.5, 0.9], [2, 2.5]], original="train/000001.mp4"),
        lav_row("test/000004.mp4", "test", True, True, [[3.2, 3.9]]),
        lav_row("test/000005.mp4", "dev", False, False, []),
        lav_row("test/000006.mp4", "test", True, False, [[25, 40]]),  # frames where seconds belong
        lav_row("test/000007.mp4", "test", True, False, [[1, 2]], n_fakes=3),
        lav_row("test/000008.mp4", "test", False, False, [[1, 2]]),
        lav_row("test/000009.mp4", "test", "yes", False, []),
        lav_row("test/000010.mp4", "test", True, False, [[1, 2]], original="train/000777.mp4"),
        lav_row("train/000404.mp4", "train", False, False, []),
    ]
    write(root, "metadata.min.json", rows)
    plant(root, *(row["file"] for row in rows[:-1]), "train/000011.mp4")
    return root


def test_lav_df_reads_seconds_and_takes_dev_for_val(lav_df):
    taken = inventory("lav-df", lav_df)
    assert labels(taken) == {
        "train/000001.mp4": (*ALL_REAL, "train"),
        "train/000002.mp4": (F, R, None, "train"),
        "dev/000003.mp4": (R, F, None, "val"),
        "test/000004.mp4": (F, F, None, "test"),
        "test/000005.mp4": (*ALL_REAL, None),
        "test/000006.mp4": (None, None, None, "test"),
        "test/000007.mp4": (None, None, None, "test"),
        "test/000008.mp4": (None, None, None, "test"),
        "test/000009.mp4": (None, None, None, "test"),
        "test/000010.mp4": (F, R, None, "test"),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    assert by_key["train/000002.mp4"].segments == (Segment("video", 1.0, 1.5),)
    assert by_key["dev/000003.mp4"].segments == (Segment("audio", 0.5, 0.9), Segment("audio", 2.0, 2.5))
    assert {s.modality for s in by_key["test/000004.mp4"].segments} == {"video", "audio"}
    assert by_key["test/000006.mp4"].segments == ()
    assert by_key["dev/000003.mp4"].pair == "train/000001.mp4"
    assert by_key["test/000010.mp4"].pair is None
    assert by_key["train/000001.mp4"].text == "one two"


def test_lav_df_tells_of_rows_that_cannot_all_be_true(lav_df):
    assert faults(inventory("lav-df", lav_df)) == {
        ("label_mismatch", "test/000005.mp4"),  # listed as dev, lies in test
        ("label_mismatch", "test/000006.mp4"),
        ("label_mismatch", "test/000007.mp4"),
        ("label_mismatch", "test/000008.mp4"),
        ("label_mismatch", "test/000009.mp4"),
        ("missing", "test/000010.mp4"),  # its original
        ("missing", "train/000404.mp4"),
        ("extra", "train/000011.mp4"),
    }


# AV-Deepfake1M


def one_m_row(file: str, split: str, modify_type: str, **more) -> dict:
    return {
        "file": file, "original": None, "split": split, "modify_type": modify_type, "audio_model": None,
        "fake_segments": [], "audio_fake_segments": [], "visual_fake_segments": [],
        "video_frames": 100, "audio_frames": 64000,
    } | more  # fmt: skip


def one_m_rows(folder: str, split: str) -> list[dict]:
    real = f"{folder}/real.mp4"
    made = {"original": real}
    return [
        one_m_row(real, split, "real"),
        one_m_row(
            f"{folder}/fake_video_real_audio.mp4", split, "visual_modified",
            fake_segments=[[1.0, 1.4]], visual_fake_segments=[[1.0, 1.4]], **made,
        ),
        # its own last segment is copied to the list of the modality that is untouched
        one_m_row(
            f"{folder}/real_video_fake_audio.mp4", split, "audio_modified", audio_model="vits",
            fake_segments=[[2.0, 2.2]], audio_fake_segments=[[2.0, 2.2]], visual_fake_segments=[[2.0, 2.2]],
            **made,
        ),
        # made sound that is a second longer than the picture
        one_m_row(
            f"{folder}/fake_video_fake_audio.mp4", split, "both_modified", audio_model="yourtts",
            audio_frames=80000, fake_segments=[[0.5, 1]], audio_fake_segments=[[0.5, 1]],
            visual_fake_segments=[[0.5, 0.9]], **made,
        ),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def one_m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("AV-Deepfake1M")
    train = one_m_rows("id00012/21Uxsk56VDQ/00001", "train")
    # as one loader spells it; the data set does not
    train.append(one_m_row("id00013/abc/00001/fake.mp4", "train", "both-modified"))
    # changed, but nowhere; and at a frame that is no second
    train.append(one_m_row("id00014/abc/00001/fake.mp4", "train", "audio_modified", fake_segments=[[1, 2]]))
    frames = {"visual_fake_segments": [[1, 2], [40, 60]]}
    train.append(one_m_row("id00015/abc/00001/fake.mp4", "train", "visual_modified", **frames))
    val = [one_m_row("id00020/xyz/00002/real.mp4", "test", "real")]
    write(root, "train_metadata.json", train)
    for row in val:
        write(root, f"val_metadata/{row['file']}".replace(".mp4", ".json"), row)
    plant(root, *(f"train/{row['file']}" for row in train), *(f"val/{row['file']}" for row in val))
    write(root, "test_files.txt", "000001.mp4\n000002.mp4\n")
    plant(root, "test/000001.mp4")
    return root


def test_av_deepfake1m_labels_each_modality_and_keeps_its_seconds(one_m):
    taken = inventory("av-deepfake1m", one_m)
    folder = "train/id00012/21Uxsk56VDQ/00001"
    assert labels(taken) == {
        f"{folder}/real.mp4": (*ALL_REAL, "train"),
        f"{folder}/fake_video_real_audio.mp4": (F, R, None, "train"),
        f"{folder}/real_video_fake_audio.mp4": (R, F, None, "train"),
        f"{folder}/fake_video_fake_audio.mp4": (F, F, None, "train"),
        "train/id00013/abc/00001/fake.mp4": (None, None, None, "train"),
        "train/id00014/abc/00001/fake.mp4": (R, None, None, "train"),
        "train/id00015/abc/00001/fake.mp4": (None, R, None, "train"),
        "val/id00020/xyz/00002/real.mp4": (*ALL_REAL, None),
        "test/000001.mp4": (None, None, None, "test"),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    assert by_key[f"{folder}/fake_video_real_audio.mp4"].segments == (Segment("video", 1.0, 1.4),)
    assert by_key[f"{folder}/real_video_fake_audio.mp4"].segments == (Segment("audio", 2.0, 2.2),)
    both = by_key[f"{folder}/fake_video_fake_audio.mp4"]
    assert both.segments == (Segment("video", 0.5, 0.9), Segment("audio", 0.5, 1.0))
    assert (both.generator, both.family, both.identities) == ("yourtts", "combination", ("id00012",))
    assert both.pair == f"{folder}/real.mp4"


def test_av_deepfake1m_tells_of_unknown_words_copied_segments_and_lengths_that_differ(one_m):
    folder = "train/id00012/21Uxsk56VDQ/00001"
    assert faults(inventory("av-deepfake1m", one_m)) == {
        ("label_mismatch", f"{folder}/real_video_fake_audio.mp4"),
        ("label_mismatch", f"{folder}/fake_video_fake_audio.mp4"),
        ("label_mismatch", "train/id00013/abc/00001/fake.mp4"),
        ("label_mismatch", "train/id00014/abc/00001/fake.mp4"),
        ("label_mismatch", "train/id00015/abc/00001/fake.mp4"),
        ("label_mismatch", "val/id00020/xyz/00002/real.mp4"),
        ("unlabelled", "test_files.txt"),
        ("missing", "test/000002.mp4"),
    }


def test_av_deepfake1m_that_is_still_packed_says_how_to_unpack_it(tmp_path):
    plant(tmp_path, "train.zip.001", "train.zip.002")
    with pytest.raises(UsageError, match="7z x"):
        inventory("av-deepfake1m", tmp_path)


@pytest.fixture(scope="module")
def one_m_plus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("AV-Deepfake1M-PlusPlus")
    rows = one_m_rows("vox_celeb_2/id00012/21Uxsk56VDQ/00001", "train")
    rows[1] |= {"video_model": "latentsync"}
    rows += [one_m_row("lrs3/0Fi83BHQsMA/00002/real.mp4", "train", "real")]
    for row in rows:
        plant(root, f"train/{row['file']}")
        write(root, f"train/{row['file']}".replace(".mp4", ".json"), row)
    write(root, "testA_files.txt", "a1.mp4\n")
    plant(root, "testA/a1.mp4")
    return root


def test_av_deepfake1m_plus_reads_the_list_beside_each_video(one_m_plus):
    taken = inventory("AV-Deepfake1M++", one_m_plus)
    assert taken.importer == "av-deepfake1m-plusplus"
    by_key = {entry.key: entry for entry in taken.entries}
    folder = "train/vox_celeb_2/id00012/21Uxsk56VDQ/00001"
    made = by_key[f"{folder}/fake_video_real_audio.mp4"]
    assert (made.video, made.audio, made.generator, made.family) == (F, R, "latentsync", "lip_sync")
    assert made.identities == ("id00012",) and made.pair == f"{folder}/real.mp4"
    assert by_key["train/lrs3/0Fi83BHQsMA/00002/real.mp4"].identities == ()
    assert by_key["testA/a1.mp4"].split == "test" and by_key["testA/a1.mp4"].video is None
    assert ("unlabelled", "testA_files.txt") in faults(taken)
    assert len(by_key) == 6


# MAVOS-DD


def mavos_row(path: str, label: str, split: str, method: str, **more) -> dict:
    return {
        "video_path": path, "label": label, "split": split, "open_set_model": method == "sonic",
        "open_set_language": path.startswith("german"), "language": path.split("/")[0],
        "generative_method": method,
    } | more  # fmt: skip


def arrow(root: Path, rows: list[dict]) -> None:
    table = pa.Table.from_pylist(rows)
    root.mkdir(exist_ok=True)
    with (
        pa.OSFile(str(root / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as stream,
    ):
        stream.write_table(table)


@pytest.fixture(scope="module")
def mavos_dd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("MAVOS-DD")
    rows = [
        mavos_row("english/real/a.mp4", "real", "train", "real"),
        mavos_row("english/inswapper/b.mp4", "fake", "validation", "inswapper"),
        mavos_row("german/sonic/c.mp4", "fake", "test", "sonic"),
        mavos_row("german/real/d.mp4", "fake", "test", "memo"),
        mavos_row("german/memo/e.mp4", "spoof", "test", "memo"),
        mavos_row("C:\\data\\MAVOS-DD\\english\\real\\f.mp4", "real", "test", "real"),
        mavos_row("german/memo/gone.mp4", "fake", "test", "memo"),
    ]
    arrow(root, rows)
    plant(root, *(row["video_path"] for row in rows[:5]), "english/real/f.mp4", "hindi/real/not_listed.mp4")
    return root


def test_mavos_dd_reads_its_arrow_table_and_leaves_unstated_sound_open(mavos_dd):
    taken = inventory("mavos-dd", mavos_dd)
    assert labels(taken) == {
        "english/real/a.mp4": (*ALL_REAL, "train"),
        "english/inswapper/b.mp4": (F, None, None, "val"),
        "german/sonic/c.mp4": (F, None, None, "test"),
        "german/real/d.mp4": (None, None, None, "test"),
        "german/memo/e.mp4": (None, None, None, "test"),
        "english/real/f.mp4": (*ALL_REAL, "test"),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    assert by_key["german/sonic/c.mp4"].detail["open_set_model"] is True
    assert by_key["german/sonic/c.mp4"].detail["language"] == "german"
    assert by_key["english/inswapper/b.mp4"].family == "face_swap"
    assert {entry.language for entry in taken.entries} == {"other"}
    assert faults(taken) == {
        ("label_mismatch", "german/real/d.mp4"),
        ("label_mismatch", "german/memo/e.mp4"),
        ("missing", "german/memo/gone.mp4"),
        ("extra", "hindi/real/not_listed.mp4"),
    }


def test_mavos_dd_takes_the_verdict_of_each_modality_where_its_table_has_one(tmp_path):
    more = {"audio_generative_method": "xtts_v2", "video_fake": False, "audio_fake": True}
    row = mavos_row("english/xtts_v2/a.mp4", "fake", "train", "real", **more)
    arrow(tmp_path, [row])
    plant(tmp_path, row["video_path"])
    (entry,) = inventory("mavos-dd", tmp_path).entries
    assert (entry.video, entry.audio, entry.generator) == (R, F, "xtts_v2")


def test_mavos_dd_says_when_its_table_is_cut_off(tmp_path, mavos_dd):
    whole = (mavos_dd / "data-00000-of-00001.arrow").read_bytes()
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"data-00000-of-00001\.arrow is no Arrow table"):
        find("mavos-dd").read(Tree(tmp_path))


# PolyGlotFake


@pytest.fixture(scope="module")
def polyglotfake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("PolyGlotFake")
    plant(
        root,
        "real/es/es_1.mp4",
        "real/ja/ja_2.mp4",
        "fake/to_zh/es_1_to_zh_Xtts.mp4",
        "fake/to_en/es_9_to_en_Bark.mp4",
        "real/fr/ja_2_to_fr_Tacotron.mp4",
        "fake/to_ko/es_1_to_ko_Bark.mp4",
        "fake/readme_clip.mp4",
    )
    real = {"language": "spanish", "license": "MIT", "videos": [
        {"filename": "es_1.mp4", "duration": "00:00:10", "source": "somewhere"},
        {"filename": "es_77.mp4", "duration": "00:00:10", "source": "somewhere"},
    ]}  # fmt: skip
    made = {"name": "es_1_to_zh_Xtts.mp4", "raw_video_name": "es_1.mp4", "duration": "8.59"}
    write(root, "real_json_files/es.json", real)
    write(
        root,
        "fake_Json_file/to_zh.json",
        {"language": "zh", "video": [made | {"tts_technique": "Xtts", "sync_tech": "Wav2Lip"}]},
    )
    return root


def test_polyglotfake_reads_its_names_and_adds_how_the_lips_were_made(polyglotfake):
    taken = inventory("polyglotfake", polyglotfake)
    assert labels(taken) == {
        "real/es_1": (*ALL_REAL, None),
        "real/ja_2": (*ALL_REAL, None),
        "fake/es_1_to_zh_Xtts": (F, F, None, None),
        "fake/es_9_to_en_Bark": (F, F, None, None),
        "fake/ja_2_to_fr_Tacotron": (None, None, None, None),
        "fake/es_1_to_ko_Bark": (None, None, None, None),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    dubbed = by_key["fake/es_1_to_zh_Xtts"]
    assert (dubbed.generator, dubbed.pair) == ("Xtts+Wav2Lip", "real/es_1")
    assert by_key["fake/es_9_to_en_Bark"].generator == "Bark"
    assert dubbed.language == "other" and dubbed.detail["source_language"] == "es"
    assert faults(taken) == {
        ("missing", "es_77.mp4"),
        ("missing", "fake/es_9_to_en_Bark"),  # its source
        ("label_mismatch", "real/fr/ja_2_to_fr_Tacotron.mp4"),
        ("label_mismatch", "fake/to_ko/es_1_to_ko_Bark.mp4"),
        ("extra", "fake/readme_clip.mp4"),
    }


# DeepSpeak

FAKES = (
    "video-file,kind,engine,identity-source,identity-target,recording-source,recording-target,audio-config,"
    "gen-config,gesture-type,script-type\n"
)


@pytest.fixture(scope="module")
def deepspeak(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("DeepSpeak")
    plant(
        root,
        "data/87-0.mp4",
        "data/88-1.mp4",
        "data/diff2lip-3-0-playht.mp4",
        "data/facefusion-4-1-real.mp4",
        "data/memo-5-0-clone.mp4",
        "data/facefusion--12-87--4100-0--0.mp4",
        "data/wav2lip--88-87--1-0--3.mp4",
        "data/diff2lip-9-9-playht.mp4",
    )
    rows = [
        "diff2lip-3-0-playht.mp4,lip-sync,diff2lip,88,87,3,0,playht,,no-gesture,scripted",
        "facefusion-4-1-real.mp4,face-swap,facefusion,13,88,4,1,real,,gesture,scripted",
        "memo-5-0-clone.mp4,avatar,memo,87,87,5,0,a-new-voice,,,",
        "facefusion--12-87--4100-0--0.mp4,face-swap,facefusion,12,99,4100,0,,,,",
        "diff2lip-6-6-playht.mp4,lip-sync,diff2lip,88,87,6,6,playht,,,",
    ]
    write(root, "annotations-fake.csv", FAKES + "\n".join(rows))
    write(root, "annotations-real.csv", "video-file,identity\n87-0.mp4,87\n90-4.mp4,90\n")
    write(root, "annotations-split-def.csv", ",identity,split\n0,87,train\n1,88, Test \n2,13,test\n")
    return root


def test_deepspeak_reads_tables_of_v2_and_names_of_v1(deepspeak):
    taken = inventory("deepspeak", deepspeak)
    assert labels(taken) == {
        "real/87-0": (*ALL_REAL, "train"),
        "real/88-1": (*ALL_REAL, "test"),
        "fake/diff2lip-3-0-playht": (F, F, None, None),  # its two people are in different splits
        "fake/facefusion-4-1-real": (F, R, None, "test"),
        "fake/memo-5-0-clone": (F, None, None, "train"),
        "fake/facefusion--12-87--4100-0--0": (F, None, None, None),
        "fake/wav2lip--88-87--1-0--3": (F, None, F, None),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    lips = by_key["fake/diff2lip-3-0-playht"]
    assert (lips.generator, lips.family, lips.pair) == ("diff2lip", "combination", "real/87-0")
    assert lips.identities == ("87", "88")
    swap = by_key["fake/facefusion-4-1-real"]
    assert (swap.family, swap.pair, swap.identities) == ("face_swap", "real/88-1", ("88", "13"))
    assert by_key["fake/facefusion--12-87--4100-0--0"].identities == ()
    assert by_key["fake/wav2lip--88-87--1-0--3"].pair == "real/87-0"
    assert faults(taken) == {
        ("label_mismatch", "fake/diff2lip-3-0-playht"),
        ("label_mismatch", "fake/wav2lip--88-87--1-0--3"),
        ("label_mismatch", "fake/memo-5-0-clone"),
        ("label_mismatch", "fake/facefusion--12-87--4100-0--0"),
        ("missing", "diff2lip-6-6-playht.mp4"),
        ("missing", "90-4.mp4"),
        ("extra", "data/diff2lip-9-9-playht.mp4"),
    }


# All of them


@pytest.mark.parametrize(
    ("name", "fixture"),
    [
        ("fakeavceleb", "fakeavceleb"),
        ("lav-df", "lav_df"),
        ("av-deepfake1m", "one_m"),
        ("av-deepfake1m-plusplus", "one_m_plus"),
        ("mavos-dd", "mavos_dd"),
        ("polyglotfake", "polyglotfake"),
        ("deepspeak", "deepspeak"),
    ],
)
def test_reading_the_same_tree_again_gives_the_same_entries_and_findings(name, fixture, request):
    root = request.getfixturevalue(fixture)
    first, second = inventory(name, root), inventory(name, root)
    assert first == second
    assert len(first.entries) == len({entry.key for entry in first.entries}) > 0


@pytest.mark.parametrize(
    "name", ["fakeavceleb", "lav-df", "av-deepfake1m", "mavos-dd", "polyglotfake", "deepspeak"]
)
def test_a_folder_of_something_else_is_refused_with_the_layout_that_is_expected(name, tmp_path):
    plant(tmp_path, "holiday/beach.mp4")
    importer = find(name)
    with pytest.raises(UsageError) as no:
        inventory(name, tmp_path)
    assert importer.layout.splitlines()[0] in str(no.value)
