"""A small lake for the gallery: a swap that flickers, a dub, false subtitles and a voice without pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lake_of_fakes import SENTENCES, LakeMaker, row, words_of
from numpy.typing import NDArray

from haetae.lake import Lake

SECONDS = 2.0
HOSTILE_WORD = "</script><script>alert('word')</script>"
HOSTILE_REF = "'\"><img src=x onerror=alert(2)>"
SWAP, DUB = "fake-mesh_swap-clip-ko-0", "fake-dubbed-clip-ko-0"
SUBTITLES, VOICE = "fake-caption_edit-clip-ta-0", "fake-espeak_tts-clip-ms-0a"


def fill_gallery(root: Path, scratch: Path, portrait: NDArray[np.uint8]) -> Lake:
    """Two films and one sound with four fakes; the swap is kept out of the data set for its flicker."""
    maker = LakeMaker(root, scratch, portrait)
    korean, tamil = maker.add_clip("ko", 0, SECONDS), maker.add_clip("ta", 0, SECONDS)
    sound = maker.add_clip("ms", 0, SECONDS, picture=False)
    assert maker.add_fake(korean, "mesh_swap@1.0", "face_swap", ["video"]) == SWAP
    maker.fakes[-1] |= {"flicker": 9.5, "seam": 0.5, "donor_id": tamil}
    assert maker.add_fake(korean, "dubbed@1.0", "combination", ["video", "audio"]) == DUB
    maker.fakes[-1] |= {"flicker": 1.5, "loudness_change_lu": -0.00004, "words": _made_words()}
    assert maker.add_fake(tamil, "caption_edit@1", "text", ["text"]) == SUBTITLES
    words = words_of("ta", SECONDS)
    words[1] = {**words[1], "word": HOSTILE_WORD}
    maker.fakes[-1] |= {"words": words, "text": " ".join(word["word"] for word in words)}
    assert maker.add_fake(sound, "espeak_tts@1.0", "speech", ["audio"]) == VOICE
    maker.fakes[-1] |= {"loudness_change_lu": 3.25, "duration_change_s": 0.0}
    maker.write_media()
    maker.write_fakes()
    maker.write_dataset()
    consent = {"basis": "release", "ref": HOSTILE_REF}
    sources = [
        row("sources", source_id=f"source-{language}", kind="folder", licence="CC0-1.0", consent=consent,
            purposes=["synthesis", "training"], identities=[], status="active", language=language)
        for language in SENTENCES
    ]  # fmt: skip
    maker.lake.write("sources", None, sources, maker.lineage("sources"))
    why = "flicker 9.5, quality.fakes.max_flicker is 5"
    kept_out = row("quarantine", item_id=SWAP, stage="samples", reason="missed_max_flicker", detail=why)
    maker.lake.write("quarantine", "poor", [kept_out], maker.lineage("samples"))
    return maker.lake


def _made_words() -> list[dict[str, object]]:
    """Only what was made is told: one word in the middle of the sentence."""
    return [{"word": "라면", "start_s": 0.9, "end_s": 1.2, "score": 1.0}]
