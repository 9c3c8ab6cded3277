"""Where a network runs: the GPU where there is one and the card asks for it."""

from __future__ import annotations

from generators.protocol import Card


def device_for(card: Card) -> str:
    """`cuda` or `cpu`. A card for the CPU, and that of a generator without network, imports no model library."""
    if card.hardware == "cpu" and not card.learns:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
