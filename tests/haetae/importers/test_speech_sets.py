"""Speech data sets: only the sound has a verdict, whatever the number of columns says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from haetae.errors import UsageError
from haetae.importers.registry import find
from haetae.importers.tree import Tree
from haetae.media.archives import fetch_member
from tests.haetae.importers.planted import faults, inventory, labels, plant, write

R, F = "real", "fake"

# ASVspoof 5


@pytest.fixture(scope="module")
def asvspoof5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ASVspoof5")
    write(
        root,
        "ASVspoof5_protocols/ASVspoof5.train.tsv",
        "T_4850 T_0000000000 F - - - AC3 A05 spoof -\n"
        "T_0001 T_0000000001 M - - - - bonafide bonafide -\n"
        "T_0002 T_0000000002 M - - - - bonafide spoof -\n"  # made by nobody
        "T_0002 T_0000000003 M - - - AC1 A01 bogus -\n"
        "T_0002 T_0000000004 F A11 spoof\n"  # five columns, as the README says
        "T_0002 T_0000000404 M - - - AC1 A01 spoof -\n",
    )
    write(
        root,
        "ASVspoof5_protocols/ASVspoof5.dev.track_1.tsv",
        "D_0062 D_0000000001 F - - - AC1 A11 spoof -\n",
    )
    write(
        root,
        "ASVspoof5_protocols/ASVspoof5.eval.track_1.tsv",
        "E_1607 E_0009538969 M C05 2 E_0009486171 AC1 A26 spoof -\n",
    )
    write(root, "ASVspoof5_protocols/ASVspoof5.dev.track_2.trial.tsv", "D_0062 D_0000000001 F A11 spoof\n")
    plant(
        root,
        *(f"flac_T/T_000000000{number}.flac" for number in range(5)),
        "flac_D/D_0000000001.flac",
        "flac_E_eval/E_0009538969.flac",
    )
    return root


def test_asvspoof5_takes_its_label_from_the_ninth_of_ten_columns(asvspoof5):
    taken = inventory("asvspoof5", asvspoof5)
    assert labels(taken) == {
        "T_0000000000": (None, F, None, "train"),
        "T_0000000001": (None, R, None, "train"),
        "T_0000000002": (None, None, None, "train"),
        "T_0000000003": (None, None, None, "train"),
        "D_0000000001": (None, F, None, "val"),
        "E_0009538969": (None, F, None, "test"),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    evaluated = by_key["E_0009538969"]
    assert (evaluated.generator, evaluated.family, evaluated.identities) == ("A26", "speech", ("E_1607",))
    assert evaluated.detail["codec"] == "C05" and evaluated.detail["codec_q"] == "2"
    assert by_key["T_0000000001"].generator is None
    protocol = "ASVspoof5_protocols/ASVspoof5.train.tsv"
    assert faults(taken) == {
        ("label_mismatch", "T_0000000002"),
        ("label_mismatch", "T_0000000003"),
        ("layout", f"{protocol}:5"),
        ("extra", "flac_T/T_0000000004.flac"),
        ("missing", "T_0000000404.flac"),
    }


# MLAAD

META = "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript"


@pytest.fixture(scope="module")
def mlaad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("MLAAD")
    book = "by_book/female/eva_k/kleine_lord/wavs/kleine_lord_f000001.wav"
    write(
        root,
        "fake/de/tts_models_de_thorsten_vits/meta.csv",
        f"{META}\n"
        f"./fake/de/tts_models_de_thorsten_vits/a.wav|de_DE/{book}|de|True|3.2|thorsten|vits|VITS|"
        '"Er sagte: nein\n'  # a quotation mark that is never closed
        f"./fake/de/tts_models_de_thorsten_vits/gone.wav|de_DE/{book}|de|True|3.2|thorsten|vits|VITS|Ja\n",
    )
    write(
        root,
        "fake/ko/facebook mms/meta.csv",
        f"{META}|reference_speaker\n"
        f"./fake/ko/facebook mms/b.wav|en_UK/{book}|ko|False|2.0|mms|mms-tts-kor|MMS|안녕하세요|\n"
        f"./fake/ko/facebook mms/c.wav|-|ms|False|2.0|mms|mms-tts-kor|MMS|Selamat pagi|spk1\n",
    )
    plant(
        root,
        "fake/de/tts_models_de_thorsten_vits/a.wav",
        "fake/ko/facebook mms/b.wav",
        "fake/ko/facebook mms/c.wav",
        "fake/ko/facebook mms/d.wav",
    )
    return root


def test_mlaad_is_made_speech_with_reader_and_language_of_each_file(mlaad):
    taken = inventory("mlaad", mlaad)
    assert labels(taken) == {
        "de/tts_models_de_thorsten_vits/a.wav": (None, F, None, None),
        "ko/facebook mms/b.wav": (None, F, None, None),
        "ko/facebook mms/c.wav": (None, F, None, None),
    }
    german, korean, other = (entry for entry in taken.entries)
    assert german.text == '"Er sagte: nein' and german.language == "other"
    assert german.identities == ("eva_k",) and german.generator == "vits"
    assert (korean.language, korean.text, korean.detail["architecture"]) == ("ko", "안녕하세요", "MMS")
    assert other.language is None and other.identities == ()
    assert faults(taken) == {
        ("label_mismatch", "ko/facebook mms/c.wav"),
        ("missing", "fake/de/tts_models_de_thorsten_vits/gone.wav"),
        ("extra", "fake/ko/facebook mms/d.wav"),
    }


# SEA-Spoof


def spoken(row_id: str, language: str, label: str, split: str, **more) -> dict:
    made = label == "spoof"
    return {
        "row_id": row_id, "utterance_id": "utt_1", "sampling_rate": 16000, "audio_was_resampled": False,
        "audio": {"bytes": f"fLaC of {row_id}".encode(), "path": "utt_1.flac"},
        "text": "வணக்கம்", "language": language, "label": label, "spoof_type": "tts" if made else None,
        "category": "offline_spoof" if made else "bonafide", "split": split, "text_source": "x",
        "mapping_source": "local", "text_granularity": "utterance", "is_text_exact": True,
        "source_model": "xtts-v2" if made else "bonafide", "source_dataset": "common_voice",
        "speaker_or_voice": "s1",
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def sea_spoof(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("SEA-Spoof")
    parts = {
        "data/train/train-00000.parquet": [
            spoken("r0", "ta", "bonafide", "train"),
            spoken("r1", "ms", "spoof", "train"),
            spoken("r2", "hi", "spoof", "train", is_text_exact=False),
        ],
        "data/validation/validation-00000.parquet": [spoken("r3", "ta", "spoof", "validation")],
        "data/evaluation/evaluation-00000.parquet": [
            spoken("r4", "id", "bonafide", "evaluation"),
            spoken("r5", "id", "genuine", "evaluation"),
            spoken("r6", "th", "spoof", "train"),
            spoken("r0", "th", "spoof", "evaluation"),
        ],
    }
    for path, rows in parts.items():
        (root / path).parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), root / path)
    return root


def test_sea_spoof_items_are_rows_of_its_tables_by_number(sea_spoof, tmp_path):
    taken = inventory("sea-spoof", sea_spoof)
    assert labels(taken) == {
        "r1": (None, F, None, "train"),
        "r2": (None, F, None, "train"),
        "r3": (None, F, None, "val"),
        "r4": (None, R, None, "test"),
        "r5": (None, None, None, "test"),
        "r6": (None, F, None, None),
        "r0": (None, F, None, "test"),
    }
    by_key = {entry.key: entry for entry in taken.entries}
    assert by_key["r1"].path == "data/train/train-00000.parquet!/1"
    assert [by_key[key].language for key in ("r1", "r3", "r4", "r6")] == ["ms", "ta", "other", "other"]
    assert by_key["r4"].identities == ("common_voice/s1",) and by_key["r1"].identities == ()
    assert (by_key["r1"].generator, by_key["r4"].generator) == ("xtts-v2", None)
    assert by_key["r1"].text == "வணக்கம்" and by_key["r2"].text is None
    assert by_key["r2"].detail["text"] == "வணக்கம்"
    assert "audio" not in by_key["r1"].detail
    fetched = fetch_member(f"{sea_spoof}/{by_key['r1'].path}", tmp_path)
    assert fetched.read_bytes() == b"fLaC of r1", "the address of an item leads to its own sound"
    assert faults(taken) == {
        ("label_mismatch", "r5"),
        ("label_mismatch", "r6"),
        ("duplicate", "r0"),
    }


def test_sea_spoof_says_which_column_a_table_lacks(tmp_path):
    (tmp_path / "data/train").mkdir(parents=True)
    pq.write_table(pa.table({"row_id": ["a"], "label": ["spoof"]}), tmp_path / "data/train/t.parquet")
    with pytest.raises(UsageError, match=r"t\.parquet has no column language, split, audio"):
        find("sea-spoof").read(Tree(tmp_path))


def test_one_damaged_table_of_many_is_told_and_the_others_are_read(sea_spoof, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(sea_spoof, root)
    bad = root / "data/train/train-00000.parquet"
    bad.write_bytes(bad.read_bytes()[:100])
    taken = inventory("sea-spoof", root)
    assert set(labels(taken)) == {"r0", "r3", "r4", "r5", "r6"}
    assert ("damaged", "data/train/train-00000.parquet") in faults(taken)


@pytest.mark.parametrize("name", ["asvspoof5", "mlaad", "sea_spoof"])
def test_reading_the_same_tree_again_gives_the_same_entries_and_findings(name, request):
    root = request.getfixturevalue(name)
    assert inventory(name, root) == inventory(name, root)


@pytest.mark.parametrize("name", ["asvspoof5", "mlaad", "sea-spoof"])
def test_a_folder_of_something_else_is_refused_with_the_layout_that_is_expected(name, tmp_path):
    plant(tmp_path, "music/song.wav")
    with pytest.raises(UsageError) as no:
        inventory(name, tmp_path)
    assert find(name).layout.splitlines()[0] in str(no.value)
