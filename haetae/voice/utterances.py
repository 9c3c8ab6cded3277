"""The `utterances` stage: where a clip holds speech, what is said there, and when each word is said.

What the words mean, and whether the voice is real, is not decided here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from haetae.engine import Row
from haetae.errors import Rejected
from haetae.provenance.ids import content_id
from haetae.voice.activity import Region, SpeechDetector, overlap_s
from haetae.voice.align import ALIGNER, align_words
from haetae.voice.captions import Caption, parse
from haetae.voice.espeak import VOICES
from haetae.voice.level import RATE_HZ, rms_dbfs
from haetae.voice.pitch import median_f0_hz
from haetae.voice.spoken import LanguageJudge
from haetae.voice.tokens import tokenize
from haetae.voice.words import Word, as_rows

MIN_OVERLAP_S = 0.1
"""A caption that shares less than this with a stretch of speech is not about it."""
MAX_CHARACTERS_PER_S = 30.0
"""Nobody speaks faster in any of the four scripts: a text that would need it is of something longer."""


@dataclass
class FindUtterances:
    """Step: a clip row → its rows of the `utterances` table, in order of time.

    A clip without sound or without speech has none. The text comes from the captions of the media file,
    words are timed by the embedded aligner in the languages it speaks. Captions that cannot be read, or that
    hold nothing for a stretch, leave its text null; the stretch stays. `spoken_language` is judged by the
    text alone; `language` stays what the source declares.

    `vad_threshold`: probability from which sound counts as speech, 0 to 1. `min_speech_s`: shortest stretch.
    `merge_gap_s`: longest pause inside a stretch. `align`: whether words are timed.
    A row may carry `media_duration_s`, which ends a plain transcript; without it, a transcript without times
    is only believed for a clip from the start of its media file that is long enough to hold it.
    """

    lake_root: str
    vad_threshold: float = 0.35
    min_speech_s: float = 0.25
    merge_gap_s: float = 0.3
    align: bool = True
    timeout_s: float = 300.0
    stage: ClassVar[str] = "utterances"
    key: ClassVar[str] = "clip_id"
    num_cpus: ClassVar[float] = 1.0
    num_gpus: ClassVar[float] = 0.0
    _detector: SpeechDetector | None = field(init=False, default=None, repr=False, compare=False)
    _judge: LanguageJudge | None = field(init=False, default=None, repr=False, compare=False)
    _lake: Any = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        """Load the speech detector and the language models."""
        from haetae.lake import Lake

        self._lake = Lake(self.lake_root)
        self._detector = SpeechDetector(self.vad_threshold, self.min_speech_s, self.merge_gap_s)
        self._detector.setup()
        self._judge = LanguageJudge()
        self._judge.setup()

    def __call__(self, row: Row) -> Sequence[Row]:
        """Find the utterances of one clip. Raises: what reading the clip raises."""
        if not row["has_audio"]:
            return []
        if self._detector is None:
            self.setup()
        from haetae.media.audio import read_audio

        assert self._detector is not None
        audio = read_audio(self._lake.open_local(row["blob_id"]))
        regions = self._detector.regions(audio)
        said = share_captions(self._captions(row), regions) if regions else []
        utterances: list[Row] = []
        for part in said:
            texts, words = self._timed(audio, part, row["language"])
            for region, text, timed in zip(part.regions, texts, words, strict=True):
                first, last = (round(edge * RATE_HZ) for edge in region)
                utterances.append(self._row(row, region, text or None, timed, audio[first:last]))
        return sorted(utterances, key=lambda utterance: float(utterance["start_s"]))

    def _captions(self, row: Row) -> list[Caption]:
        """Captions in clip time, cut to the clip; none where they cannot be read."""
        if not row.get("captions_blob"):
            return []
        try:
            captions = parse(self._lake.open_local(row["captions_blob"]))
        except Rejected:
            return []
        duration_s = row.get("media_duration_s")
        return in_clip(captions, row["start_s"], row["end_s"], duration_s)

    def _timed(
        self, audio: NDArray[np.float32], part: Part, language: str
    ) -> tuple[list[str], list[list[Word]]]:
        """Text and words of each region of a part."""
        if self.align and part.text and language in VOICES:
            try:
                words, _ = align_words(audio, part.text, language, part.regions)
            except Rejected:
                words = []
            if words:
                return by_words(part, words)
        return by_duration(part), [[] for _ in part.regions]

    def _row(
        self, clip: Row, region: Region, text: str | None, words: list[Word], heard: NDArray[np.float32]
    ) -> Row:
        assert self._judge is not None
        f0_hz = median_f0_hz(heard)
        start_s, end_s = round(region[0], 3), round(region[1], 3)
        spoken = self._judge.spoken(text) if text else None
        return {
            "utterance_id": content_id(
                "utterance", clip["clip_id"], round(1000 * start_s), round(1000 * end_s)
            ),
            "clip_id": clip["clip_id"],
            "batch": clip["batch"],
            "start_s": start_s,
            "end_s": end_s,
            "text": text,
            "language": clip["language"],
            "words": as_rows(words),
            "text_source": clip.get("captions_kind") if text else None,
            "aligner": ALIGNER if words else None,
            "loudness_dbfs": round(rms_dbfs(heard), 2),
            "f0_hz": None if f0_hz is None else round(f0_hz, 1),
            "spoken_language": spoken.language if spoken else None,
            "spoken_confidence": spoken.confidence if spoken else None,
        }


@dataclass(frozen=True)
class Part:
    """Regions that share captions, and the text said over all of them; empty: unknown."""

    regions: tuple[Region, ...]
    text: str


def in_clip(
    captions: Sequence[Caption], start_s: float, end_s: float, media_duration_s: float | None
) -> list[Caption]:
    """Captions of a media file as captions of the clip [start_s, end_s) of it, in clip time.

    A caption that reaches beyond the clip keeps the share of its words that its share of time gives.
    """
    kept = []
    for caption in captions:
        until_s = caption.end_s
        if math.isinf(until_s):
            too_long = len(caption.text) > MAX_CHARACTERS_PER_S * (end_s - start_s)
            if media_duration_s is None and (start_s > MIN_OVERLAP_S or too_long):
                continue
            until_s = media_duration_s or end_s
        low, high = max(caption.start_s, start_s), min(until_s, end_s)
        if high - low < MIN_OVERLAP_S:
            continue
        whole_s = until_s - caption.start_s
        text = _slice(caption.text, (low - caption.start_s) / whole_s, (high - caption.start_s) / whole_s)
        if text:
            kept.append(Caption(low - start_s, high - start_s, text))
    return kept


def _slice(text: str, low: float, high: float) -> str:
    tokens = tokenize(text)
    first, last = round(low * len(tokens)), round(high * len(tokens))
    return text[tokens[first].first : tokens[last - 1].last] if last > first else ""


def share_captions(captions: Sequence[Caption], regions: Sequence[Region]) -> list[Part]:
    """Put captions and regions together: regions that one caption spans form one part, as do captions that
    fall on one region. Captions over no speech are left out."""
    parts: list[tuple[list[Region], list[str]]] = [([region], []) for region in regions]
    for caption in sorted(captions, key=lambda c: c.start_s):
        span = (caption.start_s, caption.end_s)
        shared = [i for i, (held, _) in enumerate(parts) if _touches(span, held)]
        if not shared:
            continue
        first, *others = shared
        for i in reversed(others):
            parts[first][0].extend(parts[i][0])
            parts[first][1].extend(parts[i][1])
            del parts[i]
        parts[first][1].append(caption.text)
    return [Part(tuple(sorted(held)), " ".join(texts)) for held, texts in parts]


def _touches(span: Region, regions: Sequence[Region]) -> bool:
    """Whether they share enough time, or the whole of a caption or region that is shorter than that."""
    return any(
        overlap_s(span, region) >= min(MIN_OVERLAP_S, span[1] - span[0], region[1] - region[0])
        for region in regions
    )


def by_words(part: Part, words: Sequence[Word]) -> tuple[list[str], list[list[Word]]]:
    """Text and words of each region, each token in the region in which its word was found."""
    timed: list[list[Word]] = [[] for _ in part.regions]
    tokens = tokenize(part.text)
    homes: list[int] = []
    waiting = list(words)
    home = 0
    for token in tokens:
        if waiting and waiting[0].word == token.text:
            word = waiting.pop(0)
            middle_s = (word.start_s + word.end_s) / 2
            home = max(home, sum(1 for region in part.regions if region[0] <= middle_s) - 1)
            timed[home].append(word)
        homes.append(home)
    return _texts(part, homes), timed


def by_duration(part: Part) -> list[str]:
    """Text of each region by its share of the speech, where no words are timed."""
    tokens = tokenize(part.text)
    lengths = [end_s - start_s for start_s, end_s in part.regions]
    edges = [sum(lengths[: i + 1]) / sum(lengths) for i in range(len(lengths))]
    last = len(part.regions) - 1
    homes = [
        min(last, sum(1 for edge in edges if edge < (i + 0.5) / len(tokens))) for i in range(len(tokens))
    ]
    return _texts(part, homes)


def _texts(part: Part, homes: Sequence[int]) -> list[str]:
    """The text cut where the home of its tokens changes; homes never fall."""
    tokens = tokenize(part.text)
    texts = []
    for i in range(len(part.regions)):
        mine = [token for token, home in zip(tokens, homes, strict=True) if home == i]
        texts.append(part.text[mine[0].first : mine[-1].last] if mine else "")
    return texts
