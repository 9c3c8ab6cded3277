"""`haetae detect`: what is shown while it works, what it says of marks, and what a script is told."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dagster_project.cli import use
from haetae import engine
from haetae.dataset.shards import snapshot_id_of
from haetae.dataset.snapshot import freeze
from haetae.detector import tracking
from haetae.detector.candidate import train_candidate
from haetae.lake import Lake
from haetae.lake.schema import TABLES
from haetae.marks.export import Parts, export, sidecar_of
from haetae.marks.release import Signing
from haetae.media.encode import write_wav
from haetae.params import Dataset, Detector, Params
from haetae.provenance.policy import Verdict
from tests.dagster_project.conftest import InProcess
from tests.haetae.detector import synthetic
from tests.haetae.marks.conftest import spoken
from tests.haetae.marks.lake import FAKE, put

__all__ = ["spoken"]  # a fixture
Run = Callable[..., tuple[int, Any, str]]
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake whose champion was trained for a moment on twelve samples of two sources."""
    made = Lake(tmp_path_factory.mktemp("detect") / "lake")
    params = Params(
        dataset=Dataset(crop_px=synthetic.CROP_PX, frames_per_item=synthetic.N_FRAMES),
        detector=Detector(epochs=1, batch_size=8),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "N_MELS", 64)
        items = [*synthetic.dataset(12, "train"), *synthetic.dataset(8, "val", first=100)]
    blank = dict.fromkeys(TABLES["samples"].schema.names)
    rows = [
        {
            **blank, "sample_id": item.sample_id, "split": item.split, "group_id": item.track_id, "language": "ko",
            "kind": "clip", "modality": "av", "source_id": f"source-{k % 2}",
            "verdict": "fake" if "fake" in item.verdicts.values() else "real",
            **{f"{m}_verdict": verdict for m, verdict in item.verdicts.items()},
        }
        for k, item in enumerate(items)
    ]  # fmt: skip
    knobs = params.dataset.model_dump(mode="json")
    key = snapshot_id_of(rows, knobs)
    freeze(made, key, rows, items, knobs, created_at=NOW, with_dvc=False)
    candidate = train_candidate(made, key, params, trained_at=NOW)
    tracking.move_champion(made, candidate["model_id"], None)
    put(made, "snapshots", key, [{"snapshot_id": key}])
    put(made, "models", key, [candidate])
    promotion = {
        "promotion_id": "promotion-1", "model_id": candidate["model_id"], "snapshot_id": key, "promoted": True,
        "reasons": [], "ledger_id": "ledger-1",
    }  # fmt: skip
    put(made, "promotions", key, [promotion])
    return made


@pytest.fixture
def haetae(lake: Lake, monkeypatch: pytest.MonkeyPatch, in_process: InProcess) -> Run:
    """The command in this process, its worker too: exit code, standard output (read as JSON), standard error."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("HAETAE_PARAMS", raising=False)
    monkeypatch.setattr(engine, "PoolEngine", lambda *_, **__: engine.InlineEngine())

    def _run(*words: object) -> tuple[int, Any, str]:
        code, out, err = in_process("--lake", lake.root, *words)
        return code, json.loads(out) if "--json" in words and out else out, err

    return _run


@pytest.fixture
def voice(spoken: Callable[..., Any], tmp_path: Path) -> Path:
    write_wav(tmp_path / "voice.wav", spoken(3.2))
    return tmp_path / "voice.wav"


@pytest.fixture
def marked(lake: Lake, voice: Path, tmp_path: Path) -> Path:
    """An export of a fake voice, signed by the lake."""
    export(
        Parts(voice), {**FAKE, "duration_s": 3.2}, tmp_path / "marked.wav", verdict=Verdict(True, ()),
        card_digest="d" * 64, credentials=Signing().credentials(lake),
    )  # fmt: skip
    return tmp_path / "marked.wav"


def test_it_says_on_standard_error_what_it_does_and_a_script_gets_clean_json(
    haetae: Run, voice: Path
) -> None:
    code, found, err = haetae("detect", voice, "--json")
    assert code == 0 and found["verdict"] in ("real", "fake")
    first, *stages = err.splitlines()
    assert first == f"detect: {voice}"
    assert [line.split(":")[0].strip() for line in stages] == ["load", "cut", "look"]
    assert all("1 of 1" in line for line in stages)


def test_a_terminal_shows_a_bar_for_each_stage(haetae: Run, voice: Path, monkeypatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(
        use, "error_console", lambda: Console(file=shown, force_terminal=True, color_system=None)
    )
    assert haetae("detect", voice)[0] == 0
    said = shown.getvalue()
    assert f"detect: {voice}" in said.partition("load")[0], "it is told before the work begins"
    assert "load" in said and "look" in said and "1/1" in said


def test_a_script_is_told_threshold_and_caveat_as_a_person_is(haetae: Run, voice: Path) -> None:
    _, found, _ = haetae("detect", voice, "--json")
    assert set(found) >= {"verdict", "score", "modalities", "tracks", "segments", "captions"}
    assert (found["verdict"] == "fake") == (found["score"] >= found["threshold"])
    assert found["caveat"].startswith(f"fake from {found['threshold']:.3f} on; trained on 12 samples (")
    assert "of source-0, source-1: on media unlike these the verdict is a guess" in found["caveat"]
    _, said, _ = haetae("detect", voice)
    assert found["caveat"] in said


def test_the_sum_behind_the_score_is_told_and_is_right(haetae: Run, voice: Path) -> None:
    _, found, _ = haetae("detect", voice, "--json")
    assert found["score"] == pytest.approx(found["modalities"]["audio"])
    _, said, _ = haetae("detect", voice)
    assert "the score is that of the one modality that could be judged" in said
    scores = {"video": 0.25, "audio": 0.5, "sync": None, "text": None}
    told = use._how_fused({"score": 0.625, "modalities": scores})
    assert told.startswith("score = 1 - (1 - 0.250)(1 - 0.500): ")
    assert 1 - (1 - 0.25) * (1 - 0.5) == 0.625


def test_a_file_that_carries_our_marks_is_told_as_such_with_the_command_that_reads_them(
    haetae: Run, lake: Lake, marked: Path
) -> None:
    _, found, _ = haetae("detect", marked, "--json")
    assert found["marks"]["fake_id"] == FAKE["fake_id"] and found["marks"]["doubts"] == []
    assert (found["marks"]["manifest"], found["marks"]["sidecar"]) == ("trusted", "agrees")
    assert found["marks"]["synthetic"] is True
    _, said, _ = haetae("detect", marked)
    line, verdict = said.splitlines()[:2]
    assert verdict == f"the detector alone says: {found['verdict']} (score {found['score']:.3f})"
    assert line.startswith(
        f"this file carries Haetae's marks: it is {FAKE['fake_id']}, made by {FAKE['generator']}"
    )
    assert line.endswith(f"haetae --lake {lake.root} verify {marked}")


def test_of_a_fake_of_subtitles_it_says_that_the_detector_does_not_judge_them(
    haetae: Run, lake: Lake, voice: Path, tmp_path: Path
) -> None:
    export(
        Parts(voice), {**FAKE, "duration_s": 3.2, "modalities": ["text"]}, tmp_path / "text.wav",
        verdict=Verdict(True, ()), card_digest="d" * 64, credentials=Signing().credentials(lake),
    )  # fmt: skip
    _, said, _ = haetae("detect", tmp_path / "text.wav")
    line, verdict = said.splitlines()[:2]
    assert line.startswith(f"this file carries Haetae's marks: it is {FAKE['fake_id']}")
    assert verdict.startswith("the detector alone says: ")
    assert verdict.endswith("; its subtitles were changed, which the detector does not judge")


def test_a_sidecar_alone_is_told_and_one_that_does_not_hold_is_told_with_its_fault(
    haetae: Run, marked: Path, voice: Path
) -> None:
    sidecar_of(marked).rename(sidecar_of(voice))
    _, found, _ = haetae("detect", voice, "--json")
    assert found["marks"]["fake_id"] == FAKE["fake_id"] and found["marks"]["manifest"] is None
    assert [one.split(":")[0] for one in found["marks"]["doubts"]] == ["sidecar_differs"]
    _, said, _ = haetae("detect", voice)
    assert f"those of {FAKE['fake_id']}, but sidecar_differs" in said.splitlines()[1]
    assert said.startswith("voice.wav: "), "marks that do not hold do not come before the verdict"


@pytest.mark.parametrize("content", ["", "[" * 5000, '{"fake_id": {}, "sha256": []}', "\x1b[2J"])
def test_a_strange_sidecar_costs_no_verdict(haetae: Run, voice: Path, content: str) -> None:
    sidecar_of(voice).write_text(content)
    code, found, _ = haetae("detect", voice, "--json")
    assert (code, found["marks"]["fake_id"], found["marks"]["sidecar"]) == (0, None, "differs")


def test_of_a_plain_file_it_says_that_watermarks_were_not_read(haetae: Run, voice: Path) -> None:
    _, said, _ = haetae("detect", voice)
    assert said.splitlines()[1].startswith(
        "no signed mark of Haetae; watermarks are not read here; all marks: "
    )


def test_what_is_no_file_is_told_for_what_it_is(haetae: Run, tmp_path: Path) -> None:
    code, _, err = haetae("detect", tmp_path)
    assert code == 2 and f"{tmp_path} is a folder" in err and 'detect "$file"; done' in err
    code, _, err = haetae("detect", tmp_path / "none.mp4")
    assert code == 2 and "none.mp4: no such file" in err
    os.mkfifo(tmp_path / "pipe.mp4")
    code, _, err = haetae("detect", tmp_path / "pipe.mp4")
    assert code == 2 and "is not a regular file" in err


def test_a_name_that_looks_like_markup_is_a_name(haetae: Run, tmp_path: Path) -> None:
    odd = tmp_path / "[" / "bold]x[red].wav"
    odd.parent.mkdir()
    write_wav(odd, np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32))
    code, said, err = haetae("detect", odd)
    assert code == 0 and odd.name in said and str(odd) in err
