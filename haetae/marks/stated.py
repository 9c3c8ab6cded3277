"""What the manifest of a file states of a fake, and how far it can be believed.

Manifests themselves are read by `media.manifest`, and written by `signing`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.errors import UsageError
from haetae.marks.payload import mark_of
from haetae.marks.signing import ALGORITHMS, FAKE_ASSERTION
from haetae.media.manifest import read_manifest

_STATED = ("fake_id", "generator", "card_digest", "clip_id", "donor_id", "seed", "licence", "media_sha256")
_SYNTHETIC = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia")
_MODALITIES = ("video", "audio", "text")
_MAX_TEXT = 200


@dataclass(frozen=True)
class Stated:
    """summary: of the manifest, with what it states of the fake under `fake`; fake_id, mark: of that, None where it
    states none; watermarks: those it says are in the file; subtitles: SHA-256 of the changed ones beside it, None
    where it changes none; modalities: those that the fake changes; holds: the signature does, and is trusted where
    anchors are given; wrong: as `word: detail`; notes: likewise."""

    summary: dict[str, Any]
    fake_id: str | None
    mark: str | None
    watermarks: tuple[str, ...]
    subtitles: str | None
    modalities: tuple[str, ...]
    holds: bool
    wrong: tuple[str, ...]
    notes: tuple[str, ...]


def read_stated(path: Path, anchors_pem: str | None) -> Stated | None:
    """The manifest of a file; None where it has none."""
    manifest = read_manifest(path, anchors_pem=anchors_pem)
    if manifest is None:
        return None
    summary: dict[str, Any] = json.loads(manifest.summary_json)
    made = manifest.assertions.get(FAKE_ASSERTION)
    made = made if isinstance(made, dict) else {}
    if made:
        summary["fake"] = {name: plain(str(made[name])[:_MAX_TEXT]) for name in _STATED if name in made}
    fake_id, mark = _identity(made)
    names = made.get("watermarks")
    watermarks = tuple(name for name in ALGORITHMS if isinstance(names, list) and name in names)
    state = summary["state"]
    trusted = state == "trusted" or (anchors_pem is None and state == "valid")
    wrong: list[str] = []
    notes: list[str] = []
    if not is_as_signed(summary):
        why = ", ".join(summary.get("problems", ())) or summary.get("detail", "")
        wrong.append(f"manifest_{state}: {why}")
    elif not trusted:
        # Many cameras and programs sign what they make: that is no fault, unless it speaks in our name.
        signer = f"manifest_untrusted: signed by {summary.get('signed_by', 'nobody known')}"
        (wrong if fake_id is not None else notes).append(signer)
    kinds = {action.get("source_type") for action in summary.get("actions", ())}
    if fake_id is None and (declared := sorted(kinds & set(_SYNTHETIC))):
        notes.append(f"declared_synthetic: its manifest says {', '.join(declared)}")
    digest = made.get("subtitles_sha256")
    subtitles = digest if isinstance(digest, str) else None
    modalities = modalities_of(made.get("modalities"))
    return Stated(
        summary, fake_id, mark, watermarks, subtitles, modalities, trusted, tuple(wrong), tuple(notes)
    )


def is_as_signed(summary: Mapping[str, Any]) -> bool:
    """Whether a manifest, by its summary, is as it was signed, whoever signed it."""
    return summary["state"] in ("valid", "trusted")


def modalities_of(named: object) -> tuple[str, ...]:
    """Those that a list, which anybody may have written, names."""
    return tuple(name for name in _MODALITIES if isinstance(named, list) and name in named)


def plain(text: str) -> str:
    """Text that anybody may have written, without what would move or colour a terminal."""
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")


def _identity(made: dict[str, Any]) -> tuple[str | None, str | None]:
    """The fake id, where it is one that a mark can be compared with, and its mark."""
    fake_id = str(made.get("fake_id", ""))[:_MAX_TEXT]
    try:
        return fake_id, mark_of(fake_id)
    except UsageError:
        return None, None
