"""The `haetae` command: thin. It starts the graph or calls the domain, and tells a person what came of it.

Exit codes: 0 fine, 2 bad usage or bad input, 3 a gate said no, 1 anything else.
"""

from dagster_project.cli.main import main

__all__ = ["main"]
