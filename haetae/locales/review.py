"""Reviewing a locale by round trip: every sentence is spoken, judged, and counted in its own script.

What is done about a sentence that fails is a person's decision; nothing is changed here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from haetae.errors import Rejected
from haetae.locales.load import USE_CASES, Locale
from haetae.voice.espeak import speak
from haetae.voice.spoken import LanguageJudge
from haetae.voice.tokens import tokenize

MIN_SPOKEN_S, MAX_SPOKEN_S = 1.8, 4.2
"""Shorter sentences leave nothing to detect, longer ones do not fit into a clip."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One sentence: share of its letters that are of the locale's script; the language it was judged to be in
    and how surely, 0 to 1; how long it lasts at the locale's middle rate, seconds (None: it cannot be said);
    and what is wrong with it, in words (empty: nothing)."""

    language: str
    use_case: str
    sentence: str
    script_ratio: float
    spoken_language: str | None
    confidence: float
    duration_s: float | None
    problems: tuple[str, ...]


def review(locale: Locale) -> list[Reviewed]:
    """Every sentence of a locale in file order, with what is wrong with it.

    Singlish is judged by its own evidence (`haetae.voice.singlish`): a sentence may be plain English, if the
    sentences of its use case are Singlish together, since not every sentence has a particle.
    Loads the language models: some 0.3 s, once a call.
    """
    judge = LanguageJudge()
    judge.setup()
    return [
        one
        for use_case in USE_CASES
        for one in _use_case(locale, use_case, locale.sentences_for(use_case), judge)
    ]


def as_table(rows: Sequence[Reviewed]) -> str:
    """The review as lines of text: a heading, a line for each use case, and one for each problem."""
    lines = [
        f"{'language':8} {'use case':16} {'n':>4} {'script':>7} {'language':>9} {'seconds':>13} {'problems':>9}"
    ]
    for key in dict.fromkeys((row.language, row.use_case) for row in rows):
        mine = [row for row in rows if (row.language, row.use_case) == key]
        spoken = [row.duration_s for row in mine if row.duration_s is not None]
        right = sum(row.spoken_language == row.language for row in mine) / len(mine)
        span = f"{min(spoken):.1f} to {max(spoken):.1f}" if spoken else "none"
        lines.append(
            f"{key[0]:8} {key[1]:16} {len(mine):>4} {min(row.script_ratio for row in mine):>7.2f}"
            f" {right:>9.0%} {span:>13} {sum(bool(row.problems) for row in mine):>9}"
        )
    lines += [f"  {row.sentence}: {'; '.join(row.problems)}" for row in rows if row.problems]
    return "\n".join(lines)


def script_ratio(text: str, script: str) -> float:
    """Share of the letters and vowel signs of a text that are of a script, by their Unicode names; 0 without any."""
    letters = [c for c in text if unicodedata.category(c)[0] in "LM"]
    return sum(unicodedata.name(c, "").startswith(script) for c in letters) / len(letters) if letters else 0.0


def _use_case(
    locale: Locale, use_case: str, sentences: Sequence[str], judge: LanguageJudge
) -> list[Reviewed]:
    whole = judge.spoken("\n".join(sentences))
    together = locale.language == "en-SG" and whole is not None and whole.language == "en-SG"
    rate_wpm = sum(locale.voice.rate_wpm) // 2
    rows = []
    for sentence in sentences:
        spoken = judge.spoken(sentence)
        language = spoken.language if spoken else None
        if language == "other" and spoken is not None and spoken.detail == "en" and together:
            language = locale.language
        ratio = script_ratio(sentence, locale.script)
        duration_s, unsaid = _said(sentence, locale.language, rate_wpm)
        problems = [
            *([f"{1 - ratio:.0%} of its letters are not {locale.script}"] if ratio < 1 else []),
            *([] if language == locale.language else [f"reads as {spoken.detail if spoken else 'nothing'}"]),
            *unsaid,
        ]
        confidence = spoken.confidence if spoken else 0.0
        rows.append(
            Reviewed(
                locale.language, use_case, sentence, ratio, language, confidence, duration_s, tuple(problems)
            )
        )
    return rows


def _said(sentence: str, language: str, rate_wpm: int) -> tuple[float | None, list[str]]:
    """How long a sentence lasts when spoken, and what is wrong with how it is spoken."""
    try:
        speech = speak(sentence, language, rate_wpm=rate_wpm)
    except Rejected as rejected:
        return None, [f"cannot be said: {rejected.reason}"]
    problems = []
    if not MIN_SPOKEN_S <= speech.duration_s <= MAX_SPOKEN_S:
        problems.append(f"lasts {speech.duration_s:.1f} s, wanted are {MIN_SPOKEN_S} to {MAX_SPOKEN_S}")
    if [word.word for word in speech.words] != [token.text for token in tokenize(sentence)]:
        problems.append("not every word is timed")
    return speech.duration_s, problems
