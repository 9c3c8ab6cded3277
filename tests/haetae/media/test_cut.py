"""Cutting: the right frames, in step with the sound, normalised, with ids and bytes that do not change."""

from __future__ import annotations

import hashlib

import av
import numpy as np
import pytest
from PIL import Image

from haetae.engine import InlineEngine, PoolEngine, split_results
from haetae.errors import Rejected, UsageError
from haetae.lake import Lake
from haetae.lake.lake import to_arrow
from haetae.lake.schema import TABLES
from haetae.media.audio import read_audio
from haetae.media.cut import CutAndNormalise, fitted_size
from haetae.media.encode import write_video, write_wav
from haetae.media.frames import read_frames
from haetae.media.probe import probe
from tests.haetae.media.broken import ffmpeg, make, picture, sound
from tests.haetae.media.conftest import COLOURS, beep_starts_s, number_of

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "250")
SHOTS_S = (4.0, 4.0, 6.0)
KINDS = {
    "film.mp4": (25, (*X264, "-c:a", "aac")),
    "ntsc.mkv": (30000 / 1001, (*X264, "-c:a", "aac")),
    "fast.ts": (60, (*X264, "-c:a", "aac")),
    "slow.webm": (10, ("-c:v", "libvpx", "-b:v", "1M", "-c:a", "libopus")),
    "moving.mov": (25, ("-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le")),
}


def cutter(lake: Lake, **changes) -> CutAndNormalise:
    step = CutAndNormalise(str(lake.root), **changes)
    step.setup()
    return step


@pytest.mark.parametrize("name", KINDS)
def test_clips_hold_exactly_their_shot_with_the_sound_in_step(film, lake, media_row, name):
    fps, options = KINDS[name]
    path = film(name, fps, SHOTS_S, *options)
    clips = cutter(lake)(media_row(path))
    assert len(clips) == 3
    # MPEG-TS counts from its first packet, which is sound that the encoder put before the pictures.
    lead_s = clips[0]["start_s"]
    for clip, (start_s, end_s) in zip(clips, [(0, 4), (4, 8), (8, 14)], strict=True):
        blob = lake.open_local(clip["blob_id"])
        frames = read_frames(blob)
        assert len(frames) == clip["n_frames"] == pytest.approx(25 * (end_s - start_s), abs=1)
        numbers = np.array([number_of(frame) for frame in frames])
        wanted = (clip["start_s"] - lead_s + np.arange(len(frames)) / 25) * fps
        off = np.abs(numbers - wanted).max()
        assert off < max(1.0, 0.51 + fps / 50), (
            "each frame is the nearest of the source, or the last one shown"
        )
        assert numbers.min() >= start_s * fps - 0.01, "nothing of the shot before"
        assert numbers.max() < end_s * fps, "nothing of the shot after"
        audio = read_audio(blob)
        assert len(audio) == 640 * len(frames)
        beeps = beep_starts_s(audio) + clip["start_s"] - lead_s
        late_ms = 1000 * (beeps[1:] - np.round(beeps[1:]))
        assert np.abs(late_ms).max() < 5, f"sound is off by {late_ms} ms"


def test_a_second_cut_gives_the_same_rows_and_bytes_in_another_lake(film, lake, media_row, tmp_path):
    row = media_row(film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1]))
    first = cutter(lake)(row)
    other = Lake(tmp_path / "other")
    other.put_blob(lake.open_local(row["blob_id"]).read_bytes(), "mp4")
    assert cutter(other)(row) == first
    sha = hashlib.sha256(other.open_local(first[0]["blob_id"]).read_bytes()).hexdigest()
    assert first[0]["blob_id"] == f"{sha}.mp4"


def test_rows_fit_the_table_and_carry_what_the_media_declare(film, lake, media_row):
    row = media_row(film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1]), captions_kind="manual")
    clips = cutter(lake)(row)
    assert to_arrow(TABLES["clips"], clips).num_rows == 3
    assert {clip["captions_kind"] for clip in clips} == {"manual"}
    assert {tuple(clip["identities"]) for clip in clips} == {("a",)}


def test_another_profile_makes_other_clips(film, lake, media_row):
    row = media_row(film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1]))
    assert {c["clip_id"] for c in cutter(lake)(row)}.isdisjoint(
        c["clip_id"] for c in cutter(lake, crf=23)(row)
    )


def test_a_cut_clip_is_encoded_like_a_written_one(film, lake, media_row, tmp_path):
    """How a file was encoded must not tell whether it is real (cut) or fake (written)."""
    clip = cutter(lake)(media_row(film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1])))[0]
    real, fake = lake.open_local(clip["blob_id"]), tmp_path / "fake.mp4"
    write_video(fake, read_frames(real), read_audio(real))

    assert _traits(real) == _traits(fake)
    boxes = [
        [box for box in _boxes(path.read_bytes()) if box[0] not in _SIZED_BY_CONTENT] for path in (real, fake)
    ]
    assert boxes[0] == boxes[1]
    assert len(boxes[0]) > 20


def _traits(path):
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        packet = bytes(next(container.demux(video)))
        container.seek(0)
        frame = next(container.decode(video=0))
        return {
            "tags": (dict(container.metadata), dict(video.metadata), dict(audio.metadata)),
            "clocks": (video.time_base, audio.time_base, video.duration, audio.duration),
            "counts": (video.frames, audio.frames),
            "colour": (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range),
            "shape": (video.sample_aspect_ratio, frame.format.name, video.codec_context.profile),
            "encoder's note": packet[: packet.find(b"qcomp")],
        }


_SIZED_BY_CONTENT = {
    "stsz",
    "stco",
    "stss",
    "stsc",
    "stts",
    "ctts",
    "mdat",
    "moov",
    "trak",
    "mdia",
    "minf",
    "stbl",
}


def _boxes(data: bytes) -> list[tuple[str, int]]:
    """Names and sizes of all boxes of an MP4 file, outer before inner."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8].decode("latin-1")
        found.append((name, size))
        if name in ("moov", "trak", "mdia", "minf", "stbl", "edts", "dinf"):
            found += _boxes(data[at + 8 : at + size])
        at += max(size, 8)
    return found


def test_a_variable_rate_becomes_constant_without_losing_time(lake, media_row, tmp_path, film):
    source = film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1])
    vfr = tmp_path / "vfr.mp4"
    drop = "select='if(lt(t,6),1,not(mod(n,4)))'"
    ffmpeg("-i", str(source), "-vf", drop, "-fps_mode", "vfr", *X264, str(vfr))
    row = media_row(vfr)
    assert probe(vfr).is_vfr
    for clip in cutter(lake)(row):
        frames = read_frames(lake.open_local(clip["blob_id"]))
        wanted = clip["start_s"] * 25 + np.arange(len(frames))
        late = wanted - [number_of(frame) for frame in frames]
        assert late.min() > -1.01
        assert late.max() < 4.01, "a frame is held for at most the three that were dropped"


def test_a_file_without_sound_gives_clips_without_sound(lake, media_row, tmp_path):
    make(tmp_path / "mute.mp4", picture("320x240", 4))
    (clip,) = cutter(lake)(media_row(tmp_path / "mute.mp4"))
    info = probe(lake.open_local(clip["blob_id"]))
    assert (clip["has_audio"], info.has_audio, info.n_frames) == (False, False, 100)


def test_sound_that_ends_early_is_followed_by_silence(lake, media_row, tmp_path):
    make(tmp_path / "early.mp4", picture("320x240", 6), sound(3))
    (clip,) = cutter(lake)(media_row(tmp_path / "early.mp4"))
    audio = read_audio(lake.open_local(clip["blob_id"]))
    assert len(audio) == 6 * 16_000
    assert np.abs(audio[: 2 * 16_000]).max() > 0.05
    assert np.abs(audio[4 * 16_000 :]).max() < 1e-3


@pytest.mark.parametrize(
    ("given", "fitted"),
    [
        ((320, 240), (320, 240)),
        ((321, 243), (320, 242)),
        ((1920, 1080), (960, 540)),
        ((1080, 1920), (540, 960)),
        ((3840, 1607), (960, 400)),
        ((960, 960), (960, 960)),
        ((961, 961), (960, 960)),
    ],
)
def test_sizes_are_even_bounded_and_never_enlarged(given, fitted):
    assert fitted_size(*given, 960) == fitted


def test_a_tiny_picture_is_rejected():
    with pytest.raises(Rejected, match="too_small"):
        fitted_size(4000, 30, 960)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (("-vf", "scale=1281:723,setsar=1,format=yuv444p"), (960, 540)),
        (("-vf", "scale=301:203,setsar=1,format=yuv444p"), (300, 202)),
        (("-vf", "scale=240:426,setsar=1"), (240, 426)),
        (("-vf", "scale=320:240,setsar=2"), (640, 240)),
    ],
)
def test_a_clip_has_the_size_that_its_row_says(lake, media_row, tmp_path, options, size):
    make(tmp_path / "a.mkv", picture("320x240", 3), *options)
    (clip,) = cutter(lake)(media_row(tmp_path / "a.mkv"))
    info = probe(lake.open_local(clip["blob_id"]))
    assert (clip["width"], clip["height"]) == (info.width, info.height) == size
    assert info.rotation_deg == 0


def test_a_rotated_film_is_cut_the_right_way_up(lake, media_row, tmp_path, film):
    upright = film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1])
    turned = tmp_path / "turned.mp4"
    ffmpeg("-i", str(upright), "-vf", "transpose=clock", *X264, str(tmp_path / "on-its-side.mp4"))
    ffmpeg("-display_rotation", "90", "-i", str(tmp_path / "on-its-side.mp4"), "-c", "copy", str(turned))
    clip = cutter(lake)(media_row(turned))[0]
    assert (clip["width"], clip["height"]) == (320, 240)
    assert number_of(read_frames(lake.open_local(clip["blob_id"]))[33]) == 33


def test_colours_survive_the_cut(lake, media_row, film):
    path = film("plain.mp4", 25, SHOTS_S, *X264, "-crf", "5", "-c:a", "aac")
    for clip, colour in zip(cutter(lake)(media_row(path)), COLOURS, strict=False):
        corner = read_frames(lake.open_local(clip["blob_id"]), first=10, last=10)[0, 200:230, 10:60]
        assert np.abs(corner.mean(axis=(0, 1)) - colour).max() < 4


def test_a_long_shot_is_cut_into_clips_within_the_limits(lake, media_row, tmp_path):
    make(tmp_path / "long.mp4", picture("160x120", 23), sound(23))
    clips = cutter(lake)(media_row(tmp_path / "long.mp4"))
    assert [c["start_s"] for c in clips[1:]] == pytest.approx([c["end_s"] for c in clips[:-1]], abs=0.041)
    assert all(3 <= c["duration_s"] <= 10 for c in clips)
    assert sum(c["duration_s"] for c in clips) == pytest.approx(23, abs=0.15)


def test_sound_alone_is_cut_at_its_pauses_into_wav(lake, media_row, tmp_path):
    rate = 16_000
    talk = 0.3 * np.sin(2 * np.pi * 200 * np.arange(14 * rate) / rate)
    talk[round(6.5 * rate) : round(7.1 * rate)] = 0
    write_wav(tmp_path / "talk.wav", talk.astype(np.float32))
    ffmpeg("-i", str(tmp_path / "talk.wav"), str(tmp_path / "talk.mp3"))
    first, second = cutter(lake)(media_row(tmp_path / "talk.mp3"))
    assert first["end_s"] == pytest.approx(6.8, abs=0.25)
    assert second["start_s"] == pytest.approx(first["end_s"], abs=0.05)
    audio = read_audio(lake.open_local(second["blob_id"]))
    assert first["blob_id"].endswith(".wav")
    assert (first["n_frames"], first["width"], first["fps"], first["has_video"]) == (0, None, None, False)
    assert len(audio) == round(second["duration_s"] * rate)
    pause_ends_s = 7.1 - second["start_s"]
    heard_from_s = np.flatnonzero(np.abs(audio) > 0.1)[0] / rate
    assert heard_from_s == pytest.approx(pause_ends_s, abs=0.03)


@pytest.mark.parametrize(
    ("seconds", "reason"), [(0.5, "too_short"), (1.0, None), (2.0, None), (2.96, None), (3.0, None)]
)
def test_short_files_become_one_clip_or_are_too_short(lake, media_row, tmp_path, seconds, reason):
    make(tmp_path / "short.mp4", picture("160x120", seconds), sound(seconds))
    row = media_row(tmp_path / "short.mp4")
    if reason is None:
        (clip,) = cutter(lake)(row)
        assert clip["duration_s"] == pytest.approx(seconds, abs=0.001)
    else:
        with pytest.raises(Rejected, match=reason):
            cutter(lake)(row)


def test_a_picture_becomes_a_clip_of_one_frame_and_loses_nothing(lake, media_row, tmp_path):
    make(tmp_path / "photo.png", picture("161x120", 1), "-frames:v", "1")
    (clip,) = cutter(lake)(media_row(tmp_path / "photo.png"))
    assert (clip["kind"], clip["n_frames"], clip["fps"]) == ("image", 1, 25.0)
    assert (clip["start_s"], clip["end_s"], clip["duration_s"]) == (0.0, 0.04, 0.04)
    assert (clip["has_video"], clip["has_audio"]) == (True, False)
    (kept,) = read_frames(lake.open_local(clip["blob_id"]))
    (given,) = read_frames(tmp_path / "photo.png")
    assert clip["blob_id"].endswith(".png")
    np.testing.assert_array_equal(kept, given[:, :160])


def test_a_picture_is_turned_upright_and_scaled_down(lake, media_row, tmp_path):
    upright = np.zeros((400, 200, 3), np.uint8)
    upright[:100] = (250, 20, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # it was taken with the camera on its side
    Image.fromarray(np.rot90(upright)).save(tmp_path / "side.jpg", exif=exif, quality=95)
    (clip,) = cutter(lake, max_side_px=256)(media_row(tmp_path / "side.jpg"))
    assert (clip["width"], clip["height"]) == (128, 256)
    (kept,) = read_frames(lake.open_local(clip["blob_id"]))
    assert kept[:50, :, 0].mean() > 200 > 60 > kept[80:].mean()


def test_a_long_film_of_one_unmoving_picture_is_refused_and_a_talking_one_is_not(lake, media_row, tmp_path):
    for name, drawn in (("unmoving.mp4", "smptebars"), ("moving.mp4", "testsrc")):
        make(tmp_path / name, ["-f", "lavfi", "-i", f"{drawn}=s=160x120:r=5:d=70"], "-g", "25")
    with pytest.raises(Rejected, match=r"no_motion.*one unmoving picture"):
        cutter(lake)(media_row(tmp_path / "unmoving.mp4"))
    assert len(cutter(lake)(media_row(tmp_path / "moving.mp4"))) >= 7
    assert cutter(lake, max_static_s=80)(media_row(tmp_path / "unmoving.mp4"))


def test_damage_in_the_middle_is_told(lake, media_row, tmp_path):
    path = tmp_path / "damaged.mp4"
    make(path, picture("320x240", 8), "-g", "25", "-movflags", "+faststart")
    row = media_row(path)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    row["blob_id"] = lake.put_blob(bytes(data), "mp4")
    with pytest.raises(Rejected, match=r"decode_failed.*packets are damaged"):
        cutter(lake)(row)


def test_limits_that_cannot_be_kept_are_a_usage_error():
    with pytest.raises(UsageError, match="twice"):
        CutAndNormalise("lake", min_clip_s=6, max_clip_s=10)


def test_a_deadline_ends_the_step(lake, media_row, film):
    row = media_row(film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1]))
    step = cutter(lake, timeout_s=0.0, preset="placebo", max_side_px=960)
    (failed,) = InlineEngine().map_rows(step, [row])
    assert failed.reason == "timeout"


def test_it_runs_in_worker_processes(lake, media_row, film, tmp_path):
    good = media_row(film("film.mp4", 25, SHOTS_S, *KINDS["film.mp4"][1]))
    make(tmp_path / "blink.mp4", picture("160x120", 0.4))
    short = media_row(tmp_path / "blink.mp4")
    engine = PoolEngine(workers=1)
    try:
        rows, failed = split_results(engine.map_rows(CutAndNormalise(str(lake.root)), [good, short]))
    finally:
        engine.close()
    assert len(rows) == 3
    assert [(f.item_id, f.stage, f.reason) for f in failed] == [(short["media_id"], "clips", "too_short")]
