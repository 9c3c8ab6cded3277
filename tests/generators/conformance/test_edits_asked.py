"""Who edits words is asked for a fake where something that is said can be exchanged, and may refuse elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from generators.conformance import check
from generators.conformance.clips import film
from generators.conformance.rules import Case, judge
from generators.conformance.runner import Heard
from generators.conformance.trials import trials_of
from generators.text.caption_edit import CaptionEdit
from tests.generators.conformance.conftest import TINY_ONCE

pytestmark = pytest.mark.usefixtures("shared_clips")


class InMalay(CaptionEdit):
    """In the first of its clips of a second nobody says a word that can be exchanged."""

    card = CaptionEdit.card.model_copy(update={"languages": ("ms",)})


def test_where_nothing_can_be_exchanged_a_refusal_breaks_no_rule() -> None:
    report = check(InMalay, size=TINY_ONCE, clips=2)
    assert report.holds
    assert "aisyah: refused as no_edit" in report.finding("languages").detail


def test_where_something_can_be_exchanged_a_fake_is_wanted() -> None:
    (name, filmed), *_ = film(["aisyah"], TINY_ONCE).items()
    for words, must in ((("Saya", "tidak", "suka", "kopi"), "make"), (("Ya",), "either")):
        clips = {name: replace(filmed, words=words)}
        asked = [
            trial for trial in trials_of(CaptionEdit.card, clips, TINY_ONCE) if trial.about == "languages"
        ]
        assert [trial.must for trial in asked] == [must]


def test_where_nothing_can_be_exchanged_in_any_clip_no_language_is_judged() -> None:
    (name, filmed), *_ = film(["aisyah"], TINY_ONCE).items()
    trials = tuple(trials_of(InMalay.card, {name: replace(filmed, words=("Ya",))}, TINY_ONCE))
    refused = {
        "outcome": "refused",
        "reason": "no_edit",
        "detail": "",
        "effects": [],
        "random": [],
        "inputs": [],
    }
    here = Heard({(trial.name, "first"): refused for trial in trials})
    (found,) = [
        one for one in judge(Case(InMalay.card, trials, here, Heard(), 6.0)) if one.rule == "languages"
    ]
    assert (found.state, found.detail) == ("not_asked", "nothing that is said in its clips can be exchanged")
