"""Broken and odd media files as they come in from outside, each with what must become of it.

Made with ffmpeg on the spot; good files are in the tests that use them.
"""

from __future__ import annotations

import os
import subprocess
import wave
from pathlib import Path

from haetae.media.ffmpeg import exe

HANDLED = "handled"


def write_broken_files(folder: Path, seconds: float = 4.0) -> dict[str, str]:
    """Write one file of each kind into a folder; returns file name -> outcome.

    An outcome is `handled` (clips come out of it) or `quarantine:<reason>`. `no_permission.mp4` has mode
    000, which does not bind root; `gone.mp4` is a link to nothing, which nobody can read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    good = folder / "good.mp4"
    make(good, picture("320x240", seconds), sound(seconds))
    outcome = {"good.mp4": HANDLED}
    outcome |= _not_media(folder, good)
    outcome |= _too_little(folder)
    outcome |= _odd_but_fine(folder, seconds)
    return outcome


def _not_media(folder: Path, good: Path) -> dict[str, str]:
    whole = good.read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "page.mp4").write_text("<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n")
    (folder / "notes.mp4").write_text("This is a note that somebody named like a film.\n" * 40)
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:4,\nhttp://192.0.2.1/a.ts\n#EXT-X-ENDLIST\n")
    (folder / "concat.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (folder / "no_index.mp4").write_bytes(whole[: len(whole) // 2])
    fast = folder / "fast.tmp"
    make(fast, picture("320x240", 6), sound(6), "-movflags", "+faststart", "-f", "mp4")
    (folder / "cut_short.mp4").write_bytes(fast.read_bytes()[: int(fast.stat().st_size * 0.6)])
    fast.unlink()
    make(folder / "whole.mkv", picture("320x240", 6), sound(6))
    whole = (folder / "whole.mkv").read_bytes()
    (folder / "cut_short.mkv").write_bytes(whole[: int(len(whole) * 0.5)])
    (folder / "whole.mkv").unlink()
    make(folder / "zeros_at_end.mp4", picture("320x240", 6), sound(6), "-g", "25", "-movflags", "+faststart")
    with (folder / "zeros_at_end.mp4").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(int(size * 0.6))
        file.write(bytes(size - int(size * 0.6)))
    make(folder / "no_permission.mp4", picture("160x120", 1), sound(1))
    (folder / "no_permission.mp4").chmod(0)
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    return {
        "empty.mp4": "quarantine:empty_file",
        "page.mp4": "quarantine:not_media",
        "notes.mp4": "quarantine:not_media",
        "playlist.mp4": "quarantine:not_media",
        "concat.mp4": "quarantine:not_media",
        "no_index.mp4": "quarantine:truncated",
        "cut_short.mp4": "quarantine:truncated",
        "cut_short.mkv": "quarantine:truncated",
        "zeros_at_end.mp4": "quarantine:truncated",
        "no_permission.mp4": HANDLED if may_read_anything() else "quarantine:unreadable",
        "gone.mp4": "quarantine:unreadable",
    }


def _too_little(folder: Path) -> dict[str, str]:
    make(folder / "one_frame.mp4", picture("320x240", 1), "-frames:v", "1")
    make(folder / "blink.mp4", picture("320x240", 0.4), sound(0.4))
    make(folder / "photo.jpg", picture("320x240", 1), "-frames:v", "1")
    make(folder / "photo.mp4", picture("320x240", 1), "-frames:v", "1", "-f", "image2", "-c:v", "png")
    with wave.open(str(folder / "no_samples.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    _zero_seconds(folder / "zero_seconds.mp4")
    _only_subtitles(folder / "only_subtitles.mp4")
    return {
        "one_frame.mp4": HANDLED,
        "blink.mp4": "quarantine:too_short",
        "photo.jpg": HANDLED,
        "photo.mp4": HANDLED,
        "no_samples.wav": "quarantine:zero_duration",
        "zero_seconds.mp4": "quarantine:zero_duration",
        "only_subtitles.mp4": "quarantine:no_streams",
    }


def _odd_but_fine(folder: Path, seconds: float) -> dict[str, str]:
    small, tone = picture("320x240", seconds), sound(seconds)
    make(folder / "no_audio.mp4", small)
    make(folder / "no_video.m4a", tone)
    make(folder / "no_video.mp4", tone)
    make(folder / "speech.mp3", tone)
    _with_cover(folder / "cover.mp3", seconds)
    make(folder / "odd_size.mkv", small, tone, "-vf", "scale=321:243,format=yuv444p")
    make(folder / "upright.tmp", picture("320x240", seconds), tone, "-f", "mp4")
    rotate = ["-display_rotation", "90", "-i", str(folder / "upright.tmp"), "-c", "copy"]
    ffmpeg(*rotate, str(folder / "rotated.mp4"))
    (folder / "upright.tmp").unlink()
    make(folder / "wide_pixels.mp4", picture("320x240", seconds), tone, "-vf", "setsar=2")
    drop = "select='if(lt(t,2),1,not(mod(n,4)))'"
    make(folder / "variable_rate.mp4", small, tone, "-vf", drop, "-fps_mode", "vfr")
    make(folder / "wrong_extension.avi", small, tone, "-f", "matroska")
    make(folder / "vertical.mp4", picture("240x426", seconds), tone)
    make(folder / "%03d.mp4", small, sound(seconds, hz=500), name_as_it_is=True)
    names = (
        "no_audio.mp4", "no_video.m4a", "no_video.mp4", "speech.mp3", "cover.mp3", "odd_size.mkv",
        "rotated.mp4", "wide_pixels.mp4", "variable_rate.mp4", "wrong_extension.avi", "vertical.mp4",
        "%03d.mp4",
    )  # fmt: skip
    return dict.fromkeys(names, HANDLED)


def _zero_seconds(path: Path) -> None:
    """A film whose index is there and lists no picture: the head of one that is written in fragments."""
    make(path, picture("320x240", 1), sound(1), "-movflags", "empty_moov+frag_keyframe")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"moof") - 4])


def _only_subtitles(path: Path) -> None:
    text = path.with_suffix(".tmp")
    text.write_text("1\n00:00:00,000 --> 00:00:02,000\nlah\n")
    ffmpeg("-f", "srt", "-i", str(text), "-c:s", "mov_text", str(path))
    text.unlink()


def _with_cover(path: Path, seconds: float) -> None:
    """Sound with a picture of its cover, which is no film."""
    cover = path.with_suffix(".png")
    make(cover, picture("320x320", 1), "-frames:v", "1")
    both = [*sound(seconds), "-i", str(cover), "-map", "0:a", "-map", "1:v", "-c:v", "copy"]
    ffmpeg(*both, "-disposition:v", "attached_pic", "-id3v2_version", "3", str(path))
    cover.unlink()


def picture(size: str, seconds: float, rate: float = 25) -> list[str]:
    """ffmpeg input of a moving test picture without cuts."""
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]


def sound(seconds: float, hz: int = 300) -> list[str]:
    """ffmpeg input of a tone."""
    return ["-f", "lavfi", "-i", f"sine={hz}:r=44100:d={seconds}"]


def make(path: Path, *parts: list[str] | str, name_as_it_is: bool = False) -> None:
    """Write a file from inputs (lists) and output options (strings)."""
    inputs = [word for part in parts if isinstance(part, list) for word in part]
    options = [part for part in parts if isinstance(part, str)]
    ffmpeg(*inputs, *options, f"file:{path}" if name_as_it_is else str(path))


def ffmpeg(*args: str) -> None:
    """Run ffmpeg and fail loudly: a builder that writes no file would make tests pass for nothing."""
    subprocess.run([exe(), "-nostdin", "-v", "error", "-y", *args], check=True, timeout=120)


def may_read_anything() -> bool:
    """Whether file modes do not bind this process."""
    return os.geteuid() == 0
