"""Whether what a fake says can be understood: a recogniser listens to it, and what it heard is compared with the text.

The recogniser is Whisper with weights from a local folder, given and pinned like those of faces; without them nothing
is measured and nothing is downloaded. The figures of the picture, and of sound without words, are in `fakes`.
After: Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, ICML 2023; round trip as in Taylor &
Richmond, Confidence Intervals for ASR-based TTS Evaluation, Interspeech 2021.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haetae.errors import UsageError
from haetae.weights import checked_bytes

MAX_CHARACTERS = 1000
"""Of either text that are compared; a clip of seconds has fewer."""
MIN_CHARACTERS = 4
"""A shorter text is a guess for any recogniser."""
_MAX_BYTES = 8 << 30
_MAX_SMALL_BYTES = 64 << 20
_MODEL, _NEEDED, _ALSO = "model.bin", ("config.json", "tokenizer.json"), ("preprocessor_config.json",)
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
_WHISPER = {"ko": "ko", "en-SG": "en", "ms": "ms", "ta": "ta"}
"""Languages of the house in Whisper's words; another one it finds by itself."""
_MEND = (
    "give the folder of one Whisper model in CTranslate2's form and the SHA-256 of its model.bin, or neither"
)


@dataclass
class Listener:
    """Whisper through faster-whisper, the engine of WhisperX; loads at first use, runs on one core of the CPU.

    folder: with model.bin, config.json, tokenizer.json and vocabulary; sha256: of model.bin, hex. Equal sounds give
    equal texts: no sampling, no beam, no memory of what was heard before.
    """

    folder: str
    sha256: str
    _model: Any = field(init=False, default=None, repr=False, compare=False)

    def load(self) -> None:
        """Load the weights now. Raises: UsageError for a missing, other or unfitting file; without faster-whisper."""
        if self._model is not None:
            return
        files = read_model(self.folder, self.sha256)
        try:
            from faster_whisper import WhisperModel  # type: ignore[import-untyped]
        except ImportError as error:
            raise UsageError(
                "recognising speech needs faster-whisper, which comes with whisperx: install the extra `full`"
            ) from error
        try:
            # From memory: what was checked is what is loaded, and nothing is looked for elsewhere.
            self._model = WhisperModel(
                self.folder, device="cpu", compute_type="float32", cpu_threads=1, num_workers=1, files=files
            )
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"speech recogniser {self.folder}: {error}; {_MEND}") from error

    def hear(self, audio: NDArray[np.float32], language: str) -> str:
        """What is said. audio: float32 [N] at 16 kHz; language: ko | en-SG | ms | ta | other."""
        self.load()
        known = _WHISPER.get(language) if self._model.model.is_multilingual else None
        parts, _ = self._model.transcribe(
            np.ascontiguousarray(audio, np.float32),
            language=known,
            beam_size=1,
            temperature=0.0,
            vad_filter=False,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(part.text.strip() for part in parts)


def read_model(folder: str, sha256: str) -> dict[str, bytes]:
    """The files of a model by name, model.bin as it is pinned. Raises: UsageError for what is missing or another."""
    where = Path(folder)
    vocabulary = next((name for name in _VOCABULARIES if (where / name).is_file()), None)
    missing = [name for name in (_MODEL, *_NEEDED) if not (where / name).is_file()]
    if missing or vocabulary is None:
        named = ", ".join([*missing, *([] if vocabulary else [" or ".join(_VOCABULARIES)])])
        raise UsageError(f"speech recogniser: no {named} in {where}; {_MEND}")
    try:
        files = {_MODEL: checked_bytes(where / _MODEL, sha256, _MAX_BYTES)}
    except UsageError as error:
        raise UsageError(f"speech recogniser: {error}; {_MEND}") from error
    for name in (*_NEEDED, vocabulary, *(name for name in _ALSO if (where / name).is_file())):
        if (where / name).stat().st_size > _MAX_SMALL_BYTES:
            raise UsageError(f"speech recogniser: {where / name} is larger than any such file; {_MEND}")
        files[name] = (where / name).read_bytes()
    return files


def intelligibility(said: str, heard: str) -> float | None:
    """Share of the text that was understood: 1 less the character error rate, 0 to 1.

    said: what is said; heard: what a recogniser made of it. Letters and digits are compared, without case, spaces and
    punctuation: Korean is spaced freely, and Tamil marks count as written. None where too little is said to tell.
    Digits that are heard as words, or the other way round, count as errors.
    """
    truth, found = _letters(said), _letters(heard)
    if len(truth) < MIN_CHARACTERS:
        return None
    return max(0.0, 1.0 - _edits(truth, found) / len(truth))


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFC", text.casefold())
    return "".join(c for c in plain if unicodedata.category(c)[0] in "LMN")[:MAX_CHARACTERS]


def _edits(one: str, other: str) -> int:
    """Fewest characters put in, taken out or exchanged (Levenshtein), row by row."""
    target = np.array([ord(c) for c in other], np.int64)
    across = np.arange(len(target) + 1)
    row = across.copy()
    for i, character in enumerate(one, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (target != ord(character)))
        # What is put in follows from the left: the running minimum of the row without its slope.
        row = np.minimum.accumulate(np.concatenate([[i], best]) - across) + across
    return int(row[-1])
