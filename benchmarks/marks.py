"""Watermarks: what they outlast, how far they change what they mark, what they cost, and false reads.

`HAETAE_DEV_MEDIA=FOLDER python -m benchmarks marks` takes real clips (folders `video` and `audio`); without it,
pictures that are zoomed and turned, with noise, and synthetic voices. $HAETAE_BENCH_SECONDS: length of each clip
(2); $HAETAE_BENCH_PIECES: how many of each real film, one after the other (1).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.errors import Rejected
from haetae.marks import audio, payload, video
from haetae.media.audio import read_audio
from haetae.media.encode import write_video, write_wav
from haetae.media.ffmpeg import exe
from haetae.media.frames import iter_frames, read_frames
from haetae.provenance.ids import content_id

SMALLER = "scale=trunc(iw*0.75/2)*2:trunc(ih*0.75/2)*2"
CROP = "crop=trunc(iw*0.95/2)*2:trunc(ih*0.96/2)*2:trunc(iw*0.02):trunc(ih*0.03)"
SHORTER_PX = (240, 360)
UNMARKED = 1000
Clip = NDArray[np.uint8]
Sound = NDArray[np.float32]
VIDEO = {
    "as exported (CRF 18)": (),
    "CRF 28, scaled to 0.75": ("-vf", SMALLER, "-crf", "28"),
    "CRF 34, scaled to 0.75": ("-vf", SMALLER, "-crf", "34"),
    "cropped by 5 %, CRF 23": ("-vf", CROP, "-crf", "23"),
}
AUDIO = {
    "as exported (16 bit)": ("wav", "-c:a", "pcm_s16le"),
    "AAC 96 kbit/s": ("m4a", "-c:a", "aac", "-b:a", "96k"),
    "AAC 64 kbit/s": ("m4a", "-c:a", "aac", "-b:a", "64k"),
    "MP3 64 kbit/s": ("mp3", "-c:a", "libmp3lame", "-b:a", "64k"),
    "44.1 kHz, MP3 64 kbit/s": ("mp3", "-ar", "44100", "-c:a", "libmp3lame", "-b:a", "64k"),
    "44.1 kHz and back": ("wav", "-ar", "44100"),
    "9 dB softer": ("wav", "-af", "volume=-9dB"),
    "first 0.4 s cut off": ("wav", "-ss", "0.4003"),
}


def main() -> None:
    cv2.setNumThreads(1)
    seconds = float(os.environ.get("HAETAE_BENCH_SECONDS", "2"))
    with tempfile.TemporaryDirectory() as scratch:
        clips, sounds = list(_clips(seconds)), list(_sounds(seconds))
        print(f"{len(clips)} clips and {len(sounds)} sounds of at most {seconds:g} s")
        for side in SHORTER_PX:
            _pictures(Path(scratch), clips, side)
        _speech(Path(scratch), sounds)
        _unmarked(clips, sounds)


def _pictures(scratch: Path, clips: list[Clip], side: int) -> None:
    psnr: list[float] = []
    spent = {"mark": 0.0, **dict.fromkeys(VIDEO, 0.0)}
    right, wrong = dict.fromkeys(VIDEO, 0), dict.fromkeys(VIDEO, 0)
    n_frames = 0
    for k, clip in enumerate(clips):
        frames = _scaled(clip, side)
        n_frames += len(frames)
        mark = payload.mark_of(content_id("fake", "video", k, side))
        began = time.process_time()
        marked = list(video.mark_frames(iter(frames), mark))
        spent["mark"] += time.process_time() - began
        psnr.append(min(video.psnr_db(a, b) for a, b in zip(frames, marked, strict=True)))
        write_video(scratch / "m.mp4", iter(marked), None)
        for harm, options in VIDEO.items():
            changed = scratch / "m.mp4"
            if options:
                changed = _recoded(scratch / "m.mp4", scratch / "c.mp4", "-c:v", "libx264", *options)
            began = time.process_time()
            read = video.read_frames_mark(iter_frames(changed))
            spent[harm] += time.process_time() - began
            right[harm] += read is not None and read.mark == mark
            wrong[harm] += read is not None and read.mark != mark
    print(f"pictures, shorter side {side} px: {len(clips)} clips, {n_frames} frames")
    least, middle = min(psnr), statistics.median(psnr)
    print(
        f"  PSNR of the worst frame of a clip: at least {least:.1f} dB, median {middle:.1f}; "
        f"{1000 * spent['mark'] / n_frames:.1f} ms a frame to mark"
    )
    print(f"  {'attack':30}{'read':>10}{'wrong':>7}{'ms a frame':>12}")
    for harm in VIDEO:
        share, ms = f"{right[harm]}/{len(clips)}", 1000 * spent[harm] / n_frames
        print(f"  {harm:30}{share:>10}{wrong[harm]:7}{ms:12.1f}", flush=True)


def _speech(scratch: Path, sounds: list[Sound]) -> None:
    snr: list[float] = []
    right, wrong = dict.fromkeys(AUDIO, 0), dict.fromkeys(AUDIO, 0)
    spent = {"mark": 0.0, **dict.fromkeys(AUDIO, 0.0)}
    for k, sound in enumerate(sounds):
        mark = payload.mark_of(content_id("fake", "audio", k))
        began = time.process_time()
        marked = audio.mark_audio(sound, mark)
        spent["mark"] += time.process_time() - began
        snr.append(audio.snr_db(sound, marked))
        write_wav(scratch / "m.wav", marked)
        for harm, (ending, *options) in AUDIO.items():
            heard = read_audio(_recoded(scratch / "m.wav", scratch / f"c.{ending}", *options))
            began = time.process_time()
            read = audio.read_audio_mark(heard)
            spent[harm] += time.process_time() - began
            right[harm] += read is not None and read.mark == mark
            wrong[harm] += read is not None and read.mark != mark
    n = len(sounds)
    seconds = sum(len(sound) for sound in sounds) / audio.RATE_HZ
    print(
        f"sound: {n} pieces, {seconds:.0f} s; SNR at least {min(snr):.1f} dB, median {statistics.median(snr):.1f}"
    )
    print(f"  {1000 * spent['mark'] / seconds:.1f} ms a second to mark")
    print(f"  {'attack':30}{'read':>10}{'wrong':>7}{'ms a second':>12}")
    for harm in AUDIO:
        share, ms = f"{right[harm]}/{n}", 1000 * spent[harm] / seconds
        print(f"  {harm:30}{share:>10}{wrong[harm]:7}{ms:12.1f}", flush=True)


def _unmarked(clips: list[Clip], sounds: list[Sound]) -> None:
    """Different pieces, each read once: half pictures, half sound."""
    rng = np.random.default_rng(0)
    false = 0
    for k in range(UNMARKED // 2):
        clip = clips[k % len(clips)]
        high, wide = clip.shape[1:3]
        side = int(min(high, wide) * rng.uniform(0.4, 0.9))
        top, left = rng.integers(0, high - side), rng.integers(0, wide - side)
        first = int(rng.integers(0, max(1, len(clip) - 4)))
        false += (
            video.read_frames_mark(clip[first : first + 4, top : top + side, left : left + side]) is not None
        )
    for k in range(UNMARKED - UNMARKED // 2):
        sound = sounds[k % len(sounds)]
        n = round(audio.RATE_HZ * rng.uniform(1.0, 1.3))
        start = int(rng.integers(0, max(1, len(sound) - n)))
        piece = sound[start : start + n] * np.float32(rng.uniform(0.3, 1.0))
        false += audio.read_audio_mark(piece) is not None
    bounds = [payload.false_read_bound(n) for n in (video.ATTEMPTS, audio.POSITIONS_TRIED)]
    print(
        f"unmarked: {false} false reads in {UNMARKED} pieces; the code lets at most {sum(bounds):.1e} of files through"
    )


def _recoded(source: Path, changed: Path, *options: str) -> Path:
    command = [exe(), "-nostdin", "-v", "error", "-y", "-i", str(source), *options, str(changed)]
    subprocess.run(command, check=True)
    return changed


def _scaled(clip: Clip, shorter: int) -> Clip:
    high, wide = clip.shape[1:3]
    k = shorter / min(high, wide)
    size = (round(wide * k / 2) * 2, round(high * k / 2) * 2)
    how = cv2.INTER_AREA if k < 1 else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, size, interpolation=how) for frame in clip])


def _clips(seconds: float) -> Iterator[Clip]:
    given = os.environ.get("HAETAE_DEV_MEDIA")
    n, pieces = round(25 * seconds), int(os.environ.get("HAETAE_BENCH_PIECES", "1"))
    if given:
        for path in sorted((Path(given) / "video").glob("*.mp4")):
            for piece in range(pieces):
                try:
                    frames = read_frames(path, first=piece * n, last=(piece + 1) * n - 1)
                except Rejected as error:
                    if not piece:
                        print(f"  {path.name} left out: {error}")
                    break
                if len(frames) < n // 2:
                    break
                yield _scaled(frames, max(SHORTER_PX))
        return
    from skimage.data import astronaut, cat, coffee

    for k, picture in enumerate((astronaut(), coffee(), cat())):
        yield np.stack([_panned(picture, t, k) for t in range(n)])


def _panned(picture: Clip, t: int, k: int) -> Clip:
    high, wide = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), np.sin(t / 9 + k), 1.1 + 0.04 * np.sin(t / 15 + k))
    moved = cv2.warpAffine(picture, matrix, (wide, high), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    noisy = moved + np.random.default_rng(t).normal(0, 1, moved.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _sounds(seconds: float) -> Iterator[Sound]:
    given = os.environ.get("HAETAE_DEV_MEDIA")
    n = round(seconds * audio.RATE_HZ)
    if given:
        for path in sorted((Path(given) / "audio").glob("*.wav")):
            sound = read_audio(path)[:n]
            if len(sound) >= 2.0 * audio.RATE_HZ and not path.name.startswith("nonspeech"):
                yield sound
        return
    from haetae.voice.espeak import speak

    for k, (text, language) in enumerate(
        (("Selamat pagi semua, apa khabar hari ini.", "ms"), ("வணக்கம் நண்பர்களே.", "ta"))
    ):
        said = speak(text, language, rate_wpm=150, variant="f2").audio
        noise = np.random.default_rng(k).normal(0, 0.001, n)
        yield np.clip(0.6 * np.resize(said, n) + noise, -1, 1).astype(np.float32)


if __name__ == "__main__":
    main()
