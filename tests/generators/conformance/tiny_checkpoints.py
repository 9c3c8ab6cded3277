"""Tiny checkpoints for every generator of the project that loads published ones, below one folder.

How each is written is told in `checkpoints` beside its family's tests; what loads them is in `tiny_weights`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from generators.diffusion.stable import FILES as STABLE_FILES
from haetae.locales import load
from tests.generators.diffusion.checkpoints import write_checkpoint
from tests.generators.face_swap.checkpoints import write_all
from tests.generators.lip_sync.checkpoints import store_latentsync, store_wav2lip
from tests.generators.speech.checkpoints import (
    LETTERS,
    write_hifigan,
    write_speecht5,
    write_vits,
    write_wavlm,
)
from tests.generators.store import Store
from tests.generators.text.checkpoints import FILES as LANGUAGE_MODEL_FILES
from tests.generators.text.checkpoints import write_language_model

REWRITER = "llm_rewrite"


def write(root: Path, rewritten: Mapping[str, str]) -> Store:
    """Checkpoints and the pins of their files. rewritten: answer of the language model, by its prompt."""
    store = Store(root, weights=root)
    write_all(root)  # pins itself
    store_wav2lip(store)
    store_latentsync(store)
    for name, channels in (("sd_img2img", 4), ("sd_inpaint", 9)):
        write_checkpoint(store.folder(f"tests/{name}"), channels=channels)
        store.pin(name, "checkpoint", f"tests/{name}", STABLE_FILES)
    _write_voices(store)
    write_language_model(store.folder("tests/tiny-lm"), rewritten)
    store.pin(REWRITER, "checkpoint", "tests/tiny-lm", LANGUAGE_MODEL_FILES)
    return store


def _write_voices(store: Store) -> None:
    write_hifigan(store.folder("tests/vocoder"))
    write_speecht5(store.folder("tests/speecht5"))
    write_wavlm(store.folder("tests/wavlm"))
    store.pin("neural_vocoder", "vocoder", "tests/vocoder")
    store.pin("neural_vocoder", "mel", "tests/speecht5", ("preprocessor_config.json",))
    for part, repo in (("en-SG", "speecht5"), ("vocoder", "vocoder"), ("speaker", "wavlm")):
        store.pin("voice_clone", part, f"tests/{repo}")
    for language in ("ko", "en-SG", "ms", "ta"):
        sentences = "".join(load(language).sentences_for("other")).lower()
        written = {letter for letter in sentences if letter.isalpha() or not letter.isascii()}
        letters = LETTERS + "".join(sorted(written - set(LETTERS)))
        write_vits(store.folder(f"tests/vits-{language}"), letters=letters, log_frames=-1.0)
        store.pin("mms_tts", language, f"tests/vits-{language}")
