"""`subtitle_swap`: the subtitles of another clip in the same language, shown in the rhythm of this one's speech.

Subtitles in another language are `caption_mistranslation`.
"""

from __future__ import annotations

from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.text.wording import reworded, words_of
from haetae.errors import Rejected


class SubtitleSwap:
    """Another clip's transcript; no weights."""

    card = Card(
        name="subtitle_swap",
        version="1",
        family="text",
        modalities=("text",),
        needs=("words", "donor_words"),
        params={"max_shared": 0.6},
        description=(
            "Shows what somebody else said in the same language in place of what is said, timed by the speech of"
            " the clip. Picture and sound stay."
        ),
        intended_use="Training and testing detectors of subtitles that disagree with what is said.",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Swap the subtitles.

        Raises: Rejected no_words, no_donor, donor_language (another one than the target's), same_text (more
        than `max_shared` of the words are the same).
        """
        words = words_of(request.target)
        donor = request.donor
        if donor is None or not donor.words:
            raise Rejected("no_donor", f"{self.card.key} needs a donor whose words are known")
        if donor.language != request.target.language:
            raise Rejected("donor_language", f"{donor.language}, the clip is in {request.target.language}")
        mine = {word.word.casefold() for word in words}
        theirs = {word.word.casefold() for word in donor.words}
        shared = len(mine & theirs) / max(1, min(len(mine), len(theirs)))
        if shared > float(settings(self.card, request)["max_shared"]):
            raise Rejected("same_text", f"{shared:.0%} of the words are the same")
        return reworded(words, [word.word for word in donor.words])
