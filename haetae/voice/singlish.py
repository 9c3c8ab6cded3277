"""Singlish by its own rule: particles, lexicon, code-switching and grammar, counted in English text.

Whether the text is English in the first place is judged in `spoken`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from haetae.locales.lexicons import function_words, singlish_words

ENOUGH = 1.0
"""Evidence from which on English is Singlish: one unmistakable sign, or two that may be accidents."""

_STRONG, _MIDDLE, _WEAK = 1.0, 0.6, 0.3
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CLAUSE = re.compile(r"[.!?,;:…\n()\[\]\"“”—–]+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sign of Singlish. words: how many words it covers; weight: 0 to 1."""

    kind: str
    words: int
    weight: float


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, composed, with straight apostrophes and without digits."""
    plain = unicodedata.normalize("NFC", text).replace("’", "'").lower()
    return _WORD.findall(plain)


def singlish_evidence(text: str) -> list[Evidence]:
    """Signs of Singlish in English text, in order of its clauses; each word counts once.

    The signs are those described for Colloquial Singapore English, among others by Gupta, "The Step-tongue"
    (1994) and Leimgruber, "Singapore English" (2013): clause-final particles, words of Hokkien and Malay,
    bare `already` and `got`, `can` as a whole predicate, missing copula, `why you so`, reduplication.
    """
    clauses = [words_of(clause) for clause in _CLAUSE.split(text)]
    return [sign for clause in clauses if clause for sign in _in_clause(clause)]


def total(signs: Sequence[Evidence]) -> float:
    """Sum of the weights; `ENOUGH` and more means Singlish."""
    return sum(sign.weight for sign in signs)


def score(signs: Sequence[Evidence], n_words: int) -> float:
    """Weight of the evidence over the number of words, 0 to 1."""
    return min(1.0, total(signs) / n_words) if n_words else 0.0


def is_lexical(word: str) -> bool:
    """Whether a word in lower case is Singlish by itself, and so tells nothing of the language around it."""
    known = singlish_words()
    return word in known.particles or word in known.strong


def _in_clause(words: list[str]) -> Iterator[Evidence]:
    taken = [False] * len(words)
    for kind, weight, spans in (
        ("phrase", _STRONG, _phrases(words)),
        ("particle", _STRONG, _particles(words)),
        ("lexicon", _STRONG, _lexicon(words)),
        ("grammar", _STRONG, _plain_grammar(words)),
        ("grammar", _MIDDLE, _likely_grammar(words)),
        ("reduplication", _MIDDLE, _reduplication(words)),
        ("code_switching", _MIDDLE, _code_switching(words)),
        ("weak", _WEAK, _weak(words)),
    ):
        for first, last in spans:
            if not any(taken[first:last]):
                taken[first:last] = [True] * (last - first)
                yield Evidence(kind, last - first, weight)


Spans = Iterator[tuple[int, int]]
"""Runs of words [first, last) of a clause."""


@cache
def _phrases_by_length() -> dict[int, frozenset[tuple[str, ...]]]:
    phrases = [tuple(phrase.split()) for phrase in singlish_words().phrases]
    return {n: frozenset(p for p in phrases if len(p) == n) for n in {len(p) for p in phrases}}


def _phrases(words: list[str]) -> Spans:
    for n, known in sorted(_phrases_by_length().items(), reverse=True):
        for first in range(len(words) - n + 1):
            if tuple(words[first : first + n]) in known:
                yield first, first + n


def _particles(words: list[str]) -> Spans:
    known = singlish_words()
    for i, word in enumerate(words):
        if word in known.particles and len(words) > 1:
            yield i, i + 1
    last = len(words) - 1
    # At the start of a clause "ah" and "ma" are interjections of every English, so something must stand before.
    if last >= 1 and words[last] in known.final_particles and words[last - 1] != words[last]:
        yield last, last + 1


def _lexicon(words: list[str]) -> Spans:
    strong = singlish_words().strong
    for i, word in enumerate(words):
        # "Wah" is heard elsewhere too, but only as a call before something else.
        if word in strong and (len(words) > 1 or word != "wah"):
            yield i, i + 1


def _plain_grammar(words: list[str]) -> Spans:
    """Constructions that other Englishes do not have."""
    n = len(words)
    for i, word in enumerate(words):
        rest = words[i + 1 : i + 3]
        if word in ("can", "got", "want", "correct", "true", "good", "nice") and rest == ["or", "not"]:
            if i + 3 == n and "whether" not in words[:i] and "if" not in words[:i]:
                yield i, i + 3
        elif word in ("can", "cannot") and i + 2 == n and words[i + 1] in ("also", "already", "one", "what"):
            yield i, i + 2
        elif word == "got" and i + 1 < n and words[i - 1 : i] in (["here"], ["there"], ["where"], ["inside"]):
            yield i, i + 1
        elif word == "like" and rest == ["that"] and i + 2 == n and {"how", "can"} <= set(words[:i]):
            yield i, i + 2
    if n >= 3 and words[-1] == "not" and words[-2] == "or" and not {"whether", "if"} & set(words):
        yield n - 2, n
    if words[:1] == ["why"] and _asks_without_do(words):
        yield 0, 2
    yield from _bare_progressive(words)
    for i, word in enumerate(words):
        if word in ("so", "very", "damn", "quite", "super", "too") and _copula_is_missing(words, i):
            yield i, i + 2


def _asks_without_do(words: list[str]) -> bool:
    follow = {"so", "always", "never", "like", "not", "no", "also", "still", "must", "cannot", "everyday"}
    asked = {"you", "he", "she", "they", "we", "i", "this", "that"}
    return len(words) > 2 and words[1] in asked and words[2] in follow


def _likely_grammar(words: list[str]) -> Spans:
    """Constructions that are also slips or colloquial elsewhere: one alone is not enough."""
    n = len(words)
    last = n - 1
    perfect = bool(singlish_words().be_or_have & set(words[:last]))
    if n >= 3 and words[last] == "already" and not perfect:
        yield last, n
    if n >= 3 and words[last] == "one" and not singlish_words().before_a_noun & set(words[last - 2 : last]):
        yield last, n
    if (
        n >= 3
        and words[last] == "what"
        and words[last - 1] in ("already", "that", "there", "one", "can", "got")
    ):
        yield last, n
    if (
        n >= 2
        and words[-2:] == ["is", "it"]
        and not {"what", "where", "who", "how", "which", "time"} & set(words)
    ):
        yield n - 2, n
    for i, word in enumerate(words):
        before, after = words[i - 1] if i else "", words[i + 1] if i < last else ""
        if word == "got" and before in (
            "still",
            "also",
            "always",
            "already",
            "never",
            "today",
            "tomorrow",
            "then",
        ):
            yield i, i + 1
        elif word == "also" and after in (
            "can",
            "cannot",
            "must",
            "want",
            "don't",
            "never",
            "no",
            "got",
            "same",
        ):
            yield i, i + 2
        elif word == "cannot" and i == last and before in ("also", "like", "that", "this"):
            yield i, n
        elif word == "anyhow" and 0 < i < last:
            yield i, i + 1
    if n >= 3 and words[0] in ("he", "she") and words[1] in singlish_words().bare_verbs:
        yield 0, 2


def _copula_is_missing(words: list[str], i: int) -> bool:
    """Whether a clause such as `the rain so heavy` ends here: noun, degree, adjective and no verb."""
    start = {
        "this",
        "that",
        "these",
        "those",
        "the",
        "my",
        "your",
        "his",
        "her",
        "our",
        "their",
        "today",
        "here",
    }
    subject, rest = words[:i], words[i + 1 :]
    if (
        not subject
        or subject[0] not in start
        or len(subject) > 3
        or not rest
        or singlish_words().be_or_have & set(subject)
    ):
        return False
    ends = len(rest) == 1 or (
        len(rest) == 2 and rest[1] in singlish_words().particles | {"already", "ah", "one"}
    )
    if (
        not ends
        or rest[0].endswith("ly")
        or rest[0] in ("much", "many", "far", "long", "well", "often", "soon")
    ):
        return False
    if len(subject) == 1:
        # "That very day", "the very best" and "my very own" are English.
        return subject[0] in ("today", "here") or (subject[0] in ("this", "that") and words[i] != "very")
    verbs = (
        "went",
        "ran",
        "did",
        "felt",
        "came",
        "made",
        "can",
        "could",
        "will",
        "would",
        "grew",
        "fell",
        "got",
    )
    return not subject[-1].endswith(("s", "ed", "ing")) and subject[-1] not in verbs


def _bare_progressive(words: list[str]) -> Spans:
    """`I calling to change`, `she still sleeping`: a pronoun at the start and no form of `be`."""
    if words[0] not in ("i", "he", "she", "we", "they"):
        return
    at = 2 if words[1:2] in (["still"], ["now"], ["always"], ["also"], ["already"]) else 1
    verb = words[at] if at < len(words) else ""
    if (
        len(verb) > 5
        and verb.endswith("ing")
        and verb not in ("bring", "string", "spring", "during", "swing", "cling")
    ):
        yield 0, at + 1


def _reduplication(words: list[str]) -> Spans:
    for i, (one, two) in enumerate(pairwise(words)):
        # Three times and more is a list or a stutter.
        twice = one == two and one not in (*words[max(0, i - 1) : i], *words[i + 2 : i + 3])
        if twice and len(one) >= 3 and one not in singlish_words().said_twice:
            yield i, i + 2


def _code_switching(words: list[str]) -> Spans:
    """Malay function words inside English."""
    known = function_words()
    malay = (known.malayic | known.malay) - known.english - known.indonesian
    for i, word in enumerate(words):
        if word in malay and len(word) > 2 and i:
            yield i, i + 1


def _weak(words: list[str]) -> Spans:
    weak = singlish_words().weak
    for i, word in enumerate(words):
        if word in weak:
            yield i, i + 1
