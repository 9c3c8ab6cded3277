"""A small mutation fuzzer: valid files in, damaged ones out; the same seed gives the same files.

What must become of them is in `test_fuzz`; damaged files that were thought out one by one are in `broken`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.haetae.media.broken import make, picture, sound

Mutation = Callable[[bytes, bytes, random.Random], bytes]
"""Content of a file, content of another file, dice; the damaged content."""
HEAD_BYTES = 64
SECONDS = 1.2


def flip_bits(content: bytes, _: bytes, dice: random.Random) -> bytes:
    """Single bits anywhere, as a bad disk leaves them."""
    made = bytearray(content)
    for _ in range(dice.choice((1, 4, 32, 200))):
        made[dice.randrange(len(made))] ^= 1 << dice.randrange(8)
    return bytes(made)


def flip_in_head(content: bytes, _: bytes, dice: random.Random) -> bytes:
    """Bytes near the start or the end, where the indices are."""
    made = bytearray(content)
    for _ in range(dice.choice((1, 3, 10))):
        at = dice.randrange(min(len(made), 1024))
        made[at if dice.random() < 0.6 else len(made) - 1 - at] = dice.choice((0, 1, 127, 128, 255))
    return bytes(made)


def truncate(content: bytes, _: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(1, len(content))]


def remove_chunk(content: bytes, _: bytes, dice: random.Random) -> bytes:
    start, end = _span(content, dice)
    return content[:start] + content[end:]


def duplicate_chunk(content: bytes, _: bytes, dice: random.Random) -> bytes:
    start, end = _span(content, dice)
    return content[:end] + content[start:end] * dice.choice((1, 2, 50)) + content[end:]


def blank_chunk(content: bytes, _: bytes, dice: random.Random) -> bytes:
    start, end = _span(content, dice)
    return content[:start] + bytes([dice.choice((0, 255))]) * (end - start) + content[end:]


def inflate_length(content: bytes, _: bytes, dice: random.Random) -> bytes:
    """A field that states how long something is now states a value at the edge of its type."""
    made = bytearray(content)
    fields = [at for at in range(min(len(made) - 8, 4096)) if _is_length(made, at)]
    for at in dice.sample(fields, min(len(fields), 2)) or [0]:
        value = dice.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF))
        made[at : at + 4] = value.to_bytes(4, dice.choice(("big", "little")))
    return bytes(made)


def splice(content: bytes, other: bytes, dice: random.Random) -> bytes:
    """The start of one file and the end of another."""
    return content[: dice.randrange(1, len(content))] + other[dice.randrange(len(other)) :]


def swap_header(content: bytes, other: bytes, _: random.Random) -> bytes:
    """One file under the first bytes of another."""
    return other[:HEAD_BYTES] + content[HEAD_BYTES:]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, flip_in_head, truncate, remove_chunk, duplicate_chunk, blank_chunk, inflate_length, splice,
    swap_header,
)  # fmt: skip


def fuzz(files: list[Path], folder: Path, *, seed: int, rounds: int = 1) -> Iterator[Path]:
    """Write every mutation of every file, `rounds` times, into a folder; their paths, named by what was done."""
    contents = [path.read_bytes() for path in files]
    for n, path in enumerate(files):
        other = contents[(n + 1) % len(files)]
        for mutation in MUTATIONS:
            for turn in range(rounds):
                name = f"{path.stem}-{mutation.__name__}-{turn}{path.suffix}"
                dice = random.Random(f"{seed} {name}")
                made = folder / name
                made.write_bytes(mutation(contents[n], other, dice))
                yield made


def write_valid_media(folder: Path) -> list[Path]:
    """One small film of each container that is common on the web, a sound, and a picture."""
    moving, tone = picture("96x64", SECONDS), sound(SECONDS)
    files = {
        "film.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
        "film.webm": ("-c:v", "libvpx", "-b:v", "200k", "-c:a", "libopus"),
    }
    for name, options in files.items():
        make(folder / name, moving, tone, *options)
    make(folder / "sound.wav", tone)
    make(folder / "photo.png", picture("96x64", 1), "-frames:v", "1")
    return [folder / name for name in (*files, "sound.wav", "photo.png")]


def write_valid_captions(folder: Path) -> list[Path]:
    """Subtitles as sites give them out, in both formats."""
    cues = [
        (0.0, 1.0, "안녕하세요 여러분"),
        (1.0, 2.5, "wah this one <i>very</i> shiok lah"),
        (3.0, 4.0, "வணக்கம்"),
    ]

    def clock(seconds: float, mark: str) -> str:
        return f"00:00:{int(seconds):02}{mark}{round(seconds % 1 * 1000):03}"

    srt = "".join(
        f"{n}\n{clock(a, ',')} --> {clock(b, ',')}\n{text}\n\n"
        for n, (a, b, text) in enumerate(cues, start=1)
    )
    vtt = "WEBVTT\n\n" + "".join(
        f"{clock(a, '.')} --> {clock(b, '.')} align:start position:0%\n{text}\n\n" for a, b, text in cues
    )
    files = {"said.srt": srt, "said.vtt": vtt}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def _span(content: bytes, dice: random.Random) -> tuple[int, int]:
    length = max(1, min(len(content) // 2, dice.choice((4, 64, 512, 8192))))
    start = dice.randrange(len(content) - length + 1)
    return start, start + length


def _is_length(content: bytearray, at: int) -> bool:
    """Whether four bytes may be the length of what follows: smaller than the file, before a printable tag, or
    behind one."""
    for order in ("big", "little"):
        value = int.from_bytes(content[at : at + 4], order)  # type: ignore[arg-type]
        if 8 <= value <= len(content) and (
            bytes(content[at + 4 : at + 8]).isalnum() or bytes(content[max(0, at - 4) : at]).isalnum()
        ):
            return True
    return False
