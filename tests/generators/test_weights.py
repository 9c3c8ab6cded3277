"""Weight files are found on local places, fetched where that is allowed, and checked before they are used."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generators import fetch as fetching
from generators.protocol import Card, Weights
from generators.weights import located, weights_missing
from haetae.errors import UsageError
from haetae.media.egress import is_public

REVISION = "0123456789abcdef0123456789abcdef01234567"
CONTENT = bytes(range(256)) * 2000


def _weights(content: bytes = CONTENT, filename: str = "net.safetensors", repo: str = "lab/net") -> Weights:
    sha256 = hashlib.sha256(content).hexdigest()
    return Weights(repo=repo, revision=REVISION, filename=filename, sha256=sha256, licence="Apache-2.0")


def _card(*weights: Weights) -> Card:
    told: Any = {"family": "face_swap", "modalities": ("video",), "description": "d", "intended_use": "t"}
    return Card(name="netted", version="1", profile="full", weights=weights, **told)


def _put(folder: Path, one: Weights, content: bytes = CONTENT, *, flat: bool = False) -> Path:
    path = folder / one.repo / ("" if flat else one.revision) / one.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine: an empty cache, no folders, no fetching."""
    for name in ("HAETAE_WEIGHTS", "HAETAE_DOWNLOAD", "HAETAE_MIRROR", "HAETAE_MIRROR_PRIVATE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "WAIT_S", 0.01)


class Hub:
    """A web server of files by path; it can cut answers, lie, redirect, and forget how to resume."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.cut_after: list[int] = []
        self.resumes = True
        self.asked: list[tuple[str, str | None, str | None]] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *args: Any) -> None:
                """Nobody reads it."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, to: http.server.BaseHTTPRequestHandler) -> None:
        asked = to.headers.get("Range")
        self.asked.append((to.path, asked, to.headers.get("Authorization")))
        if to.path in self.redirects:
            to.send_response(302)
            to.send_header("Location", self.redirects[to.path])
            to.end_headers()
            return
        if to.path not in self.files:
            to.send_error(404)
            return
        content, start = self.files[to.path], 0
        if asked and self.resumes:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                to.send_response(416)
                to.send_header("Content-Range", f"bytes */{len(content)}")
                to.end_headers()
                return
            to.send_response(206)
            to.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            to.send_response(200)
        to.send_header("Content-Length", str(len(content) - start))
        to.end_headers()
        body = content[start:]
        to.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def mirror(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The same server as an allowed private mirror."""
    for name, value in (("DOWNLOAD", "1"), ("MIRROR", f"{hub.address}/m/"), ("MIRROR_PRIVATE", "1")):
        monkeypatch.setenv(f"HAETAE_{name}", value)
    return hub


@pytest.mark.parametrize("flat", [False, True])
def test_a_local_folder_is_used_where_it_lies_and_nothing_is_written(tmp_path: Path, flat: bool) -> None:
    one = _weights()
    path = _put(tmp_path / "mine", one, flat=flat)
    assert located(_card(one), folders=[tmp_path / "mine"]) == path.parent
    assert not (tmp_path / "cache").exists()


def test_the_folders_of_the_environment_are_looked_through_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = _weights(), _weights(b"config", "unet/config.json")
    first = _put(tmp_path / "a", one)
    _put(tmp_path / "b", one)
    monkeypatch.setenv("HAETAE_WEIGHTS", f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}")
    assert located(_card(one)) == first.parent
    _put(tmp_path / "b", other, b"config")
    folder = located(_card(one, other))
    assert (folder / "net.safetensors").resolve() == first
    assert (folder / "unet" / "config.json").read_bytes() == b"config"


def test_a_library_is_never_given_a_file_that_was_not_checked(tmp_path: Path) -> None:
    one = _weights()
    path = _put(tmp_path / "mine", one)
    (path.parent / "pytorch_model.bin").write_bytes(b"a pickle that nobody pinned")
    folder = located(_card(one), folders=[tmp_path / "mine"])
    assert folder != path.parent
    assert sorted(p.name for p in folder.iterdir()) == ["net.safetensors"]
    assert (folder / "net.safetensors").read_bytes() == CONTENT
    (folder / "net.safetensors").unlink()
    (folder / "net.safetensors").symlink_to("/etc/hostname")
    (folder / "more.py").write_text("import os")
    again = located(_card(one), folders=[tmp_path / "mine"])
    assert again == folder
    assert [p.name for p in again.iterdir()] == ["net.safetensors"]
    assert (again / "net.safetensors").read_bytes() == CONTENT


def test_a_missing_file_is_named_with_its_hash_and_what_to_do(tmp_path: Path) -> None:
    here, gone = _weights(), _weights(b"other", "vae/weights.safetensors")
    _put(tmp_path, here)
    with pytest.raises(UsageError) as refusal:
        located(_card(here, gone), folders=[tmp_path])
    said = str(refusal.value)
    assert said.startswith("netted@1: 1 of 2 weight files are not here")
    for part in (
        f"lab/net@{REVISION}/vae/weights.safetensors",
        gone.sha256,
        "HAETAE_WEIGHTS",
        "HAETAE_DOWNLOAD=1",
    ):
        assert part in said
    assert weights_missing(_card(here, gone), folders=[tmp_path]) == [
        f"lab/net@{REVISION}/vae/weights.safetensors"
    ]


def test_an_altered_file_is_refused_with_what_was_expected_and_found(tmp_path: Path) -> None:
    one = _weights()
    path = _put(tmp_path, one, CONTENT[:-1] + b"!")
    with pytest.raises(UsageError) as refusal:
        located(_card(one), folders=[tmp_path])
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert one.sha256 in str(refusal.value)
    assert found in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../b", "a//b", "a\\b", "a\0b", "..", "a?b", ""]
)
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    for field in ("filename", "repo", "revision"):
        one = _weights().model_copy(update={field: name})
        with pytest.raises(UsageError, match="no plain relative path"):
            located(_card(one), folders=[tmp_path / "lab" / "net"])
        with pytest.raises(UsageError, match="no plain relative path"):
            weights_missing(_card(one), folders=[tmp_path])


def test_two_files_of_one_name_are_refused_rather_than_mixed_up(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"two weight files called net\.safetensors"):
        located(_card(_weights(), _weights(b"x", repo="lab/other")), folders=[tmp_path])


def test_nothing_is_fetched_unless_that_is_allowed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAETAE_MIRROR", hub.address)
    monkeypatch.setenv("HAETAE_MIRROR_PRIVATE", "1")
    with pytest.raises(UsageError, match="HAETAE_DOWNLOAD=1"):
        located(_card(_weights()))
    assert hub.asked == []


def test_a_mirror_is_asked_once_and_its_file_is_kept(mirror: Hub, tmp_path: Path) -> None:
    one = _weights()
    mirror.files[f"/m/lab/net/{REVISION}/net.safetensors"] = CONTENT
    folder = located(_card(one))
    assert (folder / "net.safetensors").read_bytes() == CONTENT
    assert located(_card(one)) == folder
    assert len(mirror.asked) == 1
    assert [p.suffix for p in (tmp_path / "cache" / "partial").iterdir()] == [".lock"]


def test_the_hub_is_asked_for_the_pinned_revision(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAETAE_DOWNLOAD", "1")
    hub.files[f"/lab/net/resolve/{REVISION}/unet/net.safetensors"] = CONTENT
    one = _weights(filename="unet/net.safetensors")
    assert (located(_card(one), hub=hub.address) / one.filename).read_bytes() == CONTENT
    assert [path for path, *_ in hub.asked] == [f"/lab/net/resolve/{REVISION}/unet/net.safetensors"]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_transfer_that_breaks_off_goes_on_where_it_was(mirror: Hub, resumes: bool) -> None:
    mirror.files[f"/m/lab/net/{REVISION}/net.safetensors"] = CONTENT
    mirror.cut_after, mirror.resumes = [100_000, 50_000 if resumes else 200_000], resumes
    folder = located(_card(_weights()))
    assert (folder / "net.safetensors").read_bytes() == CONTENT
    ranges = [asked for _, asked, _ in mirror.asked]
    assert ranges[:2] == [None, "bytes=100000-"]
    assert ranges[2] == ("bytes=150000-" if resumes else "bytes=200000-")


def test_tries_go_on_while_they_bring_something_and_end_when_they_bring_nothing(mirror: Hub) -> None:
    path = f"/m/lab/net/{REVISION}/net.safetensors"
    mirror.files[path] = CONTENT
    mirror.cut_after = [30_000] * 3 * fetching.TRIES
    assert (located(_card(_weights())) / "net.safetensors").read_bytes() == CONTENT
    assert len(mirror.asked) == len(CONTENT) // 30_000 + 1 > fetching.TRIES
    mirror.asked.clear()
    other = _weights(b"other", "other.bin")
    mirror.files[f"/m/lab/net/{REVISION}/other.bin"] = b"other"
    mirror.cut_after = [0] * 50
    with pytest.raises(UsageError, match="6 tries brought nothing"):
        located(_card(other))
    assert len(mirror.asked) == fetching.TRIES


def test_what_an_earlier_process_fetched_is_taken_up_also_if_it_was_all_or_wrong(
    mirror: Hub, tmp_path: Path
) -> None:
    for n, earlier in enumerate((CONTENT[:300_000], CONTENT, b"?" * 300_000)):
        content = CONTENT + bytes([n])
        one = _weights(content, f"net{n}.safetensors")
        mirror.files[f"/m/lab/net/{REVISION}/net{n}.safetensors"] = content
        part = tmp_path / "cache" / "partial" / f"{one.sha256}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content if earlier == CONTENT else earlier)
        assert (located(_card(one)) / one.filename).read_bytes() == content
    assert mirror.asked[-1][1] is None, "bytes that proved wrong are fetched anew"


def test_a_mirror_that_gives_another_file_is_refused_and_nothing_is_kept(mirror: Hub, tmp_path: Path) -> None:
    mirror.files[f"/m/lab/net/{REVISION}/net.safetensors"] = CONTENT[::-1]
    with pytest.raises(UsageError, match="is not the file of the card"):
        located(_card(_weights()))
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_a_file_that_is_too_large_is_refused_before_and_while_it_comes(
    mirror: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("generators.weights.MAX_BYTES", 100_000)
    mirror.files[f"/m/lab/net/{REVISION}/net.safetensors"] = CONTENT
    with pytest.raises(UsageError, match=r"too_large.*512000"):
        located(_card(_weights()))
    assert len(mirror.asked) == 1
    assert sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*") if p.is_file()) == 0


def test_a_private_mirror_must_be_allowed_and_leads_to_no_other_private_place(
    mirror: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/m/lab/net/{REVISION}/net.safetensors"
    inner = Hub()
    inner.files["/secret"] = CONTENT
    mirror.redirects[path] = f"{inner.address}/secret"
    with pytest.raises(UsageError, match="egress_refused"):
        located(_card(_weights()))
    assert inner.asked == []
    inner.server.shutdown()
    inner.server.server_close()
    mirror.redirects[path] = "file:///etc/hostname"
    with pytest.raises(UsageError, match="is not allowed"):
        located(_card(_weights()))
    monkeypatch.delenv("HAETAE_MIRROR_PRIVATE")
    n = len(mirror.asked)
    with pytest.raises(UsageError, match="egress_refused"):
        located(_card(_weights()))
    assert len(mirror.asked) == n


def test_a_token_of_the_hub_goes_to_the_hub_alone(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import ipaddress

    monkeypatch.setenv("HAETAE_DOWNLOAD", "1")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    storage = Hub()
    storage.files["/blob"] = CONTENT
    path = f"/lab/net/resolve/{REVISION}/net.safetensors"
    hub.redirects[path] = f"{storage.address}/blob"
    loopback = ipaddress.ip_address("127.0.0.1")
    monkeypatch.setattr("haetae.media.egress.is_public", lambda a: a == loopback or is_public(a))
    located(_card(_weights()), hub=hub.address)
    storage.server.shutdown()
    storage.server.server_close()
    assert [token for *_, token in hub.asked] == ["Bearer hf_secret"]
    assert [token for *_, token in storage.asked] == [None]


def test_processes_that_ask_at_the_same_time_fetch_once(mirror: Hub, tmp_path: Path) -> None:
    one = _weights()
    mirror.files[f"/m/lab/net/{REVISION}/net.safetensors"] = CONTENT
    code = (
        "import sys\nfrom generators.protocol import Card\nfrom generators.weights import located\n"
        "print(located(Card.model_validate_json(sys.argv[1])))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, _card(one).model_dump_json()], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = {process.communicate(timeout=60)[0].strip() for process in started}
    assert said == {str(tmp_path / "cache" / "lab" / "net" / REVISION)}
    assert len(mirror.asked) == 1
