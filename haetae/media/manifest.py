"""C2PA manifests in a file: what they state of its origin, and whether they forbid training on it.

Nothing is fetched from the network, and nobody's certificate is looked up: a manifest is evidence of what its
writer states. Signing is not done here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from haetae.media.opening import open_local
from haetae.provenance.sources import redact

MAX_JSON_BYTES = 16 << 20
MAX_TEXT = 200
MAX_LISTED = 50
_PIECE_BYTES = 8 << 20
_STORE_MARK = b"jumdc2pa"
_REMOTE_MARK = b"dcterms:provenance"
_TRAINING = re.compile(r"^(?:c2pa|cawg)\.training-mining(?:\.v\d+)?(?:__\d+)?$")
_ACTIONS = re.compile(r"^c2pa\.actions(?:\.v\d+)?(?:__\d+)?$")
_TAMPERED = re.compile(
    r"^(?:assertion\.(?:hashedURI\.mismatch|missing|undeclared|cbor\.invalid|json\.invalid)"
    r"|claim\.|claimSignature\.(?:missing|mismatch)|general\.error)"
)
"""Validation codes by which the manifest itself is not what was signed, whatever became of the media."""
_FORBIDDEN_UNLESS_ALLOWED = frozenset({"ai_training", "ai_generative_training"})
_HEADS = (
    b"RIFF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"ID3", b"\xff\xfb", b"fLaC", b"II*\x00", b"MM\x00*",
)  # fmt: skip
_OFFLINE: dict[str, Any] = {
    "core": {
        "allowed_network_hosts": [],
        "allow_redirects": False,
        "decode_identity_assertions": False,
        "max_decompressed_manifest_size_in_mb": 32,
    },
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False},
}


@dataclass(frozen=True)
class Manifest:
    """What was read of a file's manifests.

    summary_json: canonical JSON with `forbids_training`, `state` (valid | trusted | invalid | unreadable | remote)
    and, where stated,
    `title`, `generator`, `signed_by`, `signed_at`, `actions`, `n_manifests`, `n_ingredients`, `training` (every
    entry about mining, inference and training, with its use and the manifest it stands in), `problems`
    (validation codes), `detail`. forbids_training: an entry about training says anything but `allowed`, in the
    file's own manifest or in one of what it was made from; or a manifest cannot be read, or is not as it was signed.
    assertions: what the file's own manifest states, by label; empty where it was not read.
    """

    summary_json: str
    forbids_training: bool
    assertions: Mapping[str, Any] = field(default_factory=dict)


def forbids_training(summary_json: str | None) -> bool:
    """What `media.c2pa` says of training; a file without a manifest forbids nothing."""
    return bool(summary_json and json.loads(summary_json).get("forbids_training"))


def offline(anchors_pem: str | None = None) -> dict[str, Any]:
    """Settings of the native library under which nothing is fetched.

    anchors_pem: certificates to trust; a valid manifest signed below one of them is then `trusted`.
    """
    if anchors_pem is None:
        return _OFFLINE
    trusting = {**_OFFLINE["verify"], "verify_trust": True}
    return {**_OFFLINE, "verify": trusting, "trust": {"user_anchors": anchors_pem}}


def read_manifest(path: Path, *, anchors_pem: str | None = None) -> Manifest | None:
    """Read the C2PA manifests of a local media file; None where it has none.

    A manifest that is damaged or was changed, and one that is only referred to by an address, forbid training:
    what they say of it is not known. A change of the media alone does not: the manifest is then `invalid`, and is
    believed in what it forbids.
    After: C2PA 2.4; CAWG Training and Data Mining Assertion 1.1.
    Raises: Rejected `unreadable`, `empty_file`.
    """
    with open_local(path) as file:
        if not _may_hold_one(file):
            return None
        mark = _find_mark(file)
        if mark is None:
            return None
        file.seek(0)
        return _read(file, mark, anchors_pem)


def _read(file: BinaryIO, mark: bytes, anchors_pem: str | None) -> Manifest | None:
    import c2pa  # type: ignore[import-untyped]

    try:
        context = c2pa.Context(c2pa.Settings.from_dict(offline(anchors_pem)))
        with c2pa.Reader(file, context=context) as reader:
            text = reader.json()
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
        return None
    except c2pa.C2paError as error:
        return _unread(str(error), mark)
    if len(text) > MAX_JSON_BYTES:
        return _unread(f"a manifest of {len(text)} characters", mark)
    try:
        return _summarise(json.loads(text))
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError) as error:
        return _unread(f"{type(error).__name__}: {error}", mark)


def _unread(message: str, mark: bytes) -> Manifest | None:
    """What stands for a manifest that was not read."""
    if address := re.search(r"https?://\S+", message):
        return _manifest({"state": "remote", "detail": f"kept at {redact(address[0])}, not fetched"}, True)
    if mark == _REMOTE_MARK:
        return None  # a picture's other metadata, which name some origin but no manifest
    return _manifest({"state": "unreadable", "detail": _text(message)}, True)


def _summarise(store: dict[str, Any]) -> Manifest:
    manifests: dict[str, Any] = store.get("manifests") or {}
    own_label = store.get("active_manifest") or ""
    own: dict[str, Any] = manifests.get(own_label) or {}
    training: list[dict[str, str]] = []
    for label in sorted(manifests, key=lambda one: (one != own_label, one)):
        where = "own" if label == own_label else "ingredient"
        for assertion in manifests[label].get("assertions") or []:
            if _TRAINING.match(str(assertion.get("label"))):
                training += [{**entry, "manifest": where} for entry in _entries(assertion.get("data"))]
    problems = sorted({_text(one.get("code")) for one in store.get("validation_status") or []})
    tampered = any(_TAMPERED.match(code) for code in problems)
    summary: dict[str, Any] = {
        "state": str(store.get("validation_state") or "unknown").lower(),
        "title": _text(own.get("title")),
        "generator": _generator(own),
        "signed_by": _text((own.get("signature_info") or {}).get("issuer")),
        "signed_at": _text((own.get("signature_info") or {}).get("time")),
        "actions": _actions(own)[:MAX_LISTED],
        "n_manifests": len(manifests),
        "n_ingredients": len(own.get("ingredients") or []),
        # Those that forbid come first, so that a long list cannot push the evidence out.
        "training": sorted(training, key=lambda entry: not _forbids(entry))[:MAX_LISTED],
        "problems": problems[:MAX_LISTED],
        "detail": "the manifest was changed after it was signed" if tampered else None,
    }
    forbids = tampered or any(_forbids(entry) for entry in training)
    stated = {str(one.get("label")): one.get("data") for one in own.get("assertions") or []}
    return replace(_manifest(summary, forbids), assertions=stated)


def _entries(data: Any) -> list[dict[str, str]]:
    """Entries of a training-mining assertion: a map of name to {use}, as both standards write it."""
    entries = data.get("entries") if isinstance(data, dict) else None
    if not isinstance(entries, dict) or not entries:
        return [{"entry": "", "use": "unreadable"}]
    found = []
    for name, entry in sorted(entries.items()):
        use = entry.get("use") if isinstance(entry, dict) else entry
        row = {"entry": _text(name), "use": _text(use) if isinstance(use, str) else "unreadable"}
        if isinstance(entry, dict) and entry.get("constraint_info"):
            row["constraint"] = _text(entry["constraint_info"])
        found.append(row)
    return found


def _forbids(entry: dict[str, str]) -> bool:
    """`constrained` forbids too: whether its conditions are met is for a person to say."""
    about_training = entry["entry"].rpartition(".")[2] in _FORBIDDEN_UNLESS_ALLOWED or not entry["entry"]
    return about_training and entry["use"] != "allowed"


def _actions(manifest: dict[str, Any]) -> list[dict[str, str]]:
    found = []
    for assertion in manifest.get("assertions") or []:
        if not _ACTIONS.match(str(assertion.get("label"))):
            continue
        for action in (assertion.get("data") or {}).get("actions") or []:
            row = {"action": _text(action.get("action"))}
            if kind := action.get("digitalSourceType"):
                row["source_type"] = _text(kind).rpartition("/")[2]
            found.append(row)
    return found


def _generator(manifest: dict[str, Any]) -> str:
    info = (manifest.get("claim_generator_info") or [{}])[0]
    named = f"{info.get('name') or ''} {info.get('version') or ''}".strip()
    return _text(named or manifest.get("claim_generator"))


def _manifest(summary: dict[str, Any], forbids: bool) -> Manifest:
    stated = {name: value for name, value in summary.items() if value not in (None, "", [])}
    stated["forbids_training"] = forbids
    return Manifest(json.dumps(stated, ensure_ascii=False, sort_keys=True, separators=(",", ":")), forbids)


def _text(value: Any) -> str:
    """A stated value as one short line without control characters and without secrets of an address."""
    plain = "".join(c for c in str(value if value is not None else "") if unicodedata.category(c)[0] != "C")
    plain = re.sub(r"https?://\S+", lambda found: redact(found[0]), plain)
    return plain[:MAX_TEXT].strip()


def _may_hold_one(file: BinaryIO) -> bool:
    """Whether it begins like a format that can hold a manifest: nothing else reaches the native reader."""
    head = file.read(12)
    file.seek(0)
    return head.startswith(_HEADS) or head[4:8] in (b"ftyp", b"moov", b"JXL ")


def _find_mark(file: BinaryIO) -> bytes | None:
    """The mark of a manifest store in the file, or that of one kept elsewhere."""
    remote, before = False, b""
    overlap = len(_REMOTE_MARK) - 1
    while piece := file.read(_PIECE_BYTES):
        window = before + piece
        if _STORE_MARK in window:
            return _STORE_MARK
        remote = remote or _REMOTE_MARK in window
        before = window[-overlap:]
    return _REMOTE_MARK if remote else None
