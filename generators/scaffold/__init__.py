"""A new generator to begin with: a package of its own, with a small working generator, tests and entry point.

The templates are beside this module; what a generator has to keep to is told in `generators.conformance`.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import get_args

from generators.protocol import Family
from haetae import __version__
from haetae.errors import UsageError

TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"^[a-z][a-z0-9_]{1,39}$")
_MARK = re.compile(r"@@(\w+)@@")


def write_package(family: str, name: str, folder: Path) -> list[Path]:
    """Write the package of a new generator; returns the files, in the order in which they were written.

    family: one of the families; name: of the generator, and of its module; folder: made for it.
    Raises: UsageError for another family, a name that no module can have, or a folder that holds something.
    """
    if family not in get_args(Family):
        raise UsageError(f"there is no family {family!r}; the families are: {', '.join(get_args(Family))}")
    if not _NAME.match(name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot be the name of a generator: lower-case letters, digits and underscores,"
            " starting with a letter, 2 to 40 characters"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty; nothing is overwritten, give another --into")
    values = {
        "name": name,
        "family": family,
        "module": f"haetae_{name}",
        "package": f"haetae-{name.replace('_', '-')}",
        "cls": "".join(part.capitalize() for part in name.split("_")),
        "version": __version__,
    }
    written = []
    for template, place in _files(family, values):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        path.write_text(_MARK.sub(lambda found: values[found[1]], text), encoding="utf-8")
        written.append(path)
    return written


def _files(family: str, values: dict[str, str]) -> list[tuple[str, str]]:
    """Template and place of each file of a package."""
    return [
        ("pyproject.toml.txt", "pyproject.toml"),
        ("README.md.txt", "README.md"),
        (f"{family}.py.txt", f"src/{values['module']}/__init__.py"),
        ("test.py.txt", f"tests/test_{values['name']}.py"),
    ]
