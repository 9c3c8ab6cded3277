"""Starting ffmpeg: which binary, what it may reach, and what its failures become."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import ffmpeg
import pytest

from haetae.errors import Rejected, UsageError
from haetae.media.ffmpeg import command, exe, local, run


@pytest.fixture
def fresh_exe() -> Iterator[None]:
    exe.cache_clear()
    yield
    exe.cache_clear()


def test_a_wrong_haetae_ffmpeg_is_told_with_its_mending(monkeypatch, fresh_exe):
    monkeypatch.setenv("HAETAE_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(UsageError, match=r"HAETAE_FFMPEG=/nowhere/ffmpeg.*correct it or unset it"):
        exe()


def test_a_given_haetae_ffmpeg_is_taken(monkeypatch, fresh_exe, tmp_path):
    mine = tmp_path / "my-ffmpeg"
    mine.write_text("#!/bin/sh\n")
    mine.chmod(0o755)
    monkeypatch.setenv("HAETAE_FFMPEG", str(mine))
    assert exe() == str(mine)


def test_every_input_is_kept_from_the_network():
    both = [ffmpeg.input("file:/a.mp4").video, ffmpeg.input("file:/b.wav").audio]
    args = command(ffmpeg.output(*both, "file:/c.mp4"))
    inputs = [i for i, argument in enumerate(args) if argument == "-i"]
    assert len(inputs) == 2
    assert all(args[i - 2 : i] == ["-protocol_whitelist", "file,pipe,fd"] for i in inputs)


def test_a_file_name_is_never_read_as_an_option_or_an_address():
    assert local(Path("-i http://x")).startswith("file:/")


def test_a_failure_is_rejected_with_what_ffmpeg_said(tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(500))
    job = ffmpeg.output(ffmpeg.input(local(bad)), local(tmp_path / "out.mp4"))
    with pytest.raises(Rejected) as no:
        run(job, timeout_s=20)
    assert no.value.reason == "decode_failed"
    assert "moov atom not found" in no.value.detail


def test_a_job_that_takes_too_long_is_ended(tmp_path):
    forever = ffmpeg.input("testsrc2=s=64x64", format="lavfi", re=None)
    started = time.monotonic()
    with pytest.raises(Rejected) as no:
        run(ffmpeg.output(forever, "pipe:1", format="null"), timeout_s=1)
    assert no.value.reason == "timeout"
    assert time.monotonic() - started < 5


def test_a_job_that_stops_reading_its_pipe_is_ended_too(tmp_path):
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 20)

    slow = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="rgb24", s="64x64", framerate=1, re=None)
    with pytest.raises(Rejected, match="timeout"):
        run(ffmpeg.output(slow, "pipe:1", format="null"), timeout_s=1, stdin=endless())


def test_a_job_that_wants_more_memory_than_allowed_fails_alone():
    huge = ffmpeg.input("color=s=16384x16384:d=1", format="lavfi")
    with pytest.raises(Rejected):
        run(ffmpeg.output(huge, "pipe:1", format="null"), timeout_s=20, memory_bytes=200 << 20)


def test_a_job_that_writes_too_much_is_ended(tmp_path):
    noise = ffmpeg.input("testsrc2=s=640x480:r=25:d=20", format="lavfi")
    job = ffmpeg.output(noise, local(tmp_path / "big.avi"), vcodec="rawvideo")
    with pytest.raises(Rejected, match="too_large"):
        run(job, timeout_s=20, output_bytes=1 << 20)
    assert (tmp_path / "big.avi").stat().st_size <= 1 << 20


def test_an_error_in_the_frames_passes_through_and_leaves_no_process(tmp_path):
    def broken() -> Iterator[bytes]:
        yield bytes(64 * 64 * 3)
        raise ZeroDivisionError

    pipe = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="rgb24", s="64x64", framerate=25)
    with pytest.raises(ZeroDivisionError):
        run(ffmpeg.output(pipe, "pipe:1", format="null"), timeout_s=20, stdin=broken())
