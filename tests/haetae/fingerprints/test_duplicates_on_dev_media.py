"""The same on real faces and voices, where they are: a sample of what `benchmarks/duplicates.py` runs in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.duplicates import (
    AUDIO_ATTACKS,
    IMAGE_ATTACKS,
    VIDEO_ATTACKS,
    attacked,
    shares_content,
)
from haetae.engine import Row
from haetae.fingerprints.duplicates import find_duplicates
from tests.haetae.fingerprints.conftest import Taken, copy_of

FILMS = ("real_lp_d0.mp4", "real_lp_d18.mp4", "fake_aniportrait_zl_crop.mp4")
VOICES = ("sg_real_singlish2.wav", "sg_real_singlish3.wav", "ko_real_kih00001.wav", "ms_real_aisyah.wav")
"""Among them 1.6 s of speech, and speech at -60 dB full scale."""
IMAGES = (
    "real_lp_d19.jpg",
    "real_deepface_img11.jpg",
    "real_deepface_img11_reflection.jpg",
    "real_facerec_johnsnow_test1.jpg",
    "real_facerec_johnsnow_dup200.jpg",
    "negative_lp_s30.jpg",
)
HARDEST_FILM = ("3 % cropped on each side", "logo", "mirrored")
HARDEST_VOICE = ("mp3 32 kbit/s", "opus 12 kbit/s", "sound at 1.02, pitch moved")
HARDEST_IMAGE = ("3 % cropped", "logo")


@pytest.fixture(scope="module")
def real(dev_media: Path, taken: Taken, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    folder = tmp_path_factory.mktemp("real")
    files = [dev_media / "audio" / name for name in VOICES] + [dev_media / "image" / name for name in IMAGES]
    if not all(path.is_file() for path in [*files, *(dev_media / "video" / name for name in FILMS)]):
        pytest.skip("some of the development media are missing")
    rows = [taken(copy_of(path, folder), path.name, "b0") for path in files]
    for name in FILMS:
        film = attacked(dev_media / "video" / name, ("-t", "3", "-c", "copy"), folder / name)
        rows.append(taken(copy_of(film, tmp_path_factory.mktemp("films")), name, "b0"))
    return rows


@pytest.fixture(scope="module")
def real_copies(
    dev_media: Path, real: list[Row], taken: Taken, tmp_path_factory: pytest.TempPathFactory
) -> list[Row]:
    folder = tmp_path_factory.mktemp("real-copies")
    ways: list[tuple[Path, str, tuple[str, ...]]] = []
    for name in FILMS:
        path = dev_media / "video" / name
        ways += [(path, attack, (".mp4", "-t", "3", *VIDEO_ATTACKS[attack])) for attack in HARDEST_FILM]
    for name in VOICES:
        path = dev_media / "audio" / name
        ways += [(path, attack, AUDIO_ATTACKS[attack]) for attack in HARDEST_VOICE]
    for name in IMAGES:
        path = dev_media / "image" / name
        ways += [(path, attack, (".jpg", *IMAGE_ATTACKS[attack])) for attack in HARDEST_IMAGE]
    return [
        taken(attacked(path, options[1:], folder / f"copy{options[0]}"), f"{path.name}|{attack}")
        for path, attack, options in ways
    ]


def test_every_attacked_copy_of_real_media_is_found(real: list[Row], real_copies: list[Row]) -> None:
    pairs = find_duplicates(real_copies, real)
    found = {pair["clip_id"] for pair in pairs if pair["clip_id"].split("|")[0] == pair["other_id"]}
    assert {row["clip_id"] for row in real_copies} - found == set()


def test_no_two_real_media_are_paired_that_share_nothing(real: list[Row], real_copies: list[Row]) -> None:
    for pair in find_duplicates([*real, *real_copies], []):
        one, other = (pair[key].split("|")[0] for key in ("clip_id", "other_id"))
        assert shares_content(one, other), pair


def test_media_that_do_share_content_are_paired(real: list[Row]) -> None:
    pairs = {frozenset((p["clip_id"], p["other_id"])): p for p in find_duplicates(real, real)}
    reflection = frozenset(("real_deepface_img11.jpg", "real_deepface_img11_reflection.jpg"))
    assert pairs[reflection]["mirrored"]
    assert frozenset(("real_facerec_johnsnow_test1.jpg", "real_facerec_johnsnow_dup200.jpg")) in pairs
