"""What every test may use: the development media where they are, the one portrait we may show, broken files."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

# Several tests run at a time: a network that asks for every core would only wait for theirs.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tests.forks import Server

REPOSITORY = Path(__file__).resolve().parent.parent


def once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, name: str, make: Callable[[Path], object]
) -> Path:
    """A folder that is made once, also when several workers ask for it; nobody writes into it afterwards."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / name
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """Programs started in the background of a script ignore Ctrl-C, and tests of it would then wait for nothing."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Server:
    """The process of which programs are forked."""
    from tests.forks import Server

    base = tmp_path_factory.getbasetemp()
    return Server(base if worker_id == "master" else base.parent)


@pytest.fixture(scope="session")
def dev_media() -> Path:
    """Folder of real faces and speech for development; skips the test where it is absent."""
    given = os.environ.get("HAETAE_DEV_MEDIA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "media" / "dev"
    if not (folder / "SOURCES.csv").is_file():
        pytest.skip("no development media; set HAETAE_DEV_MEDIA to their folder")
    return folder


@pytest.fixture(scope="session")
def portrait() -> NDArray[np.uint8]:
    """The public-domain portrait of scikit-image: uint8 [512, 512, 3], RGB."""
    from skimage.data import astronaut

    return np.asarray(astronaut(), dtype=np.uint8)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> tuple[Path, dict[str, str]]:
    """Folder of broken and odd media files, and what must become of each; nobody writes into it."""
    from tests.haetae.media.broken import write_broken_files

    def write(folder: Path) -> None:
        folder.with_suffix(".json").write_text(json.dumps(write_broken_files(folder)))

    folder = once(tmp_path_factory, worker_id, "broken-files", write)
    return folder, json.loads(folder.with_suffix(".json").read_text())
