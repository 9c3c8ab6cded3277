"""The inventory of a public data set: what is there, what is not, and under what terms; taken before any row.

What a layout looks like is told by its importer. Nothing is decoded: lengths are those that headers state.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from haetae.errors import UsageError
from haetae.importers.base import Entry, Finding, FindingKind, Importer, Reading, Terms
from haetae.importers.tree import Tree, frame_number

KINDS: tuple[FindingKind, ...] = (
    "missing", "extra", "label_mismatch", "duplicate", "damaged", "unlabelled", "layout",
)  # fmt: skip
EXAMPLES = 5
SLACK_S = 0.2
"""By how much a segment may outlast its file: rounding, and sound that is padded to whole blocks."""
MASK_SLACK_FRAMES = 1
"""By how many frames a mask video may be shorter than its video; of pictures each must have its mask."""
MEDIA = (
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".flv", ".wmv", ".ts",
    ".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac",
)  # fmt: skip


@dataclass(frozen=True)
class Inventory:
    """What a data set holds and what is wrong with it.

    entries: those that can be imported, in order of their keys. counts: entries by property and value, `-`
    where it is not stated. findings: all of them, by kind and subject.
    """

    importer: str
    title: str
    entries: Sequence[Entry]
    findings: Sequence[Finding]
    counts: Mapping[str, Mapping[str, int]]
    terms: Terms

    @property
    def found(self) -> dict[FindingKind, int]:
        """Number of findings of each kind, also of those without any."""
        seen = Counter(finding.kind for finding in self.findings)
        return {kind: seen[kind] for kind in KINDS}

    def as_json(self) -> dict[str, Any]:
        """Plain values: counts, findings by kind with their first examples, and the terms."""
        examples: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS}
        for one in self.findings:
            if len(examples[one.kind]) < EXAMPLES:
                examples[one.kind].append({"subject": one.subject, "detail": one.detail})
        return {
            "format": self.importer,
            "title": self.title,
            "entries": len(self.entries),
            "counts": {name: dict(values) for name, values in self.counts.items()},
            "findings": {
                kind: {"count": count, "examples": examples[kind]} for kind, count in self.found.items()
            },
            "terms": asdict(self.terms) | {"purposes": list(self.terms.purposes)},
        }

    def as_text(self) -> str:
        """The same as a table for a person."""
        lines = [f"{self.title} ({self.importer}): {len(self.entries)} items", ""]
        for name, values in self.counts.items():
            shown = ", ".join(f"{value} {count}" for value, count in values.items())
            lines.append(f"  {name:<10}{shown}")
        lines += ["", "  findings"]
        for kind, count in self.found.items():
            lines.append(f"    {kind:<16}{count:>8}")
            some = [finding for finding in self.findings if finding.kind == kind][:EXAMPLES]
            lines += [f"        {one.subject}: {one.detail}" for one in some]
            if count > len(some):
                lines.append(f"        … and {count - len(some)} more")
        terms = self.terms
        lines += [
            "",
            f"  licence   {terms.licence}",
            f"  access    {terms.access}",
            f"  purposes  {', '.join(terms.purposes) or 'none'}; consent: {terms.consent}",
        ]
        return "\n".join(lines)


def take(importer: Importer, tree: Tree) -> Inventory:
    """Read the tree and check what every format must hold; the same tree gives the same inventory.

    An entry stays out where its key is taken, its files are missing or empty, or where two entries state
    different verdicts of the same file. A pair, mask or segment that is not there or cannot be is taken off
    its entry; each is a finding.
    Raises: UsageError where nothing of the layout is there, with the layout that is expected.
    """
    reading = importer.read(tree)
    findings = list(reading.findings)
    if not reading.entries and all(finding.kind in ("extra", "layout") for finding in findings):
        raise UsageError(
            f"{tree.root} does not look like {importer.title}: nothing of its layout is there. Expected:\n"
            f"{importer.layout}"
        )
    entries: Sequence[Entry] = sorted(reading.entries, key=lambda entry: (entry.key, entry.path))
    for check in (_unique_keys, _unique_files, _present):
        entries, faults = check(entries, tree)
        findings += faults
    keys = {entry.key for entry in entries}
    kept = []
    for entry in entries:
        for mend in (_pair_exists, _mask_fits, _segments_fit):
            entry, faults = mend(entry, tree, keys)
            findings += faults
        kept.append(entry)
    findings += _extra(reading, findings, tree) + _empty_folders(tree) + tree.findings
    order = {kind: place for place, kind in enumerate(KINDS)}
    unique = sorted(set(findings), key=lambda f: (order[f.kind], f.subject, f.detail))
    return Inventory(importer.name, importer.title, kept, unique, count(kept), importer.terms)


def count(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Entries by split, generator, verdict of each modality, form and language; `-`: not stated."""
    ways: dict[str, Callable[[Entry], str | None]] = {
        "split": lambda entry: entry.split,
        "generator": lambda entry: entry.generator,
        "video": lambda entry: entry.video,
        "audio": lambda entry: entry.audio,
        "sync": lambda entry: entry.sync,
        "text": lambda entry: entry.text_verdict,
        "form": lambda entry: entry.form,
        "language": lambda entry: entry.language,
    }
    seen: dict[str, Counter[str]] = {name: Counter() for name in ways}
    for entry in entries:
        for name, way in ways.items():
            seen[name][way(entry) or "-"] += 1
    return {name: dict(sorted(values.items())) for name, values in seen.items()}


Checked = tuple[Sequence[Entry], list[Finding]]
Mended = tuple[Entry, list[Finding]]


def _unique_keys(entries: Sequence[Entry], _: Tree) -> Checked:
    """The first of several entries with one key; unpacked files come before those in archives."""
    kept: dict[str, Entry] = {}
    findings = []
    for entry in sorted(entries, key=lambda e: (e.key, "!/" in e.path, e.path)):
        first = kept.setdefault(entry.key, entry)
        if first is not entry:
            detail = f"{entry.path} has the key of {first.path}; the first of them is taken"
            findings.append(Finding("duplicate", entry.key, detail))
    return list(kept.values()), findings


def _unique_files(entries: Sequence[Entry], _: Tree) -> Checked:
    """Entries of one file agree in their verdicts, or none of them can be trusted."""
    by_path: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_path[entry.path].append(entry)
    kept, findings = [], []
    for path, same in by_path.items():
        verdicts = {(e.video, e.audio, e.sync, e.text_verdict) for e in same}
        if len(verdicts) > 1:
            told = "stated with different verdicts as " + ", ".join(e.key for e in same[:EXAMPLES])
            findings.append(Finding("label_mismatch", path, told + "; none of them is taken"))
            continue
        kept.append(same[0])
        if len(same) > 1:
            others = ", ".join(e.key for e in same[1 : 1 + EXAMPLES])
            findings.append(Finding("duplicate", path, f"also named as {others}; {same[0].key} is taken"))
    return sorted(kept, key=lambda entry: entry.key), findings


def _present(entries: Sequence[Entry], tree: Tree) -> Checked:
    kept, findings = [], []
    for entry in entries:
        if not tree.exists(_table_of(entry.path)):
            findings.append(Finding("missing", entry.path, f"the file of {entry.key} is not there"))
        elif entry.form == "frames" and not tree.n_frames(entry.path):
            findings.append(Finding("missing", entry.path, f"no numbered picture of {entry.key} is there"))
        elif entry.form == "file" and tree.size(_table_of(entry.path)) == 0:
            findings.append(Finding("damaged", entry.path, f"the file of {entry.key} has 0 bytes"))
        else:
            kept.append(entry)
    return kept, findings


def _table_of(path: str) -> str:
    """Of a row of a table, `x.parquet!/12`, the table: its importer counted the rows. Else the path itself."""
    table, _, row = path.partition("!/")
    return table if row and table.lower().endswith(".parquet") else path


def _pair_exists(entry: Entry, _: Tree, keys: set[str]) -> Mended:
    if entry.pair is None or entry.pair in keys:
        return entry, []
    told = f"{entry.pair}, which it was made from, is not there"
    return replace(entry, pair=None), [Finding("missing", entry.key, told)]


def _mask_fits(entry: Entry, tree: Tree, _: set[str]) -> Mended:
    """A mask that is there, and as long as what it masks; a shorter one would mark wrong frames."""
    if entry.mask is None:
        return entry, []
    if not tree.exists(entry.mask):
        return replace(entry, mask=None), [Finding("missing", entry.mask, f"the mask of {entry.key}")]
    if entry.path.endswith("/") and entry.mask.endswith("/"):
        masked = {frame_number(path) for path in tree.frames(entry.mask)}
        bare = sum(frame_number(path) not in masked for path in tree.frames(entry.path))
        told = f"{bare} pictures of {entry.path} have no mask" if bare else None
    else:
        wanted, there = tree.n_frames(entry.path), tree.n_frames(entry.mask)
        shorter = wanted is not None and there is not None and there < wanted - MASK_SLACK_FRAMES
        told = f"the mask has {there} frames, {entry.path} has {wanted}" if shorter else None
    if told is None:
        return entry, []
    return replace(entry, mask=None), [Finding("damaged", entry.mask, f"{told}; it is left out")]


def _segments_fit(entry: Entry, tree: Tree, _: set[str]) -> Mended:
    """Segments that are stretches of the item, where its length is known from the data set or the header."""
    if not entry.segments:
        return entry, []
    stated = entry.detail.get("duration_s", entry.detail.get("duration"))
    length_s = stated if isinstance(stated, int | float) else tree.duration_s(entry.path)
    kept, findings = [], []
    for one in entry.segments:
        verdict = {"video": entry.video, "audio": entry.audio, "sync": entry.sync, "text": entry.text_verdict}
        span = f"{one.modality} {one.start_s:g}–{one.end_s:g} s"
        if not 0 <= one.start_s < one.end_s:
            findings.append(Finding("damaged", entry.key, f"segment {span} is no stretch of time"))
        elif length_s is not None and one.end_s > length_s + SLACK_S:
            findings.append(Finding("damaged", entry.key, f"segment {span} outlasts its {length_s:g} s"))
        elif verdict[one.modality] != "fake":
            stated_as = verdict[one.modality] or "not stated"
            findings.append(Finding("label_mismatch", entry.key, f"segment {span}, but that is {stated_as}"))
        else:
            kept.append(one)
    if len(kept) == len(entry.segments):
        return entry, []
    return replace(entry, segments=tuple(kept)), findings


def _extra(reading: Reading, findings: Sequence[Finding], tree: Tree) -> list[Finding]:
    """Media that no entry uses and no finding names: the data set's lists do not know them."""
    used = {path for entry in reading.entries for path in (entry.path, entry.mask) if path}
    used |= {path.rpartition("/")[0] + "/" for path in used if not path.endswith("/")}
    named = {finding.subject for finding in findings}
    extra = [path for path in tree.files(*MEDIA) if path not in used and path not in named]
    extra += [path for path in tree.frame_folders() if path not in used and path not in named]
    return [Finding("extra", path, "no part of the data set names it; it is left out") for path in extra]


def _empty_folders(tree: Tree) -> list[Finding]:
    """Folders with nothing in them: something was not fetched, or not unpacked."""
    folders = tree.folders()
    parents = {path.rstrip("/").rpartition("/")[0] + "/" for path in folders}
    empty = [path for path in folders if path not in parents and not tree.names(path)]
    return [Finding("missing", path, "an empty folder") for path in empty]
