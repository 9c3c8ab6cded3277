"""`haetae run` and `haetae refresh`: bring a lake up to date, in this process, doing only what is missing.

It decides which partitions of which assets are stale and materialises them through Dagster; what the
assets do is told in `assets`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from assets.generate import PASSED_OVER
from assets.quality import CHECKED, judge, verdict_of
from assets.recipes import RECIPES, Recipe, faults_alone, is_current
from dagster_project.definitions import build
from dagster_project.instance import process_tag
from dagster_project.interrupts import interrupts_kept
from dagster_project.wanted import next_snapshot_id, wanted_generators
from haetae.engine import Engine
from haetae.errors import UsageError
from haetae.importers.bring_in import BroughtIn
from haetae.importers.data_set import DataSet, is_data_set, look_at_source
from haetae.lake import Lake
from haetae.media.hosts import manners_of
from haetae.media.intake import SourcesFiles, declare_sources, open_batches, sources_changed
from haetae.media.reported import open_reported
from haetae.params import Params
from haetae.provenance.sources import Source, load_all_sources

BATCH_ASSETS = (
    "media",
    "clips",
    "tracks",
    "utterances",
    "cues",
    "signals",
    "fingerprints",
    "duplicates",
    "groups",
    "original_labels",
)
FAKE_ASSETS = ("lessons", "fakes", "labels")
SNAPSHOT_ASSETS = ("snapshot", "candidate", "scorecard", "champion")
AFTER_BATCHES = (*FAKE_ASSETS, "samples", *SNAPSHOT_ASSETS)
"""What follows from the batches: the stages that a refresh may end with."""
IMPORT = "haetae import"
STAGES = ("sources", *BATCH_ASSETS, "identities", *FAKE_ASSETS, "samples", *SNAPSHOT_ASSETS)
"""Every asset that `--until` may name, in order."""

Announce = Callable[[str, Sequence[str]], None]
"""Told before each piece of work: its title and the assets it computes."""


@dataclass
class Outcome:
    """What a command did: assets computed, what failed, which checks said no, what could not be listed.

    until: the last stage that was asked for; only: generators that a refresh was about, none for a run;
    left_out: batches that a refresh made nothing for, because their own stages are not up to date; barren: generators
    of a run that failed at every clip.
    """

    until: str = "champion"
    only: tuple[str, ...] = ()
    computed: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    barren: list[str] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    """Dagster runs of the pass; quarantine rows name them."""
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many clips each generator passed over, by generator and reason."""

    @property
    def not_asked(self) -> list[str]:
        """The stages after the last one that was asked for."""
        wanted = closure(self.until)
        return [stage for stage in STAGES[STAGES.index(self.until) + 1 :] if stage not in wanted]


class Refresh:
    """One pass over the graph. Create it inside `instance_of` and `only_writer`."""

    def __init__(
        self,
        lake: Lake,
        params: Params,
        engine: Engine,
        instance: dg.DagsterInstance,
        announce: Announce = lambda _title, _assets: None,
    ) -> None:
        self._lake = lake
        self._params = params
        self._engine = engine
        self._instance = instance
        self._announce = announce
        self._outcome = Outcome()

    @property
    def outcome(self) -> Outcome:
        """What was done so far."""
        return self._outcome

    def import_data_set(self, data_set: DataSet, source: Source, *, fetch: bool) -> BroughtIn:
        """Declare a data set, write what it states, and bring its batches up to their labels."""
        if sources_changed(self._lake, [source]):
            declare_sources(self._lake, [source], IMPORT, "import")
            self._instance.report_runless_asset_event(dg.AssetMaterialization("sources"))
        brought = data_set.bring_in(self._lake, source, self._params.crawl.batch_size, "import")
        self._announce_batches()
        needed = [asset for asset in BATCH_ASSETS if asset in closure("original_labels")]
        for batch in self._batches_of(source.id) if fetch else []:
            self._bring_up(f"batch {batch}", (batch,), needed)
        return brought

    def _batches_of(self, source_id: str) -> list[str]:
        return sorted({row["batch"] for row in self._lake.rows("items") if row["source_id"] == source_id})

    def run(
        self, sources: Sequence[Path], until: str = "champion", generators: Sequence[str] = ()
    ) -> Outcome:
        """Do what is missing up to and including one stage. Raises: UsageError for a bad file or name."""
        wanted = closure(until)
        keys = wanted_generators(self._params.generate, generators) if _asks_generators(wanted) else []
        self._outcome.until = until
        declared = load_all_sources(sources)
        self._declare(declared, SourcesFiles(tuple(sources)))
        for batch in self._batches(declared) if "media" in wanted else []:
            self._bring_up(f"batch {batch}", (batch,), [a for a in BATCH_ASSETS if a in wanted])
        if "identities" in wanted:
            self._bring_up("people", (), ["identities"])
        self._make(self._complete_batches(wanted), keys, wanted)
        return self._outcome

    def run_generators(self, generators: Sequence[str], until: str = "champion") -> Outcome:
        """Make the fakes of some generators for all batches there are, and what follows from them.

        Sources are not looked at and no batch is computed; batches that are not up to date are left out.
        Raises: UsageError for an unknown generator or stage, or where no batch is there and up to date.
        """
        if until not in AFTER_BATCHES:
            raise UsageError(f"--until {until}: a refresh ends with one of: {', '.join(AFTER_BATCHES)}")
        keys = wanted_generators(self._params.generate, generators)
        self._outcome.until, self._outcome.only = until, tuple(keys)
        batches = self._lake.partitions("items")
        if not batches:
            raise UsageError("there is nothing in this lake to make fakes of; fill it first: haetae run")
        self._announce_batches()
        ready = self._complete_batches(closure("samples"))
        if not ready:
            raise UsageError(
                "no batch of this lake is up to date; bring them up first: haetae run --sources FILE"
            )
        self._outcome.left_out = [batch for batch in batches if batch not in ready]
        self._make(ready, keys, closure(until))
        return self._outcome

    def _make(self, batches: Sequence[str], keys: Sequence[str], wanted: Sequence[str]) -> None:
        """Fakes of these generators on these batches, and the stages after them that are wanted."""
        self._add("generator", keys)
        for key in keys if "lessons" in wanted and batches else []:
            self._bring_up(f"lesson of {key}", (key,), ["lessons"])
        made = [asset for asset in FAKE_ASSETS if asset in wanted and asset != "lessons"]
        for batch in batches:
            for key in keys:
                self._bring_up(f"{key} on {batch}", (batch, key), made)
        if "samples" in wanted:
            self._bring_up("data set", (), ["samples"])
        self._retrain([asset for asset in SNAPSHOT_ASSETS if asset in wanted])

    def _declare(self, declared: Sequence[Source], files: SourcesFiles) -> None:
        for source in declared:
            if source.is_local and not Path(source.uri).exists():
                raise UsageError(
                    f"source {source.id}: there is no {source.uri}; correct its uri (paths start at the folder of "
                    "the sources file), or take the source out"
                )
        if sources_changed(self._lake, declared):
            self._materialise("sources", (), ["sources"], sources_files=files)

    def _batches(self, declared: Sequence[Source]) -> Iterator[str]:
        crawled = [source for source in declared if not is_data_set(source)]
        limits = self._params.crawl
        opened = open_batches(self._lake, crawled, limits, "intake", manners=manners_of(self._lake, limits))
        self._outcome.unlisted += opened.problems
        open_reported(self._lake, limits.batch_size, "intake", limits.allow_hosts)
        for source in declared:
            if is_data_set(source):
                look_at_source(source).bring_in(self._lake, source, limits.batch_size, "intake")
        self._announce_batches()
        yield from self._lake.partitions("items")

    def _announce_batches(self) -> None:
        """Tell Dagster of batches that it has not seen; what they hold was written by the intake."""
        for key in self._add("batch", self._lake.partitions("items")):
            for name in ("items", "imports"):
                self._instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=key))

    def _complete_batches(self, wanted: Sequence[str]) -> list[str]:
        """Batches whose own stages are all up to date: fakes are made of nothing else."""
        needed = [asset for asset in BATCH_ASSETS if asset in wanted]
        batches = self._lake.partitions("items") if _asks_generators(wanted) else []
        return [key for key in batches if all(self._is_ready(asset, (key,)) for asset in needed)]

    def _retrain(self, wanted: list[str]) -> None:
        if not wanted or not self._is_ready("samples", ()):
            return
        key = next_snapshot_id(self._lake, self._params)
        if key is None:
            self._outcome.errors.append(
                "there is nothing to train on: no clip or fake has a verdict; see: haetae sql 'FROM quarantine'"
            )
            return
        self._add("snapshot", [key])
        self._bring_up(f"snapshot {key}", (key,), wanted)

    def _bring_up(self, title: str, partition: tuple[str, ...], assets: Sequence[str]) -> None:
        """Compute the stale ones of these assets, and those that read them; nothing behind a failed check."""
        stale: list[str] = []
        stopped: set[str] = set()
        for asset in assets:
            recipe = RECIPES[asset]
            if stopped & set(recipe.reads):
                stopped.add(recipe.table)
            elif _feeds(stale, recipe) or not self._is_current(asset, partition):
                stale.append(asset)
            elif not self._is_sound(title, asset, partition):
                stopped.add(recipe.table)
        if stale:
            self._materialise(title, partition, stale)

    def _is_sound(self, title: str, asset: str, partition: tuple[str, ...]) -> bool:
        """Whether the check of a partition passed; it is made again where data or thresholds are newer."""
        table = next((table for name, table, _ in CHECKED if name == asset), None)
        if table is None:
            return True
        known = verdict_of(self._lake, self._params, asset, table, partition)
        if known is None:
            report = judge(self._lake, self._params, asset, table, partition, "recheck")
            evaluation = dg.AssetCheckEvaluation(
                dg.AssetKey(asset),
                "sound",
                report.passed,
                {"rows": dg.MetadataValue.int(report.checked)},
                description=report.summary,
                blocking=True,
            )
            self._instance.report_runless_asset_event(evaluation)
            known = report.passed
        if not known:
            self._outcome.refused.append(f"{title}: {asset}: its check failed; see: haetae sql 'FROM checks'")
        return known

    def _is_current(self, asset: str, partition: tuple[str, ...]) -> bool:
        return is_current(self._lake, self._params, RECIPES[asset], partition)

    def _is_ready(self, asset: str, partition: tuple[str, ...]) -> bool:
        checked = {name: table for name, table, _ in CHECKED}
        if not self._is_current(asset, partition):
            return False
        if asset not in checked:
            return True
        return verdict_of(self._lake, self._params, asset, checked[asset], partition) is True

    def _materialise(
        self, title: str, partition: tuple[str, ...], assets: Sequence[str], **overrides: object
    ) -> None:
        self._announce(title, assets)
        defs = build(lake=self._lake, params=self._params, engine=self._engine, **overrides)
        job = defs.resolve_implicit_global_asset_job_def()
        with interrupts_kept():
            result = job.execute_in_process(
                asset_selection=[dg.AssetKey(asset) for asset in assets],
                instance=self._instance,
                partition_key=_key(partition),
                raise_on_error=False,
                tags=process_tag(),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        self._record(title, result)
        if result.success and "fakes" in assets:
            self._tell_of_faults(title, partition)

    def _tell_of_faults(self, title: str, partition: tuple[str, ...]) -> None:
        """A generator that was asked for by name and made nothing has failed; one of many is told of."""
        if faults := faults_alone(self._lake, partition):
            told = self._outcome.errors if self._outcome.only else self._outcome.barren
            why = f"{faults[0]['reason']}: {faults[0]['detail']}"
            clips = "1 clip" if len(faults) == 1 else f"{len(faults)} clips"
            told.append(f"{title}: no fake was made, {clips} failed; {why}")

    def _record(self, title: str, result: dg.ExecuteInProcessResult) -> None:
        self._outcome.run_ids.append(result.run_id)
        for event in result.get_asset_materialization_events():
            if event.asset_key is None:
                continue
            self._outcome.computed[event.asset_key.to_user_string()] += 1
            for name, value in event.materialization.metadata.items():
                if name.startswith(PASSED_OVER):
                    key = (title.split(" ")[0], name.removeprefix(PASSED_OVER))
                    self._outcome.passed_over[key] += int(str(value.value))
        refused = [e for e in result.get_asset_check_evaluations() if not e.passed]
        for one in refused:
            asset = one.asset_key.to_user_string()
            self._outcome.refused.append(f"{title}: {asset}: {one.description}")
        if result.success or refused:
            return
        for event in result.get_step_failure_events():
            error = event.step_failure_data.error
            cause = error.cause or error if error else None
            told = cause.message.strip() if cause else "no reason given"
            self._outcome.errors.append(f"{title}: {event.step_key}: {told} (run {result.run_id})")

    def _add(self, name: str, keys: Sequence[str]) -> list[str]:
        fresh = sorted(set(keys) - set(self._instance.get_dynamic_partitions(name)))
        if fresh:
            self._instance.add_dynamic_partitions(name, fresh)
        return fresh


def closure(until: str) -> list[str]:
    """The stages needed for one stage, itself included. Raises: UsageError for an unknown name."""
    if until not in STAGES:
        raise UsageError(f"--until {until}: no such stage; the stages are: {', '.join(STAGES)}")
    writers = {recipe.table: recipe.asset for recipe in RECIPES.values() if recipe.asset != "original_labels"}
    todo, needed = [until], {until}
    while todo:
        recipe = RECIPES.get(todo.pop())
        for name in recipe.reads if recipe else ():
            asset = name if name in RECIPES else writers.get(name, name)
            if asset in STAGES and asset not in needed:
                needed.add(asset)
                todo.append(asset)
    if "samples" in needed:
        needed.add("original_labels")
    measured = (*BATCH_ASSETS, "identities") if until in SNAPSHOT_ASSETS else ()
    return [stage for stage in STAGES if stage in needed or stage in measured]


def _asks_generators(wanted: Sequence[str]) -> bool:
    return bool({"lessons", "fakes"} & set(wanted))


def _feeds(stale: Sequence[str], recipe: Recipe) -> bool:
    return bool({RECIPES[asset].table for asset in stale} & set(recipe.reads))


def _key(partition: tuple[str, ...]) -> str | None:
    if len(partition) == 2:
        return dg.MultiPartitionKey({"batch": partition[0], "generator": partition[1]})
    return partition[0] if partition else None
