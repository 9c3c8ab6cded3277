"""`python -m benchmarks [NAME …]`: run all benchmarks, or those named."""

from __future__ import annotations

import sys

from benchmarks import engine, start

ALL = {"engine": engine.main, "start": start.main}


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
