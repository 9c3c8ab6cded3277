"""`caption_mistranslation`: subtitles in another language that say something else than what is said.

Nothing is translated: a sentence of the other language's bank is taken whose topics are not those of the clip.
"""

from __future__ import annotations

from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.text.wording import reworded, words_of
from haetae.errors import Rejected, UsageError
from haetae.locales import languages, load
from haetae.provenance.ids import seed_of

SENTENCE_S = 2.8
"""How long a sentence of the banks lasts on average."""
MAX_SENTENCES = 12


class CaptionMistranslation:
    """A false translation; no weights."""

    card = Card(
        name="caption_mistranslation",
        version="1",
        family="text",
        modalities=("text",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("words",),
        params={"into": "any"},
        description=(
            "Shows subtitles in another of the four languages that pass for a translation and tell of something"
            " else, timed by the speech of the clip. Picture and sound stay."
        ),
        intended_use="Training and testing detectors of translated subtitles that disagree with what is said.",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Put false subtitles. Raises: Rejected no_words, same_topic (no sentence tells of something else);
        UsageError for a parameter `into` that is no other language."""
        words = words_of(request.target)
        said = " ".join(word.word for word in words)
        into = _into(str(settings(self.card, request)["into"]), request)
        topics = load(request.language).topics_of(said)
        other = load(into)
        # A sentence without a known topic may tell of the same thing.
        candidates = [
            s for s in other.sentences_for("other") if (about := other.topics_of(s)) and not about & topics
        ]
        if not candidates:
            raise Rejected("same_topic", f"every sentence in {into} tells of {', '.join(sorted(topics))}")
        candidates.sort(key=lambda text: seed_of("mistranslation", request.seed, text))
        spoken_s = sum(word.end_s - word.start_s for word in words)
        n = min(MAX_SENTENCES, max(1, round(spoken_s / SENTENCE_S)))
        return reworded(words, " ".join(candidates[:n]).split())


def _into(wanted: str, request: FakeRequest) -> str:
    others = [language for language in languages() if language != request.language]
    if wanted == "any":
        return others[seed_of("into", request.seed) % len(others)]
    if wanted not in others:
        raise UsageError(f"caption_mistranslation: into={wanted!r} is not one of {', '.join(others)}, any")
    return wanted
