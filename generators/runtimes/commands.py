"""How a worker is started: argument lists for an interpreter of its own, and for docker or podman.

The worker itself is the same everywhere. Jobs of a cluster are in `cluster`, Ray in `ray_tasks`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from generators.protocol import Card
from generators.runtimes.environments import ENGINE, Environment
from generators.runtimes.exchange import Exchange
from generators.runtimes.guard import Limits
from haetae.errors import UsageError

WORKER = ("-m", "generators.runtimes.worker")
GUARD = ("-m", "generators.runtimes.guard")
TMP_BYTES = 4 << 30
MAX_PROCESSES = 512
CODE = "/opt/haetae"
"""Where the code that a worker needs is in a container."""


@dataclass(frozen=True)
class Resources:
    """What one worker may take. request_s, load_s: seconds; memory_bytes; cpus; gpus: cards of accelerators."""

    request_s: float = 900.0
    load_s: float = 600.0
    memory_bytes: int = 8 << 30
    cpus: float = 1.0
    gpus: int = 0
    file_bytes: int = 16 << 30


@dataclass(frozen=True)
class Command:
    """An argument list, and what it adds to the environment.

    clean_up: ends what the command started, if killing it does not; writable: the folder that its worker
    may write to; bounded: something else bounds its memory.
    """

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    clean_up: Sequence[str] = ()
    writable: str = ""
    bounded: bool = False


def lay_code(folder: Path, *, copied: bool = False) -> Path:
    """A folder with the packages `generators` and `haetae` and nothing else, for the path of an interpreter.

    The folder that they were installed into holds all other libraries of this interpreter too, which another
    one must not see. copied: for a machine that shares the folder and not the packages.
    """
    folder.mkdir(exist_ok=True)
    for name, package in _packages().items():
        if copied and not (folder / name).exists():
            shutil.copytree(package, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif not (folder / name).exists():
            (folder / name).symlink_to(package)
    return folder


def _packages() -> dict[str, Path]:
    import generators
    import haetae

    return {package.__name__: Path(package.__path__[0]).resolve() for package in (generators, haetae)}


def describe_command(environment: Environment, scratch: Path) -> Command:
    """What makes an environment tell its cards. Raises: UsageError where no container engine is."""
    if environment.kind == "interpreter":
        return _in_interpreter(environment.where, ["describe"], scratch)
    return _in_container(environment.where, ["describe"], Resources(), f"haetae-describe-{os.getpid()}", None)


def worker_command(environment: Environment, card: Card, exchange: Exchange, resources: Resources) -> Command:
    """What answers the requests of an exchange folder. Raises: UsageError where no container engine is."""
    device = "cuda" if resources.gpus else "cpu"
    arguments = ["run", str(exchange.folder.resolve()), card.key, "--device", device]
    if environment.kind == "interpreter":
        return _in_interpreter(environment.where, arguments, exchange.folder)
    name = f"haetae-{card.name.replace('_', '-')}-{exchange.folder.name}-{os.getpid()}"
    return _in_container(environment.where, arguments, resources, name, exchange)


def guarded(command: Command, exchange: Exchange, resources: Resources) -> Command:
    """The command under a `guard` of this interpreter, which keeps the limits and tells how it ended."""
    argv = guard_arguments(exchange.results, exchange.ends[0], command, resources)
    # What a worker leaves there goes with the folder, also when its guard was killed.
    scratch = exchange.folder / "scratch"
    scratch.mkdir(exist_ok=True)
    env = {"PYTHONPATH": str(lay_code(exchange.folder / "code")), "TMPDIR": str(scratch)}
    return Command([sys.executable, *argv], env, writable=str(exchange.results))


def guard_arguments(marks: Path, end: Path, command: Command, resources: Resources) -> list[str]:
    """What an interpreter is given to run a command under a guard."""
    limits = Limits(
        request_s=resources.request_s,
        load_s=resources.load_s,
        memory_bytes=-1 if command.bounded else resources.memory_bytes,
        # The driver of an accelerator maps far more than it uses, and would fail under a limit of this kind.
        data_bytes=-1 if command.bounded or resources.gpus else resources.memory_bytes,
        file_bytes=resources.file_bytes,
        env=dict(command.env),
        clean_up=list(command.clean_up),
    )
    return [*GUARD, str(marks), str(end), json.dumps(asdict(limits)), "--", *command.argv]


def _in_interpreter(python: str, arguments: list[str], scratch: Path) -> Command:
    if not (os.path.isfile(python) and os.access(python, os.X_OK)):
        raise UsageError(f"{python} is no Python interpreter that can be started")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env = {"PYTHONPATH": str(lay_code(scratch / "code")), **threads, **_weights_environment()}
    return Command([python, *WORKER, *arguments], env)


def _weights_environment() -> dict[str, str]:
    """Where a generator elsewhere finds its weights: as here, with the cache by its full path."""
    from generators.weights import cache_folder

    given = ("HAETAE_WEIGHTS", "HAETAE_DOWNLOAD", "HAETAE_MIRROR", "HAETAE_MIRROR_PRIVATE")
    named = {name: os.environ[name] for name in given if name in os.environ}
    return {**named, "HAETAE_CACHE": str(cache_folder())}


def _in_container(
    image: str, arguments: list[str], resources: Resources, name: str, exchange: Exchange | None
) -> Command:
    """`docker run`: no network, nothing written but the results and a scratch, as the caller's own user."""
    if image.startswith("-") or any(c.isspace() for c in image):
        raise UsageError(f"{image!r} is no reference of an image")
    engine = container_engine()
    argv = [engine, "run", "--rm", "--init", f"--name={name}", "--network=none", "--read-only"]
    argv += ["--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={os.getuid()}:{os.getgid()}"]
    argv += [f"--pids-limit={MAX_PROCESSES}", f"--memory={resources.memory_bytes}"]
    argv += [f"--memory-swap={resources.memory_bytes}", f"--cpus={resources.cpus:g}"]
    argv += [f"--tmpfs=/tmp:rw,noexec,nosuid,nodev,size={TMP_BYTES}", "--workdir=/tmp", "--env=HOME=/tmp"]
    argv += [f"--gpus={resources.gpus}"] if resources.gpus else []
    argv += ["--env=PYTHONDONTWRITEBYTECODE=1", "--env=PYTHONHASHSEED=0", f"--env=PYTHONPATH={CODE}"]
    argv += [_mount(folder, f"{CODE}/{name}") for name, folder in _packages().items()]
    if exchange is not None:
        folder = exchange.folder.resolve()
        argv += [_mount(folder, str(folder)), _mount(folder / "results", str(folder / "results"), write=True)]
        argv += ["--env=DAGSTER_PIPES_CONTEXT", "--env=DAGSTER_PIPES_MESSAGES"]
        argv += _weight_mounts()
    argv += ["--entrypoint=python", image, *WORKER, *arguments]
    home = {name: os.environ[name] for name in ("HOME",) if name in os.environ}
    return Command(argv, home, [engine, "rm", "--force", name], bounded=True)


def _weight_mounts() -> list[str]:
    """Weights are found outside and seen read-only inside, at the same paths: a container has no network."""
    env = _weights_environment()
    places = [part for part in env.get("HAETAE_WEIGHTS", "").split(os.pathsep) if part]
    places = [place for place in [*places, env["HAETAE_CACHE"]] if os.path.isdir(place)]
    told = {name: env[name] for name in ("HAETAE_WEIGHTS", "HAETAE_CACHE") if name in env}
    mounts = [_mount(Path(place).resolve(), place) for place in places]
    return [*mounts, *(f"--env={name}={value}" for name, value in told.items())]


def _mount(source: Path, target: str, *, write: bool = False) -> str:
    """A bind mount. Raises: UsageError for a path that the option cannot carry."""
    if "," in f"{source}{target}" or '"' in f"{source}{target}":
        raise UsageError(f"{source} cannot be mounted: its path has a comma or a quotation mark")
    return f"--mount=type=bind,source={source},target={target}" + ("" if write else ",readonly")


def container_engine() -> str:
    """The program that runs containers. Raises: UsageError where none is found."""
    wanted = os.environ.get(ENGINE)
    for name in [wanted] if wanted else ["docker", "podman"]:
        if found := shutil.which(name):
            return found
    raise UsageError(f"no container engine: install docker or podman, or set {ENGINE} to one")
