"""`caption_edit`: one small change to what the subtitles say: a negation, a number, a name or a place.

What may be changed, and into what, is known to `haetae.locales.edits`; saying it aloud is `word_edit`.
"""

from __future__ import annotations

from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.text.wording import edited, words_of
from haetae.errors import Rejected
from haetae.locales.edits import propose


class CaptionEdit:
    """One edit of the transcript; no weights."""

    card = Card(
        name="caption_edit",
        version="1",
        family="text",
        modalities=("text",),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("words", "edit"),
        params={"kinds": "negation number name place", "word_if_none": True},
        description=(
            "Turns what the subtitles say by one edit that keeps the grammar: a negation put in or taken out, or"
            " a number, name or place exchanged; another word where there is none of these. Picture and sound stay,"
            " so they tell another story."
        ),
        intended_use="Training and testing detectors of subtitles that disagree with what is said.",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Edit the transcript; another word is exchanged only where none of `kinds` is possible.

        Raises: Rejected no_words, no_edit (no rule is sure to be right); UsageError for an unknown kind.
        """
        s = settings(self.card, request)
        kinds = str(s["kinds"]).split()
        words = words_of(request.target)
        said = [word.word for word in words]
        edit = propose(said, request.language, request.seed, kinds)
        if edit is None and s["word_if_none"]:
            edit = propose(said, request.language, request.seed, ("word",))
        if edit is None:
            raise Rejected(
                "no_edit", f"no {', '.join(kinds)} in clip {request.target.clip_id} can be changed"
            )
        return edited(words, edit)
