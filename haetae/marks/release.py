"""Releasing many fakes: what the policy says of each, exports by the engine, every decision in the ledger.

How one fake is exported is told in `export`; whether a source may be used at all, in `provenance.policy`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from haetae.engine import Done, Engine, Failed, Row
from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.marks.credentials import ROOT, Credentials, development_credentials, load_credentials
from haetae.marks.export import Exported, Parts, export, finished, masks_of, sidecar_of, subtitles_beside
from haetae.marks.payload import OPEN_KEY, mark_of
from haetae.marks.subtitles import CuesOf, LanguageOf, subtitles_of, text_of
from haetae.media.manifest import forbids_training
from haetae.provenance.ids import file_sha256
from haetae.provenance.ledger import Ledger
from haetae.provenance.policy import Verdict, may_make, may_show, may_use
from haetae.provenance.protected import Protected

STAGE, KIND = "export", "release"
DEVELOPMENT_KEYS = "keys/marks"
"""Folder of the development key and certificates below a lake's root."""
MAX_SECRET_BYTES = 4096


@dataclass(frozen=True)
class Signing:
    """Where the key material is, for every process that needs it; None: the lake's development credentials.

    chain, key: PEM files; secret: file whose content is the key of the watermarks; None: marks that anybody may read.
    """

    chain: str | None = None
    key: str | None = None
    secret: str | None = None

    def credentials(self, lake: Lake) -> Credentials:
        """Raises: UsageError where they are of no use, or only one of the two files is named."""
        if self.chain is None and self.key is None:
            return development_credentials(lake.local_path(DEVELOPMENT_KEYS))
        if self.chain is None or self.key is None:
            raise UsageError("give both the certificate chain and its key, or neither")
        return load_credentials(Path(self.chain), Path(self.key))

    def anchors(self, lake: Lake) -> str | None:
        """Certificates under which this lake's exports are signed, PEM; None where it has made none yet."""
        if self.chain is not None and self.key is not None:
            return self.credentials(lake).anchors_pem
        if not lake.files.is_local or not lake.files.exists(f"{DEVELOPMENT_KEYS}/{ROOT}"):
            return None
        return lake.files.read(f"{DEVELOPMENT_KEYS}/{ROOT}").decode()

    def watermark_key(self) -> bytes:
        """Raises: UsageError where the file cannot be read or is too short to be a secret."""
        if self.secret is None:
            return OPEN_KEY
        try:
            with Path(self.secret).open("rb") as file:
                found = file.read(MAX_SECRET_BYTES)
        except OSError as error:
            raise UsageError(f"cannot read the watermark's secret {self.secret}: {error.strerror}") from error
        if len(found) < 16:
            raise UsageError(f"{self.secret} holds {len(found)} bytes; a secret has at least 16")
        return found


@dataclass(frozen=True)
class Exports:
    """What became of each fake. written: rows as `ExportFakes` makes them; unchanged: those that were there already,
    whole; refused: by the policy; failed: for another reason."""

    written: list[Row]
    unchanged: list[Row]
    refused: list[Failed]
    failed: list[Failed]


class ReleaseGate:
    """What the policy says of the release of a fake: by its sources, its people, its licence and their manifests."""

    def __init__(
        self, lake: Lake, protected: Sequence[Protected], *, commercial: bool, today: dt.date | None = None
    ) -> None:
        self._sources = {row["source_id"]: row for row in lake.rows("sources")}
        self._clips = {row["clip_id"]: row for row in lake.rows("clips")}
        self._taught = {row["lesson_id"]: row["clips"] for row in lake.rows("lessons")}
        self._faces: dict[str, list[str]] = {}
        for track in lake.rows("tracks"):
            if track["identity"]:
                self._faces.setdefault(track["clip_id"], []).append(track["identity"])
        self._forbidden = {row["media_id"] for row in lake.rows("media") if forbids_training(row["c2pa"])}
        self._protected = protected
        self._commercial = commercial
        self._today = today or dt.date.today()

    def verdict(self, fake: Mapping[str, Any]) -> Verdict:
        """Over target, donor and the clips that taught the generator of a row of `fakes`.

        A parent that is not known forbids: `parent_unknown`.
        """
        reasons: dict[str, None] = {}
        taught = [None] if fake["lesson_id"] is None else self._taught.get(fake["lesson_id"], ["unknown"])
        for clip_id in dict.fromkeys(filter(None, (fake["clip_id"], fake["donor_id"], *taught))):
            clip = self._clips.get(clip_id)
            source = self._sources.get(clip["source_id"]) if clip is not None else None
            if clip is None or source is None:
                reasons["parent_unknown"] = None
                continue
            people = [*clip["identities"], *self._faces.get(clip_id, ())]
            shown = may_show(people, self._protected, self._today)
            for one in (may_use(source, "release", self._today), shown):
                reasons |= dict.fromkeys(one.reasons)
            if clip["media_id"] in self._forbidden:
                reasons["forbidden_by_manifest"] = None
        # Its own licence is the strictest of source, donor, weights and code.
        reasons |= dict.fromkeys(may_make([fake["licence"]], commercial=self._commercial).reasons)
        return Verdict(not reasons, tuple(reasons))


class ExportFakes:
    """Step: one fake of the lake exported into a folder; one that is there already, whole, is left alone."""

    stage: ClassVar[str] = STAGE
    key: ClassVar[str] = "fake_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0

    def __init__(self, lake_root: str, out: str, signing: Signing, *, crf: int, timeout_s: float) -> None:
        self._lake_root, self._out, self._signing = lake_root, out, signing
        self._crf, self.timeout_s = crf, timeout_s

    def setup(self) -> None:
        self._lake = Lake(self._lake_root)
        self._credentials = self._signing.credentials(self._lake)
        self._key = self._signing.watermark_key()

    def __call__(self, row: Row) -> Sequence[Row]:
        """row: `fake_id`, `fake`: its row, `source_blob` (None: not named), `subtitles` (None: unchanged), and
        `subtitles_language` (None: not told)."""
        fake, subtitles = row["fake"], row["subtitles"]
        out = target_of(Path(self._out), fake)
        told = _told(fake, out, subtitles)
        if finished(out, fake["fake_id"], fake["card_digest"], subtitles):
            return [{**told, "sha256": file_sha256(out), "new": False}]
        parts = Parts(
            blob=self._blob(fake["blob_id"]),
            source=self._blob(row["source_blob"]),
            masks=self._blob(fake["masks_blob"]),
            subtitles=subtitles,
            subtitles_language=row["subtitles_language"],
        )
        try:
            made = export(
                parts, fake, out, verdict=Verdict(True, ()), card_digest=fake["card_digest"],
                credentials=self._credentials, key=self._key, crf=self._crf, timeout_s=self.timeout_s,
            )  # fmt: skip
        except UsageError as error:
            raise Rejected("cannot_export", str(error)) from error
        except FileNotFoundError as error:
            raise Rejected(
                "blob_missing", f"{fake['fake_id']}: {error.filename} is not in the lake"
            ) from error
        return [{**told, **_measured(made), "new": True}]

    def _blob(self, blob_id: str | None) -> Any:
        return None if blob_id is None else self._lake.open_local(blob_id)


def export_many(
    lake: Lake,
    fakes: Iterable[Mapping[str, Any]],
    out: Path,
    engine: Engine,
    gate: ReleaseGate,
    signing: Signing,
    *,
    cues_of: CuesOf,
    language_of: LanguageOf,
    crf: int,
    timeout_s: float,
) -> Exports:
    """Export rows of `fakes` into a folder, which is made; progress is told by the engine.

    cues_of: how words of changed subtitles are shown, cue by cue; language_of: which language they are written in.
    One that the gate refuses, or that fails, is collected and the others go on; what a stopped call had finished is
    not made again. Each decision and each export is in the ledger.
    Raises: UsageError for credentials that are of no use.
    """
    ledger = Ledger(lake.local_path("ledger.jsonl"))
    # What is wrong with them is told once and at once, not for each fake.
    signing.credentials(lake)
    signing.watermark_key()
    out.mkdir(parents=True, exist_ok=True)
    blob_of = {row["clip_id"]: row["blob_id"] for row in lake.rows("clips")}
    refused, failed, asked = [], [], []
    for fake in fakes:
        verdict = gate.verdict(fake)
        if not verdict.allowed:
            refused.append(_refused(ledger, fake, verdict))
            continue
        row = {"fake_id": fake["fake_id"], "fake": dict(fake), "source_blob": blob_of.get(fake["clip_id"])}
        subtitles = subtitles_of(fake, cues_of)
        written_in = None if subtitles is None else language_of(text_of(fake), fake["language"])
        asked.append({**row, "subtitles": subtitles, "subtitles_language": written_in})
    step = ExportFakes(str(lake.root), str(out), signing, crf=crf, timeout_s=timeout_s)
    made: list[Row] = []
    for result in engine.map_rows(step, asked):
        if isinstance(result, Done):
            made += result.rows
            _record(ledger, result.rows)
        else:
            failed.append(result)
    for one in failed:
        ledger.record(KIND, one.item_id, "failed", {"reason": one.reason, "detail": one.detail[:300]})
    written, unchanged = ([row for row in made if row["new"] is new] for new in (True, False))
    return Exports(written, unchanged, refused, failed)


def target_of(out: Path, fake: Mapping[str, Any]) -> Path:
    """The exported file of a fake in a folder. Raises: Rejected `cannot_export` for an id that is none."""
    try:
        mark_of(fake["fake_id"])  # an id of another form could lead out of the folder
    except UsageError as error:
        raise Rejected("cannot_export", str(error)) from error
    return out / f"{fake['fake_id']}{Path(fake['blob_id']).suffix}"


def resolve(lake: Lake, mark: str) -> list[dict[str, Any]]:
    """What a mark of 16 hex digits stands for in a lake: fakes, with what they were made from, by id."""
    return _fakes_where(lake, "starts_with(fake_id, ?)", f"fake-{mark}")


def mastered_by(lake: Lake, sha256: str) -> list[dict[str, Any]]:
    """Fakes of a lake whose master is the file of this digest, as `resolve` tells them.

    A fake of text alone keeps the bytes of its clip: those are no fake's.
    """
    condition = "starts_with(blob_id, ?) AND blob_id IS DISTINCT FROM clip_blob"
    return _fakes_where(lake, condition, f"{sha256}.")


def text_fakes_of(lake: Lake, sha256: str) -> int:
    """How many fakes of a lake change text alone, and so have the file of this digest, their clip's, as their own."""
    query = (
        "SELECT count(*) AS n FROM fakes JOIN (SELECT clip_id, blob_id FROM clips) USING (clip_id, blob_id) "
        "WHERE starts_with(blob_id, ?)"
    )
    return int(lake.sql(query, [f"{sha256}."]).to_pylist()[0]["n"])


def _fakes_where(lake: Lake, condition: str, value: str) -> list[dict[str, Any]]:
    query = (
        "SELECT fake_id, generator, family, clip_id, donor_id, language, licence, source_id, media_id "
        "FROM fakes LEFT JOIN (SELECT clip_id, source_id, media_id, blob_id AS clip_blob FROM clips) USING (clip_id) "
        f"WHERE {condition} ORDER BY fake_id LIMIT 10"
    )
    found: list[dict[str, Any]] = lake.sql(query, [value]).to_pylist()
    return found


def exports_of(lake: Lake, fake_id: str) -> list[str]:
    """SHA-256 of every file that was exported of a fake, oldest first, as the ledger has them."""
    entries = Ledger(lake.local_path("ledger.jsonl")).entries()
    mine = [e for e in entries if (e.kind, e.subject, e.decision) == (KIND, fake_id, "exported")]
    return [str(entry.detail["sha256"]) for entry in mine]


def _refused(ledger: Ledger, fake: Mapping[str, Any], verdict: Verdict) -> Failed:
    ledger.record(KIND, fake["fake_id"], "refused", {"reasons": list(verdict.reasons)})
    return Failed(fake["fake_id"], STAGE, "refused_by_policy", ", ".join(verdict.reasons))


def _record(ledger: Ledger, rows: Iterable[Row]) -> None:
    for row in rows:
        detail = {"file": Path(row["file"]).name, "sha256": row["sha256"]}
        ledger.record(KIND, row["fake_id"], "exported", detail)


def _told(fake: Mapping[str, Any], out: Path, subtitles: str | None) -> Row:
    return {
        "fake_id": fake["fake_id"],
        "file": str(out),
        "sidecar": str(sidecar_of(out)),
        "masks": str(masks_of(out)) if fake["masks_blob"] else None,
        "subtitles": None if subtitles is None else str(subtitles_beside(out)),
    }


def _measured(made: Exported) -> Row:
    kept = ("mark", "watermarks", "sha256", "psnr_db", "snr_db")
    return {name: value for name, value in asdict(made).items() if name in kept}
