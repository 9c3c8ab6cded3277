"""Trees of public data sets as the tests plant them, and what an inventory of them says in short.

The layouts are those of `haetae.importers`; what each must be read as is in the tests.
"""

from __future__ import annotations

import json
import unicodedata
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from haetae.importers.inventory import Inventory, take
from haetae.importers.registry import find
from haetae.importers.tree import Tree


def plant(root: Path, *paths: str) -> None:
    """Files that are there and not empty; what is in them does not matter to an inventory."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())


def write(root: Path, path: str, content: str | list[Any] | dict[str, Any], encoding: str = "utf-8") -> None:
    """A text as it is, anything else as JSON."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    file.write_bytes(text.encode(encoding))


def video(root: Path, path: str, n_frames: int) -> None:
    """A real video of 64 by 48 pixels at 25 fps."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(n_frames):
            picture = np.full((48, 64, 3), number * 9 % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


class Cp949Name(zipfile.ZipInfo):
    """A member whose name is stored as Korean Windows writes it, without the mark for UTF-8."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("cp949"), self.flag_bits


def pack(root: Path, path: str, members: Mapping[str, bytes], *, names: str = "utf-8") -> None:
    """A zip. names: `utf-8`, `cp949`, or `nfd` for decomposed letters as a Mac writes them."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            plain = unicodedata.normalize("NFD", name) if names == "nfd" else name
            kind = Cp949Name if names == "cp949" else zipfile.ZipInfo
            archive.writestr(kind(plain, (2026, 1, 1, 0, 0, 0)), content)


def inventory(format_name: str, root: Path) -> Inventory:
    return take(find(format_name), Tree(root))


def labels(taken: Inventory) -> dict[str, tuple[str | None, ...]]:
    """Verdicts of picture, sound and sync, and the split, of each item by its key."""
    return {entry.key: (entry.video, entry.audio, entry.sync, entry.split) for entry in taken.entries}


def faults(taken: Inventory) -> set[tuple[str, str]]:
    """Kind and subject of every finding."""
    return {(finding.kind, finding.subject) for finding in taken.findings}
