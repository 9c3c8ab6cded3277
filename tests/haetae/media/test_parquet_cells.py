"""Media in the cells of a Parquet file: fetched by row, and refused where there are none."""

from __future__ import annotations

import contextlib
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from haetae.errors import Rejected
from haetae.media.archives import ArchiveLimits, fetch


@pytest.mark.parametrize("as_struct", [True, False])
def test_the_media_in_a_row_of_a_parquet_file_is_fetched(tmp_path, as_struct):
    sounds = [b"RIFF%04d" % n * 50 for n in range(40)]
    cells = [{"bytes": one, "path": f"a/{n}.wav"} for n, one in enumerate(sounds)] if as_struct else sounds
    path = tmp_path / "train-00000.parquet"
    pq.write_table(pa.table({"row_id": range(40), "audio": cells}), path, row_group_size=15)
    for row in (0, 14, 15, 39):
        made = fetch(f"{path}!/{row}", tmp_path)
        assert made.path.read_bytes() == sounds[row]
        assert made.path.suffix == (".wav" if as_struct else "")
    for row, reason in (("40", "no_such_member"), ("-1", "no_such_member"), ("../x", "no_such_member")):
        with pytest.raises(Rejected, match=reason):
            fetch(f"{path}!/{row}", tmp_path)
    with pytest.raises(Rejected, match="too_large"):
        fetch(f"{path}!/3", tmp_path, ArchiveLimits(max_member_bytes=100))


def test_a_parquet_file_without_media_or_that_is_broken_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(Rejected, match="no_such_member"):
        fetch(f"{path}!/0", tmp_path)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"audio": pa.array([{"bytes": None, "path": "/etc/passwd"}], kind)}), path)
    with pytest.raises(Rejected, match="not_embedded"):
        fetch(f"{path}!/0", tmp_path)
    pq.write_table(pa.table({"image": [b"\x89PNG" * 100] * 100}), path)
    whole = path.read_bytes()
    dice = random.Random(5)
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(3):
            broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        path.write_bytes(broken)
        with contextlib.suppress(Rejected):
            fetch(f"{path}!/50", tmp_path)
