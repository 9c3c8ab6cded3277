"""`python -m benchmarks [NAME …]`: run all benchmarks, or those named."""

from __future__ import annotations

import sys

from benchmarks import duplicates, engine, ingest, start, tracks

ALL = {
    "duplicates": duplicates.main,
    "engine": engine.main,
    "ingest": ingest.main,
    "start": start.main,
    "tracks": tracks.main,
}


def main() -> None:
    names = sys.argv[1:] or list(ALL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(ALL)}")
    for name in names:
        print(f"== {name}")
        ALL[name]()


if __name__ == "__main__":
    main()
