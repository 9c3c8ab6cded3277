"""A generator in an environment of its own gives what it would give here, and takes nobody down with it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from generators import registry
from generators.protocol import Card, FakeRequest, FakeResult
from generators.runtimes.commands import Resources, guarded, worker_command
from generators.runtimes.drive import Drive, launch_process
from generators.runtimes.environments import Environment, environment_of, offer
from generators.runtimes.exchange import Exchange, Exchanged
from generators.verify import same, verify
from haetae.errors import Rejected, UsageError

Ask = Callable[..., FakeRequest]
Put = Callable[..., Exchange]


def _drive(exchange: Exchange, environment: Environment, **resources: Any) -> Drive:
    limits = Resources(**{"request_s": 20.0, "load_s": 30.0, "memory_bytes": 2 << 30, **resources})
    drive = Drive(exchange, exchange.card(), environment, limits, launch_process)
    drive.run()
    return drive


def _outcome(exchange: Exchange, request: FakeRequest) -> FakeResult | tuple[str, str]:
    try:
        return Exchanged(exchange).generate(request)
    except Rejected as no:
        return no.reason, no.detail


def test_an_environment_of_its_own_offers_its_generators_and_what_is_broken_there(
    environment: Environment, naughty: Card
) -> None:
    cards, faults = offer(environment)
    assert {card.key for card in cards} == {"invert_patch@1", "naughty@1"}
    assert [fault[0] for fault in faults] == ["broken"]
    assert "invert_patch@1" in registry.installed()
    found = registry.find("invert_patch@1")
    assert found.card.runtime == "pipes"
    assert environment_of(found.card) == environment_of(naughty) == environment
    (problem,) = [p for p in registry.problems() if p.entry_point == "broken"]
    assert "HAETAE_ENV_INVERT_PATCH" in problem.package


def test_the_environment_is_really_its_own(
    environment: Environment, tmp_path: Path, example: type[Any], exchange_of: Put
) -> None:
    """It has the example and not the pipeline's libraries; the pipeline has not the example."""
    command = worker_command(environment, example.card, exchange_of(example.card), Resources())
    code = (
        "import importlib.util as u, json, generators, haetae\n"
        "names = ['torch', 'cv2', 'dagster', 'pyarrow', 'scipy', 'pebble', 'haetae_example', 'numpy']\n"
        "print(json.dumps([[n for n in names if u.find_spec(n)], generators.__file__, haetae.__file__]))"
    )
    done = subprocess.run(
        [command.argv[0], "-c", code],
        env=dict(command.env),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found, *files = json.loads(done.stdout)
    assert found == ["haetae_example", "numpy"]
    assert all(file.startswith(str(tmp_path)) for file in files)
    here = subprocess.run([sys.executable, "-c", "import haetae_example"], capture_output=True, cwd=tmp_path)
    assert here.returncode != 0


def test_a_worker_elsewhere_gives_byte_for_byte_what_the_generator_gives_here(
    environment: Environment, example: type[Any], ask: Ask, exchange_of: Put
) -> None:
    requests = [ask(clip_id=f"clip-{n}") for n in range(3)]
    exchange = exchange_of(registry.find("invert_patch@1").card, *requests, twice=True)
    assert _drive(exchange, environment).starts == 1
    handed = Exchanged(exchange)
    for request in requests:
        expected = example().generate(request)
        for found in (handed.generate(request), handed.generate(request)):
            assert same(found, expected) is None
            assert found.frames is not None and found.frames.tobytes() == expected.frames.tobytes()
            verify(handed.card, request, found)


def test_a_single_trial_of_what_lives_elsewhere_needs_no_more_than_its_key(
    environment: Environment, ask: Ask, example: type[Any]
) -> None:
    found = registry.find("invert_patch@1")
    assert getattr(importlib.import_module(found.__module__), found.__qualname__).card == found.card
    generator = found()
    generator.load("cpu")
    assert same(generator.generate(ask()), example().generate(ask())) is None
    with pytest.raises(Rejected, match="too_short"):
        generator.generate(ask(n=10))
    with pytest.raises(ImportError):
        from generators.runtimes.stand_ins import nobody_1  # type: ignore[attr-defined]  # noqa: F401


def test_without_its_environment_a_generator_says_what_to_declare(
    environment: Environment, naughty: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAETAE_ENV_INVERT_PATCH")
    with pytest.raises(UsageError, match="set HAETAE_ENV_NAUGHTY to the path of the Python"):
        environment_of(naughty)
    with pytest.raises(UsageError, match="set HAETAE_IMAGE_NAUGHTY to the image"):
        environment_of(naughty.model_copy(update={"runtime": "container"}))
    monkeypatch.setenv("HAETAE_ENV_NAUGHTY", str(Path(environment.where).parent.parent))
    assert environment_of(naughty).where == environment.where
    monkeypatch.setenv("HAETAE_ENV_NAUGHTY", "/nowhere/bin/python")
    (problem,) = [p for p in registry.problems() if p.entry_point == "naughty"]
    assert "/nowhere/bin/python is no Python interpreter" in problem.message


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo no pydantic here >&2; exit 3", "ended with status 3: no pydantic here"),
        ("echo hello", "ended with status 0: hello"),
        ("yes", "told no cards"),
        ("sleep 60", "told no cards"),
        ("""echo '{"python": "3", "problems": [], "cards": [{"name": "x"}]}'""", "does not describe"),
        ("""echo '{"python": "3"}'""", "does not describe"),
    ],
)
def test_an_environment_that_cannot_tell_its_cards_is_reported_in_time(
    script: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generators.runtimes.environments.DESCRIBE_TIMEOUT_S", 1.0)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    began = time.monotonic()
    cards, ((name, package, told),) = offer(Environment("odd", "interpreter", str(python)))
    assert time.monotonic() - began < 20
    assert cards == ()
    assert (name, package) == ("odd", "environment odd")
    assert what in told
    assert len(told) < 3000


def test_one_generator_is_not_taken_from_two_environments(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAETAE_ENV_OTHER", environment.where)
    with pytest.raises(UsageError, match=r"'invert_patch@1' is offered twice: by HAETAE_ENV_OTHER.*INVERT"):
        registry.installed()


def test_what_runs_in_this_process_is_found_without_asking_any_environment(
    install: Callable[..., None], example: type[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = tmp_path / "python"
    asked.write_text(f"#!/bin/sh\ntouch {tmp_path / 'was-asked'}\n")
    asked.chmod(0o755)
    monkeypatch.setenv("HAETAE_ENV_SLOW", str(asked))
    monkeypatch.setattr(example, "card", example.card.model_copy(update={"runtime": "in_process"}))
    install("example_here", invert_patch="haetae_example.invert_patch:InvertPatch")
    assert registry.find("invert_patch@1") is example
    assert not (tmp_path / "was-asked").exists()
    assert any(p.entry_point == "slow" for p in registry.problems())
    assert (tmp_path / "was-asked").exists()


def test_what_a_generator_refuses_elsewhere_is_refused_with_its_reason(
    environment: Environment, ask: Ask, exchange_of: Put
) -> None:
    request = ask(n=10)
    exchange = exchange_of(registry.find("invert_patch@1").card, request)
    _drive(exchange, environment)
    assert _outcome(exchange, request) == ("too_short", "10 frames, 22 are needed")


def test_a_worker_that_dies_fails_its_own_request_with_its_last_words(
    environment: Environment, naughty: Card, ask: Ask, exchange_of: Put
) -> None:
    card = naughty
    kinds = ("", "die", "refuse", "leave", "crash", "grow", "")
    requests = [ask(clip_id=f"clip-{n}", sentence=kind) for n, kind in enumerate(kinds)]
    exchange = exchange_of(card, *requests)
    drive = _drive(exchange, environment)
    fine, died, refused, left, crashed, grown, fine_too = (_outcome(exchange, one) for one in requests)
    assert isinstance(fine, FakeResult)
    assert isinstance(fine_too, FakeResult)
    assert died[0] == "generator_died"
    assert "signal 6" in died[1]
    assert "about to fall over" in died[1]
    assert refused == ("not_my_kind", "it is a Tuesday")
    assert left[0] == "generator_died"
    assert crashed[0] == "error"
    assert "ZeroDivisionError: a bug" in crashed[1]
    assert grown[0] == "out_of_memory"
    assert drive.starts <= 7


def test_a_request_that_takes_too_long_is_ended_and_the_others_are_made(
    environment: Environment, naughty: Card, ask: Ask, exchange_of: Put
) -> None:
    requests = [ask(clip_id=f"clip-{n}", sentence=kind) for n, kind in enumerate(("", "hang", ""))]
    exchange = exchange_of(naughty, *requests)
    began = time.monotonic()
    _drive(exchange, environment, request_s=1.5)
    assert time.monotonic() - began < 30
    fine, hung, fine_too = (_outcome(exchange, one) for one in requests)
    assert isinstance(fine, FakeResult)
    assert isinstance(fine_too, FakeResult)
    assert hung[0] == "timeout"
    assert "longer than 2 s" in hung[1]


def test_short_of_memory_a_request_is_made_with_fewer_frames_at_a_time_or_alone(
    environment: Environment, naughty: Card, ask: Ask, exchange_of: Put
) -> None:
    kinds = ("", "wide", "late", "killed", "")
    requests = [ask(clip_id=f"clip-{n}", sentence=kind) for n, kind in enumerate(kinds)]
    exchange = exchange_of(naughty, *requests)
    _drive(exchange, environment)
    fine, wide, late, killed, fine_too = (_outcome(exchange, one) for one in requests)
    assert isinstance(fine, FakeResult)
    assert isinstance(wide, FakeResult)
    assert isinstance(late, FakeResult)
    assert isinstance(fine_too, FakeResult)
    assert (fine.metrics["batch"], wide.metrics["batch"], late.metrics["batch"]) == (8, 2, 8)
    assert late.metrics["pid"] != fine.metrics["pid"], "it was asked for again in a process of its own"
    assert killed[0] == "generator_died"
    assert "signal 9" in killed[1]


def test_what_a_worker_starts_counts_as_its_own_memory_and_ends_with_it(
    environment: Environment, naughty: Card, ask: Ask, exchange_of: Put
) -> None:
    requests = [ask(clip_id=f"clip-{n}", sentence=kind) for n, kind in enumerate(("family", None))]
    exchange = exchange_of(naughty, *requests)
    _drive(exchange, environment, memory_bytes=400 << 20)
    grown, fine = (_outcome(exchange, one) for one in requests)
    assert isinstance(fine, FakeResult)
    assert grown[0] == "out_of_memory"
    assert "it was stopped when it held" in grown[1]
    assert _running("b = b'x' * (250 << 20)") == []


def test_an_environment_that_cannot_even_load_fails_all_its_requests_at_once(
    environment: Environment, naughty: Card, ask: Ask, exchange_of: Put
) -> None:
    requests = [ask(clip_id=f"clip-{n}") for n in range(3)]
    card = naughty.model_copy(update={"version": "2"})
    exchange = exchange_of(card, *requests)
    assert _drive(exchange, environment).starts == 1
    for request in requests:
        reason, detail = _outcome(exchange, request)  # type: ignore[misc]
        assert reason == "setup_failed"
        assert "'naughty@2' is not installed" in detail


def test_a_worker_sees_no_secret_of_the_pipeline_and_leaves_nobody_behind(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, naughty: Card, ask: Ask, exchange_of: Put
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    request = ask(sentence="secrets")
    exchange = exchange_of(naughty, request)
    _drive(exchange, environment)
    found = _outcome(exchange, request)
    assert isinstance(found, FakeResult)
    assert found.metrics["secrets"] == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(found.metrics["pid"]), 0)


def test_a_worker_ends_when_the_one_that_waits_for_it_is_killed(
    environment: Environment, naughty: Card, ask: Ask, exchange_of: Put
) -> None:

    request = ask(sentence="hang")
    card = naughty
    exchange = exchange_of(card, request)
    exchange.plan(exchange.asked())
    limits = Resources(request_s=100.0)
    command = guarded(worker_command(environment, card, exchange, limits), exchange, limits)
    guard = subprocess.Popen(command.argv, env={**os.environ, **command.env})
    (name,) = exchange.asked()
    _until(lambda: exchange.started(name).exists())
    workers = _running(str(exchange.folder))
    assert guard.pid in workers
    assert [one.name[:14] for one in (exchange.folder / "scratch").iterdir()] == ["haetae-worker-"]
    assert len(workers) == 2
    guard.send_signal(signal.SIGKILL)
    guard.wait()
    _until(lambda: _running(str(exchange.folder)) == [])


def _until(fine: Callable[[], bool], most_s: float = 20.0) -> None:
    end = time.monotonic() + most_s
    while not fine():
        assert time.monotonic() < end
        time.sleep(0.05)


def _running(argument: str) -> list[int]:
    """Processes with an argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
