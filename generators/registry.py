"""Which generators are installed: entry points of the group `haetae.generators`, read into cards.

Those of this interpreter, and those that environments of their own offer (`runtimes.environments`). What a
generator does, and which clips it gets, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
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
    One that lives in an environment of its own is a class with its card, which starts a worker there.
    Raises: UsageError when two packages, or two environments, claim the same key.
    """
    classes, _ = _everywhere()
    return classes


def problems() -> list[Problem]:
    """Plug-ins that are installed but cannot be used, sorted by name. Raises: UsageError as `installed`."""
    _, broken = _everywhere()
    return broken


def find(key: str) -> type[Generator]:
    """The class of one generator. Raises: UsageError with what is installed and what is broken."""
    here, _ = _scan()
    if key in here and here[key].card.runtime == "in_process":
        return here[key]  # no environment is started for what runs in this process
    return _chosen(key, *_everywhere())


def installed_here() -> tuple[dict[str, type[Generator]], list[Problem]]:
    """As `installed` and `problems`, of this interpreter alone: what its environment offers to others."""
    return _scan()


def find_here(key: str) -> type[Generator]:
    """As `find`, of this interpreter alone."""
    return _chosen(key, *_scan())


def _chosen(key: str, classes: dict[str, type[Generator]], broken: list[Problem]) -> type[Generator]:
    if key in classes:
        return classes[key]
    known = ", ".join(classes) or "none"
    ill = "".join(f"\nBroken: {p.entry_point} of {p.package}: {p.message}" for p in broken)
    raise UsageError(
        f"generator {key!r} is not installed{did_you_mean(key, classes)}; installed: {known}."
        f" Install the package that ships it, or pick one of these.{ill}"
    )


def did_you_mean(given: str, keys: Iterable[str]) -> str:
    """For a message, after a name that is not known: ` (did you mean a or b?)`; empty where no key is like it.

    given: a name, or name@version; what is offered is the same.
    """
    known = {key if "@" in given else key.partition("@")[0]: None for key in keys}
    near = get_close_matches(given, known, n=2, cutoff=0.7)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def card_digest(card: Card) -> str:
    """Hash of everything a card states: 64 hex digits. It changes when any field does."""
    return digest(card.model_dump(mode="json"))


def _everywhere() -> tuple[dict[str, type[Generator]], list[Problem]]:
    """What this interpreter and the declared environments offer; a card that says so lives in either."""
    from generators.runtimes.environments import declared, offer
    from generators.runtimes.stand_ins import stand_in

    classes, broken = _scan()
    owners: dict[str, str] = {}
    for environment in declared():
        cards, faults = offer(environment)
        broken += [Problem(name, f"{package} in {environment.label}", what) for name, package, what in faults]
        for card in cards:
            here = classes.get(card.key)
            if card.key in owners or (here is not None and here.card.runtime == "in_process"):
                raise UsageError(
                    f"generator {card.key!r} is offered twice: by {environment.label} and by"
                    f" {owners.get(card.key, 'a package of this interpreter')}. Take one of them away."
                )
            owners[card.key] = environment.label
            classes[card.key] = stand_in(card, environment)
    return dict(sorted(classes.items())), broken


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
