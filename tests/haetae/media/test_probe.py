"""Probing: every kind of broken or odd file is told for what it is, by its bytes and not by its name."""

from __future__ import annotations

import http.server
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from haetae.errors import Rejected
from haetae.media.frames import read_frames
from haetae.media.probe import ProbeLimits, frame_rate, probe
from tests.haetae.media.broken import ffmpeg, make, picture, sound


def reason_for(path: Path, limits: ProbeLimits | None = None) -> str:
    with pytest.raises(Rejected) as no:
        probe(path, limits)
    assert path.name in no.value.detail, "the detail must name the file"
    return no.value.reason


@pytest.mark.parametrize(
    ("name", "reason", "word"),
    [
        ("empty.mp4", "empty_file", "0 bytes"),
        ("page.mp4", "not_media", "HTML"),
        ("notes.mp4", "not_media", "text"),
        ("playlist.mp4", "not_media", "playlist"),
        ("concat.mp4", "not_media", "list of files"),
        ("no_index.mp4", "truncated", "bytes are missing"),
        ("cut_short.mp4", "truncated", "bytes are missing"),
        ("cut_short.mkv", "truncated", "states 6.00 s"),
        ("zeros_at_end.mp4", "truncated", "damaged"),
        ("gone.mp4", "unreadable", "No such file"),
        ("no_samples.wav", "zero_duration", "empty"),
        ("zero_seconds.mp4", "zero_duration", "empty"),
        ("only_subtitles.mp4", "no_streams", "no moving picture"),
    ],
)
def test_a_broken_file_is_rejected_with_its_reason(broken, name, reason, word):
    folder, outcome = broken
    assert outcome[name] == f"quarantine:{reason}"
    with pytest.raises(Rejected) as no:
        probe(folder / name)
    assert no.value.reason == reason
    assert word in no.value.detail


def test_the_good_files_of_the_collection_are_measured(broken):
    folder, outcome = broken
    fine = [name for name, what in outcome.items() if what == "handled"]
    assert len(fine) >= 12
    for name in fine:
        info = probe(folder / name)
        lasts_s = 0.0 if info.is_still else 1.0 if name == "no_permission.mp4" else 4.0
        assert info.is_still == (name in ("one_frame.mp4", "photo.jpg", "photo.mp4")), name
        assert info.duration_s == pytest.approx(lasts_s, abs=0.06), name


def test_what_is_in_a_file_is_found_whatever_it_is_called(broken):
    folder, _ = broken
    assert probe(folder / "wrong_extension.avi").real_extension == "mkv"
    assert probe(folder / "photo.mp4").real_extension == "png"
    assert probe(folder / "no_video.mp4").real_extension == "m4a"
    assert probe(folder / "speech.mp3").real_extension == "mp3"
    assert probe(folder / "%03d.mp4").real_extension == "mp4"


def test_pictures_and_sound_are_told_apart(broken):
    folder, _ = broken
    streams = {
        name: (info.has_video, info.has_audio, info.is_still)
        for name in ("good.mp4", "no_audio.mp4", "no_video.m4a", "cover.mp3", "one_frame.mp4", "photo.jpg")
        for info in [probe(folder / name)]
    }
    assert streams == {
        "good.mp4": (True, True, False),
        "no_audio.mp4": (True, False, False),
        "no_video.m4a": (False, True, False),
        "cover.mp3": (False, True, False),
        "one_frame.mp4": (False, False, True),
        "photo.jpg": (False, False, True),
    }


def test_size_is_told_as_it_is_displayed(broken):
    folder, _ = broken
    size = {
        name: (i.width, i.height)
        for name in broken[1]
        if name.split(".")[0] in _SIZED
        for i in [probe(folder / name)]
    }
    assert size == {"rotated.mp4": (240, 320), "wide_pixels.mp4": (640, 240), "odd_size.mkv": (321, 243)}


_SIZED = {"rotated", "wide_pixels", "odd_size"}


def test_a_variable_frame_rate_is_seen_and_a_constant_one_is_not_called_so(broken, film):
    folder, _ = broken
    assert probe(folder / "variable_rate.mp4").is_vfr
    assert not probe(folder / "good.mp4").is_vfr
    ntsc = probe(film("ntsc.mkv", 30000 / 1001, (2.0,), "-c:v", "libx264", "-pix_fmt", "yuv420p"))
    assert not ntsc.is_vfr, "Matroska rounds 33.37 ms to 33 or 34: that is its clock"
    assert ntsc.fps == pytest.approx(29.97, abs=0.02)


def test_frame_rate_of_few_times():
    assert frame_rate([0.0]) == (None, False)
    assert frame_rate([0.0, 0.04, 0.08]) == (25.0, False)
    one_dropped = [n / 25 for n in range(300) if n != 150]
    assert frame_rate(one_dropped)[1] is False
    assert frame_rate([0.0, 0.04, 0.08, 0.5, 0.54, 1.2])[1] is True


@pytest.mark.parametrize(("orientation", "clockwise_deg"), [(1, 0), (3, 180), (6, 90), (8, 270)])
def test_a_photograph_is_turned_as_its_camera_was_held(tmp_path, portrait, orientation, clockwise_deg):
    from PIL import Image, ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    Image.fromarray(portrait[:200, :300]).save(path, quality=95, exif=exif)
    info = probe(path)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert info.rotation_deg == clockwise_deg
    assert (info.height, info.width) == shown.shape[:2]
    assert np.abs(read_frames(path)[0].astype(int) - shown).mean() < 5


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_film_is_displayed_as_ffmpeg_displays_it(broken, tmp_path, turn):
    path = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", str(turn), "-i", str(broken[0] / "good.mp4"), "-c", "copy", str(path))
    info = probe(path)
    raw = tmp_path / "first.rgb"
    ffmpeg("-i", str(path), "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", str(raw))
    shown = np.frombuffer(raw.read_bytes(), np.uint8).reshape(info.height, info.width, 3)
    read = read_frames(path, last=0)[0]
    assert read.shape == shown.shape
    # A wrong turn differs by over 60 levels; conversion to RGB differs by a few.
    assert np.abs(read.astype(int) - shown).mean() < 5
    assert info.rotation_deg == -turn % 360


def test_limits_are_kept(broken):
    good = broken[0] / "good.mp4"
    assert reason_for(good, ProbeLimits(max_bytes=1000)) == "too_large"
    assert reason_for(good, ProbeLimits(max_duration_s=3.0)) == "too_long"
    assert reason_for(good, ProbeLimits(max_pixels=320 * 239)) == "too_many_pixels"
    assert reason_for(good, ProbeLimits(max_packets=50)) == "too_long"


def test_a_picture_that_states_a_huge_size_is_refused_before_it_takes_memory(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    bomb = tmp_path / "bomb.png"
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(90_001)))
    )
    before = _peak_kib()
    with pytest.raises(Rejected) as no:
        probe(bomb)
    assert no.value.reason in ("too_many_pixels", "decode_failed")
    assert _peak_kib() - before < 500_000, "2.7 GB of pixels must not be unpacked"


def _peak_kib() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_file_without_read_permission_is_unreadable(broken):
    """Root may read anything, so a process that has dropped its rights looks at the file."""
    path = broken[0] / "no_permission.mp4"
    if os.geteuid() != 0:
        assert reason_for(path) == "unreadable"
        return
    code = (
        "import os, sys; sys.path[:0] = [p for p in sys.argv[2].split(os.pathsep) if p]\n"
        "from pathlib import Path\n"
        "from haetae.errors import Rejected\n"
        "from haetae.media.probe import probe\n"
        "path = Path(sys.argv[1])\n"
        "os.chdir(path.parent)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: probe(Path(path.name))\n"
        "except Rejected as no: print(no.reason, no.detail)\n"
    )
    for parent in [path.parent, *path.parent.parents][:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), os.pathsep.join(sys.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("unreadable no_permission.mp4: Permission denied"), done.stderr


def test_a_folder_and_a_pipe_are_unreadable(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    assert reason_for(tmp_path / "folder.mp4") == "unreadable"
    assert reason_for(tmp_path / "pipe.mp4") == "unreadable"


def test_a_playlist_is_not_opened_and_nothing_it_names_is_asked_for(tmp_path):
    asked: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/a.ts"
    try:
        for name in ("list.m3u8", "list.mp4"):
            playlist = tmp_path / name
            playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{address}\n#EXT-X-ENDLIST\n")
            assert reason_for(playlist) == "not_media"
    finally:
        server.shutdown()
    assert asked == []


def test_a_live_wav_with_an_unknown_length_is_fine(tmp_path):
    path = tmp_path / "piped.wav"
    make(path, sound(2.0))
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.01)


def test_a_wav_that_lost_its_end_is_truncated(tmp_path):
    path = tmp_path / "cut.wav"
    make(path, sound(6.0))
    path.write_bytes(path.read_bytes()[:300_000])
    assert reason_for(path) == "truncated"


def jpeg(tmp_path):
    """A JPEG with a thumbnail before its picture and something of the camera's after it."""
    picture = np.random.default_rng(2).integers(0, 255, (240, 320, 3), np.uint8)
    whole = cv2.imencode(".jpg", picture)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", picture[:16, :16])[1].tobytes()
    about = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    return tmp_path / "a.jpg", whole[:2] + about + whole[2:], b"and more"


def test_a_jpeg_with_a_thumbnail_and_a_trailer_is_whole(tmp_path):
    path, whole, trailer = jpeg(tmp_path)
    path.write_bytes(whole + trailer)
    assert (probe(path).width, probe(path).is_still) == (320, True)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.99])
def test_a_jpeg_that_lost_its_end_is_truncated(tmp_path, share):
    path, whole, _ = jpeg(tmp_path)
    path.write_bytes(whole[: int(share * len(whole))])
    assert reason_for(path) == "truncated"


def test_a_jpeg_of_fill_bytes_alone_is_no_endless_search(tmp_path):
    path = tmp_path / "fill.jpg"
    path.write_bytes(b"\xff\xd8" + b"\xff" * 4_000_000)
    began = time.monotonic()
    assert reason_for(path) in ("not_media", "decode_failed")
    assert time.monotonic() - began < 2.0


def test_random_bytes_are_no_media(tmp_path):
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(1).bytes(20_000))
    assert reason_for(path) in ("not_media", "decode_failed")


def test_a_gif_that_moves_is_video(tmp_path):
    make(tmp_path / "moves.gif", picture("64x64", 2, rate=10))
    info = probe(tmp_path / "moves.gif")
    assert (info.has_video, info.n_frames, info.real_extension) == (True, 20, "gif")


def test_the_development_media_are_all_readable(dev_media):
    folders = [dev_media / kind for kind in ("audio", "image", "video")]
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    infos = {path: probe(path) for path in files}
    assert all(info.has_audio and not info.has_video for p, info in infos.items() if p.parent.name == "audio")
    assert all(info.is_still for p, info in infos.items() if p.parent.name == "image")
    assert all(info.has_video for p, info in infos.items() if p.parent.name == "video")
