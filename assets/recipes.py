"""What every asset is computed from: its table, its inputs, its knobs and the version of its code.

From a recipe follows the fingerprint of a partition, and from the fingerprint whether it has to be
computed at all. How it is computed is told by the asset itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from haetae import __version__
from haetae.lake import Lake, Lineage
from haetae.params import Params
from haetae.provenance.ids import digest
from haetae.provenance.policy import may_show
from haetae.provenance.protected import load_protected

if TYPE_CHECKING:
    from generators.protocol import Card

Scope = Literal["all", "batch", "generator", "batch_by_generator", "snapshot"]


@dataclass(frozen=True)
class Recipe:
    """`reads` are tables; `knobs` are sections of `params.yaml` whose change makes the result stale."""

    asset: str
    table: str
    scope: Scope
    version: str
    reads: tuple[str, ...]
    knobs: tuple[str, ...] = ()

    @property
    def code_version(self) -> str:
        return f"{__version__}.{self.version}"


RECIPES: dict[str, Recipe] = {
    recipe.asset: recipe
    for recipe in (
        Recipe("media", "media", "batch", "2", ("items", "imports", "sources")),
        Recipe("clips", "clips", "batch", "2", ("media",), ("ingest",)),
        Recipe("tracks", "tracks", "batch", "3", ("clips",), ("tracks",)),
        Recipe("utterances", "utterances", "batch", "3", ("clips",), ("speech",)),
        Recipe("cues", "cues", "batch", "2", ("clips", "tracks"), ("cues",)),
        Recipe("signals", "signals", "batch", "1", ("media", "clips", "utterances"), ("signals",)),
        Recipe("fingerprints", "fingerprints", "batch", "2", ("clips",)),
        # What was there before is no input: a pair belongs to the clip that came later, and adding work
        # never rewrites finished work.
        Recipe("duplicates", "duplicates", "batch", "1", ("fingerprints",), ("duplicates",)),
        Recipe("groups", "groups", "batch", "2", ("clips", "media", "imports", "duplicates"), ("dataset",)),
        Recipe(
            "original_labels", "labels", "batch", "3", ("clips", "utterances", "media", "imports", "sources")
        ),
        Recipe("identities", "identities", "all", "1", ("tracks",), ("identities",)),
        Recipe("lessons", "lessons", "generator", "1", ("clips", "tracks", "groups"), ("generate",)),
        Recipe(
            "fakes",
            "fakes",
            "batch_by_generator",
            "5",
            ("media", "clips", "tracks", "utterances", "groups", "sources", "lessons"),
            ("policy", "generate"),
        ),
        Recipe(
            "labels",
            "labels",
            "batch_by_generator",
            "2",
            ("fakes", "clips", "tracks", "utterances", "original_labels"),
        ),
        Recipe(
            "samples",
            "samples",
            "all",
            "3",
            ("media", "clips", "fakes", "labels", "groups", "tracks", "sources", "checks"),
            ("quality", "dataset"),
        ),
        Recipe("snapshot", "snapshots", "snapshot", "1", ("samples",), ("dataset",)),
        Recipe("candidate", "models", "snapshot", "1", ("snapshots",), ("detector",)),
        Recipe("scorecard", "evaluations", "snapshot", "1", ("snapshots", "models"), ("evaluate",)),
        Recipe("champion", "promotions", "snapshot", "1", ("models", "evaluations"), ("promote",)),
    )
}
"""All recipes but that of `sources`, which is made from a file."""

_SCOPE_OF_TABLE: dict[str, Scope] = {
    "items": "batch",
    "imports": "batch",
    "checks": "all",
    **{r.table: r.scope for r in RECIPES.values() if r.asset != "original_labels"},
}
PartitionKeys = tuple[str, ...]


def fingerprint(lake: Lake, params: Params, recipe: Recipe, partition: PartitionKeys) -> str:
    """Hash of all that a partition is computed from, as it stands in the lake now."""
    knobs = {name: getattr(params, name).model_dump(mode="json") for name in recipe.knobs}
    if recipe.asset == "lessons":
        knobs["generate"] = taught_with(params, _card(partition[0]))
    if recipe.asset == "fakes":
        knobs["generate"] = _knobs_of_fakes(params, partition[1])
        knobs["policy"]["protected"] = _protected_clips(lake, params, partition[0])
    if recipe.asset == "samples":
        # The others are those of the checks, and of the snapshot.
        knobs = {"fakes": knobs["quality"]["fakes"], "stills": knobs["dataset"]["stills"]}
    inputs = {name: _input_digest(lake, recipe, name, partition) for name in recipe.reads}
    return digest(recipe.asset, recipe.code_version, params.seed, knobs, inputs)


def is_current(lake: Lake, params: Params, recipe: Recipe, partition: PartitionKeys) -> bool:
    """Whether the partition exists and was computed from just what is in the lake now."""
    if recipe.asset == "lessons":
        card = _card(partition[0])
        lesson = lake.rows("lessons", partition)
        if not card.learns or (lesson and lesson[0]["taught_with"] == taught_with(params, card)):
            return True
    stored = lake.fingerprint(recipe.table, partition or None)
    if stored is None or stored != fingerprint(lake, params, recipe, partition):
        return False
    return recipe.asset != "fakes" or not faults_alone(lake, partition)


FAULTS = {"error", "contract_broken", "setup_failed", "worker_died", "timeout", "out_of_memory"}
"""Why a generator failed at a clip for which the clip is not to blame."""


def faults_alone(lake: Lake, partition: PartitionKeys) -> list[dict[str, Any]]:
    """Quarantine rows of a partition of `fakes` in which faults of the generator are all that came of it, else none.

    Such a partition counts as missing: what was wrong (its code, its weights) may have been mended since.
    """
    faults = [row for row in lake.rows("quarantine", ("fakes", *partition)) if row["reason"] in FAULTS]
    return faults if faults and not lake.read("fakes", partition).num_rows else []


def taught_with(params: Params, card: Card) -> str:
    """Hash of all that a lesson depends on but the faces: one that was taught stays, whatever comes into the lake."""
    from generators.registry import card_digest

    knobs = params.generate.learn.model_dump(mode="json")
    return digest("lesson", RECIPES["lessons"].code_version, card_digest(card), knobs, params.seed)


def lineage(lake: Lake, params: Params, recipe: Recipe, partition: PartitionKeys, run_id: str) -> Lineage:
    """What the lake is told about a write of this recipe."""
    return Lineage(recipe.asset, run_id, recipe.code_version, fingerprint(lake, params, recipe, partition))


def _input_digest(lake: Lake, recipe: Recipe, name: str, partition: PartitionKeys) -> Any:
    if name == "original_labels":
        return lake.digest("labels", partition[0])
    if name == "sources":
        return _sources_digest(lake, partition[0] if partition else None)
    scope = _SCOPE_OF_TABLE[name]
    if recipe.scope in ("all", "generator"):
        if name == "checks":
            # Its own check comes after it and is no input.
            return [(key, lake.digest(name, key)) for key in lake.partitions(name) if key != "samples~all"]
        return [(key, lake.digest(name, key)) for key in lake.partitions(name)]
    keys: Sequence[str] | None = {
        "all": None,
        "batch": partition[:1],
        "generator": partition[1:],
        "batch_by_generator": partition,
        "snapshot": partition,
    }[scope]
    return lake.digest(name, keys)


def _sources_digest(lake: Lake, batch: str | None) -> Any:
    """Digest of the declarations that a batch depends on: a new source leaves old batches alone."""
    if batch is None:
        return lake.digest("sources")
    wanted = {row["source_id"] for row in lake.rows("items", batch)}
    kept = [row for row in lake.rows("sources") if row["source_id"] in wanted]
    # Where and when something was declared may change without changing what was declared.
    for row in kept:
        for name in ("uri", "declared_at", "declared_by"):
            row.pop(name)
    return digest(kept)


def _protected_clips(lake: Lake, params: Params, batch: str) -> list[str]:
    """Clips of a batch that show a person protected today: other entries, and other days, leave its fakes alone."""
    entries = load_protected(params.policy.protected)
    if not entries:
        return []
    names: dict[str, list[str]] = {row["clip_id"]: [*row["identities"]] for row in lake.rows("clips", batch)}
    for track in lake.rows("tracks", batch):
        if track["identity"]:
            names[track["clip_id"]].append(track["identity"])
    today = dt.date.today()
    return sorted(clip for clip, people in names.items() if not may_show(people, entries, today).allowed)


def _knobs_of_fakes(params: Params, generator: str) -> dict[str, Any]:
    """What the fakes of one generator depend on: not on which others run, nor on their budgets."""
    from generators.plan import budget_of
    from generators.registry import card_digest

    card = _card(generator)
    knobs = params.generate.model_dump(mode="json")
    del knobs["generators"], knobs["learn"]
    return {**knobs, "budget": budget_of(card, params.generate.budget), "card": card_digest(card)}


def _card(generator: str) -> Card:
    from generators.registry import find

    return find(generator).card
