"""A glance at a file: which of our marks can be read in a moment, without decoding it.

The watermarks, and whether all marks agree, are for `verify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from haetae.engine import Row
from haetae.marks.beside import Sidecar, read_sidecar
from haetae.marks.stated import Stated, read_stated
from haetae.media.opening import open_local
from haetae.provenance.ids import file_sha256

MAX_BYTES = 128 << 20
"""A larger file is not looked at: its manifest covers all of it, and would be checked for more than half a second."""
TIMEOUT_S, MEMORY_BYTES = 10.0, 2 << 30


@dataclass(frozen=True)
class Glance:
    """What was read.

    looked: whether it was looked at; fake_id, generator: as manifest or sidecar state them, None where neither does;
    doubts: what is wrong with the one that states the id, as `word: detail`; empty where it is as it was signed (and
    its signer trusted, where certificates are given); manifest: the state of its C2PA manifest, ours or another's,
    None without one; synthetic: a manifest or sidecar states that it is a fake of ours, or another's manifest declares
    it synthetic; sidecar: `agrees` or `differs`, None without one; modalities: those that the fake changes, as the one
    that states the id names them.
    """

    looked: bool = True
    fake_id: str | None = None
    generator: str | None = None
    doubts: tuple[str, ...] = ()
    manifest: str | None = None
    synthetic: bool = False
    sidecar: str | None = None
    modalities: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def glance(path: Path, anchors_pem: str | None) -> Glance:
    """Read the manifest of a file and the sidecar beside it; neither watermarks, nor masks or subtitles.

    anchors_pem: certificates to trust. Raises: Rejected `unreadable`, `empty_file` where there is no such file.
    """
    with open_local(path):
        size = path.stat().st_size
    if size > MAX_BYTES:
        return Glance(looked=False)
    stated = read_stated(path, anchors_pem)
    sidecar = read_sidecar(path, file_sha256(path), anchors_pem)
    generator = None
    teller: Stated | Sidecar | None = None
    if stated is not None and stated.fake_id is not None:
        teller, generator = stated, stated.summary["fake"].get("generator")
    elif sidecar is not None and sidecar.mark is not None:
        teller = sidecar
    declared = stated is not None and any(one.startswith("declared_synthetic") for one in stated.notes)
    return Glance(
        fake_id=None if teller is None else teller.fake_id,
        generator=generator,
        doubts=() if teller is None else teller.wrong,
        manifest=None if stated is None else stated.summary["state"],
        synthetic=teller is not None or declared,
        sidecar=None if sidecar is None else "differs" if sidecar.wrong else "agrees",
        modalities=() if teller is None else teller.modalities,
    )


class GlanceAtMarks:
    """Step: `glance` in a worker, so that a hostile file can cost no more than `TIMEOUT_S` and its worker's memory."""

    stage: ClassVar[str] = "glance"
    key: ClassVar[str] = "path"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0

    def __init__(self, anchors_pem: str | None, timeout_s: float = TIMEOUT_S) -> None:
        self._anchors_pem = anchors_pem
        self.timeout_s = timeout_s

    def setup(self) -> None:
        return None

    def __call__(self, row: Row) -> Sequence[Row]:
        """row: `path`. Returns one row: what was read, as JSON."""
        return [glance(Path(row["path"]), self._anchors_pem).as_json()]
