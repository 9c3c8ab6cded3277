"""A small lake with fakes of sound: two sources, two clips, one face on each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from haetae.lake import Lake, Lineage
from haetae.lake.schema import TABLES
from haetae.media.encode import write_wav
from haetae.provenance.ids import content_id

LINEAGE = Lineage("test", "run", "1")


def ids(kind: str, number: int = 0) -> str:
    """The id of a clip (`target`, `donor`) or of a fake."""
    return content_id("fake" if kind == "fake" else "clip", kind, number)


FAKE: dict[str, Any] = {
    "fake_id": ids("fake"), "clip_id": ids("target"), "donor_id": None, "lesson_id": None,
    "card_digest": "d" * 64, "batch": "b1", "generator": "g@1",
    "family": "speech", "blob_id": "", "modalities": ["audio"], "pair_id": ids("target"), "track_id": None,
    "segments": [{"modality": "audio", "start_s": 0.0, "end_s": 2.0}], "regions": [], "masks_blob": None,
    "seed": 7, "params": "{}", "licence": "CC-BY-4.0", "language": "ms", "text": "apa khabar", "words": [],
    "duration_s": 2.0, "n_frames": 0,
}  # fmt: skip
SOURCE = {
    "licence": "CC-BY-4.0", "consent": {"basis": "release", "ref": "signed"}, "status": "active",
    "purposes": ["synthesis", "training", "release"], "retention_until": None,
}  # fmt: skip


def fill(
    lake: Lake,
    sounds: Sequence[NDArray[np.float32]],
    *,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
    identities: Mapping[str, Sequence[str]] | None = None,
    faces: Mapping[str, str] | None = None,
    c2pa: str | None = None,
) -> Lake:
    """Write a fake of each sound, of the clip `target` of the source `open`; the clip `donor` is of `donors`.

    sources: what they declare otherwise; identities: people declared of a clip; faces: known on its face; c2pa: what
    the manifest of the target's media says.
    """
    changes, people, seen = sources or {}, identities or {}, faces or {}
    put(
        lake,
        "sources",
        None,
        [{"source_id": one, **SOURCE, **changes.get(one, {})} for one in ("open", "donors")],
    )
    clips = []
    for kind, source in (("target", "open"), ("donor", "donors")):
        blob = lake.put_blob(_wav(lake, np.zeros(16_000, np.float32)), "wav")
        clips.append(
            {
                "clip_id": ids(kind), "media_id": kind, "source_id": source, "blob_id": blob, "batch": "b1",
                "identities": list(people.get(kind, ())),
            }
        )  # fmt: skip
    put(lake, "clips", "b1", clips)
    put(lake, "media", "b1", [{"media_id": "target", "c2pa": c2pa}, {"media_id": "donor", "c2pa": None}])
    put(
        lake, "tracks", "b1",
        [{"track_id": f"track-{kind}", "clip_id": ids(kind), "identity": name} for kind, name in seen.items()],
    )  # fmt: skip
    fakes = [
        {**FAKE, "fake_id": ids("fake", number), "blob_id": lake.put_blob(_wav(lake, sound), "wav")}
        for number, sound in enumerate(sounds)
    ]
    put(lake, "fakes", "b1~g@1", fakes)
    return lake


def put(lake: Lake, table: str, partition: str | None, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of which only some columns matter; the others are null."""
    columns = TABLES[table].columns
    full = [{column.name: row.get(column.name, _nothing(column.type)) for column in columns} for row in rows]
    lake.write(table, partition, full, LINEAGE)


def _nothing(kind: pa.DataType) -> Any:
    return dt.datetime(2027, 1, 1, tzinfo=dt.UTC) if pa.types.is_timestamp(kind) else None


def _wav(lake: Lake, sound: NDArray[np.float32]) -> bytes:
    with lake.tmp_dir() as folder:
        write_wav(folder / "x.wav", sound)
        return (folder / "x.wav").read_bytes()
