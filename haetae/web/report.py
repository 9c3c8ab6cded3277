"""The report page of a lake: `report/index.html` with its pictures, readable from disk, without a network.

What it says is read in `contents` and `pairs`, drawn in `figures`, `pictures` and `plates`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from haetae.evaluation.metrics import METRICS
from haetae.lake import Lake
from haetae.provenance.ids import digest, file_sha256
from haetae.web import contents, figures
from haetae.web.page import PLAYABLE, TEMPLATES, content_policy, environment, own_markup
from haetae.web.pairs import choose_pairs
from haetae.web.plates import ImageFolder, Plate, make_plates

PAGE, RECORD = "index.html", "report.json"
FEW_SAMPLES = 20
"""A slice smaller than this is dimmed: its figures and intervals say little."""
CHANCE = {"auc": 0.5, "eer": 0.5, "eer_asvspoof": 0.5}
METRIC_NAMES = {"auc": "AUC", "eer": "EER", "ap": "AP", "eer_asvspoof": "EER (ASVspoof)"}


def write_report(lake: Lake, *, max_pairs: int = 48) -> Path:
    """Write `report/` into the lake and return its page, `report/index.html`.

    Nothing is written when the tables, the page's own code and `max_pairs` are as they were: the digest of
    the input is kept beside the page. The folder is made aside and renamed, so a reader never sees half
    a page. The same lake gives the same bytes. Raises: UsageError for a lake that is not on a local disk.
    """
    folder = lake.local_path("report")
    with _one_writer(lake):
        input_digest = digest(Path(lake.root).name, contents.table_digests(lake), _code_digest(), max_pairs)
        if _is_current(folder, input_digest):
            return folder / PAGE
        with lake.tmp_dir() as scratch:
            made = scratch / "report"
            made.mkdir()
            (made / PAGE).write_text(_render(lake, made, max_pairs), encoding="utf-8")
            shutil.copyfile(TEMPLATES / "icon.svg", made / "icon.svg")
            _write_record(made, input_digest)
            if folder.exists():
                os.rename(folder, scratch / "before")
            os.rename(made, folder)
    return folder / PAGE


@contextmanager
def _one_writer(lake: Lake) -> Iterator[None]:
    """Two writers take turns; the second then finds the first one's page."""
    root = lake.local_path("")
    root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _code_digest() -> str:
    """What draws the page: a page made by other code is not the same page."""
    own = sorted([*Path(__file__).parent.glob("*.py"), *TEMPLATES.iterdir()])
    return digest([(path.name, file_sha256(path)) for path in own])


def _write_record(folder: Path, input_digest: str) -> None:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    record = {"input_digest": input_digest, "files": files}
    (folder / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _is_current(folder: Path, input_digest: str) -> bool:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["input_digest"] != input_digest:
            return False
        return all((folder / name).stat().st_size == size for name, size in record["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _render(lake: Lake, folder: Path, max_pairs: int) -> str:
    standing = contents.standing(lake)
    card = contents.scorecard(lake, standing)
    curves = contents.roc_curves(lake, standing, card)
    pairs = choose_pairs(lake, standing, max_pairs)
    threshold = standing.model.threshold if standing.model else None
    plates = make_plates(lake, pairs, threshold, ImageFolder(folder))
    counts = contents.table_counts(lake)
    labels = contents.label_counts(lake)
    style, script = own_markup("report.css"), own_markup("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            style=style,
            script=script,
            policy=content_policy(style, script),
            lake_name=Path(lake.root).name,
            counts=counts,
            rows={count.name: count.rows for count in counts},
            spread=contents.fake_spread(lake),
            standing=standing,
            overall=next(
                (row.metrics for row in card if row.protocol == "sample" and row.slice == "all"), {}
            ),
            card=card,
            metrics=[name for name in METRICS if any(name in row.metrics for row in card)],
            curves=curves,
            whole=next((curve for curve in curves if curve.protocol == "sample"), None),
            roc=figures.roc_figure([(c.protocol, c.fpr, c.tpr) for c in curves]) if curves else None,
            labels=labels,
            label_modalities={modality for row in labels for modality, _ in row.counts},
            bars=_language_bars(labels),
            families=_families(labels),
            plates=plates,
            media_links=_media_links(lake, plates),
            generators=sorted({str(p.fake["generator"]) for p in pairs}),
            languages=sorted({str(p.fake["language"]) for p in pairs}),
            refusals=contents.refusals(lake),
            lineage=contents.lineage(lake),
        )
    )


def _environment() -> jinja2.Environment:
    made = environment()
    made.globals.update(
        whisker=figures.whisker,
        chance=CHANCE,
        few_samples=FEW_SAMPLES,
        metric_name=lambda name: METRIC_NAMES.get(name, name),
        modalities=contents.MODALITIES,
        verdicts=contents.VERDICTS,
    )
    return made


def _families(labels: Sequence[contents.LabelRow]) -> list[tuple[str, str]]:
    """Generator families with their CSS class: untouched first, then by name."""
    names = sorted({row.family for row in labels}, key=lambda name: (name != "untouched", name))
    return [(name, "untouched" if name == "untouched" else f"family-{i}") for i, name in enumerate(names)]


def _language_bars(labels: Sequence[contents.LabelRow]) -> list[tuple[str, Markup, int]]:
    """Per language: its name, a bar of its samples by family, and how many there are."""
    css = dict(_families(labels))
    parts: dict[str, list[tuple[str, str, int]]] = {}
    for row in labels:
        parts.setdefault(row.language, []).append((row.family, css[row.family], row.samples))
    totals = {language: sum(n for _, _, n in counts) for language, counts in parts.items()}
    most = max(totals.values(), default=0)
    return [
        (language, figures.stacked_bar(counts, most), totals[language]) for language, counts in parts.items()
    ]


def _media_links(lake: Lake, plates: Sequence[Plate]) -> Mapping[str, str]:
    """Blob → address relative to the page, for what a browser can play."""
    blobs: set[Any] = {row["blob_id"] for plate in plates for row in (plate.pair.fake, plate.pair.twin)}
    return {
        blob: f"../{lake.blob_path(blob)}" for blob in sorted(b for b in blobs if b and PLAYABLE.match(b))
    }
