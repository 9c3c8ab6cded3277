"""The process in which a generator is tried: imports it, loads it, asks it, and writes down what it saw.

    python -m generators.conformance.child JOB.json

The job names the class, the trials and where the clips lie; observations are appended to `seen.jsonl` beside
it, one JSON line each, begun before a trial starts so that one who dies of it is known. What they mean is
judged by the parent.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import IO, Any

from generators.conformance.watch import Watch, files_in, peak_memory_mib, seed_globals

HEAVY = (
    "torch",
    "torchvision",
    "torchaudio",
    "tensorflow",
    "jax",
    "transformers",
    "diffusers",
    "mediapipe",
    "librosa",
    "onnxruntime",
    "facenet_pytorch",
    "silero_vad",
    "whisperx",
    "timm",
)
"""What reading a card must not load: it is read at every start of the command and of every worker."""
GLOBAL_SEED = 20_031
LESSON_CROPS = 12
"""Faces of each clip that a generator learns from here."""


class _Log:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __call__(self, **line: Any) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False, default=float) + "\n")
        self._file.flush()


def main() -> None:
    """Run the job named on the command line."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text(encoding="utf-8"))
    watch = Watch(Path(job["tmp"]))
    with path.with_name("seen.jsonl").open("a", encoding="utf-8") as file:
        log = _Log(file)
        maker = _imported(job["maker"], watch, log)
        generator = _loaded(maker, job, path.parent, watch, log)
        if generator is not None:
            _ask(generator, job, watch, log)
        log(event="done")


def _imported(name: str, watch: Watch, log: _Log) -> Any:
    import importlib

    module, _, path = name.partition(":")
    before, started = set(sys.modules), time.perf_counter()
    log(event="begin", trial="import", run="import")
    with watch.armed("import"):
        found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    heavy = sorted(one for one in HEAVY if one in sys.modules and one not in before)
    log(event="imported", heavy=heavy, took_s=time.perf_counter() - started, effects=watch.take())
    return found


def _loaded(maker: Any, job: dict[str, Any], folder: Path, watch: Watch, log: _Log) -> Any:
    from haetae.errors import UsageError

    started = time.perf_counter()
    log(event="begin", trial="load", run="load")
    lesson: dict[str, Any] = {}
    try:
        with watch.armed("load"):
            generator = maker()
            if generator.card.learns:
                lesson = _taught(generator, job, folder)
            generator.load(job["device"])
    except UsageError as error:
        log(event="not_loaded", kind="UsageError", message=str(error), effects=watch.take())
        return None
    except Exception as error:
        log(event="not_loaded", kind=type(error).__name__, message=str(error)[:500], effects=watch.take())
        return None
    took_s = time.perf_counter() - started - lesson.get("took_s", 0.0)
    log(event="loaded", took_s=took_s, effects=watch.take(), lesson=lesson)
    return generator


def _taught(generator: Any, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Give it a short lesson on the clips of the trials; what it learned is handed back to it as a file."""
    from generators.conformance.clips import read
    from generators.learning import Material, face_set, teach
    from generators.protocol import Lesson

    started = time.perf_counter()
    views = [view for path in sorted(set(job["clips"].values())) if (view := read(Path(path))).faces]
    faces = face_set(views, Material(crops_per_track=LESSON_CROPS))
    learned = teach(generator, faces, Lesson(GLOBAL_SEED, job["effort"], job["device"]))
    file = folder / "lesson.safetensors"
    file.write_bytes(learned.weights)
    generator.use(file)
    return {
        "sha256": hashlib.sha256(learned.weights).hexdigest(),
        "took_s": time.perf_counter() - started,
        "n_faces": len(faces.crops),
        "curve": [dict(step) for step in learned.curve],
    }


def _ask(generator: Any, job: dict[str, Any], watch: Watch, log: _Log) -> None:
    import cv2

    from generators.conformance.clips import read
    from generators.conformance.observe import observe, request_of
    from generators.conformance.trials import Trial

    cv2.setNumThreads(1)
    tmp, cwd = Path(job["tmp"]), Path(job["cwd"])

    def run(trial: Trial, kind: str, seed: int | None) -> dict[str, Any]:
        log(event="begin", trial=trial.name, run=kind)
        # Read anew for each trial, so that the memory that is measured is that of one fake.
        shown = {one.clip for one in (trial.target, trial.donor) if one is not None}
        request = request_of(trial, {name: read(Path(job["clips"][name])) for name in shown})
        if seed is not None:
            seed_globals(seed)
        seen = observe(generator, request, watch)
        seen |= {
            "peak_mib": peak_memory_mib(),
            "tmp_files": len(files_in(tmp)),
            "cwd_files": files_in(cwd)[:5],
        }
        log(event="seen", trial=trial.name, run=kind, seen=seen)
        return seen

    for values in job["trials"]:
        trial = Trial.of(values)
        first = run(trial, "first", GLOBAL_SEED)
        if trial.name in job["repeat"] and first.get("hashes"):
            again = run(trial, "again", None)
            if again.get("hashes") != first["hashes"]:
                # Which randomness it is: with the global state where it was, only a generator's own is left.
                run(trial, "reseeded", GLOBAL_SEED)
    for values in job["later"]:
        run(Trial.of(values), "later", GLOBAL_SEED)


if __name__ == "__main__":
    main()
