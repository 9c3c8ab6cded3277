"""`world_voice`: what the target says, in the donor's voice.

How a voice is measured and moved is `timbre`; the vocoder is `haetae.voice.world`.
"""

from __future__ import annotations

import numpy as np

from generators.protocol import Card, ClipView, FakeRequest, FakeResult, settings
from generators.segments import RATE_HZ, audio_segments
from generators.speech.stretches import Samples, joined, merged, put_back, sound_of, take_apart
from generators.speech.timbre import Voiceprint, converted, distance_db, formant_ratio, voiceprint
from haetae.errors import Rejected
from haetae.voice.world import analyse

MAX_DONOR_S = 20.0
"""So much of a donor's speech is listened to; a voiceprint hardly changes after that."""


class WorldVoice:
    """Voice conversion with the WORLD vocoder; no weights."""

    card = Card(
        name="world_voice",
        version="1",
        family="speech",
        modalities=("audio",),
        needs=("speech", "donor_voice"),
        params={"fade_ms": 10.0},
        description=(
            "Takes the target's speech apart with the WORLD vocoder and gives it the donor's mean and spread of"
            " pitch, length of the vocal tract and long-term spectrum; words, timing, level and room stay."
        ),
        intended_use="Training and testing detectors of voice conversion without neural artefacts.",
        paper="Morise et al., WORLD: A Vocoder-Based High-Quality Speech Synthesis System, 2016",
    )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        """Say the target's words in the donor's voice.

        Raises: Rejected no_audio, no_speech, no_donor, too_little_voice (target or donor).
        """
        s = settings(self.card, request)
        if request.donor is None:
            raise Rejected("no_donor", f"{self.card.key} needs a donor")
        old = sound_of(request.target)
        stretches = take_apart(request.target)
        of = voiceprint(joined([x.inner for x in stretches]), "the target")
        to = donor_voice(request.donor)
        changed = [converted(x.frames, of, to) for x in stretches]
        audio, mended_db = put_back(old, stretches, changed, float(s["fade_ms"]))
        return FakeResult(
            segments=audio_segments(old, audio),
            audio=audio,
            words=request.target.words,
            metrics={
                "donor_f0_hz": round(float(np.exp(to.log_f0)), 3),
                "target_f0_hz": round(float(np.exp(of.log_f0)), 3),
                "formant_ratio": round(formant_ratio(of, to), 4),
                "envelope_distance_db": round(distance_db(of, to), 3),
                "level_mended_db": round(mended_db, 3),
            },
        )


def donor_voice(donor: ClipView) -> Voiceprint:
    """The voice of a donor: of its speech where that is known, else of whatever has a pitch in it.

    Raises: Rejected no_audio, too_little_voice.
    """
    audio = sound_of(donor, "the donor")
    heard: list[Samples] = [
        audio[max(0, round(a * RATE_HZ)) : round(b * RATE_HZ)]
        for a, b in merged(donor.speech)
        if b > a > -1e3
    ]
    speech = np.concatenate(heard) if heard else audio
    return voiceprint(analyse(speech[: round(MAX_DONOR_S * RATE_HZ)], quick=True), "the donor")
