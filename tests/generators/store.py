"""Where tiny checkpoints lie for the tests, and the pins that name their files.

How the files of each network are written is told in `checkpoints` beside its family's tests.
"""

from __future__ import annotations

import copy
import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Store:
    """Folders of weights and of pins, as HAETAE_WEIGHTS and HAETAE_PINS want them."""

    root: Path
    pins: dict[str, dict[str, dict[str, object]]] = field(default_factory=dict)
    weights: Path | None = None

    def folder(self, repo: str) -> Path:
        return (self.weights or self.root / "weights") / repo / COMMIT

    def with_other_pins(self, root: Path) -> Store:
        """The same weights; its pins, to be changed below `root`."""
        return Store(root, copy.deepcopy(self.pins), self.weights or self.root / "weights")

    def copied(self, root: Path) -> Store:
        """The weights as well, to be changed."""
        shutil.copytree(self.weights or self.root / "weights", root / "weights")
        return Store(root, copy.deepcopy(self.pins))

    def pin(self, name: str, part: str, repo: str, files: tuple[str, ...] | None = None) -> None:
        """Pin the files of a repository, all or those named, as one part of one file of pins."""
        folder = self.folder(repo)
        names = files or tuple(sorted(path.name for path in folder.iterdir()))
        sha = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
        entry: dict[str, object] = {"repo": repo, "revision": COMMIT, "licence": "CC0-1.0", "files": sha}
        self.pins.setdefault(name, {})[part] = entry

    def use(self, patch: pytest.MonkeyPatch) -> None:
        folder = self.root / "pins"
        folder.mkdir(exist_ok=True, parents=True)
        for name, parts in self.pins.items():
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(parts))
        patch.setenv("HAETAE_WEIGHTS", str(self.weights or self.root / "weights"))
        patch.setenv("HAETAE_PINS", str(folder))
        patch.setenv("HAETAE_CACHE", str(self.root / "cache"))
