"""Reports: media that somebody suspects. They wait in a queue, as rows of `reports`, until a batch takes them.

What a reported file is, and whether it is kept, is decided in `crawl`; nothing is decoded or fetched here.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from haetae.errors import Rejected, UsageError
from haetae.lake import Lake, Lineage
from haetae.media.addresses import same_item
from haetae.media.signatures import real_extension
from haetae.media.wire import require_web
from haetae.provenance.ids import content_id
from haetae.provenance.sources import Source, redact

Row = dict[str, Any]
LANGUAGES: tuple[str, ...] = get_args(Source.model_fields["language"].annotation)
USE_CASES: tuple[str, ...] = get_args(Source.model_fields["use_case"].annotation)
NOTE_MAX_CHARS = 2000
REPORTER_MAX_CHARS = 200
NAME_MAX_CHARS = 200
HEAD_BYTES = 2048
_CODE_VERSION = "1"
_DEMUXERS = (
    (4, b"ftyp", "mov"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (8, b"WAVE", "wav"),
    (8, b"AVI ", "avi"),
    (8, b"WEBP", "webp_pipe"),
    (0, b"ID3", "mp3"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x89PNG", "png_pipe"),
    (0, b"\xff\xd8\xff", "jpeg_pipe"),
)


@dataclass(frozen=True)
class ReportState:
    """How far a report is.

    state: waiting (no batch has fetched it yet) | fetched | refused. reason: the snake_case word of a
    refusal; `duplicate` beside `fetched` where the lake had the same file before. verdict: real | fake |
    unknown, by people who looked at it, never by a detector alone. declared: the same, as its source or a
    data set states it, which nobody here has looked at.
    """

    report_id: str
    state: str
    reason: str | None = None
    media_id: str | None = None
    verdict: str = "unknown"
    declared: str = "unknown"


def report_media(
    lake: Lake,
    *,
    uri: str | None = None,
    file: Path | None = None,
    name: str = "",
    language: str,
    use_case: str,
    note: str | None,
    reporter: str | None,
    now: dt.datetime,
) -> str:
    """Put one address, or one file, into the queue of reports; returns the id of the report.

    file: copied into the lake. name: what the reporter calls the file; only shown. The address in full,
    which may carry secrets, goes into a file that only its owner may read; tables get it redacted.
    Raises: Rejected `bad_address`, `empty`; UsageError for a language, use case or length
    that is not allowed, or unless exactly one of `uri` and `file` is given.
    """
    if (uri is None) == (file is None):
        raise UsageError("report either an address or a file")
    _require_one_of("language", language, LANGUAGES)
    _require_one_of("use case", use_case, USE_CASES)
    note = _text("note", note, NOTE_MAX_CHARS)
    reporter = _text("reporter", reporter, REPORTER_MAX_CHARS)
    blob_id = None
    if file is not None:
        blob_id = lake.put_blob(file, _extension(file))
        what, shown = blob_id.partition(".")[0], _plain_name(name) or "file"
    else:
        assert uri is not None
        uri = uri.strip()
        require_web(uri)
        what, shown = same_item(uri), redact(uri)
    report_id = content_id("report", what, reporter, now.isoformat())
    if uri is not None and uri != shown:
        _keep_secret(lake, report_id, uri)
    row = {
        "report_id": report_id,
        "uri": shown,
        "blob_id": blob_id,
        "language": language,
        "use_case": use_case,
        "note": note,
        "reporter": reporter,
        "reported_at": now,
    }
    lake.write("reports", report_id, [row], Lineage("reports", "", _CODE_VERSION, report_id))
    return report_id


def pending(lake: Lake, again: Collection[str] = ()) -> list[Row]:
    """What was reported and is in no batch yet: one row for each file or address, in order of arrival.

    again: items that are to be fetched once more. The first report of a thing stands for later ones of it.
    Rows hold `item_id`, `uri`, `sha256`, `size_bytes` as `items` wants them, `source_id` (see
    `report_source`), `language`, `use_case`, `report_id`, and `address`: the full address or the path of the
    file, which belongs in no table.
    """
    known = set(lake.read("items")["item_id"].to_pylist()) - set(again)
    rows: dict[str, Row] = {}
    for report in sorted(lake.rows("reports"), key=lambda row: (row["reported_at"], row["report_id"])):
        address = _address_of(lake, report)
        item_id = _item_of(report, address)
        if item_id in known or item_id in rows:
            continue
        blob_id = report["blob_id"]
        path = lake.open_local(blob_id) if blob_id else None
        rows[item_id] = {
            "item_id": item_id,
            "source_id": report_source(report).id,
            "uri": report["uri"],
            "sha256": blob_id.partition(".")[0] if blob_id else None,
            "size_bytes": path.stat().st_size if path else None,
            "language": report["language"],
            "use_case": report["use_case"],
            "report_id": report["report_id"],
            "address": str(path) if path else address,
        }
    return list(rows.values())


def report_source(row: Row) -> Source:
    """The source that reports of one language and use case belong to: they may be reviewed, nothing else.

    row: of `reports` or of `pending`. There is no licence, no consent and no purpose, so the policy gate
    lets nothing be made of such media; what they are is unknown.
    """
    return Source(
        id=f"reports.{row['language']}.{row['use_case']}",
        uri="haetae:reports",
        kind="file",
        language=row["language"],
        use_case=row["use_case"],
    )


def report_state(lake: Lake, report_id: str) -> ReportState | None:
    """How far a report is; None where there is none of this id."""
    if report_id not in lake.partitions("reports"):
        return None
    (report,) = lake.rows("reports", report_id)
    item_id = _item_of(report, _address_of(lake, report))
    fetched = _column(lake, "SELECT media_id FROM media WHERE item_id = ?", item_id)
    reasons = _column(lake, "SELECT reason FROM quarantine WHERE item_id = ? ORDER BY stage, reason", item_id)
    twice = "duplicate" if "duplicate" in reasons else None
    media_id = fetched[0] if fetched else None
    if media_id is None and twice:
        media_id = _same_file(lake, item_id)
    if media_id is not None:
        clips = _column(lake, "SELECT clip_id FROM clips WHERE media_id = ?", media_id)
        refused = _column(lake, "SELECT reason FROM quarantine WHERE item_id = ? ORDER BY 1", media_id)
        if refused and not clips:
            return ReportState(report_id, "refused", refused[0], media_id)
        verdict, declared = (_verdict(lake, media_id, who) for who in (REVIEWED, STATED))
        return ReportState(report_id, "fetched", twice, media_id, verdict, declared)
    if twice:
        return ReportState(report_id, "fetched", twice)
    if reasons:
        return ReportState(report_id, "refused", reasons[0])
    return ReportState(report_id, "waiting")


REVIEWED = "evidence = 'reviewed'"
STATED = "evidence IN ('imported', 'construction')"


def _same_file(lake: Lake, item_id: str) -> str | None:
    """The media that the lake had before a refused copy of it came."""
    said = _column(lake, "SELECT detail FROM quarantine WHERE item_id = ? AND reason = 'duplicate'", item_id)
    found = re.search(r"same bytes as media (\S+) ", said[0] if said else "")
    return found.group(1) if found else None


def _verdict(lake: Lake, media_id: str, who: str) -> str:
    """Fake where anything in it is stated to be fake, real where everything stated is real, else unknown."""
    query = (
        "SELECT DISTINCT l.verdict FROM current_labels l JOIN clips c ON l.sample_id = c.clip_id "
        f"WHERE c.media_id = ? AND l.{who}"
    )
    found = set(_column(lake, query, media_id))
    return "fake" if "fake" in found else "real" if found == {"real"} else "unknown"


def _column(lake: Lake, query: str, value: str) -> list[str]:
    found: list[str] = lake.sql(query, [value]).column(0).to_pylist()
    return found


def _item_of(report: Row, address: str) -> str:
    """The item that a report is about: the same address or content reported again is the same item."""
    sha = report["blob_id"].partition(".")[0] if report["blob_id"] else None
    return content_id("item", "reports", sha or same_item(address), sha)


def _secret_path(lake: Lake, report_id: str) -> Path:
    return lake.local_path(f"intake/{report_id}.json")


def _keep_secret(lake: Lake, report_id: str, address: str) -> None:
    path = _secret_path(lake, report_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lake.tmp_dir() as folder:
        new = folder / "new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"address": address}, file)
        os.replace(new, path)


def _address_of(lake: Lake, report: Row) -> str:
    """The full address of a report; where its file is gone, the one without secrets."""
    if report["blob_id"] is None and lake.files.is_local:
        try:
            return str(json.loads(_secret_path(lake, report["report_id"]).read_text())["address"])
        except FileNotFoundError:
            pass
    return str(report["uri"])


def _extension(file: Path) -> str:
    """Extension by the first bytes, mostly the one that `crawl` finds. Raises: Rejected `empty`."""
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    if not head:
        raise Rejected("empty", "there is nothing in the file")
    demuxer = next((name for at, mark, name in _DEMUXERS if head[at : at + len(mark)] == mark), "")
    return real_extension(demuxer, head, has_picture=True)


def _plain_name(name: str) -> str:
    """The last part of what a client calls its file, printable and short; it is shown and never opened."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable()).strip()[:NAME_MAX_CHARS]


def _text(what: str, given: str | None, most: int) -> str | None:
    """A text without control characters; None where nothing is left. Raises: UsageError where it is long."""
    kept = "".join(c for c in given or "" if c.isprintable() or c == "\n").strip()
    if len(kept) > most:
        raise UsageError(f"the {what} has {len(kept)} characters; at most {most}")
    return kept or None


def _require_one_of(what: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise UsageError(f"{given[:50]!r} is no {what} here; use one of: {', '.join(allowed)}")
