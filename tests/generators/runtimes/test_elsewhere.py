"""A batch whose generator lives elsewhere becomes the same rows as any other, through Dagster Pipes too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from assets.pipes import engine_for
from generators import registry
from generators.make import MakeFakes, made_twice
from generators.masks import load_masks
from generators.protocol import Card
from generators.runtimes.commands import Resources
from generators.runtimes.drive import launch_process
from generators.runtimes.elsewhere import Elsewhere, waves
from generators.runtimes.environments import Environment
from haetae.engine import Done, Failed, InlineEngine, PoolEngine, Result, Row
from haetae.lake import Lake

Rows = Callable[..., list[Row]]
INVERT = "invert_patch@1"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def rows(lake: Lake) -> Rows:
    """Requests about small clips in the lake: as many as there are sentences; n frames each."""

    def _rows(generator: str, *sentences: str | None, n: int = 30) -> list[Row]:
        from haetae.media.encode import write_video

        found = []
        for i, sentence in enumerate(sentences):
            frames = np.random.default_rng(i).integers(0, 256, (4, 3, 3), dtype=np.uint8)
            picture = np.kron(frames, np.ones((16, 16, 1), np.uint8))
            with lake.tmp_dir() as folder:
                write_video(folder / "c.mp4", [picture] * n, None)
                blob_id = lake.put_blob(folder / "c.mp4", "mp4")
            clip = {"clip_id": f"clip-{i}", "media_id": f"media-{i}", "batch": "b1", "blob_id": blob_id}
            shape = {"language": "ko", "has_video": True, "has_audio": False, "tracks": [], "utterances": []}
            asked = {"generator": generator, "donor": None, "sentence": sentence, "seed": 100 + i}
            size = {"width": 48, "height": 64, "n_frames": n, "licence": "CC-BY-4.0"}
            found.append({**clip, **shape, **asked, **size})
        return found

    return _rows


def _elsewhere(card: Card, environment: Environment, **more: Any) -> Elsewhere:
    limits = Resources(request_s=20, load_s=30, memory_bytes=2 << 30)
    return Elsewhere(InlineEngine(), card, environment, limits, launch_process, **more)


def _files(lake: Lake) -> list[str]:
    return sorted(str(p) for p in Path(lake.root).rglob("*") if p.is_file() and "/media/" in str(p))


def test_fakes_made_elsewhere_are_the_rows_and_files_of_those_made_here(
    lake: Lake,
    rows: Rows,
    environment: Environment,
    install: Callable[..., None],
    example: type[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = rows(INVERT, None, None, None)
    step = MakeFakes(str(lake.root), recheck_every=1)
    engine = _elsewhere(registry.find(INVERT).card, environment)
    there = list(engine.map_rows(step, asked))
    assert all(isinstance(one, Done) for one in there), there
    assert engine.told == {"started": 1, "died": 0}
    files = _files(lake)
    assert not list((Path(lake.root) / "tmp").iterdir()), "nothing of the exchange is left"
    monkeypatch.delenv("HAETAE_ENV_INVERT_PATCH")
    monkeypatch.setattr(example, "card", example.card.model_copy(update={"runtime": "in_process"}))
    install("example_here", invert_patch="haetae_example.invert_patch:InvertPatch")
    here = list(InlineEngine().map_rows(step, asked))
    rows_here, rows_there = ([row for one in made for row in one.rows] for made in (here, there))  # type: ignore[union-attr]
    # The cards differ in where they say they run.
    digests = {row.pop("card_digest") for row in (*rows_here, *rows_there)}
    assert len(digests) == 2
    assert rows_here == rows_there
    assert _files(lake) == files
    made = rows_there[0]
    assert made["fake_id"].startswith("fake-")
    masks = load_masks(lake.open_local(made["masks_blob"]))
    first = round(json.loads(made["metrics"])["first_frame"])
    assert np.flatnonzero(masks.any(axis=(1, 2))).tolist() == list(range(first, first + 20))


def test_the_batch_goes_on_over_several_waves_in_the_order_of_its_rows(
    lake: Lake, rows: Rows, environment: Environment, naughty: Card
) -> None:
    asked = rows("naughty@1", None, "die", "refuse", None, "moody", None)
    asked[3]["blob_id"] = "0" * 64 + ".mp4"
    engine = _elsewhere(naughty, environment, wave_bytes=11 * 30 * 48 * 64 * 2)
    found = list(engine.map_rows(MakeFakes(str(lake.root), recheck_every=1), asked))
    assert [one.item_id for one in found] == [f"clip-{i}" for i in range(6)]
    told = [one.reason if isinstance(one, Failed) else "made" for one in found]
    assert told[:3] == ["made", "generator_died", "not_my_kind"]
    assert told[4:] == ["contract_broken", "made"]
    assert isinstance(found[3], Failed), "its file is not in the lake"
    assert {one.stage for one in found if isinstance(one, Failed)} == {"fakes"}
    moody = found[4]
    assert isinstance(moody, Failed)
    assert moody.detail.startswith("determinism")
    assert engine.told["died"] == 1
    assert engine.told["started"] >= 3


def test_worker_processes_decode_and_keep_what_was_made_elsewhere(
    lake: Lake, rows: Rows, environment: Environment
) -> None:
    pool = PoolEngine(2)
    try:
        limits = Resources(request_s=20, load_s=30)
        engine = Elsewhere(pool, registry.find(INVERT).card, environment, limits, launch_process)
        found = list(engine.map_rows(MakeFakes(str(lake.root)), rows(INVERT, None, None)))
    finally:
        pool.close()
    assert all(isinstance(one, Done) for one in found), found


def test_steps_of_other_kinds_go_to_the_inner_engine(environment: Environment, naughty: Card) -> None:
    class Plain:
        stage, key, num_cpus, num_gpus, timeout_s = "plain", "n", 1.0, 0.0, 5.0

        def setup(self) -> None: ...

        def __call__(self, row: Row) -> list[Row]:
            return [{"n": row["n"] + 1}]

    engine = _elsewhere(naughty, environment)
    assert list(engine.map_rows(Plain(), [{"n": 1}])) == [Done("1", [{"n": 2}])]


def test_dagster_runs_a_batch_through_pipes_and_hears_of_each_request(
    lake: Lake, rows: Rows, environment: Environment, naughty: Card, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = rows("naughty@1", None, "die", None, "die")
    heard: list[Result] = []

    @dg.asset
    def fakes(context):  # Dagster reads annotations as they are, not as text
        engine = engine_for(naughty, context, InlineEngine(), timeout_s=20.0, memory_bytes=2 << 30)
        heard.extend(engine.map_rows(MakeFakes(str(lake.root)), asked))
        return dg.MaterializeResult(metadata={"made": sum(isinstance(one, Done) for one in heard)})

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([fakes], instance=instance)
        assert done.success
        logs = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert [isinstance(one, Done) for one in heard] == [True, False, True, False]
    assert sum("opened dagster pipes" in one for one in logs) == 2, "one session for each worker"
    assert sum("status=done" in one for one in logs) == 2
    assert any("loaded=naughty@1" in one for one in logs)
    assert not list((Path(lake.root) / "tmp").iterdir())


def test_a_generator_of_this_process_keeps_its_engine(example: type[Any]) -> None:
    engine = InlineEngine()
    card = example.card.model_copy(update={"runtime": "in_process"})
    context: Any = None
    assert engine_for(card, context, engine, 1.0, 1) is engine


def test_rows_are_taken_in_waves_that_fit_on_the_disk() -> None:
    def row(n: int, n_frames: int) -> dict[str, Any]:
        return {"clip_id": str(n), "width": 100, "height": 100, "n_frames": n_frames, "donor": None}

    rows = [row(n, 100) for n in range(5)] + [row(5, 10_000), row(6, 1)]
    found = [[one["clip_id"] for one in wave] for wave in waves(rows, 11 * 10_000 * 250)]
    assert found == [["0", "1"], ["2", "3"], ["4"], ["5"], ["6"]]
    assert list(waves([], 1)) == []


def test_as_many_are_made_twice_as_are_rechecked() -> None:
    drawn = [seed for seed in range(3200) if made_twice(seed, 16)]
    assert 150 < len(drawn) < 250
    assert not any(made_twice(seed, 0) for seed in range(100))
