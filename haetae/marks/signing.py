"""What a signed C2PA manifest states of an exported fake, and its writing into the file.

Reading manifests, ours and others', is done by `media.manifest`; keys and certificates are kept by `credentials`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.errors import Rejected, UsageError
from haetae.marks.credentials import Credentials
from haetae.media.manifest import offline

FAKE_ASSERTION = "org.haetae.fake"
VIDEO_ALGORITHM = "org.haetae.watermark.video.1"
AUDIO_ALGORITHM = "org.haetae.watermark.audio.1"
ALGORITHMS = {"video": VIDEO_ALGORITHM, "audio": AUDIO_ALGORITHM}
MIME = {".mp4": "video/mp4", ".wav": "audio/wav", ".png": "image/png"}
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MADE, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"


@dataclass(frozen=True)
class Statement:
    """What the manifest of one fake states.

    made: its `FAKE_ASSERTION`, with `fake_id`, `generator`, `card_digest` and `watermarks` (`video`, `audio`,
    those that are in the file) at least; mark: 16 hex digits; source_type: `MADE` or `COMPOSITE`.
    """

    made: Mapping[str, Any]
    mark: str
    source_type: str


def source_type(fake: Mapping[str, Any]) -> str:
    """Which IPTC digital source type a row of `fakes` is of.

    `MADE` where nothing of the target is left in the file: sound alone, all of it made. `COMPOSITE` otherwise,
    also where a generator holds no trained weights, since the standard has no nearer word that warns as clearly.
    """
    seconds = sum(s["end_s"] - s["start_s"] for s in fake["segments"] if s["modality"] == "audio")
    only_sound = not fake["n_frames"]
    return MADE if only_sound and seconds >= 0.98 * fake["duration_s"] else COMPOSITE


def sign(
    unsigned: Path,
    signed: Path,
    statement: Statement,
    credentials: Credentials,
    source: tuple[str, Path] | None,
) -> None:
    """Write `signed`: the file with a manifest in it. The name of `unsigned` tells its kind (.mp4, .wav, .png).

    source: id and file of the clip that it was made from, stated as an ingredient. Nothing is fetched and nobody
    is asked for a time stamp. Raises: UsageError where credentials cannot sign; Rejected `not_signed`.
    """
    import c2pa  # type: ignore[import-untyped]

    settings = {**offline(), "builder": {"thumbnail": {"enabled": False}}}
    info = c2pa.C2paSignerInfo(
        alg=credentials.alg.encode(),
        sign_cert=credentials.chain_pem,
        private_key=credentials.key_pem,
        ta_url=None,
    )
    try:
        signer = c2pa.Signer.from_info(info)
    except c2pa.C2paError as error:
        raise UsageError(f"these certificates cannot sign C2PA manifests: {error}") from error
    context = c2pa.Context(c2pa.Settings.from_dict(settings))
    definition = json.dumps(_definition(statement, source))
    try:
        with signer, c2pa.Builder(definition, context=context) as builder:
            if source is not None:
                clip_id, path = source
                told = {"title": clip_id, "relationship": "componentOf", "label": "source"}
                with path.open("rb") as file:
                    builder.add_ingredient(json.dumps(told), _mime(path), file)
            with unsigned.open("rb") as plain, signed.open("w+b") as out:
                builder.sign(signer, _mime(unsigned), plain, out)
    except c2pa.C2paError as error:
        raise Rejected("not_signed", str(error)[:300]) from error


def _definition(statement: Statement, source: tuple[str, Path] | None) -> dict[str, Any]:
    made = dict(statement.made)
    actions: list[dict[str, Any]] = [
        {
            "action": "c2pa.created",
            "digitalSourceType": _SOURCE_TYPES + statement.source_type,
            "softwareAgent": {"name": made["generator"]},
        }
    ]
    if source is not None:
        actions.append({"action": "c2pa.placed", "parameters": {"ingredientIds": ["source"]}})
    if made["watermarks"]:
        actions.append({"action": "c2pa.watermarked.bound", "description": ", ".join(made["watermarks"])})
    bindings = [
        {
            "label": "c2pa.soft-binding",
            "data": {"alg": ALGORITHMS[where], "blocks": [{"scope": {}, "value": statement.mark}]},
        }
        for where in made["watermarks"]
    ]
    return {
        "claim_generator_info": [{"name": "haetae"}],
        "title": made["fake_id"],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": actions}},
            *bindings,
            {"label": FAKE_ASSERTION, "data": made},
        ],
    }


def _mime(path: Path) -> str:
    if path.suffix not in MIME:
        raise UsageError(f"{path.name}: only {', '.join(MIME)} can be signed")
    return MIME[path.suffix]
