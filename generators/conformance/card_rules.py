"""What a card has to state, checked without running anything.

What the generator does is judged in `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from generators.conformance.report import Finding
from generators.protocol import Card, Weights
from haetae.locales import languages
from haetae.provenance.ids import canonical_json

_ID = r"[A-Za-z0-9][A-Za-z0-9.+-]*"
SPDX = re.compile(rf"^(LicenseRef-[A-Za-z0-9.-]+|{_ID}( (AND|OR|WITH) {_ID})*)$")
MIN_CHARACTERS = 20
_COMMIT = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")
_SAFE = (".safetensors", ".json", ".txt", ".model", ".yaml", ".npz")
_PICKLED = (".pt", ".pth", ".bin", ".ckpt")
_HAS = {"face_swap": "video", "lip_sync": "video", "speech": "audio", "text": "text"}


def judge_card(card: Card) -> Finding:
    """The finding `card`: every fault of it at once."""
    faults = [*_faults(card)]
    detail = (
        "; ".join(faults) if faults else f"licence {card.licence}, {_weights_told(card)}, {_paper_told(card)}"
    )
    return Finding("card", "broken" if faults else "holds", detail, 1, {}, tuple(faults))


def _faults(card: Card) -> Iterator[str]:
    if not SPDX.match(card.licence):
        yield f"licence {card.licence!r} is no SPDX id, nor LicenseRef-<name>"
    for name in ("description", "intended_use"):
        text = str(getattr(card, name)).strip()
        if len(text) < MIN_CHARACTERS or " " not in text:
            yield f"{name} {text!r} tells nobody what it is; a sentence is wanted"
    known = {*languages(), "other"}
    if unknown := sorted(set(card.languages) - known):
        yield f"claims {', '.join(unknown)}; a clip's language is one of {', '.join(sorted(known))}"
    if not card.languages:
        yield "claims no language, so it is never asked"
    for name, values in (
        ("languages", card.languages),
        ("modalities", card.modalities),
        ("needs", card.needs),
    ):
        if len(set(values)) < len(values):
            yield f"{name} names something twice"
    if (wanted := _HAS.get(card.family)) and wanted not in card.modalities:
        yield f"family {card.family} without {wanted} among its modalities"
    try:
        canonical_json(card.params)
    except ValueError as error:
        yield f"params cannot be stored: {error}"
    yield from _weight_faults(card)


def _weight_faults(card: Card) -> Iterator[str]:
    if card.profile == "embedded" and card.weights:
        yield "profile embedded runs without downloads, and the card names weights"
    if card.wants_weights:
        yield "profile full loads weights or learns them, and the card names none"
    for one in card.weights:
        yield from (f"weights {one.filename}: {fault}" for fault in _file_faults(one))


def _file_faults(one: Weights) -> Iterator[str]:
    path = PurePosixPath(one.filename)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        yield "its name leads out of its folder"
    if path.suffix not in (*_SAFE, *_PICKLED):
        yield f"{path.suffix or 'no ending'}: a weights file is .safetensors, or loaded with weights_only=True"
    if not _COMMIT.match(one.revision):
        yield f"revision {one.revision!r} may move; pin the commit, 40 hex digits"
    if not SPDX.match(one.licence):
        yield f"licence {one.licence!r} is no SPDX id, nor LicenseRef-<name>"


def _weights_told(card: Card) -> str:
    return f"{len(card.weights)} pinned weight files" if card.weights else "no weights"


def _paper_told(card: Card) -> str:
    return f"after {card.paper}" if card.paper else "no paper named"
