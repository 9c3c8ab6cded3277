"""Reading weight files: the content that is meant, and tensors without running what a file may hold.

Where a file lies, and what network it fills, is not known here.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haetae.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 32 << 30
"""Largest weight file; the largest single file of a diffusion model is about half of it."""
STATE_KEYS = ("state_dict", "model_state_dict")
"""Where training scripts keep the tensors when they save an optimiser beside them."""
_PIECE_BYTES = 1 << 20


def check_file(path: Path, sha256: str, max_bytes: int = MAX_BYTES) -> None:
    """Hash a file in pieces of 1 MiB. sha256: of its content, hex.

    Raises: UsageError for a file that is missing, none (a folder, a pipe), too large or another one.
    """
    _expect_sha256(sha256)
    sha = hashlib.sha256()
    try:
        _expect_size(path, max_bytes)
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                sha.update(piece)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    _expect_same(path, sha256, sha.hexdigest())


def checked_bytes(path: Path, sha256: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file, if it is the one that is meant. Raises: UsageError as `check_file`."""
    _expect_sha256(sha256)
    try:
        _expect_size(path, max_bytes)
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    _expect_same(path, sha256, hashlib.sha256(content).hexdigest())
    return content


def read_tensors(path: Path, max_bytes: int = MAX_BYTES) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of one that `torch.save` wrote, by name, on the CPU.

    No code of the file is run (`weights_only`). A file that keeps them under one of `STATE_KEYS` gives those.
    max_bytes: most bytes of the file, and of its tensors together.
    Raises: UsageError for a file that is missing, too large, damaged, or holds anything but tensors.
    """
    try:
        _expect_size(path, max_bytes)
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return _only_tensors(path, load_file(path), max_bytes)
        with path.open("rb") as file:
            return _only_tensors(path, _unpickled(path, file, max_bytes), max_bytes)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except UsageError:
        raise
    except Exception as error:  # of safetensors: its own type, which derives from Exception alone
        raise _unreadable(path, error) from error


def tensors_of(path: Path, content: bytes, max_bytes: int = MAX_BYTES) -> dict[str, Tensor]:
    """As `read_tensors`, of content that was read already; the path tells the format and names the error."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            return _only_tensors(path, load(content), max_bytes)
        return _only_tensors(path, _unpickled(path, io.BytesIO(content), max_bytes), max_bytes)
    except UsageError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def _unpickled(path: Path, file: Any, max_bytes: int) -> Any:
    """What `torch.save` wrote, read by torch's restricted unpickler."""
    import torch

    if zipfile.is_zipfile(file):
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        # torch stores its records as they are; a packed one can only be there to unpack to far more.
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise UsageError(f"{path} cannot be read as weights: its records are compressed")
        if sum(member.file_size for member in members) > max_bytes:
            raise UsageError(f"{path} cannot be read as weights: its records exceed {max_bytes} bytes")
    file.seek(0)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unreadable(path, error) from error


def _only_tensors(path: Path, state: Any, max_bytes: int) -> dict[str, Tensor]:
    import torch

    inner = [state[key] for key in STATE_KEYS if isinstance(state, dict) and isinstance(state.get(key), dict)]
    state = inner[0] if inner else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError(f"{path} is no state dict")
    # A few bytes on disk may be viewed as a tensor of any size, which costs memory when it is copied.
    n_bytes = sum(value.numel() * value.element_size() for value in state.values())
    if n_bytes > max_bytes:
        raise UsageError(f"{path} cannot be read as weights: {n_bytes} bytes of tensors, at most {max_bytes}")
    return {str(name): value for name, value in state.items()}


def _unreadable(path: Path, error: Exception) -> UsageError:
    why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return UsageError(f"{path} cannot be read as weights: {why}")


def _expect_sha256(sha256: str) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"{sha256!r} is not a SHA-256 of 64 hex digits")


def _expect_size(path: Path, max_bytes: int) -> None:
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(21, "it is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(22, "it is no ordinary file")
    if found.st_size > max_bytes:
        raise UsageError(f"{path} has {found.st_size} bytes, more than {max_bytes}")


def _expect_same(path: Path, sha256: str, found: str) -> None:
    if found != sha256.lower():
        raise UsageError(
            f"{path} has the SHA-256 {found}, not {sha256.lower()}: it is another file, or was changed"
        )
