"""What a generator learned as one file: tensors, and in the header what it takes to build the network again.

Which network that is, is the generator's matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generators.protocol import Card
from haetae.errors import UsageError
from haetae.weights import read_tensors

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 4 << 30
_MAX_HEADER_BYTES = 1 << 20


def packed(tensors: Mapping[str, Tensor], build: Mapping[str, Any]) -> bytes:
    """Tensors by name and what to build the network with (values that JSON has) as a `.safetensors` file.

    Equal content gives equal bytes.
    """
    from safetensors.torch import save

    on_cpu = {name: value.detach().cpu().contiguous() for name, value in sorted(tensors.items())}
    return save(on_cpu, {"haetae": json.dumps(build, sort_keys=True, allow_nan=False)})


def unpacked(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and building plan of such a file. Raises: UsageError for one that is missing, damaged or another."""
    tensors = read_tensors(path, MAX_BYTES)
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(min(size, _MAX_HEADER_BYTES)) if size <= _MAX_HEADER_BYTES else b""
    try:
        build = json.loads(json.loads(header)["__metadata__"]["haetae"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds tensors, but was not written by a generator that learned") from error
    if not isinstance(build, dict):
        raise UsageError(f"{path} does not tell what network it is of")
    return tensors, build


def has_not_learned(card: Card) -> UsageError:
    """What `load` raises before `use`."""
    return UsageError(f"{card.key} has not learned yet: run `haetae generators learn {card.name}`")
