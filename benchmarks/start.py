"""What a person waits for before anything happens: loading the definitions, beside loading Dagster alone."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 5
WAYS = {
    "python alone": "pass",
    "import dagster": "import dagster",
    "import dagster_project.definitions": "import dagster_project.definitions",
    "haetae --version": "import sys; sys.argv = ['haetae', '--version']; from dagster_project.cli import main; main()",
}


def main() -> None:
    for name, code in WAYS.items():
        times = []
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
            times.append(time.perf_counter() - began)
        rest = times[1:]
        print(
            f"  {name:36} median {statistics.median(rest):.2f} s ({min(rest):.2f} to {max(rest):.2f}, n={ROUNDS})"
        )
