"""Which generators are installed: entry points of the group `haetae.generators`, read into cards.

What a generator does, and which clips it gets, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from generators.protocol import Card, Generator
from haetae.errors import UsageError
from haetae.provenance.ids import digest

GROUP = "haetae.generators"


@dataclass(frozen=True)
class Problem:
    """A plug-in that cannot be used, and why."""

    entry_point: str
    package: str
    message: str


def installed() -> dict[str, type[Generator]]:
    """All usable generator classes by `name@version`, sorted by key; broken plug-ins are left out.

    Reading a card imports the plug-in's module and nothing heavier: a generator imports its models in `load`.
    Raises: UsageError when two packages claim the same key.
    """
    classes, _ = _scan()
    return classes


def problems() -> list[Problem]:
    """Plug-ins that are installed but cannot be used, sorted by name. Raises: UsageError as `installed`."""
    _, broken = _scan()
    return broken


def find(key: str) -> type[Generator]:
    """The class of one generator. Raises: UsageError with what is installed and what is broken."""
    classes, broken = _scan()
    if key in classes:
        return classes[key]
    known = ", ".join(classes) or "none"
    ill = "".join(f"\nBroken: {p.entry_point} of {p.package}: {p.message}" for p in broken)
    raise UsageError(
        f"generator {key!r} is not installed; installed: {known}."
        f" Install the package that ships it, or pick one of these.{ill}"
    )


def card_digest(card: Card) -> str:
    """Hash of everything a card states: 64 hex digits. It changes when any field does."""
    return digest(card.model_dump(mode="json"))


def _scan() -> tuple[dict[str, type[Generator]], list[Problem]]:
    classes: dict[str, type[Generator]] = {}
    owners: dict[str, tuple[str, str]] = {}
    broken: list[Problem] = []
    for point, package in _points():
        found = _load(point)
        if isinstance(found, str):
            broken.append(Problem(point.name, package, found))
            continue
        key = found.card.key
        if key in classes and owners[key] != (package, point.value):
            raise UsageError(
                f"generator {key!r} is offered twice: by {owners[key][0]} ({owners[key][1]}) and by"
                f" {package} ({point.value}). Uninstall one, or give one another name or version."
            )
        classes[key], owners[key] = found, (package, point.value)
    return dict(sorted(classes.items())), broken


def _points() -> Iterator[tuple[EntryPoint, str]]:
    points = [
        (p, p.dist.name if p.dist is not None else "an unnamed package") for p in entry_points(group=GROUP)
    ]
    yield from sorted(points, key=lambda pair: (pair[0].name, pair[1], pair[0].value))


def _load(point: EntryPoint) -> type[Generator] | str:
    """The class behind an entry point, or what is wrong with it: any fault of a plug-in stays its own."""
    try:
        found = point.load()
    except Exception as error:
        return f"cannot be imported: {type(error).__name__}: {error}"
    if not isinstance(found, type):
        return f"{point.value} is not a class"
    if not isinstance(getattr(found, "card", None), Card):
        return f"{point.value} has no class attribute `card` of type generators.protocol.Card"
    missing = [name for name in ("load", "generate") if not callable(getattr(found, name, None))]
    if missing:
        return f"{point.value} has no method {' and no method '.join(missing)}"
    return found
