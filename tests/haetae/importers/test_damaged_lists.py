"""Lists that are cut off, of another form, or full of odd values: told or refused, never a crash."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from haetae.errors import UsageError
from haetae.importers.inventory import Inventory
from tests.haetae.importers.planted import inventory

# The trees are fixtures of the tests that say how they are read when they are whole.
from tests.haetae.importers.test_audio_visual_sets import (  # noqa: F401
    deepspeak,
    fakeavceleb,
    lav_df,
    mavos_dd,
    one_m,
    one_m_plus,
    polyglotfake,
)
from tests.haetae.importers.test_faces_and_wild_sets import wild  # noqa: F401
from tests.haetae.importers.test_korean_sets import kodf  # noqa: F401
from tests.haetae.importers.test_speech_sets import asvspoof5, mlaad, sea_spoof  # noqa: F401

LISTS = (".csv", ".json", ".txt", ".tsv", ".arrow", ".parquet")
ROUNDS = 12
ODD_VALUES = [None, 1, -1, 1e308, "", "x", [], {}, [[]], [["a", 1]], {"a": 1}, True]
ODD_FILES = [b"", b"[]", b"{}", b"null", b"\xff\xfe\x00", b"[1]", b"a,b\n", b"\n\n\n", b"\x00" * 50]
ODD_LINES = [b"\n", b"a,b,c,d,e,f,g,h,i,j,k,l,m\n", b"|||\n", b'"\n', b"../../etc/passwd,x\n"]


def spoil(chance: random.Random, path: Path) -> bytes:
    """The bytes of a list with one thing wrong."""
    data = path.read_bytes()
    way = chance.choice(("cut", "replaced", "bytes", "separator", "line", "value", "value", "value"))
    if way == "cut":
        return data[: chance.randrange(len(data))]
    if way == "replaced":
        return chance.choice(ODD_FILES)
    if way == "bytes":
        spoiled = bytearray(data)
        for _ in range(5):
            spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
        return bytes(spoiled)
    if way == "separator":
        return data.replace(b",", b";")
    if way == "value" and path.suffix == ".json":
        return json.dumps(spoil_value(chance, json.loads(data))).encode()
    lines = data.splitlines(keepends=True)
    lines[chance.randrange(len(lines))] = chance.choice(ODD_LINES)
    return b"".join(lines)


def spoil_value(chance: random.Random, value: Any) -> Any:
    """The same with one value, somewhere below, that does not belong there."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.2:
        return chance.choice(ODD_VALUES)
    place: Any = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    value[place] = spoil_value(chance, value[place])
    return value


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
        ("kodf", "kodf"),
        ("deepfake-eval-2024", "wild"),
        ("asvspoof5", "asvspoof5"),
        ("mlaad", "mlaad"),
        ("sea-spoof", "sea_spoof"),
    ],
)
def test_a_spoiled_list_is_told_or_refused_and_never_ends_in_an_error_of_ours(
    name, fixture, request, tmp_path
):
    root = tmp_path / "spoiled"
    shutil.copytree(request.getfixturevalue(fixture), root)
    whole = {entry.key for entry in inventory(name, root).entries}
    lists = [path for path in sorted(root.rglob("*")) if path.suffix in LISTS and path.is_file()]
    chance = random.Random(name)
    seen, refusals = 0, list[str]()
    for _ in range(ROUNDS):
        path = chance.choice(lists)
        before = path.read_bytes()
        path.write_bytes(spoil(chance, path))
        try:
            taken = inventory(name, root)
            assert isinstance(taken, Inventory)
            labelled = {e.key for e in taken.entries if e.video or e.audio}
            seen += len(labelled & whole)
        except UsageError as no:
            refusals.append(str(no))
        finally:
            path.write_bytes(before)
    assert all(str(root) in told or any(path.name in told for path in lists) for told in refusals)
    assert seen or name == "mavos-dd", "a list of text with one fault is still read, all but that fault"
