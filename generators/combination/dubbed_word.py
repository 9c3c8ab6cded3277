"""`dubbed_word`: one word exchanged in the sound, and the mouth moved to it just as long as it lasts.

The word is made by `word_edit`, the mouth by `viseme_sync`; here they get one slot and one clock.
"""

from __future__ import annotations

from generators.combination.together import seen_and_heard
from generators.lip_sync.viseme_sync import animate
from generators.protocol import Card, FakeRequest, FakeResult, settings
from generators.speech.word_edit import INTENDED_USE, PARAMS, Editor, exchange_word


class DubbedWord:
    """One exchanged word with re-synchronised lips; no weights."""

    card = Card(
        name="dubbed_word",
        version="1",
        family="combination",
        modalities=("video", "audio"),
        languages=("ko", "en-SG", "ms", "ta"),
        needs=("face", "speech", "words", "edit"),
        params={**PARAMS, "strength": 1.0},
        description=(
            "Exchanges one word of the sound track in the clip's own voice, and moves lips and jaw through the"
            " visemes of the new word's sounds; before and after the word the person's own mouth is back within"
            " two frames."
        ),
        intended_use=INTENDED_USE,
        paper="Cohen & Massaro, Modeling Coarticulation in Synthetic Visual Speech, 1993",
    )

    def __init__(self, editor: Editor | None = None) -> None:
        self._editor = editor

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Exchange one word of the target, to be heard and to be seen.

        Raises: Rejected with the reasons of `exchange_word` and of `animate`.
        """
        s = settings(self.card, request)
        heard = exchange_word(request, s, self._editor)
        within_s = (heard.slot.start_s, heard.slot.end_s)
        seen = animate(request.target, heard.phonemes, 0.0, float(s["strength"]), within_s)
        return seen_and_heard(seen, heard, heard.text)
