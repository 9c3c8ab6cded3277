"""Words as they are written: with the punctuation of the text that they were taken from.

What is timed are words without it (`tokens`); subtitles whose words were changed are shown with it again, since its
absence alone would tell a changed text from an untouched one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from haetae.voice.tokens import tokenize

_CLOSING = ".?!…。？！"
"""Marks that end a sentence, and stay where a text ends though its last word was taken out."""


@dataclass(frozen=True)
class _Marked:
    """A word and the marks before and after it; marks that stand alone belong to the word before them."""

    word: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}{self.word}{self.after}"


def as_written(words: Sequence[str], known: Sequence[str], text: str) -> list[str]:
    """Words with marks: those that `known` has too take theirs, others those of the words whose place they take.

    known: the words of `text`, as `tokenize` cuts them, or the first of them. Words that bring marks of their own
    keep them. As many as were given; as they were given where `known` is not what `text` says.
    """
    marked = _marked(text)[: len(known)]
    if [one.word for one in marked] != list(known):
        return list(words)
    found = [_Marked(word) for word in words]
    match = SequenceMatcher(None, list(known), list(words), autojunk=False)
    for kind, a, b, c, d in match.get_opcodes():
        if kind == "equal":
            found[c:d] = marked[a:b]
        elif kind == "replace":
            found[c] = replace(found[c], before=_at_end(words[c], 0, marked[a].before))
            found[d - 1] = replace(found[d - 1], after=_at_end(words[d - 1], -1, marked[b - 1].after))
        elif kind == "delete" and b == len(known) and 0 < c == len(words):
            closing = "".join(mark for mark in marked[b - 1].after if mark in _CLOSING)
            found[c - 1] = replace(found[c - 1], after=closing or found[c - 1].after)
        elif kind == "insert" and 0 < a == len(known):
            found[d - 1] = replace(found[d - 1], after=_at_end(words[d - 1], -1, marked[a - 1].after))
            found[c - 1] = replace(found[c - 1], after="")
    return [str(one) for one in found]


def _marked(text: str) -> list[_Marked]:
    found: list[_Marked] = []
    for token in tokenize(text):
        raw = text[token.first : token.last]
        if token.is_word:
            at = raw.index(token.text)
            found.append(_Marked(token.text, raw[:at], raw[at + len(token.text) :]))
        elif found:
            found[-1] = replace(found[-1], after=f"{found[-1].after} {raw}")
    return found


def _at_end(word: str, end: int, marks: str) -> str:
    """The marks of the place, unless the word has its own at this end."""
    return marks if word and unicodedata.category(word[end])[0] in "LMN" else ""
