"""What is told of the weights of a generator: which files loading wants, which are pinned, and which are here.

The pins themselves are read by `generators.pins`; files are looked for by `generators.weights`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from generators.pins import PINS, lacking, parts_of, pins_file
from generators.protocol import Card, Generator


def weights_of(card: Card) -> list[dict[str, Any]]:
    """The weight files of a card, each with whether it is here."""
    if not card.weights:
        return []
    from generators.weights import weights_missing

    missing = set(weights_missing(card))
    return [
        {**one.model_dump(mode="json"), "found": f"{one.repo}@{one.revision}/{one.filename}" not in missing}
        for one in card.weights
    ]


def parts_told(maker: type[Generator]) -> list[dict[str, Any]]:
    """What loading wants, by part: repository, revision, licence, and its files.

    sha256: None where no pin gives one; found: whether the file is here, None where it is not looked for.
    """
    here = {(one["repo"], one["filename"]): one["found"] for one in weights_of(maker.card)}
    return [
        {
            "part": part.name,
            "repo": part.pin.repo,
            "revision": part.pin.revision,
            "licence": part.pin.licence,
            "files": [
                {"filename": name, "sha256": sha256, "found": here.get((part.pin.repo, name))}
                for name, sha256 in part.files.items()
            ],
        }
        for part in parts_of(maker)
    ]


def pins_read(maker: type[Generator]) -> str | None:
    """The whole path of the file that its pins are read from; None for a generator without one."""
    parts = parts_of(maker)
    return str(pins_file(parts[0].pins)) if parts else None


def places(card: Card) -> list[str]:
    """Where the weight files of a card are looked for."""
    if not card.weights:
        return []
    from generators.weights import FOLDERS, cache_folder

    given = [part for part in os.environ.get(FOLDERS, "").split(os.pathsep) if part]
    return [*given, str(cache_folder())]


def is_pinned(maker: type[Generator]) -> bool:
    """Whether every file that loading wants has a SHA-256."""
    return not maker.card.wants_weights and not lacking(maker.card, parts_of(maker))


def readiness(maker: type[Generator]) -> str:
    """The profile, and what is in the way of a fake."""
    profile = maker.card.profile
    if not is_pinned(maker):
        return f"{profile}, weights not pinned"
    if missing := sum(not one["found"] for one in weights_of(maker.card)):
        return f"{profile}, {missing} {'file' if missing == 1 else 'files'} of weights missing"
    return f"{profile}, learns first" if maker.card.learns else profile


def what_it_takes(maker: type[Generator]) -> str:
    """What must be there before its first fake."""
    card = maker.card
    if card.learns:
        return "learns from the faces of a lake before its first fake, without downloads"
    if not is_pinned(maker):
        which = "those below without a SHA-256" if parts_of(maker) else "its card names none"
        return f"loads weights that are not all pinned yet: {which}"
    return "runs without downloads" if card.profile == "embedded" else "loads pinned weights"


def weight_lines(maker: type[Generator]) -> Iterator[tuple[str, str]]:
    """The weights as `describe` tells them: what it is, and what is said of it."""
    told = parts_told(maker)
    for part in told:
        revision = f"revision {part['revision'][:12]}" if part["revision"] else "revision not pinned yet"
        yield f"part {part['part']}", f"{part['repo']}, {revision} ({part['licence']})"
        for one in part["files"]:
            yield "  file", f"{one['filename']}: {_state(one)}"
    for one in () if told else weights_of(maker.card):
        where = f"{one['repo']}@{one['revision'][:12]}/{one['filename']}"
        yield "weights", f"{where} ({one['licence']}, {_state(one)})"
    if found := places(maker.card):
        yield "looked for in", ", ".join(found)
    if parts := parts_of(maker):
        name = f"{parts[0].pins}.yaml"
        yield "pins", f"{pins_file(parts[0].pins)}; to give your own: {PINS}=folder with {name}"


def _state(one: dict[str, Any]) -> str:
    if one["sha256"] is None:
        return "SHA-256 not known"
    here = {True: ", here", False: ", not here", None: ""}[one["found"]]
    return f"SHA-256 {one['sha256'][:12]}…{here}"
