"""A glance at marks: quick, bounded, and as careful as `verify` with what strangers wrote."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from haetae.engine import PoolEngine
from haetae.errors import Rejected
from haetae.marks import glance as glancing
from haetae.marks.credentials import Credentials, development_credentials
from haetae.marks.export import Parts, export, sidecar_of
from haetae.marks.glance import Glance, GlanceAtMarks, glance
from haetae.media.encode import write_wav
from haetae.provenance.policy import Verdict
from tests.haetae.marks.lake import FAKE


@pytest.fixture
def marked(spoken: Any, credentials: Credentials, tmp_path: Path) -> Path:
    write_wav(tmp_path / "master.wav", spoken(2.0))
    export(
        Parts(tmp_path / "master.wav"), FAKE, tmp_path / "out.wav", verdict=Verdict(True, ()), card_digest="d",
        credentials=credentials,
    )  # fmt: skip
    return tmp_path / "out.wav"


def test_an_export_is_known_by_its_manifest_in_a_moment(marked: Path, credentials: Credentials) -> None:
    glance(marked, None)  # the native library is loaded
    began = time.monotonic()
    seen = glance(marked, credentials.anchors_pem)
    assert time.monotonic() - began < 0.5
    assert seen == Glance(True, FAKE["fake_id"], FAKE["generator"], (), "trusted", True, "agrees", ("audio",))


def test_what_is_wrong_with_the_marks_is_told_with_them(
    marked: Path, credentials: Credentials, tmp_path: Path
) -> None:
    stranger = development_credentials(tmp_path / "keys").anchors_pem
    assert glance(marked, stranger).doubts[0].startswith("manifest_untrusted")
    content = bytearray(marked.read_bytes())
    content[content.index(b"data") + 4000] ^= 1
    marked.write_bytes(content)
    seen = glance(marked, credentials.anchors_pem)
    assert seen.fake_id == FAKE["fake_id"] and seen.doubts[0].startswith("manifest_invalid")
    assert (seen.manifest, seen.sidecar) == ("invalid", "differs")


def test_a_sidecar_speaks_for_a_file_that_lost_its_manifest(
    marked: Path, spoken: Any, tmp_path: Path
) -> None:
    write_wav(tmp_path / "again.wav", spoken(2.0))
    sidecar_of(marked).rename(sidecar_of(tmp_path / "again.wav"))
    seen = glance(tmp_path / "again.wav", None)
    assert (seen.fake_id, seen.manifest) == (FAKE["fake_id"], None)
    assert (seen.synthetic, seen.modalities) == (True, ("audio",))
    assert [one.split(":")[0] for one in seen.doubts] == ["sidecar_differs"]
    sidecar_of(tmp_path / "again.wav").unlink()
    assert glance(tmp_path / "again.wav", None) == Glance()


def test_a_huge_file_and_huge_masks_are_not_read(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with marked.with_name("huge.mp4").open("wb") as file:
        file.truncate(glancing.MAX_BYTES + 1)
    assert glance(marked.with_name("huge.mp4"), None) == Glance(looked=False)
    os.mkfifo(marked.with_name("out.srt"))
    with marked.with_name("out.wav.masks.npz").open("wb") as file:
        file.truncate(1 << 40)
    began = time.monotonic()
    assert glance(marked, None).sidecar == "agrees"
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 100_000, b"\xff\xfe", b'{"fake_id": "\\u001b[2J", "sha256": "' + b"0" * 64 + b'"}'],
)
def test_a_strange_sidecar_names_nothing(marked: Path, content: bytes, tmp_path: Path, spoken: Any) -> None:
    write_wav(tmp_path / "plain.wav", spoken(1.0))
    sidecar_of(tmp_path / "plain.wav").write_bytes(content)
    seen = glance(tmp_path / "plain.wav", None)
    assert (seen.fake_id, seen.sidecar) == (None, "differs")


def test_it_runs_in_a_process_of_its_own_and_a_missing_file_is_a_failure(marked: Path) -> None:
    with pytest.raises(Rejected, match="unreadable"):
        glance(marked.with_name("none.mp4"), None)
    engine = PoolEngine(1, memory_bytes=glancing.MEMORY_BYTES)
    try:
        rows = [{"path": str(marked)}, {"path": str(marked.with_name("none.mp4"))}]
        found, failed = list(engine.map_rows(GlanceAtMarks(None), rows))
    finally:
        engine.close()
    assert found.rows[0]["fake_id"] == FAKE["fake_id"]
    assert failed.reason == "unreadable"
