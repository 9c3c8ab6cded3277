"""Lists of the face data sets with something wrong in them: told or refused, never a crash, never a guess."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from haetae.errors import UsageError
from tests.haetae.importers.planted import inventory
from tests.haetae.importers.test_damaged_lists import LISTS, spoil
from tests.haetae.importers.test_deepfakebench import bench, df40  # noqa: F401
from tests.haetae.importers.test_face_videos import celeb, dfdc  # noqa: F401
from tests.haetae.importers.test_faceforensics import root as ff  # noqa: F401

ROUNDS = 12


@pytest.mark.parametrize(
    ("name", "fixture"),
    [
        ("faceforensics", "ff"),
        ("celeb-df", "celeb"),
        ("dfdc", "dfdc"),
        ("deepfakebench", "bench"),
        ("df40", "df40"),
    ],
)
def test_a_spoiled_list_never_turns_a_verdict(
    name: str, fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Whatever is broken in a list, an item is called as it was, or not at all."""
    root = tmp_path / "spoiled"
    shutil.copytree(request.getfixturevalue(fixture), root)
    lists = [path for path in sorted(root.rglob("*")) if path.suffix in LISTS and path.is_file()]
    verdicts = {entry.path: entry.video for entry in inventory(name, root).entries}
    chance = random.Random(name)
    kept, refusals = 0, list[tuple[str, str]]()
    for _ in range(ROUNDS):
        path = chance.choice(lists)
        before = path.read_bytes()
        path.write_bytes(spoil(chance, path))
        try:
            taken = inventory(name, root)
        except UsageError as no:
            refusals.append((path.name, str(no)))
            continue
        finally:
            path.write_bytes(before)
        kept += len(taken.entries)
        said = {entry.path: (entry.video, verdicts.get(entry.path)) for entry in taken.entries}
        assert not {path: both for path, both in said.items() if None not in both and both[0] != both[1]}
    assert kept > 0
    assert all(file in told or str(root) in told for file, told in refusals)
