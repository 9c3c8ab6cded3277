"""The signing key: made once, for its owner's eyes, and refused where it is of no use."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from haetae.errors import UsageError
from haetae.marks import credentials as made


def test_development_credentials_are_made_once_and_only_their_owner_may_read_them(tmp_path):
    folder = tmp_path / "keys" / "marks"
    first = made.development_credentials(folder)
    assert made.development_credentials(folder) == first
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert [path.name for path in folder.parent.iterdir()] == ["marks"]
    assert b"PRIVATE" not in first.chain_pem and "PRIVATE" not in first.anchors_pem
    assert "PRIVATE" not in repr(first)


def test_processes_that_make_them_at_once_end_up_with_the_same(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        all_made = list(pool.map(lambda _: made.development_credentials(tmp_path / "k"), range(4)))
    assert len({one.chain_pem for one in all_made}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_a_key_that_others_may_read_is_refused_with_the_command_that_mends_it(tmp_path):
    folder = tmp_path / "keys"
    made.development_credentials(folder)
    os.chmod(folder / made.KEY, 0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        made.development_credentials(folder)
    os.chmod(folder / made.KEY, 0o600)
    os.chmod(folder, 0o755)
    with pytest.raises(UsageError, match="chmod 700"):
        made.development_credentials(folder)


def test_files_that_are_no_credentials_are_refused(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    made.development_credentials(one)
    made.development_credentials(other)
    with pytest.raises(UsageError, match="not that of the key"):
        made.load_credentials(one / made.CHAIN, other / made.KEY)
    with pytest.raises(UsageError, match="cannot read"):
        made.load_credentials(one / "none.pem", one / made.KEY)
    (one / made.KEY).write_text("no key")
    with pytest.raises(UsageError, match="must be PEM"):
        made.load_credentials(one / made.CHAIN, one / made.KEY)
