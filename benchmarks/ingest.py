"""Cutting and normalising beside a plain ffmpeg loop that is told the cuts: clips per second, and memory.

The loop is what a user would write: one ffmpeg call for each cut, with the same conversion, codec, preset and
quality. It is run in two ways, and the faster one counts: one call after the other with ffmpeg's own threads,
and as many calls at once as there are cores with one thread each. The step is run in two ways too: told the
cuts, as the loop is, and finding the shots by itself, which the loop leaves to somebody else. Both check every
clip and store it in the lake.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.engine import PoolEngine, split_results
from haetae.lake import Lake
from haetae.media.crawl import Fetch
from haetae.media.cut import CutAndNormalise
from haetae.media.encode import AUDIO_BITRATE, CRF, PRESET
from haetae.media.ffmpeg import exe
from haetae.media.shots import Span
from haetae.params import Params

Row = dict[str, Any]
ROUNDS = 3
N_FILES = 4
SCENES_S = (5.0, 4.0, 7.0)
CLIPS_FOR_MEMORY = 500


@dataclass
class ToldTheCuts(CutAndNormalise):
    """The step without its look for shots: they come with the row."""

    def _plan(self, path: Path, row: Row) -> list[Span]:  # noqa: ARG002
        return list(row["spans"])


def main() -> None:
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        rows = _media(where)
        engine = PoolEngine(cores)
        try:
            _speed(where, rows, engine, cores)
            _memory(where, engine)
        finally:
            engine.close()


def _speed(where: Path, rows: Sequence[Row], engine: PoolEngine, cores: int) -> None:
    knobs = Params().ingest.model_dump()
    step = CutAndNormalise(lake_root=str(where / "lake"), **knobs)
    clips, failed = split_results(engine.map_rows(step, rows))
    assert not failed, failed
    path_of = {row["media_id"]: Lake(where / "lake").open_local(row["blob_id"]) for row in rows}
    cuts = [(path_of[clip["media_id"]], clip) for clip in clips]
    told = ToldTheCuts(lake_root=str(where / "lake"), **knobs)
    told_rows = [
        {**row, "spans": [Span(c["start_s"], c["end_s"]) for c in clips if c["media_id"] == row["media_id"]]}
        for row in rows
    ]
    ways: dict[str, Callable[[], int]] = {
        "ffmpeg, one call after the other": lambda: _loop(where, cuts, at_once=1, threads=0),
        f"ffmpeg, {cores} calls at once": lambda: _loop(where, cuts, at_once=cores, threads=1),
        "CutAndNormalise, told the cuts": lambda: len(split_results(engine.map_rows(told, told_rows))[0]),
        "CutAndNormalise, finding them": lambda: len(split_results(engine.map_rows(step, rows))[0]),
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            began = time.perf_counter()
            assert run() == len(clips)
            took[way].append(time.perf_counter() - began)
    rates = {way: len(clips) / statistics.median(times) for way, times in took.items()}
    seconds = sum(clip["duration_s"] for clip in clips)
    print(
        f"{len(clips)} clips of {len(rows)} files, {seconds:.0f} s in all; {cores} cores, median of {ROUNDS}"
    )
    for way, rate in rates.items():
        print(f"  {way:34} {rate:6.2f} clips/s ({rate * seconds / len(clips):5.1f} x real time)")
    *theirs, normalising, whole = rates.values()
    print(f"  told the cuts, over the faster loop  {normalising / max(theirs):6.2f}")
    print(f"  finding them, over the faster loop   {whole / max(theirs):6.2f}")


def _loop(where: Path, cuts: Sequence[tuple[Path, Row]], *, at_once: int, threads: int) -> int:
    """The plain way: one ffmpeg call for each cut."""
    with ThreadPoolExecutor(at_once) as pool:
        done = pool.map(lambda k: _plain_cut(where / f"plain-{k}.mp4", *cuts[k], threads), range(len(cuts)))
        return sum(done)


def _plain_cut(made: Path, path: Path, clip: Row, threads: int) -> int:
    arguments = [
        exe(), "-nostdin", "-v", "error", "-y", "-threads", str(threads), "-ss", str(clip["start_s"]),
        "-t", str(clip["duration_s"]), "-i", str(path),
        "-vf", f"fps=25,scale={clip['width']}:{clip['height']}:out_color_matrix=bt709:out_range=tv:"
        "flags=bicubic+accurate_rnd,format=yuv420p",
        "-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-g", "50", "-threads", str(threads),
        "-c:a", "aac", "-b:a", AUDIO_BITRATE, "-ar", "16000", "-ac", "1", str(made),
    ]  # fmt: skip
    subprocess.run(arguments, check=True)
    return 1


def _memory(where: Path, engine: PoolEngine) -> None:
    """Resident memory of the workers while they cut the same files again and again."""
    rows = _media(where, files=4, size="320x240", tag="small")
    step = CutAndNormalise(lake_root=str(where / "lake"), **Params().ingest.model_dump())
    before, done, marks = 0.0, 0, []
    while done < CLIPS_FOR_MEMORY:
        done += len(split_results(engine.map_rows(step, rows))[0])
        marks.append((done, _workers_mib()))
        before = before or marks[-1][1]
    after = marks[-1][1]
    print(f"memory of all workers: {before:.0f} MiB after {marks[0][0]} clips, {after:.0f} MiB after {done}")
    print(f"  ratio                              {after / before:6.2f}")


def _workers_mib() -> float:
    """Resident memory of this process's children, MiB."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if int(fields["PPid"]) == os.getpid() and "VmRSS" in fields:
            total += int(fields["VmRSS"].split()[0])
    return total / 1024


def _media(where: Path, files: int = N_FILES, size: str = "640x360", tag: str = "large") -> list[Row]:
    """Films of a few textured scenes with sound, fetched into the lake: rows of `media`."""
    items = []
    for k in range(files):
        path = where / f"{tag}-{k}.mp4"
        _film(path, size, k)
        items.append(
            {
                "item_id": f"item-{tag}-{k}", "batch": "b", "source_id": "benchmark", "uri": str(path),
                "address": str(path), "sha256": None, "kind": "folder", "language": "other", "use_case": "other",
                "purposes": [], "verdict": "unknown", "generator": None, "identities": [],
            }
        )  # fmt: skip
    step = Fetch(lake_root=str(where / "lake"))
    step.setup()
    return [row for item in items for row in step(item)]


def _film(path: Path, size: str, seed: int) -> None:
    scenes = [
        f"testsrc2=s={size}:r=30:d={length},hue=h={70 * k + 11 * seed},noise=alls=4:allf=t:all_seed={seed}[s{k}]"
        for k, length in enumerate(SCENES_S)
    ]
    joined = "".join(f"[s{k}]" for k in range(len(SCENES_S))) + f"concat=n={len(SCENES_S)}[v]"
    sound = f"anoisesrc=d={sum(SCENES_S)}:a=0.1:seed={seed}[a]"
    arguments = [
        exe(), "-nostdin", "-v", "error", "-y", "-filter_complex", ";".join([*scenes, joined, sound]),
        "-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset", "veryfast", "-crf", "24", "-c:a", "aac", str(path),
    ]  # fmt: skip
    subprocess.run(arguments, check=True)
