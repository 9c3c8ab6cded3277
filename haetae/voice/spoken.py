"""Which language a text is in, in the words of the house: ko, en-SG, ms, ta, other.

What was really said is not known here: only the text is judged, not the sound. What makes English Singlish
is in `singlish`.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from haetae.locales.lexicons import function_words
from haetae.voice.singlish import ENOUGH, is_lexical, score, singlish_evidence, total, words_of

MAX_CHARACTERS = 20_000
MIN_LETTERS = 2
"""Letters of a script that one language owns."""
MIN_LATIN_LETTERS, MIN_LATIN_WORDS = 6, 2

_OWNERS = {
    "HANGUL": "ko", "TAMIL": "ta", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "THAI": "th",
    "DEVANAGARI": "hi", "ARABIC": "ar", "CYRILLIC": "ru", "TELUGU": "te", "MALAYALAM": "ml", "BENGALI": "bn",
    "GREEK": "el", "HEBREW": "he", "MYANMAR": "my", "KHMER": "km", "LAO": "lo", "SINHALA": "si",
    "KANNADA": "kn", "GUJARATI": "gu", "GURMUKHI": "pa",
}  # fmt: skip
"""First word of the Unicode names of a script's letters, and the language that mostly uses it."""
_LETTERS_EACH = {"HANGUL": 2.5, "CJK": 3.0, "HIRAGANA": 2.0, "KATAKANA": 2.0}
"""How many Latin letters one letter of a denser script stands for."""
_OWN_SHARE = 0.35
"""Who writes a sentence in an own script takes English words into it, not the other way round."""
_PER_WORD, _PER_TAMIL_WORD = 1.6, 2.2
_TAMIL_BEFORE = 0.03
_TAMIL_ENDS = (
    "unga",
    "aanga",
    "uchu",
    "ukku",
    "uthu",
    "udhu",
    "adhu",
    "itten",
    "ndha",
    "ndhu",
    "rinja",
    "liya",
)
_TAMIL_END_LETTERS = 6
"""Shortest word of which the ending tells: Malay has `bunga`."""
_LEAST = 1e-4
_LIKELY_INDONESIAN = 0.8
SURE = 0.65
"""Less than this is even odds or little more: what fits Malay and Indonesian alike, or a script for a few words."""
_HOUSE = {"ko": "ko", "ms": "ms", "ta": "ta"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """Judgement on a text.

    language: ko | en-SG | ms | ta | other; plain English is `other`. confidence: 0 to 1. singlish_score:
    weight of the evidence for Singlish over the number of words, 0 to 1; 0 where the text is not English.
    detail: ISO 639-1 code of the language it is nearest to, such as `en` or `id`; for another script that
    of the language that mostly uses it.
    """

    language: str
    confidence: float
    singlish_score: float
    detail: str


@dataclass
class LanguageJudge:
    """Judges texts. Call `setup` once per process; it loads lingua's models.

    Letters decide first: a script that one language owns needs no model. For Latin letters lingua's trigram
    models and counts of function words are put together. The trigram models alone (lingua's low accuracy
    mode) take 20 MB where the full ones take 180 MB, and with the words beside them they lose nothing.
    """

    _detector: Any = field(init=False, default=None, repr=False, compare=False)

    def setup(self) -> None:
        """Load the models of the languages in Latin letters that are told apart."""
        if self._detector is None:
            from lingua import Language as L
            from lingua import LanguageDetectorBuilder

            house = (L.ENGLISH, L.MALAY, L.INDONESIAN)
            near = (L.TAGALOG, L.VIETNAMESE, L.SPANISH, L.FRENCH, L.GERMAN, L.PORTUGUESE, L.ITALIAN, L.DUTCH)
            builder = LanguageDetectorBuilder.from_languages(*house, *near)
            self._detector = builder.with_low_accuracy_mode().build()

    def spoken(self, text: str) -> Spoken | None:
        """The language of a text of one or more sentences; None where it is too short to tell."""
        text = unicodedata.normalize("NFC", text[:MAX_CHARACTERS])
        scripts = _scripts(text)
        weights = {name: n * _LETTERS_EACH.get(name, 1.0) for name, n in scripts.items()}
        whole = sum(weights.values())
        if not whole:
            return None
        own = _own_script(weights, whole)
        if own is not None:
            language, share = own
            n_letters = sum(n for name, n in scripts.items() if name != "LATIN")
            if n_letters < MIN_LETTERS:
                return None
            return Spoken(_HOUSE.get(language, "other"), round(share, 2), 0.0, language)
        words = words_of(text)
        if scripts["LATIN"] < MIN_LATIN_LETTERS or len(words) < MIN_LATIN_WORDS:
            return None
        return self._latin(text, words)

    def _latin(self, text: str, words: list[str]) -> Spoken:
        self.setup()
        telling = [word for word in words if not is_lexical(word)]
        odds = _with_words(self._lingua(" ".join(telling or words)), telling)
        best = max(sorted(odds), key=lambda language: odds[language])
        if best == "malayic":
            return _malay_or_indonesian(odds, words, self._lingua(text))
        if best != "en":
            return Spoken(_HOUSE.get(best, "other"), round(odds[best], 2), 0.0, best)
        signs = singlish_evidence(text)
        weight, share = total(signs), round(score(signs, len(words)), 3)
        if weight >= ENOUGH - 1e-9:
            return Spoken("en-SG", round(odds["en"] * (1 - 0.5 ** (1 + weight)), 2), share, "en")
        return Spoken("other", round(odds["en"] * (1 - 0.5 * weight), 2), share, "en")

    def _lingua(self, text: str) -> dict[str, float]:
        found = self._detector.compute_language_confidence_values(text)
        # lingua adds up in an order that changes from run to run; the last digits must not reach a table.
        return {c.language.iso_code_639_1.name.lower(): round(c.value, 6) for c in found}


def _scripts(text: str) -> Counter[str]:
    """Letters by script; combining vowel signs count with their letter's script, so Tamil is not short."""
    counts: Counter[str] = Counter()
    for character in text:
        if unicodedata.category(character)[0] in "LM":
            name = unicodedata.name(character, "").split(" ")[0]
            counts["LATIN" if name in ("FULLWIDTH", "") else name] += name not in ("COMBINING", "MODIFIER")
    return counts


def _own_script(weights: dict[str, float], whole: float) -> tuple[str, float] | None:
    """Language and share of the strongest script other than Latin, if the text is mostly in it."""
    by_language: Counter[str] = Counter()
    for name, weight in weights.items():
        if name in _OWNERS:
            by_language[_OWNERS[name]] += weight  # type: ignore[assignment]
    if by_language["ja"] and by_language["zh"]:
        by_language["ja"] += by_language.pop("zh")
    if not by_language:
        return None
    language = max(sorted(by_language), key=lambda code: by_language[code])
    share = by_language[language] / whole
    return (language, share) if share >= _OWN_SHARE else None


def _with_words(lingua: dict[str, float], words: list[str]) -> dict[str, float]:
    """Probabilities by language: lingua's, each function word of a language making it likelier.

    Malay and Indonesian are one here (`malayic`). Tamil in Latin letters is known by its words alone.
    """
    known = function_words()
    prior = dict(lingua)
    prior["malayic"] = prior.pop("ms", 0.0) + prior.pop("id", 0.0)
    prior["ta"] = _TAMIL_BEFORE
    counts = {
        "en": sum(word in known.english for word in words),
        "malayic": sum(word in known.malayic | known.malay | known.indonesian for word in words),
        "ta": sum(word in known.tamil or _ends_as_tamil(word) for word in words),
    }
    per_word = {"ta": _PER_TAMIL_WORD}
    logs = {
        code: math.log(max(p, _LEAST)) + per_word.get(code, _PER_WORD) * counts.get(code, 0)
        for code, p in prior.items()
    }
    top = max(logs.values())
    weights = {code: math.exp(value - top) for code, value in logs.items()}
    return {code: weight / sum(weights.values()) for code, weight in weights.items()}


def _ends_as_tamil(word: str) -> bool:
    return len(word) >= _TAMIL_END_LETTERS and word.endswith(_TAMIL_ENDS)


def _malay_or_indonesian(odds: dict[str, float], words: list[str], lingua: dict[str, float]) -> Spoken:
    """Indonesian only where its own words, or lingua beyond doubt, say so; what fits both is Malay."""
    known = function_words()
    balance = sum(w in known.indonesian for w in words) - sum(w in known.malay for w in words)
    either = lingua.get("ms", 0.0) + lingua.get("id", 0.0)
    p_id = lingua.get("id", 0.0) / either if either else 0.5
    p = 1 / (1 + math.exp(-_PER_WORD * balance) * (1 - p_id + _LEAST) / (p_id + _LEAST))
    if (balance > 0 and p > 0.5) or (balance == 0 and p > _LIKELY_INDONESIAN):
        return Spoken("other", round(odds["malayic"] * p, 2), 0.0, "id")
    # What fits both is called Malay, and is never surer than even odds allow.
    return Spoken("ms", round(odds["malayic"] * max(0.5, 1 - p), 2), 0.0, "ms")


@cache
def _default() -> LanguageJudge:
    return LanguageJudge()


def spoken_language(text: str) -> Spoken | None:
    """The language of a text with a judge that is kept for the process; see `LanguageJudge.spoken`."""
    return _default().spoken(text)


def written_language(text: str, expected: str) -> str | None:
    """BCP 47 tag of the language of a text, by its script and words; None where that cannot be told for sure.

    expected: tag of the language that it is likely to be in: it is believed with less evidence, and of English it
    tells the variety. Plain English elsewhere is `en`.
    """
    found = spoken_language(text)
    if found is None:
        return None
    tag = found.detail if found.language == "other" else found.language
    if expected == "en-SG" and found.detail == "en":
        tag = expected
    return tag if tag == expected or found.confidence >= SURE else None
