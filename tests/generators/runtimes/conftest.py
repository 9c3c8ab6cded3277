"""An environment of its own for the example package, and a plug-in there that does everything wrong."""

from __future__ import annotations

import ensurepip
import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.protocol import Card, ClipView, Face, FakeRequest, Word
from generators.runtimes.environments import Environment, declared, offer
from generators.runtimes.exchange import Exchange, name_of, write_request

PACKAGE = Path(__file__).parents[2] / "packages" / "haetae_example"
NEEDED = ("numpy", "dagster_pipes", "pydantic", "pydantic_core", "annotated_types", "typing_extensions")
NEEDED_TOO = ("typing_inspection", "numpy.libs")

NAUGHTY = """
import os, signal, subprocess, sys, time
import numpy as np
from generators.protocol import Card, FakeResult, Segment
from haetae.errors import Rejected
class Naughty:
    card = Card(name="naughty", version="1", family="face_swap", modalities=("video",), runtime="pipes",
                params={"batch_frames": 8}, description="d", intended_use="t")
    calls = 0
    def load(self, device):
        self.device = device
    def generate(self, request):
        Naughty.calls += 1
        what = request.sentence
        if what == "die":
            print("about to fall over", file=sys.stderr)
            os.abort()
        if what == "leave":
            os._exit(0)
        if what == "hang":
            time.sleep(600)
        if what == "killed" and not os.environ.get("SPARED"):
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "refuse":
            raise Rejected("not_my_kind", "it is a Tuesday")
        if what == "crash":
            raise ZeroDivisionError("a bug")
        if what == "grow":
            np.ones(3 << 30, np.uint8).sum()
        if what == "family":
            grown = "import time; b = b'x' * (250 << 20); time.sleep(60)"
            children = [subprocess.Popen([sys.executable, "-c", grown]) for _ in range(2)]
            [child.wait() for child in children]
        if what == "late" and Naughty.calls > 1:
            raise MemoryError("the ones before left too much behind")
        if what == "wide" and request.params.get("batch_frames", 8) > 2:
            raise MemoryError("too many frames at a time")
        frames = request.target.frames.copy()
        masks = np.zeros(frames.shape[:3], np.bool_)
        masks[:, 2:10, 2:10] = True
        frames[masks] ^= 255 if what != "moody" else 255 - Naughty.calls
        said = {"batch": float(request.params.get("batch_frames", 8)), "pid": float(os.getpid())}
        if what == "secrets":
            said["secrets"] = float(sum("SECRET" in name for name in os.environ))
        return FakeResult((Segment("video", 0, len(frames) / 25),), frames, masks, metrics=said)
"""


@pytest.fixture(scope="session")
def own_python(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The interpreter of an environment that holds the example package and what it needs, and nothing else.

    Made once, also when several workers ask for it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "own-environment"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make_environment(folder)
            (folder / "whole").touch()
    return folder / "env" / "bin" / "python"


def _make_environment(folder: Path) -> None:
    """The package is built by its own build backend and installed by Python's own pip, without an index.

    Its dependencies are the very folders of this interpreter.
    """
    folder.mkdir()
    pips = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not pips:
        pytest.skip("this Python comes without pip: install python3-venv")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python3*/site-packages")
    here = Path(sysconfig.get_path("purelib"))
    for name in (*NEEDED, *NEEDED_TOO):
        for found in (here / name, here / f"{name}.py", *here.glob(f"{name}-*.dist-info")):
            if found.exists():
                (site / found.name).symlink_to(found)
    source = folder / "source"
    shutil.copytree(PACKAGE, source)
    build = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    pip = [str(python), "-m", "pip", "--isolated", "--disable-pip-version-check", "install"]
    options = ["--no-index", "--no-deps", "--no-compile"]
    env = {**os.environ, "PYTHONPATH": str(pips[-1])}
    subprocess.run([*pip, *options, str(wheel)], env=env, check=True, capture_output=True)
    (site / "naughty.py").write_text(NAUGHTY)
    info = site / "naughty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: naughty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[haetae.generators]\nnaughty = naughty:Naughty\nbroken = naughty:Nobody\n"
    )


@pytest.fixture
def environment(own_python: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment, declared as a person would."""
    for name in [one for one in os.environ if one.startswith(("HAETAE_ENV_", "HAETAE_IMAGE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HAETAE_ENV_INVERT_PATCH", str(own_python))
    (found,) = declared()
    return found


@pytest.fixture
def naughty(environment: Environment) -> Card:
    """The card of the plug-in that does what its sentence says."""
    return next(card for card in offer(environment)[0] if card.name == "naughty")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Any]]:
    """The example's class, imported into this process."""
    monkeypatch.syspath_prepend(str(PACKAGE / "src"))
    from haetae_example.invert_patch import InvertPatch

    yield InvertPatch
    for name in [one for one in sys.modules if one.startswith("haetae_example")]:
        del sys.modules[name]


def _clip(n: int, clip_id: str) -> ClipView:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 256, (n, 48, 64, 3), dtype=np.uint8)
    audio = rng.normal(0, 0.1, n * 640).astype(np.float32)
    mesh = rng.normal(30, 5, (n, 478, 3)).astype(np.float32)
    mesh[3] = np.nan
    face = Face("track-1", 0, mesh, np.isfinite(mesh[:, 0, 0]))
    return ClipView(clip_id, "ko", frames, audio, (face,), ((0.1, 0.9),), (Word("안녕", 0.1, 0.5, 0.7),))


@pytest.fixture
def ask() -> Callable[..., FakeRequest]:
    """A request about a small noisy clip: n frames, clip_id, sentence."""

    def _ask(n: int = 30, clip_id: str = "clip-a", sentence: str | None = None) -> FakeRequest:
        return FakeRequest(_clip(n, clip_id), seed=12, language="ko", sentence=sentence)

    return _ask


@pytest.fixture
def exchange_of(tmp_path: Path) -> Callable[..., Exchange]:
    """An exchange folder of a card with requests in it."""

    def _exchange(card: Card, *requests: FakeRequest, twice: bool = False) -> Exchange:
        exchange = Exchange(tmp_path / "exchange")
        exchange.create(card)
        for one in requests:
            write_request(exchange, name_of(card, one.target.clip_id, one.seed), one, twice=twice)
        return exchange

    return _exchange
