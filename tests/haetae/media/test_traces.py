"""Traces of coding are found where they were made: cut spectra and grids of blocks."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.media.encode import write_wav
from haetae.media.ffmpeg import exe
from haetae.media.stretch import read_pictures, read_sound
from haetae.media.traces import Spectrum, find_bandwidth, find_blocks

RATE_HZ = 44_100
Convert = Callable[..., Path]


@pytest.fixture(scope="module")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """Run a file through ffmpeg with the options given; returns the new file."""
    folder = tmp_path_factory.mktemp("converted")
    count = itertools.count()

    def run(source: Path, *options: str, ext: str) -> Path:
        made = folder / f"{next(count)}.{ext}"
        command = [exe(), "-nostdin", "-loglevel", "error", "-i", str(source), *options, str(made)]
        subprocess.run(command, check=True)
        return made

    return run


@pytest.fixture(scope="module")
def hiss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of noise that falls as speech does, up to 22 kHz."""
    n = 3 * RATE_HZ
    drawn = np.fft.rfft(np.random.default_rng(0).standard_normal(n))
    falling = np.fft.irfft(drawn / np.sqrt(np.maximum(1.0, np.arange(len(drawn)))), n)
    path = tmp_path_factory.mktemp("hiss") / "hiss.wav"
    write_wav(path, (0.5 * falling / np.abs(falling).max()).astype(np.float32), RATE_HZ)
    return path


def spectrum_of(path: Path) -> Spectrum:
    sound = read_sound(path, 0.0, 3.0)
    assert sound is not None
    spectrum = find_bandwidth(sound.samples, sound.rate_hz)
    assert spectrum is not None
    return spectrum


def test_sound_that_was_never_cut_reaches_half_its_sampling_rate(hiss: Path) -> None:
    assert spectrum_of(hiss) == Spectrum(RATE_HZ / 2, False)


@pytest.mark.parametrize(
    ("codec", "ext", "hz"),
    [
        (("-c:a", "libmp3lame", "-b:a", "64k"), "mp3", 16_500),
        (("-c:a", "libopus", "-b:a", "8k"), "opus", 4_500),
        (("-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1", "-b:a", "12.2k"), "amr", 3_900),
        (("-c:a", "pcm_mulaw", "-ar", "8000"), "wav", 3_950),
        (("-ar", "16000"), "wav", 8_400),
    ],
    ids=["mp3", "opus", "amr", "telephone", "16 kHz"],
)
def test_an_earlier_codec_is_seen_in_a_plain_file_and_behind_another_codec(
    hiss: Path, convert: Convert, codec: tuple[str, ...], ext: str, hz: float
) -> None:
    coded = convert(hiss, *codec, ext=ext)
    for options, ext_after in ((("-ar", "44100"), "wav"), (("-ar", "44100", "-b:a", "128k"), "m4a")):
        spectrum = spectrum_of(convert(coded, *options, ext=ext_after))
        assert spectrum.is_cut
        assert spectrum.bandwidth_hz == pytest.approx(hz, rel=0.08)


def test_a_click_does_not_fill_a_spectrum_and_silence_has_none() -> None:
    times = np.arange(3 * RATE_HZ) / RATE_HZ
    hum = np.sum([np.sin(2 * np.pi * hz * times) / 20 for hz in range(200, 3000, 100)], axis=0)
    hum[RATE_HZ] = 1.0
    spectrum = find_bandwidth(hum[None].astype(np.float32), RATE_HZ)
    assert spectrum is not None and spectrum.bandwidth_hz == pytest.approx(2900, abs=100)
    assert find_bandwidth(np.zeros((1, 9000), np.float32), RATE_HZ) is None
    assert find_bandwidth(np.ones((1, 100), np.float32), RATE_HZ) is None


def test_real_recordings_are_not_taken_for_cut_ones(dev_media: Path) -> None:
    # Recorded and spread at these rates; the other files have been through a codec or a converter.
    for name in ("ko_real_kih00001", "ko_real_nea00001", "ms_real_khalil", "ms_real_aisyah", "other_zh_509"):
        path = dev_media / "audio" / f"{name}.wav"
        if path.is_file():
            assert not spectrum_of(path).is_cut, name


def jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The picture as JPEG gives it back."""
    done, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


@pytest.fixture(scope="module")
def scene(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The portrait in grey, scaled up so that no grid of its own file is left."""
    return np.asarray(cv2.resize(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY), (720, 720)), dtype=np.uint8)


def test_blocks_grow_as_quality_falls(scene: NDArray[np.uint8]) -> None:
    found = [find_blocks([jpeg(scene, quality)]) for quality in (95, 60, 30, 10)]
    strengths = [blocks.blockiness for blocks in found if blocks]
    plain = find_blocks([scene])
    assert plain is not None
    assert plain.blockiness == pytest.approx(1.0, abs=0.1)
    assert plain.strength < 1.2
    assert strengths == sorted(strengths)
    assert strengths[2] > 2.0


@pytest.mark.parametrize(("left", "top"), [(3, 5), (1, 2), (0, 6), (7, 0)])
def test_the_corner_of_a_cropped_grid_is_found(scene: NDArray[np.uint8], left: int, top: int) -> None:
    blocks = find_blocks([jpeg(scene, 50)[top:, left:]])
    assert blocks is not None
    assert blocks.corner == (-left % 8, -top % 8)
    assert blocks.strength > 1.5 > 1.1 > blocks.blockiness or 0 in (left, top)


def test_straight_lines_of_a_scene_are_no_grid(scene: NDArray[np.uint8]) -> None:
    striped = scene.copy()
    striped[:, 3::240] = 255
    striped[5::240] = 0
    blocks = find_blocks([striped])
    assert blocks is not None and blocks.strength < 1.3


def test_flat_and_tiny_pictures_have_no_blocks() -> None:
    assert find_blocks([np.full((200, 200), 90, np.uint8)]) is None
    assert find_blocks([np.random.default_rng(0).integers(0, 255, (40, 200), dtype=np.uint8)]) is None
    assert find_blocks([]) is None


def test_a_cropped_grid_survives_another_video_codec(
    scene: NDArray[np.uint8], convert: Convert, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "scene.png"), scene)
    moving = ("-frames:v", "30", "-vf", "loop=-1:1,zoompan=z=1:x=on*3:y=on:s=640x480:d=1", "-r", "25")
    first = convert(tmp_path / "scene.png", *moving, "-c:v", "mjpeg", "-q:v", "14", ext="avi")
    second = convert(first, "-vf", "crop=600:440:2:4", "-c:v", "libx264", "-crf", "20", ext="mp4")
    pictures = read_pictures(second, 0.0, 1.0)
    assert pictures is not None
    blocks = find_blocks(pictures.lumas)
    assert blocks is not None
    assert blocks.corner == (6, 4)
    assert blocks.strength > 1.9


def test_bits_are_counted_over_the_stretch_alone(convert: Convert, tmp_path: Path, hiss: Path) -> None:
    """A second of noise costs far more than a second of grey, whatever the whole file costs."""
    source = "color=gray:s=160x120:r=25:d=1[a];nullsrc=s=160x120:r=25:d=1,geq=random(1)*255:128:128[b]"
    graph = f"{source};[a][b]concat=n=2:v=1,format=yuv420p"
    options = ("-filter_complex", graph + "[v]", "-map", "[v]", "-c:v", "libx264", "-g", "25")
    film = convert(hiss, *options, ext="mp4")
    quiet, busy = read_pictures(film, 0.0, 1.0), read_pictures(film, 1.0, 2.0)
    assert quiet is not None and busy is not None
    assert quiet.n_pictures == busy.n_pictures == 25
    assert (quiet.width, quiet.height) == (160, 120)
    assert quiet.bits_per_pixel is not None and busy.bits_per_pixel is not None
    assert busy.bits_per_pixel > 20 * quiet.bits_per_pixel
    whole = read_pictures(film, 0.0, 2.0)
    assert whole is not None and whole.bits == quiet.bits + busy.bits
    assert whole.bits / 8 == pytest.approx(film.stat().st_size, rel=0.05)


def test_a_stretch_of_sound_is_read_where_it_is(convert: Convert, tmp_path: Path) -> None:
    """Half a second of tone at 6 s, in containers with and without an index, in two channels."""
    audio = np.zeros(10 * RATE_HZ, np.float32)
    audio[6 * RATE_HZ : 6 * RATE_HZ + RATE_HZ // 2] = 0.5 * np.sin(np.arange(RATE_HZ // 2) / 5)
    write_wav(tmp_path / "tone.wav", audio, RATE_HZ)
    for ext in ("wav", "mp3", "m4a", "ogg", "ts", "mkv"):
        path = convert(tmp_path / "tone.wav", "-ac", "2", ext=ext)
        sound = read_sound(path, 5.5, 7.5)
        assert sound is not None
        assert sound.rate_hz == (48_000 if ext == "opus" else RATE_HZ)
        assert sound.samples.shape[0] == 2
        assert sound.samples.shape[1] / sound.rate_hz == pytest.approx(2.0, abs=0.06), ext
        heard = np.flatnonzero(np.abs(sound.samples[0]) > 0.1) / sound.rate_hz
        assert (heard[0], heard[-1]) == pytest.approx((0.5, 1.0), abs=0.06), ext


def test_what_has_no_such_stream_is_refused(hiss: Path, tmp_path: Path, scene: NDArray[np.uint8]) -> None:
    with pytest.raises(Rejected, match="no_video"):
        read_pictures(hiss, 0.0, 1.0)
    cv2.imwrite(str(tmp_path / "scene.png"), scene)
    with pytest.raises(Rejected, match="no_audio"):
        read_sound(tmp_path / "scene.png", 0.0, 1.0)
    (tmp_path / "no.mp4").write_bytes(b"not a film at all" * 50)
    with pytest.raises(Rejected, match="decode_failed"):
        read_sound(tmp_path / "no.mp4", 0.0, 1.0)
    assert read_sound(hiss, 50.0, 60.0) is None
