"""What a generator is asked to do: which clip, with which donor and sentence, and what may come of it.

Which clips there are is told in `clips`; what came of a trial is judged in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from generators.conformance.clips import CLIP_LANGUAGES, TWO_FACES, Filmed, Size, talkers
from generators.plan import choose_sentence, room_for_speech
from generators.protocol import Card
from haetae.locales import load
from haetae.locales.edits import proposals
from haetae.provenance.ids import seed_of

About = Literal["languages", "two_faces", "odd", "refusals"]
Must = Literal["make", "refuse", "either"]
Lack = Literal["face", "sight", "half_sight", "picture", "sound", "speech", "words"]

LONG_TIMES = 3
SHORT_S = 0.2
TINY_PX = 64


@dataclass(frozen=True)
class Shown:
    """A clip as a trial shows it: whole, or with something taken away from it.

    lacks: what it is shown without ("sight": the face is followed nowhere; "half_sight": lost half-way);
    seconds: only its beginning; times: played so often in a row; height_px: scaled to this height;
    loud: its sound brought up to full scale.
    """

    clip: str
    lacks: tuple[Lack, ...] = ()
    seconds: float | None = None
    times: int = 1
    height_px: int | None = None
    loud: bool = False


@dataclass(frozen=True)
class Trial:
    """One request; must: whether a fake has to come of it, a refusal, or either of them."""

    name: str
    about: About
    must: Must
    target: Shown
    language: str
    seed: int
    donor: Shown | None = None
    sentence: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the process that runs it."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Trial:
        """The trial of `as_json`."""
        target, donor = (
            None if one is None else Shown(**{**one, "lacks": tuple(one["lacks"])})
            for one in (values["target"], values["donor"])
        )
        assert target is not None
        return cls(**{**values, "target": target, "donor": donor})


DONATED = {"donor_face", "donor_voice", "donor_words"}
"""Needs for which another clip is lent."""


def clips_wanted(card: Card, n: int | None) -> list[str]:
    """Names of the clips that a card's trials show.

    n: talking clips at most; None: one per language, or two for who depends on the very words that are said. Who
    borrows words always has two of each language: they are lent within it.
    """
    spoken = [one for one in CLIP_LANGUAGES if one in card.languages] or list(CLIP_LANGUAGES)
    usual = len(spoken) * (2 if "words" in card.needs else 1)
    paired = 2 * len(spoken) if "donor_words" in card.needs else 1
    wanted = talkers(spoken, max(paired, usual if n is None else n))
    # A donor is another person, so nobody is ever filmed alone.
    if len(wanted) < 2:
        wanted = talkers(spoken, 2)
    return [*wanted, TWO_FACES] if "video" in card.modalities else wanted


def trials_of(card: Card, filmed: Mapping[str, Filmed], size: Size) -> list[Trial]:
    """Everything a card is asked; filmed: the clips of `clips_wanted`, by name."""
    desk = _Desk(card, filmed, size)
    return [*desk.languages(), *desk.two_faces(), *desk.odd(), *desk.refusals()]


class _Desk:
    def __init__(self, card: Card, filmed: Mapping[str, Filmed], size: Size) -> None:
        self._card = card
        self._filmed = filmed
        self._size = size
        self._talkers = [name for name in filmed if name != TWO_FACES]

    def languages(self) -> Iterator[Trial]:
        for name in self._talkers:
            language = self._filmed[name].language
            if language in self._card.languages:
                yield self._trial(f"{language} {name}", "languages", "make", Shown(name), language)
        # No sentences are known in other languages, so a card that needs one is never asked for them.
        if "other" in self._card.languages and "sentence" not in self._card.needs:
            yield self._trial("another language", "languages", "make", Shown(self._talkers[0]), "other")

    def _may_be_asked(self, name: str) -> bool:
        """Whether a generator of the lake would be given this clip: one that edits words, none that has no edit."""
        clip = self._filmed[name]
        return "edit" not in self._card.needs or bool(proposals(clip.words, clip.language))

    def two_faces(self) -> Iterator[Trial]:
        if TWO_FACES in self._filmed and self._filmed[TWO_FACES].language in self._card.languages:
            yield self._trial("two faces", "two_faces", "make", Shown(TWO_FACES))

    def odd(self) -> Iterator[Trial]:
        first, needs, changes = self._talkers[0], self._card.needs, self._card.modalities
        shows: list[tuple[str, Must, Shown]] = [
            (f"{SHORT_S:g} s long", "either", Shown(first, seconds=SHORT_S)),
            ("a sentence that is far too long", "either", Shown(first)),
        ]
        if self._size.long_clips:
            shows.append((f"{LONG_TIMES} times as long", "either", Shown(first, times=LONG_TIMES)))
        if "video" in changes:
            shows += [
                (f"{TINY_PX} px high", "either", Shown(first, height_px=TINY_PX)),
                (f"{self._size.large_px} px high", "either", Shown(first, height_px=self._size.large_px)),
                ("face lost half-way", "either", Shown(first, lacks=("half_sight",))),
            ]
        if "audio" not in changes and not {"speech", "words"} & set(needs):
            shows.append(("a silent film", "make", Shown(first, lacks=("sound",))))
        if "audio" in changes:
            shows.append(("sound at full scale", "make", Shown(first, loud=True)))
        if "video" not in changes and "face" not in needs and "donor_face" not in needs:
            shows.append(("sound without pictures", "make", Shown(first, lacks=("picture",))))
        for name, must, shown in shows:
            trial = self._trial(name, "odd", must, shown)
            if "too long" in name:
                if "sentence" not in needs:
                    continue
                trial = self._trial(name, "odd", must, shown, sentence=_endless(trial.language))
            yield trial

    def refusals(self) -> Iterator[Trial]:
        first, needs, changes = Shown(self._talkers[0]), self._card.needs, self._card.modalities

        def lacking(what: Lack) -> Shown:
            return Shown(first.clip, lacks=(what,))

        def refused(name: str, target: Shown = first, **more: Any) -> Trial:
            return self._trial(name, "refusals", "refuse", target, **more)

        if "video" in changes or "face" in needs:
            yield refused("no pictures", lacking("picture"))
        if "face" in needs:
            yield refused("no followed face", lacking("face"))
            yield refused("face found in no frame", lacking("sight"))
        if "audio" in changes:
            yield refused("no sound", lacking("sound"))
        if "speech" in needs:
            yield refused("no speech", lacking("speech"))
        if "words" in needs:
            yield refused("no words", lacking("words"))
        if "sentence" in needs:
            yield refused("no sentence", sentence=None)
        if DONATED & set(needs):
            yield refused("no donor", donor=None)
        if "donor_face" in needs:
            yield refused("a donor without a face", donor=Shown(self._other(first.clip), ("face",)))
        if "donor_voice" in needs:
            yield refused("a donor without sound", donor=Shown(self._other(first.clip), ("sound",)))
        if "donor_words" in needs:
            yield refused("a donor without words", donor=Shown(self._other(first.clip), ("words",)))

    def _other(self, name: str) -> str:
        """Someone else to lend a face or a voice; words are lent by who speaks the same language."""
        at = self._talkers.index(name) if name in self._talkers else -1
        others = [one for one in (*self._talkers[at + 1 :], *self._talkers[: max(at, 0)]) if one != name]
        if "donor_words" in self._card.needs:
            language = self._filmed[name].language
            others.sort(key=lambda one: self._filmed[one].language != language)
        return others[0]

    def _trial(
        self, name: str, about: About, must: Must, target: Shown, language: str | None = None, **more: Any
    ) -> Trial:
        clip = self._filmed[target.clip]
        if must == "make" and not self._may_be_asked(target.clip):
            must = "either"
        spoken = language or (clip.language if clip.language in self._card.languages else "other")
        lent = DONATED & set(self._card.needs)
        given: dict[str, Any] = {
            "donor": Shown(self._other(target.clip)) if lent else None,
            "sentence": self._sentence(clip) if "sentence" in self._card.needs else None,
        }
        seed = seed_of("conformance", self._card.key, name)
        return Trial(name, about, must, target, spoken, seed, **{**given, **more})

    def _sentence(self, clip: Filmed) -> str:
        """A sentence that the planner would choose, or the first words of one where the clip is too short."""
        row = {"duration_s": clip.duration_s}
        spoken = [{"start_s": start_s, "end_s": end_s} for start_s, end_s in clip.speech]
        low_s, high_s = room_for_speech(row, spoken, placed_in_speech="audio" in self._card.modalities)
        chosen = choose_sentence(
            clip.language, clip.use_case, seed_of("conformance", clip.name), low_s, high_s
        )
        if chosen is not None:
            return chosen
        shortest = min(load(clip.language).sentences_for(clip.use_case), key=len)
        return " ".join(shortest.split()[:2])


def _endless(language: str) -> str:
    sentences: Sequence[str] = load(language if language in CLIP_LANGUAGES else "ms").sentences_for("other")
    return " ".join(sentences[:6])
