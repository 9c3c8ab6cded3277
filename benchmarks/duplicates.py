"""Near-duplicates found by attack, beside one pHash of the middle frame and Chromaprint, on the same media in one run.

Media: the folder in HAETAE_DEV_MEDIA (with video/, audio/, image/), else films and voices made here. Each file
is cut as in ingest, then attacked, cut again and looked for. Which pairs of the media really share content is
told in SHARED; all other pairs between different files count as false.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from haetae.engine import PoolEngine, Row, split_results
from haetae.fingerprints.duplicates import find_duplicates
from haetae.fingerprints.fingerprint import METHOD, Fingerprint
from haetae.fingerprints.pictures import read_pictures
from haetae.lake import Lake
from haetae.media.cut import CutAndNormalise
from haetae.media.encode import write_video, write_wav
from haetae.media.ffmpeg import exe
from haetae.media.probe import probe

EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"
LOGO = (
    "drawbox=x=iw*0.74:y=ih*0.04:w=iw*0.22:h=ih*0.10:color=white:t=fill,"
    "drawbox=x=iw*0.77:y=ih*0.06:w=iw*0.08:h=ih*0.06:color=red:t=fill"
)
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac")
FILTERS = {
    "scaled 0.5": "scale=trunc(iw/4)*2:trunc(ih/4)*2",
    "3 % cropped": "crop=trunc(iw*0.97/2)*2:trunc(ih*0.97/2)*2",
    "3 % cropped on each side": "crop=trunc(iw*0.94/2)*2:trunc(ih*0.94/2)*2",
    "logo": f"{EVEN},{LOGO}",
    "mirrored": f"{EVEN},hflip",
}
VIDEO_ATTACKS: dict[str, tuple[str, ...]] = {
    "CRF 38": ("-vf", EVEN, "-crf", "38", *X264),
    **{name: ("-vf", how, "-crf", "23", *X264) for name, how in FILTERS.items()},
    "speed 1.02": ("-vf", f"{EVEN},setpts=PTS/1.02", "-af", "atempo=1.02", "-crf", "23", *X264),
}
IMAGE_ATTACKS: dict[str, tuple[str, ...]] = {
    "CRF 38": ("-q:v", "20"),
    **{name: ("-vf", how, "-q:v", "4") for name, how in FILTERS.items()},
}
"""Still pictures are written as JPEG; -q:v 20 is about as coarse as CRF 38."""
AUDIO_ATTACKS: dict[str, tuple[str, ...]] = {
    "mp3 32 kbit/s": (".mp3", "-vn", "-c:a", "libmp3lame", "-b:a", "32k", "-ar", "22050", "-ac", "1"),
    "opus 16 kbit/s": (".ogg", "-vn", "-c:a", "libopus", "-b:a", "16k", "-ac", "1"),
    "opus 12 kbit/s": (".ogg", "-vn", "-c:a", "libopus", "-b:a", "12k", "-ac", "1"),
    "sound at 1.02, pitch kept": (".m4a", "-vn", "-af", "atempo=1.02", "-c:a", "aac"),
    "sound at 1.02, pitch moved": (
        ".m4a", "-vn", "-af", "aresample=44100,asetrate=44982,aresample=44100", "-c:a", "aac",
    ),
}  # fmt: skip
SHARED = (
    {"fake_aniportrait_lyl_crop.mp4", "fake_aniportrait_lyl_sidebyside.mp4"},
    {"real_lp_d18.mp4", "real_multi_lp_d18_d19_hstack.mp4"},
    {"real_lp_d19.mp4", "real_multi_lp_d18_d19_hstack.mp4"},
    {"real_lp_d18.mp4", "real_lp_d19.jpg"},
    {"real_deepface_img11.jpg", "real_deepface_img11_reflection.jpg"},
    {
        "real_facerec_johnsnow_test1.jpg",
        "real_facerec_johnsnow_dup600.jpg",
        "real_facerec_johnsnow_dup200.jpg",
    },
)
PHASH_BITS = 10
"""Usual limit of a 64-bit pHash."""
CHROMA_SHARE = 0.35
"""Usual limit on the share of bits by which Chromaprints of the same sound differ."""
TIMEOUT_S = 300


@dataclass
class Entry:
    """A clip of a file, attacked or not, with our fingerprint and those it is measured beside."""

    media: str
    attack: str
    print: Row
    phash: NDArray[np.bool_] | None
    chroma: NDArray[np.uint32] | None

    def has(self, modality: str) -> bool:
        return bool(self.print["video_hashes"]) if modality == "video" else any(self.print["audio_hashes"])


def main() -> None:
    given = os.environ.get("HAETAE_DEV_MEDIA")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        root = Path(given) if given else synthetic(folder / "media")
        print(f"  media: {'development media' if given else 'made here'}")
        entries = _entries(root, folder)
    originals = [entry for entry in entries if not entry.attack]
    print(f"  {len({e.media for e in originals})} files, {len(originals)} clips")
    _report_pairs(originals)
    print(
        f"  {'attack':28}{'modality':9}{'found':>11}{'false':>7}{'CPU ms':>9} | usual: {'found':>9}{'false':>7}"
    )
    for attack in (*VIDEO_ATTACKS, *AUDIO_ATTACKS):
        copies = [entry for entry in entries if entry.attack == attack]
        sound_only = attack in AUDIO_ATTACKS
        for modality in ("audio",) if sound_only else ("video", "audio") if "speed" in attack else ("video",):
            _report(attack, modality, originals, copies)
    _report_scale()


def attacked(path: Path, options: Sequence[str], made: Path) -> Path:
    """Run ffmpeg with the options of one attack on a file."""
    args = [exe(), "-nostdin", "-v", "error", "-y", "-i", str(path), *options, str(made)]
    subprocess.run(args, check=True, timeout=TIMEOUT_S)
    return made


def shares_content(one: str, other: str) -> bool:
    return one == other or any({one, other} <= names for names in SHARED)


def _entries(root: Path, scratch: Path) -> list[Entry]:
    """Every file of the folder and its attacked copies, cut as in ingest and fingerprinted."""
    lake = Lake(scratch / "lake")
    began = time.perf_counter()
    media = []
    names: dict[str, tuple[str, str]] = {}
    for number, (name, attack, path) in enumerate(_copies(root, scratch)):
        names[f"m{number:05}"] = (name, attack)
        media.append(_media_row(lake, f"m{number:05}", path, scratch))
    print(f"  attacks made in {time.perf_counter() - began:.0f} s")
    engine = PoolEngine()
    clips, failed = split_results(engine.map_rows(CutAndNormalise(str(lake.root)), media))
    began = time.perf_counter()
    rows, failed_too = split_results(engine.map_rows(Fingerprint(str(lake.root)), clips))
    seconds = sum(clip["duration_s"] for clip in clips)
    took = time.perf_counter() - began
    print(f"  fingerprints: {len(clips)} clips, {seconds:.0f} s of media in {took:.1f} s")
    engine.close()
    for no in [*failed, *failed_too]:
        print(f"  FAILED {names.get(no.item_id, no.item_id)}: {no.reason} {no.detail[:100]!r}")
    clip_of = {clip["clip_id"]: clip for clip in clips}
    made = []
    for row in rows:
        clip = clip_of[row["clip_id"]]
        path = lake.open_local(clip["blob_id"])
        row = {**row, "media_id": clip["media_id"], "batch": names[clip["media_id"]][1] or "originals"}
        phash = middle_phash(path) if clip["has_video"] else None
        chroma = chromaprint(path, scratch) if clip["has_audio"] else None
        made.append(Entry(*names[clip["media_id"]], row, phash, chroma))
    return made


def _copies(root: Path, scratch: Path) -> Iterator[tuple[str, str, Path]]:
    """(file name, attack, path) of every file and every copy; the attack is empty for the file itself."""
    for kind in ("video", "audio", "image"):
        for path in sorted((root / kind).iterdir()):
            yield path.name, "", path
            info = probe(path)
            ways: dict[str, tuple[str, Sequence[str]]] = {}
            if kind == "image":
                ways |= {name: (".jpg", how) for name, how in IMAGE_ATTACKS.items()}
            if info.has_video:
                ways |= {name: (".mp4", how) for name, how in VIDEO_ATTACKS.items()}
            if info.has_audio:
                ways |= {name: (how[0], how[1:]) for name, how in AUDIO_ATTACKS.items()}
            for attack, (ending, how) in ways.items():
                made = scratch / f"copy{ending}"
                yield path.name, attack, attacked(path, how, made)


def _media_row(lake: Lake, media_id: str, path: Path, scratch: Path) -> Row:
    info = probe(path)
    copy = Path(shutil.copyfile(path, scratch / f"blob{path.suffix}"))
    row: Row = dict.fromkeys(("captions_blob", "captions_kind", "declared_generator"))
    return row | {
        "media_id": media_id, "batch": "b", "source_id": "s", "title": path.name, "language": "other",
        "blob_id": lake.put_blob(copy, path.suffix), "container": info.container, "identities": [],
        "duration_s": info.duration_s, "width": info.width, "height": info.height, "use_case": "other",
        "has_video": info.has_video, "has_audio": info.has_audio, "declared_verdict": "unknown",
    }  # fmt: skip


def middle_phash(path: Path) -> NDArray[np.bool_]:
    """The pHash of the middle frame, as the usual library makes it: bool [64]."""
    pictures = read_pictures(path)
    small = cv2.resize(pictures[len(pictures) // 2], (32, 32), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].reshape(-1)
    return np.asarray(low > np.median(low))


def chromaprint(path: Path, scratch: Path) -> NDArray[np.uint32]:
    """Chromaprint of a file, by ffmpeg: uint32 [steps of 0.124 s]; empty for less than about 3 s."""
    made = scratch / "sound.chroma"
    attacked(path, ("-vn", "-f", "chromaprint", "-fp_format", "raw"), made)
    return np.fromfile(made, dtype="<u4")


def _usual(one: Entry, other: Entry, modality: str) -> bool:
    if modality == "video":
        if one.phash is None or other.phash is None:
            return False
        return bool(np.sum(one.phash != other.phash) <= PHASH_BITS)
    if one.chroma is None or other.chroma is None or not len(one.chroma) or not len(other.chroma):
        return False
    n, m = len(one.chroma), len(other.chroma)
    least = max(1, int(0.6 * min(n, m)))
    apart = np.bitwise_count(one.chroma[:, None] ^ other.chroma[None, :]) / 32
    lines = (np.diagonal(apart, k) for k in range(least - n, m - least + 1))
    return bool(min(line.mean() for line in lines) <= CHROMA_SHARE)


def _report_pairs(originals: list[Entry]) -> None:
    """Which different files are found to share content, before any attack."""
    name = {entry.print["clip_id"]: entry.media for entry in originals}
    prints = [entry.print for entry in originals]
    for pair in find_duplicates(prints, prints):
        one, other = name[pair["clip_id"]], name[pair["other_id"]]
        verdict = "declared as shared" if shares_content(one, other) else "FALSE"
        told = ("modality", "similarity", "overlap_s", "mirrored")
        print(f"  pair: {one} ~ {other} {[pair[key] for key in told]} ({verdict})")


def _report(attack: str, modality: str, originals: list[Entry], copies: list[Entry]) -> None:
    name = {entry.print["clip_id"]: entry.media for entry in [*originals, *copies]}
    known = [entry.print for entry in originals]
    old = {row["clip_id"] for row in known}
    began = time.process_time()
    pairs = find_duplicates([entry.print for entry in copies], known)
    ms = 1000 * (time.process_time() - began) / max(1, len(copies))
    pairs = [pair for pair in pairs if pair["modality"] == modality]
    names = [(name[p["clip_id"]], name[p["other_id"]], p["other_id"]) for p in pairs]
    there = {entry.media for entry in copies if entry.has(modality)}
    wanted = {e.print["clip_id"] for e in originals if e.has(modality) and e.media in there}
    found = {other for one, origin, other in names if one == origin and other in old}
    false = {frozenset((one, other)) for one, other, _ in names if not shares_content(one, other)}
    usual: Callable[[Entry, Entry], bool] = lambda one, other: _usual(one, other, modality)  # noqa: E731
    hits = [(one, other) for one in copies for other in originals if usual(one, other)]
    usual_found = {other.print["clip_id"] for one, other in hits if one.media == other.media} & wanted
    usual_false = {
        frozenset((one.media, other.media))
        for one, other in hits
        if not shares_content(one.media, other.media)
    }
    share = f"{len(found & wanted)}/{len(wanted)}"
    print(
        f"  {attack:28}{modality:9}{share:>11}{len(false):7}{ms:9.1f} |        "
        f"{f'{len(usual_found)}/{len(wanted)}':>9}{len(usual_false):7}"
    )
    if missed := sorted({name[clip] for clip in wanted - found}):
        print(f"      missed: {', '.join(missed)}")
    for one, other in sorted(tuple(sorted(pair)) for pair in false):
        print(f"      false: {one} ~ {other}")


def many(n: int, seed: int = 0) -> list[Row]:
    """n made-up fingerprints of 6 to 10 s, changing slowly as real ones do, sharing nothing."""
    random = np.random.default_rng(seed)
    method = METHOD
    rows: list[Row] = []
    for number in range(n):
        length_s = random.uniform(6, 10)
        rows.append(
            {
                "clip_id": f"clip-{seed}-{number:07}", "batch": f"b{seed}", "method": method,
                "video_step_s": 0.2, "audio_step_s": 0.032,
                "video_hashes": [bytes(h).hex() for h in _walk(random, int(length_s / 0.2), 256, 0.03)],
                "video_quality": ["64"] * int(length_s / 0.2),
                "audio_hashes": _walk(random, int(length_s / 0.032), 32, 0.12).view("<u4")[:, 0].tolist(),
            }
        )  # fmt: skip
    return rows


def _walk(random: np.random.Generator, steps: int, bits: int, change: float) -> NDArray[np.uint8]:
    """Bits of which a share changes at each step: uint8 [steps, bits / 8]."""
    flips = random.random((steps, bits)) < change
    flips[0] = random.random(bits) < 0.5
    return np.packbits(np.cumsum(flips, axis=0) % 2 == 1, axis=1)


def _report_scale() -> None:
    """How long a batch takes against lakes of growing size, and that what was planted is found."""
    random = np.random.default_rng(1)
    for n in (1_000, 10_000):
        known = many(n)
        fresh = many(100, seed=2)
        for row, origin in zip(fresh[:50], known[:: n // 50], strict=False):
            row["video_hashes"] = [_noisy(h, 0.1, random) for h in origin["video_hashes"]]
            row["video_quality"] = origin["video_quality"]
            row["audio_hashes"] = [int(_noisy(f"{h:08x}", 0.12, random), 16) for h in origin["audio_hashes"]]
        began, busy = time.perf_counter(), time.process_time()
        pairs = find_duplicates(fresh, known)
        took, busy = time.perf_counter() - began, time.process_time() - busy
        planted = {row["clip_id"] for row in fresh[:50]}
        for modality in ("video", "audio"):
            hit = {p["clip_id"] for p in pairs if p["modality"] == modality}
            print(
                f"  {n} known, 100 fresh, {modality}: {len(hit & planted)}/50 found, {len(hit - planted)} false"
            )
        print(f"  {n} known: {took:.1f} s for the batch ({busy:.1f} s of processor time, index included)")


def _noisy(word: str, share: float, random: np.random.Generator) -> str:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(word), np.uint8))
    return bytes(np.packbits(bits ^ (random.random(len(bits)) < share))).hex()


def synthetic(root: Path) -> Path:
    """Films of drifting shapes with tunes, tunes alone and stills, each from its own seed; returns the folder."""
    for kind in ("video", "audio", "image"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for seed in range(6):
        tune = make_tune(seed, 6.0)
        write_wav(root / "audio" / f"tune{seed}.wav", make_tune(100 + seed, 5.0))
        still = make_film(50 + seed, 1)[0]
        cv2.imwrite(str(root / "image" / f"still{seed}.png"), still)
        write_film(root / "video" / f"film{seed}.mp4", make_film(seed, 6 * 25), tune)
    return root


def make_film(seed: int, n: int, width: int = 320, height: int = 240) -> list[NDArray[np.uint8]]:
    """n frames of blurred shapes that drift over a background: uint8 [240, 320, 3] each, RGB."""
    random = np.random.default_rng(seed)
    shapes = [(random.uniform(0, 1, 2), random.uniform(-0.15, 0.15, 2)) for _ in range(14)]
    looks = [(random.integers(0, 255, 3).tolist(), random.integers(12, 60)) for _ in shapes]
    back = cv2.resize(
        random.integers(30, 220, (5, 7, 3)).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    frames = []
    for i in range(n):
        frame = back.copy()
        for (start, speed), (colour, size) in zip(shapes, looks, strict=True):
            x, y = (start + speed * i / 25) % 1
            cv2.circle(frame, (int(x * width), int(y * height)), int(size), colour, -1)
        frames.append(cv2.GaussianBlur(frame, (0, 0), 1.5))
    return frames


def make_tune(seed: int, length_s: float, rate_hz: int = 16_000) -> NDArray[np.float32]:
    """A hummed voice whose pitch and three formants change every fifth of a second: float32 [N]."""
    random = np.random.default_rng(1000 + seed)
    t = np.arange(round(length_s * rate_hz)) / rate_hz
    sound = 0.002 * random.standard_normal(len(t))
    for start in np.arange(0, length_s, 0.2):
        inside = np.flatnonzero((t >= start) & (t < start + 0.25))
        harmonics = np.arange(1, 45)[:, None] * random.uniform(85, 240)
        formants = random.uniform(250, 3600, 3)[None, :]
        level = np.exp(-(((harmonics - formants) / 180) ** 2)).sum(axis=1) * (harmonics[:, 0] < 7000)
        waves = np.sin(2 * np.pi * harmonics * t[inside] + random.uniform(0, 6, harmonics.shape))
        sound[inside] += 0.06 * (level @ waves) * np.hanning(len(inside))
    return np.clip(sound, -1, 1).astype(np.float32)


def write_film(path: Path, frames: list[NDArray[np.uint8]], audio: NDArray[np.float32] | None) -> Path:
    """Encode at 25 fps as a clip of the lake is."""
    write_video(path, frames, audio)
    return path


if __name__ == "__main__":
    main()
