"""The mapping importer: every word is mapped by the user or is a finding; nothing is guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from haetae.errors import UsageError
from haetae.importers.base import Reading, Segment
from haetae.importers.inventory import take
from haetae.importers.registry import find
from haetae.importers.tree import Tree
from tests.haetae.importers.planted import faults, plant, write

BASIS: dict[str, Any] = {
    "title": "A set",
    "table": "labels.csv",
    "path": {"column": "file"},
    "verdicts": {"video": {"column": "label", "values": {"0": "real", "1": "fake"}}},
    "licence": "CC-BY-4.0",
    "access": "Free.",
}


def mapped(root: Path, **fields: Any) -> Reading:
    """What is read of a tree by a mapping file of the basis and these fields."""
    file = root.parent / f"{root.name}.yaml"
    file.write_text(yaml.safe_dump(BASIS | fields, allow_unicode=True), encoding="utf-8")
    return find("mapping", file).read(Tree(root))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    plant(folder, *(f"v/{name}.mp4" for name in "abcdef"), "m/b.mp4")
    return folder


def test_every_field_comes_from_its_column_and_in_our_words(root: Path) -> None:
    write(
        root,
        "labels.csv",
        "file,label,snd,from,part,lang,who,by,mask,t0,t1,note\n"
        "v\\a.mp4,0,ok,,tr,kr,p1,real,,,,first\n"
        "/data/set/v/b.mp4,1,ok,v/a.mp4,dev,kr,p1;p2,swap,m/b.mp4,250,1500,\n",
    )
    reading = mapped(
        root,
        verdicts=BASIS["verdicts"] | {"audio": {"column": "snd", "values": {"ok": "real"}}},
        segments=[{"modality": "video", "start": "t0", "end": "t1", "unit": "ms"}],
        split={"column": "part", "values": {"tr": "train", "dev": "val"}},
        language={"column": "lang", "values": {"kr": "ko"}},
        pair={"column": "from"},
        mask={"column": "mask"},
        identities={"columns": "who", "separator": ";"},
        generator={"column": "by", "none": "real"},
        family={"constant": "face_swap"},
        detail=["note"],
    )
    a, b = reading.entries

    assert (a.path, a.video, a.audio, a.split, a.language) == ("v/a.mp4", "real", "real", "train", "ko")
    assert (a.generator, a.pair, a.mask, a.segments, a.identities) == (None, None, None, (), ("p1",))
    assert dict(a.detail) == {"note": "first"}
    assert (b.path, b.video, b.audio, b.split) == ("v/b.mp4", "fake", "real", "val")
    assert (b.generator, b.mask, b.identities) == ("swap", "m/b.mp4", ("p1", "p2"))
    assert b.pair == a.key and b.segments == (Segment("video", 0.25, 1.5),)
    assert b.sync is None and b.text_verdict is None
    assert not reading.findings


def test_a_word_that_is_not_mapped_is_a_finding_and_no_verdict(root: Path) -> None:
    write(root, "labels.csv", "file,label\nv/a.mp4,0\nv/b.mp4,FAKE\nv/c.mp4,\nv/none.mp4,1\n")
    reading = mapped(root)

    assert [entry.video for entry in reading.entries] == ["real", None, None]
    assert [(f.kind, f.subject) for f in reading.findings] == [
        ("label_mismatch", "v/b.mp4"),
        ("unlabelled", "v/c.mp4"),
        ("missing", "v/none.mp4"),
    ]


def test_words_of_the_mapping_are_text_whatever_yaml_makes_of_them(root: Path) -> None:
    write(root, "labels.csv", "file,label\nv/a.mp4,no\nv/b.mp4,Yes\nv/c.mp4,1.0\n")
    file = root.parent / "m.yaml"
    file.write_text(
        "title: t\ntable: labels.csv\npath: {column: file}\nlicence: MIT\naccess: Free.\n"
        "verdicts: {video: {column: label, values: {no: real, yes: fake, 1.0: unknown}}}\n"
    )
    reading = find("mapping", file).read(Tree(root))

    assert [entry.video for entry in reading.entries] == ["real", "fake", None]
    assert not reading.findings


@pytest.mark.parametrize(
    ("field", "cells", "expected"),
    [
        ({"start": "s", "end": "e", "unit": "s"}, ("0.5", "1.5"), (0.5, 1.5)),
        ({"column": "s", "unit": "s"}, ("[[0.5, 1.5]]", ""), (0.5, 1.5)),
        (
            {"start": "s", "end": "e", "unit": "frames", "fps": 25, "last_frame": "included"},
            ("25", "49"),
            (1, 2),
        ),
        (
            {"start": "s", "end": "e", "unit": "frames", "fps": 25, "last_frame": "excluded"},
            ("25", "50"),
            (1, 2),
        ),
        ({"start": "s", "end": "e", "unit": "s"}, ("", ""), None),
        ({"start": "s", "end": "e", "unit": "s"}, ("0.5", "soon"), "damaged"),
        ({"column": "s", "unit": "s"}, ("[0.5, 1.5]", ""), "damaged"),
        ({"column": "s", "unit": "s"}, (f"[[0, 1{'0' * 400}]]", ""), "damaged"),
    ],
)
def test_segments_are_turned_into_seconds(root: Path, field, cells, expected) -> None:
    write(root, "labels.csv", 'file,label,s,e\nv/a.mp4,1,"{}","{}"\n'.format(*cells))
    reading = mapped(root, segments=[{"modality": "video", **field}])
    segments = [(one.start_s, one.end_s) for one in reading.entries[0].segments]

    assert segments == ([expected] if isinstance(expected, tuple) else [])
    assert [f.kind for f in reading.findings] == (["damaged"] if expected == "damaged" else [])


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "keyed", "jsonl", "parquet"])
def test_each_kind_of_table_says_the_same(root: Path, kind: str) -> None:
    rows = [{"file": "v/a.mp4", "label": 0}, {"file": "v/b.mp4", "label": 1}]
    table, fields = f"t.{kind}", {}
    if kind in ("csv", "tsv"):
        mark = "," if kind == "csv" else "\t"
        write(
            root, table, "\n".join(mark.join(map(str, one)) for one in (rows[0], *(r.values() for r in rows)))
        )
    elif kind == "json":
        write(root, table, rows)
    elif kind == "keyed":
        table, fields = "t.json", {"path": {"column": "@key"}}
        write(root, table, {row["file"]: {"label": row["label"]} for row in rows})
    elif kind == "jsonl":
        write(root, table, "".join(f'{{"file": "{r["file"]}", "label": {r["label"]}}}\n' for r in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), root / table)
    reading = mapped(root, table=table, **fields)

    assert [(entry.path, entry.video) for entry in reading.entries] == [
        ("v/a.mp4", "real"),
        ("v/b.mp4", "fake"),
    ]


def test_media_in_the_rows_of_several_parquet_tables_are_addressed_by_row(root: Path) -> None:
    for part in ("1", "2"):
        rows = [
            {"audio": b"RIFF", "label": "1", "who": f"s{part}"},
            {"audio": b"RIFF", "label": "0", "who": "s0"},
        ]
        (root / "data").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), root / "data" / f"train-{part}.parquet")
    reading = mapped(root, table="data/*.parquet", path="@row", identities={"columns": "who"})

    assert [entry.path for entry in reading.entries] == [
        f"data/train-{part}.parquet!/{row}" for part in ("1", "2") for row in (0, 1)
    ]
    assert [entry.identities for entry in reading.entries] == [("s1",), ("s0",), ("s2",), ("s0",)]


def test_folders_of_frames_with_a_prefix_are_found(root: Path) -> None:
    plant(root, "frames/x/000.png", "frames/x/001.png")
    write(root, "labels.csv", "file,label\nx,1\n")
    reading = mapped(root, path={"column": "file", "prefix": "frames/"}, form="frames")

    assert [(entry.key, entry.path, entry.form) for entry in reading.entries] == [
        ("frames/x", "frames/x/", "frames")
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"path": {"column": "name"}}, "has no column 'name'; it has 'file', 'label'"),
        ({"table": "none.csv"}, "none.csv is not in"),
        ({"verdicts": {"video": {"column": "label"}}}, "give values"),
        ({"verdicts": {"video": {"column": "label", "values": {"1": "faked"}}}}, "'faked' is none of"),
        ({"verdicts": {"picture": {"constant": "real"}}}, "verdicts"),
        ({"segments": [{"modality": "video", "column": "s", "unit": "frames"}]}, "frames need fps"),
        ({"lincence": "MIT"}, "lincence"),
        ({"licence": "whatever you like"}, "licence"),
    ],
)
def test_a_wrong_mapping_is_refused_with_the_place_of_the_fault(root: Path, fields, told: str) -> None:
    write(root, "labels.csv", "file,label\nv/a.mp4,1\n")

    with pytest.raises(UsageError, match=told):
        mapped(root, **fields)


def test_terms_and_title_are_those_of_the_mapping(root: Path) -> None:
    write(root, "labels.csv", "file,label\n" + "".join(f"v/{n}.mp4,1\n" for n in "abcdef") + "m/b.mp4,0\n")
    mapped(root, purposes=["training"], consent="release")
    found = take(find("mapping", root.parent / "set.yaml"), Tree(root))

    assert (found.title, found.terms.licence, found.terms.access) == ("A set", "CC-BY-4.0", "Free.")
    assert (found.terms.purposes, found.terms.consent) == (("training",), "release")
    assert len(found.entries) == 7 and not faults(found)


@pytest.mark.parametrize("name", ["redface", "tmc", "mapping"])
def test_a_set_of_unpublished_layout_is_not_guessed_but_asked_for(root: Path, name: str) -> None:
    write(root, "list.csv", "file,fake\nv/a.mp4,1\n")

    with pytest.raises(UsageError) as refused:
        find(name).read(Tree(root))
    for words in ("verdict", "--mapping", "7 .mp4", "list.csv", "values: {"):
        assert words in str(refused.value)


@pytest.mark.parametrize("name", ["redface", "tmc"])
def test_a_set_of_unpublished_layout_is_read_by_a_mapping(root: Path, name: str) -> None:
    write(root, "labels.csv", "file,label\nv/a.mp4,1\n")
    file = root.parent / "m.yaml"
    file.write_text(yaml.safe_dump(BASIS))
    reading = find(name, file).read(Tree(root))

    assert [(entry.path, entry.video, entry.audio) for entry in reading.entries] == [
        ("v/a.mp4", "fake", None)
    ]


def test_a_mapping_for_a_known_layout_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="known layout"):
        find("dfdc", root / "m.yaml")


def test_the_skeleton_that_is_shown_is_itself_a_mapping(root: Path) -> None:
    from haetae.importers.mapping_file import SKELETON, load_mapping

    file = root.parent / "skeleton.yaml"
    file.write_text(SKELETON, encoding="utf-8")
    assert load_mapping(file).verdicts["video"].values == {"0": "real", "1": "fake"}
