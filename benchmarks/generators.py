"""Every generator of the profile on real clips, by the way of the pipeline: what it makes, what not and why, how fast.

`HAETAE_DEV_MEDIA=FOLDER python -m benchmarks generators [--clips N] [--generators a,b] [--effort E] [--json]` takes the
development media (with the sources file of their test); without them, the embedded sample. Sources are ingested, faces
followed, speech found and clips grouped by the graph itself; a generator that learns is taught first, with
`--effort` of its lesson; the desk chooses the requests, and `MakeFakes` makes them in worker processes as it always
does, with its checks, measures and second makings. At most `--clips` of the eligible clips are tried, dealt evenly over
languages and drawn by their ids. A clip is eligible when the desk asks the generator for a fake of it.

Speed is made fakes over processor time of all attempts, ffmpeg included, without the loading of weights and the first
attempt of each worker, which pays the imports. Memory is the largest resident size of a worker.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import dropwhile
from pathlib import Path
from typing import Any

import yaml

from assets.desk import Desk
from assets.lessons import known_lesson
from dagster_project.instance import instance_of, only_writer
from dagster_project.refresh import Refresh
from dagster_project.resources import pool_of
from dagster_project.wanted import wanted_generators
from generators.make import MakeFakes
from generators.protocol import Card
from generators.registry import find
from haetae.engine import Row, split_results
from haetae.lake import Lake
from haetae.params import Params, parse_params
from haetae.provenance.ids import seed_of
from haetae.sample.render import render_sample

CLIPS, EFFORT = 8, 0.05
REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = REPOSITORY / "tests" / "end_to_end" / "dev_media.sources.yaml"
BEFORE_FAKES = ("utterances", "tracks", "groups", "original_labels")
_HEAD = (
    f"{'generator':26}{'clips':>6}{'eligible':>9}{'tried':>6}{'made':>6}{'made %':>8}{'/min/core':>10}"
    f"{'peak MiB':>9}{'load s':>7}  failed"
)
BATCH_TABLES = ("media", "clips", "tracks", "utterances", "groups", "sources")


@dataclass
class Metered(MakeFakes):
    """The step, which notes down what each attempt took, one JSON line each in `log`."""

    log: str = ""
    _loading_s: float = field(init=False, default=0.0, repr=False, compare=False)

    def _generator(self, *about: Any) -> Any:
        began = _cpu_s()
        try:
            return super()._generator(*about)
        finally:
            self._loading_s += _cpu_s() - began

    def __call__(self, row: Row) -> list[Row]:
        began, self._loading_s = _cpu_s(), 0.0
        try:
            return super().__call__(row)
        finally:
            took = _cpu_s() - began - self._loading_s
            note = {"worker": os.getpid(), "cpu_s": took, "load_s": self._loading_s, "peak_mib": _peak_mib()}
            with Path(self.log).open("a", encoding="utf-8") as file:
                file.write(json.dumps(note) + "\n")


@dataclass(frozen=True)
class Found:
    """What came of one generator. not_eligible, failed: clips by reason."""

    generator: str
    clips: int
    eligible: int
    tried: int
    made: int
    fakes_per_minute_per_core: float | None
    peak_mib: float | None
    load_s: float | None
    not_eligible: dict[str, int]
    failed: dict[str, int]

    @property
    def made_percent(self) -> float | None:
        return round(100 * self.made / self.tried, 1) if self.tried else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "made_percent": self.made_percent}


def main() -> None:
    given = _options(list(dropwhile(lambda word: not word.startswith("-"), sys.argv[1:])))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        lake = Lake(where / "lake")
        params = parse_params({"generate": {"learn": {"effort": given.effort}}})
        keys = wanted_generators(params.generate, [name for name in given.generators.split(",") if name])
        media = _fill(lake, params, _sources(where), keys)
        if not given.json:
            print(
                f"{media}; at most {given.clips} clips each, lessons of {given.effort:g}\n{_HEAD}", flush=True
            )
        found: list[Found] = []
        for key in keys:
            found.append(_measured(lake, params, key, given.clips))
            if not given.json:
                print(_line(found[-1]), flush=True)
    took_s = time.monotonic() - began
    if given.json:
        told = {
            "media": media,
            "clips_tried_at_most": given.clips,
            "effort": given.effort,
            "took_s": round(took_s, 1),
        }
        print(json.dumps({**told, "generators": [one.as_json() for one in found]}, indent=1))
        return
    print("not eligible:")
    for one in found:
        reasons = ", ".join(f"{reason} {n}" for reason, n in one.not_eligible.items()) or "–"
        print(f"{one.generator:26}{reasons}")
    print(f"{took_s:.0f} s in all")


def _options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks generators")
    parser.add_argument("--clips", type=int, default=CLIPS, help="most clips that each generator is tried on")
    parser.add_argument(
        "--generators", default="", help="comma-separated names; default: all of the embedded profile"
    )
    parser.add_argument(
        "--effort", type=float, default=EFFORT, help="share of the lesson of those that learn"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(words)


def _sources(where: Path) -> Path:
    """The sources file: of the development media, copied with their transcripts, else of the sample."""
    given = os.environ.get("HAETAE_DEV_MEDIA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "media" / "dev"
    if not (folder / "SOURCES.csv").is_file():
        if given:
            sys.exit(
                f"no SOURCES.csv in {folder}; set HAETAE_DEV_MEDIA to the folder of the media, or unset it"
            )
        return render_sample(where / "sample").sources
    entries = [
        e for e in yaml.safe_load(SOURCES.read_text(encoding="utf-8")) if (folder / e["uri"]).is_file()
    ]
    with (folder / "SOURCES.csv").open(encoding="utf-8") as file:
        said = {row["file"]: row["transcript"] for row in csv.DictReader(file)}
    for entry in entries:
        target = where / "media" / entry["uri"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / entry["uri"], target)
        if said[entry["uri"]]:
            target.with_suffix(".txt").write_text(said[entry["uri"]], encoding="utf-8")
    listed = where / "media" / "sources.yaml"
    listed.write_text(yaml.safe_dump(entries, allow_unicode=True), encoding="utf-8")
    return listed


def _fill(lake: Lake, params: Params, sources: Path, keys: Sequence[str]) -> str:
    """Everything that comes before the fakes, lessons included; returns what there is, in words."""
    engine = pool_of(params)
    # Where a developer's own instance is set, these runs do not belong to it.
    os.environ.pop("DAGSTER_HOME", None)
    try:
        with only_writer(lake), instance_of(lake) as instance:
            work = Refresh(lake, params, engine, instance, _tell)
            for stage in BEFORE_FAKES:
                work.run([sources], stage)
            if learners := [key for key in keys if find(key).card.learns]:
                work.run_generators(learners, "lessons")
            if work.outcome.errors or work.outcome.refused:
                sys.exit("\n".join([*work.outcome.errors, *work.outcome.refused]))
    finally:
        engine.close()
    clips, films = len(lake.rows("clips")), sum(row["has_video"] for row in lake.rows("clips"))
    return f"{len(lake.rows('media'))} files, {clips} clips, {films} with pictures"


def _tell(title: str, assets: Sequence[str]) -> None:
    print(f"{title}: {', '.join(assets)}", file=sys.stderr, flush=True)


def _measured(lake: Lake, params: Params, key: str, most: int) -> Found:
    card = find(key).card
    requests, passed_over, clips = _asked(lake, params, card)
    chosen = _dealt(requests, most)
    _tell(key, [f"{len(chosen)} of {len(requests)} eligible clips"])
    with lake.tmp_dir() as scratch:
        step = Metered(
            lake_root=str(lake.root),
            crf=params.generate.crf,
            timeout_s=params.generate.timeout_s,
            recheck_every=params.generate.recheck_every,
            log=str(scratch / "attempts.jsonl"),
        )
        # Workers of its own: what another generator left in memory is no part of this one's.
        engine = pool_of(params)
        try:
            made, failed = split_results(engine.map_rows(step, chosen))
        finally:
            engine.close()
        notes = list(_notes(scratch / "attempts.jsonl"))
    return Found(
        generator=key,
        clips=clips,
        eligible=len(requests),
        tried=len(chosen),
        made=len(made),
        fakes_per_minute_per_core=_speed(notes, len(made), len(chosen)),
        peak_mib=max((note["peak_mib"] for note in notes), default=None),
        load_s=max((round(note["load_s"], 2) for note in notes), default=None),
        not_eligible=dict(sorted(passed_over.items())),
        failed=dict(sorted(Counter(one.reason for one in failed).items())),
    )


def _asked(lake: Lake, params: Params, card: Card) -> tuple[list[Row], Counter[str], int]:
    """What the desk asks of a generator over all batches, what it passes over, and how many clips there are."""
    requests: list[Row] = []
    passed_over: Counter[str] = Counter()
    clips = 0
    lesson = known_lesson(lake, params, card) if card.learns else None
    for batch in lake.partitions("items"):
        tables = {name: lake.read(name, None if name == "sources" else batch) for name in BATCH_TABLES}
        asked, reasons = Desk(lake, params, card, batch, **tables, lesson=lesson).requests()
        requests += asked
        passed_over += reasons
        clips += tables["clips"].num_rows
    return requests, passed_over, clips


def _dealt(requests: Sequence[Row], most: int) -> list[Row]:
    """At most `most` requests, one of each language after the other, in an order drawn by their clips."""
    by_language: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(requests, key=lambda row: seed_of("benchmark", row["clip_id"])):
        by_language[row["language"]].append(row)
    rounds = max(map(len, by_language.values()), default=0)
    dealt = [
        rows[turn] for turn in range(rounds) for _, rows in sorted(by_language.items()) if turn < len(rows)
    ]
    return dealt[:most]


def _notes(path: Path) -> Iterator[dict[str, Any]]:
    """Attempts in the order in which they ended; `first`: the first one of its worker."""
    known = set[int]()
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        note = json.loads(line)
        yield {**note, "first": note["worker"] not in known}
        known.add(note["worker"])


def _speed(notes: Sequence[dict[str, Any]], made: int, tried: int) -> float | None:
    """Fakes per minute of processor time, at the rate of success of all that were tried."""
    warm = [note["cpu_s"] for note in notes if not note["first"]] or [note["cpu_s"] for note in notes]
    return round(60 * len(warm) * (made / tried) / sum(warm), 1) if made and sum(warm) > 0 else None


def _line(one: Found) -> str:
    figures = (one.made_percent, one.fakes_per_minute_per_core, one.peak_mib, one.load_s)
    percent, speed, peak, load = ("–" if value is None else f"{value:g}" for value in figures)
    failed = ", ".join(f"{reason} {n}" for reason, n in one.failed.items()) or "–"
    return (
        f"{one.generator:26}{one.clips:>6}{one.eligible:>9}{one.tried:>6}{one.made:>6}{percent:>8}{speed:>10}"
        f"{peak:>9}{load:>7}  {failed}"
    )


def _cpu_s() -> float:
    """Processor time of this process and of the programs that it ran, seconds."""
    own, ran = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ran.ru_utime + ran.ru_stime


def _peak_mib() -> float:
    """Largest resident size of this process so far, MiB.

    Not from getrusage: a process keeps there what its parent had when it was started.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return round(int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024, 1)
