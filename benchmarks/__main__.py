"""`python -m benchmarks [NAME …] [OPTIONS]`: run all benchmarks, or those named."""

from __future__ import annotations

import sys
from itertools import takewhile

from benchmarks import (
    duplicates,
    engine,
    generators,
    ingest,
    learning,
    learning_diffusion,
    marks,
    partial_edits,
    start,
    tracks,
)

ALL = {
    "duplicates": duplicates.main,
    "engine": engine.main,
    "generators": generators.main,
    "ingest": ingest.main,
    "learning": learning.main,
    "learning_diffusion": learning_diffusion.main,
    "marks": marks.main,
    "partial_edits": partial_edits.main,
    "start": start.main,
    "tracks": tracks.main,
}


def main() -> None:
    # Options follow the name of the benchmark that reads them.
    names = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:])) or list(ALL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(ALL)}")
    for name in names:
        print(f"== {name}", file=sys.stderr)
        ALL[name]()


if __name__ == "__main__":
    main()
