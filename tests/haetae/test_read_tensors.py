"""Tensors are read from the formats that weights come in, and nothing of a file is run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haetae.errors import UsageError
from haetae.weights import checked_bytes, read_tensors, tensors_of


def _saved(value: object, **how: Any) -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(value, out, **how)
    return out.getvalue()


def test_tensors_are_read_from_both_formats_and_from_beside_an_optimiser(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save

    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(1, dtype=torch.int64)}
    nested = {"state_dict": tensors, "optimizer": {"lr": 0.1}, "epoch": 3}
    contents = {
        "net.safetensors": save(tensors),
        "net.pt": _saved(tensors),
        "old.pth": _saved(tensors, _use_new_zipfile_serialization=False),
        "trained.pth": _saved(nested),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        found = read_tensors(tmp_path / name)
        assert set(found) == set(tensors)
        assert all(torch.equal(found[key], tensors[key]) for key in tensors)


class _Trap:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.canary,))


def _packed(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return out.getvalue()


def test_what_is_no_weight_file_is_refused_with_its_name_and_runs_nothing(tmp_path: Path) -> None:
    import torch

    canary = tmp_path / "canary"
    wide = torch.zeros(1).expand(1 << 34)
    cases = {
        "trap.pt": (pickle.dumps({"w": _Trap(canary)}, protocol=2), "cannot be read as weights"),
        "trap_zip.pt": (_saved({"w": _Trap(canary)}), "cannot be read as weights"),
        "text.safetensors": (b"<html>404</html>", "cannot be read as weights"),
        "text.bin": (b"<html>404</html>", "cannot be read as weights"),
        "empty.pt": (b"", "cannot be read as weights"),
        "list.pt": (_saved([torch.zeros(1)]), "is no state dict"),
        "packed.pt": (_packed(_saved({"w": torch.zeros(9)})), "records are compressed"),
        "wide.pt": (_saved({"w": wide}), "bytes of tensors"),
        "header.safetensors": ((1 << 60).to_bytes(8, "little") + b"{}", "cannot be read as weights"),
    }
    for name, (content, why) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=why) as refusal:
            read_tensors(tmp_path / name)
        assert name in str(refusal.value)
    assert not canary.exists()


def test_a_file_that_cannot_be_read_or_is_too_large_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "big.pt").write_bytes(b"x" * 101)
    for name, why in (
        ("nowhere.pt", "No such file"),
        ("", "directory"),
        ("pipe.pt", "no ordinary file"),
        ("big.pt", "more than 100"),
    ):
        with pytest.raises(UsageError, match=why):
            read_tensors(tmp_path / name, max_bytes=100)


def test_content_that_was_read_already_gives_the_same_tensors(tmp_path: Path) -> None:
    import hashlib

    import torch

    path = tmp_path / "net.pt"
    content = _saved({"w": torch.arange(4.0)})
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    assert checked_bytes(path, sha256.upper()) == content
    assert torch.equal(tensors_of(path, content)["w"], read_tensors(path)["w"])
    with pytest.raises(UsageError, match="it is another file, or was changed"):
        checked_bytes(path, "0" * 64)
    with pytest.raises(UsageError, match="is not a SHA-256"):
        checked_bytes(path, "abc")
