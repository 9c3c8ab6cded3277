"""Generators that are wrong in one way each, and the honest one that they are made from."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from generators.protocol import Card, FakeRequest, FakeResult, Segment, Word
from generators.segments import audio_segments, changed_frames, video_segments
from haetae.errors import Rejected
from haetae.provenance.ids import seed_of

HONEST = Card(
    name="honest",
    version="1",
    family="combination",
    modalities=("video", "audio"),
    languages=("ms",),
    needs=("face", "speech"),
    description="Puts noise onto the nose and halves the sound of the first speech.",
    intended_use="Trying the conformance suite on a generator that is as small as can be.",
)


def card(name: str, **changes: object) -> Card:
    return HONEST.model_copy(update={"name": name, **changes})


class Honest:
    card: ClassVar[Card] = HONEST

    def load(self, device: str) -> None:
        """Nothing to load."""

    def generate(self, request: FakeRequest) -> FakeResult:
        target = request.target
        if target.frames is None or not target.faces or not target.faces[0].found.any():
            raise Rejected("no_face", f"clip {target.clip_id} has no followed face")
        if target.audio is None or not target.speech:
            raise Rejected("no_speech", f"clip {target.clip_id} has no speech")
        frames, audio = target.frames.copy(), target.audio.copy()
        masks = np.zeros(frames.shape[:3], np.bool_)
        face = target.faces[0]
        for t in range(len(frames) // 4, max(len(frames) // 4 + 1, len(frames) // 2)):
            if np.isfinite(face.mesh[t]).all():
                x, y = np.clip(face.mesh[t, 4, :2].astype(int), 4, np.array(frames.shape[2:0:-1]) - 4)
                masks[t, y - 3 : y + 3, x - 3 : x + 3] = True
        dice = np.random.default_rng(seed_of("patch", request.seed))
        frames[masks] = dice.integers(0, 256, frames[masks].shape, dtype=np.uint8)
        start_s, end_s = target.speech[0]
        span = slice(round(start_s * 16_000), round((start_s + (end_s - start_s) / 2) * 16_000))
        audio[span] *= 0.5
        changed = changed_frames(target.frames, frames)
        masks[~changed] = False
        segments = (*video_segments(changed), *audio_segments(target.audio, audio))
        return FakeResult(segments, frames, masks, audio, face.track_id)


class ShiftedLabels(Honest):
    """Its labels lie half a second late."""

    card = card("shifted_labels")

    def generate(self, request: FakeRequest) -> FakeResult:
        made = super().generate(request)
        late = tuple(Segment(s.modality, s.start_s + 0.5, s.end_s + 0.5) for s in made.segments)
        return replace(made, segments=late)


class ShiftedSound(Honest):
    """Only the label of the sound is late."""

    card = card("shifted_sound")

    def generate(self, request: FakeRequest) -> FakeResult:
        made = super().generate(request)
        late = [
            replace(s, start_s=s.start_s + 0.5, end_s=s.end_s + 0.5)
            for s in made.segments
            if s.modality == "audio"
        ]
        return replace(made, segments=(*[s for s in made.segments if s.modality == "video"], *late))


class OutsideMask(Honest):
    """One pixel in a corner differs, outside every mask."""

    card = card("outside_mask")

    def generate(self, request: FakeRequest) -> FakeResult:
        made = super().generate(request)
        assert made.frames is not None
        made.frames[len(made.frames) // 3, 0, 0, 1] ^= 1
        return made


class OwnDice(Honest):
    """Throws dice of its own, which nobody can throw again."""

    card = card("own_dice")

    def generate(self, request: FakeRequest) -> FakeResult:
        fresh = int.from_bytes(os.urandom(6), "big")
        return super().generate(replace(request, seed=fresh))


class GlobalDice(Honest):
    """Throws the dice of the process."""

    card = card("global_dice")

    def generate(self, request: FakeRequest) -> FakeResult:
        return super().generate(replace(request, seed=random.getrandbits(40)))


class SeedsTheProcess(Honest):
    """Always the same, at the cost of everybody else's random numbers."""

    card = card("seeds_the_process")

    def generate(self, request: FakeRequest) -> FakeResult:
        np.random.seed(request.seed % 2**32)
        return super().generate(replace(request, seed=int(np.random.randint(1 << 30))))


class HashOrder(Honest):
    """Takes the order of a set, which is another in every process."""

    card = card("hash_order")

    def generate(self, request: FakeRequest) -> FakeResult:
        return super().generate(replace(request, seed=hash(request.target.clip_id)))


class Remembers(Honest):
    """Counts its calls and lets it show from the second clip on."""

    card = card("remembers")
    seen: ClassVar[set[str]] = set()

    def generate(self, request: FakeRequest) -> FakeResult:
        self.seen.add(f"{request.target.clip_id} {request.seed}")
        return super().generate(replace(request, seed=len(self.seen)))


class ShortFrames(Honest):
    """The last frame is missing."""

    card = card("short_frames")

    def generate(self, request: FakeRequest) -> FakeResult:
        made = super().generate(request)
        assert made.frames is not None
        assert made.masks is not None
        return replace(made, frames=made.frames[:-1], masks=made.masks[:-1])


class LongSound(Honest):
    """A tenth of a second of sound too much."""

    card = card("long_sound")

    def generate(self, request: FakeRequest) -> FakeResult:
        made = super().generate(request)
        assert made.audio is not None
        return replace(made, audio=np.concatenate([made.audio, np.zeros(1600, np.float32)]))


class ChangesInput(Honest):
    """Draws into the frames that it was given, after taking its copy."""

    card = card("changes_input")

    def generate(self, request: FakeRequest) -> FakeResult:
        made = super().generate(request)
        assert request.target.audio is not None
        request.target.audio[:10] = 0.25
        request.target.faces[0].mesh[0] += 1
        return made


class Talks(Honest):
    """Asks a machine on the network, and goes on when it gets no answer."""

    card = card("talks")

    def generate(self, request: FakeRequest) -> FakeResult:
        try:
            with socket.create_connection(("192.0.2.7", 443), timeout=0.2):
                pass
        except OSError:
            pass
        return super().generate(request)


class StartsPrograms(Honest):
    """Lets another program do a part of it, which may be right and is not watched."""

    card = card("starts_programs")

    def generate(self, request: FakeRequest) -> FakeResult:
        subprocess.run(["true"], check=True)
        return super().generate(request)


class Litters(Honest):
    """Writes into the working folder, beside the repository, and a new temporary file for each fake."""

    card = card("litters", languages=("ms", "ko"))

    def generate(self, request: FakeRequest) -> FakeResult:
        Path("debug.txt").write_text("here I was")
        handle, _ = tempfile.mkstemp()
        os.close(handle)
        return super().generate(request)


class Crashes(Honest):
    """Takes for granted that there is a face."""

    card = card("crashes")

    def generate(self, request: FakeRequest) -> FakeResult:
        assert request.target.faces[0].mesh.size
        return super().generate(request)


class RefusesBadly(Honest):
    """Refuses with a sentence in the place of a reason."""

    card = card("refuses_badly")

    def generate(self, request: FakeRequest) -> FakeResult:
        if not request.target.faces:
            raise Rejected("There is no face!", "none")
        return super().generate(request)


class NeverRefuses(Honest):
    """Makes a fake of a clip without speech, though its card says that it needs some."""

    card = card("never_refuses")

    def generate(self, request: FakeRequest) -> FakeResult:
        target = request.target
        if target.audio is not None and not target.speech:
            target = replace(target, speech=((0.0, 0.1),))
        return super().generate(replace(request, target=target))


class DiesOfIt(Honest):
    """Takes its process with it where the face is lost."""

    card = card("dies_of_it")

    def generate(self, request: FakeRequest) -> FakeResult:
        if request.target.faces and not request.target.faces[0].found.any():
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().generate(request)


class Hangs(Honest):
    """Never comes back from a short clip."""

    card = card("hangs")

    def generate(self, request: FakeRequest) -> FakeResult:
        if request.target.frames is not None and len(request.target.frames) < 10:
            time.sleep(600)
        return super().generate(request)


class OtherFace(Honest):
    """Changes the second face where there is one."""

    card = card("other_face", languages=("ms", "en-SG"))

    def generate(self, request: FakeRequest) -> FakeResult:
        target = replace(request.target, faces=request.target.faces[::-1])
        return super().generate(replace(request, target=target))


class OneLanguage(Honest):
    """Claims two languages and refuses one of them."""

    card = card("one_language", languages=("ms", "ko"))

    def generate(self, request: FakeRequest) -> FakeResult:
        if request.language == "ms":
            raise Rejected("no_voice", "there is no Malay voice")
        return super().generate(request)


class LateWords(Honest):
    """The words that it gives end after the clip."""

    card = card("late_words")

    def generate(self, request: FakeRequest) -> FakeResult:
        return replace(super().generate(request), words=(Word("ya", 0.2, 99.0),))


class OddMetrics(Honest):
    """A metric that no table can hold."""

    card = card("odd_metrics")

    def generate(self, request: FakeRequest) -> FakeResult:
        return replace(super().generate(request), metrics={"loudness_db": float("-inf")})


class WrongText(Honest):
    """Says of a stretch that its text is changed, while another word is."""

    card = card("wrong_text", modalities=("text",), needs=("words",), family="text")

    def generate(self, request: FakeRequest) -> FakeResult:
        words = list(request.target.words)
        if not words:
            raise Rejected("no_words", "what is said is not known")
        words[0] = replace(words[0], word="bukan")
        late_s = words[0].end_s + 0.1
        text = " ".join(word.word for word in words)
        return FakeResult((Segment("text", late_s, late_s + 0.2),), text=text, words=tuple(words))


class Nothing(Honest):
    """Gives back nothing at all."""

    card = card("nothing")

    def generate(self, request: FakeRequest) -> FakeResult:
        super().generate(request)
        return None  # type: ignore[return-value]


class NoLicence(Honest):
    """A card that neither a person nor a gate can use."""

    card = card(
        "no_licence",
        licence="free for all!",
        intended_use="test",
        languages=("ms", "fr"),
        profile="full",
    )


class DoesNotLoad(Honest):
    """A bug in `load`."""

    card = card("does_not_load")

    def load(self, device: str) -> None:
        raise ZeroDivisionError("1 / 0")
