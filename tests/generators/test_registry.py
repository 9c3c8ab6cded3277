"""Generators are found as plug-ins; a broken one is reported and the others still work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

from generators import registry
from generators.conformance.child import HEAVY
from generators.face_swap.mesh_swap import MeshSwap
from generators.protocol import Card, ClipView, FakeRequest, settings
from haetae.errors import UsageError

Install = Callable[..., None]

PLUGIN = """
from generators.protocol import Card
class Theirs:
    card = Card(name={name!r}, version="7", family="speech", modalities=("audio",),
                description="d", intended_use="t")
    def load(self, device): ...
    def generate(self, request): ...
"""


def test_a_third_party_package_is_found_by_its_key(install: Install) -> None:
    install("their_voice", PLUGIN.format(name="their_voice"), their_voice="their_voice:Theirs")
    assert "their_voice@7" in registry.installed()
    assert registry.find("their_voice@7").card.family == "speech"


def test_a_package_that_cannot_be_imported_is_reported_and_the_others_still_work(install: Install) -> None:
    install("broken_one", "import a_module_that_is_not_there", broken_one="broken_one:Theirs")
    install("sound_one", PLUGIN.format(name="sound_one"), sound_one="sound_one:Theirs")
    assert "sound_one@7" in registry.installed()
    (problem,) = [p for p in registry.problems() if p.entry_point == "broken_one"]
    assert problem.package == "broken_one"
    assert "a_module_that_is_not_there" in problem.message


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("Theirs = 3", "not a class"),
        ("class Theirs: pass", "card"),
        (PLUGIN.format(name="half").replace("def generate", "def make"), "no method generate"),
        (PLUGIN.format(name="Bad Name"), "cannot be imported"),
    ],
)
def test_what_is_not_a_generator_is_reported_with_what_it_lacks(
    install: Install, source: str, what: str
) -> None:
    install("odd_one", source, odd_one="odd_one:Theirs")
    (problem,) = [p for p in registry.problems() if p.entry_point == "odd_one"]
    assert what in problem.message


def test_two_packages_with_the_same_key_are_refused_and_both_named(install: Install) -> None:
    install("first_package", PLUGIN.format(name="twin"), first_package="first_package:Theirs")
    install("second_package", PLUGIN.format(name="twin"), second_package="second_package:Theirs")
    with pytest.raises(UsageError) as caught:
        registry.installed()
    assert "first_package" in str(caught.value)
    assert "second_package" in str(caught.value)


EMBEDDED = (
    "mesh_swap@1", "self_blend@1", "viseme_sync@1", "espeak_tts@1", "world_voice@1", "copy_synthesis@1",
    "word_edit@1", "dubbed@1", "dubbed_word@1",
)  # fmt: skip


def test_the_project_ships_generators_that_need_no_weights(own_generators: None) -> None:
    cards = {key: found.card for key, found in registry.installed().items()}
    assert set(EMBEDDED) <= set(cards)
    assert cards["dubbed@1"].modalities == ("video", "audio")
    for key in EMBEDDED:
        assert cards[key].profile == "embedded"
        assert cards[key].weights == ()


def test_an_unknown_key_names_what_is_installed(install: Install) -> None:
    install("their_voice", PLUGIN.format(name="their_voice"), their_voice="their_voice:Theirs")
    with pytest.raises(UsageError, match=r"nobody@1.*their_voice@7"):
        registry.find("nobody@1")


def test_the_digest_of_a_card_changes_with_any_of_its_fields() -> None:
    card = MeshSwap.card
    assert registry.card_digest(card) == registry.card_digest(Card.model_validate(card.model_dump()))
    for change in ({"version": "2"}, {"licence": "MIT"}, {"params": {**card.params, "erode": 0.05}}):
        assert registry.card_digest(card.model_copy(update=change)) != registry.card_digest(card)


def test_a_request_may_override_known_parameters_only() -> None:
    def asked(**params: object) -> FakeRequest:
        return FakeRequest(ClipView("clip-1", "ms", None, None), 1, "ms", params=params)

    assert settings(MeshSwap.card, asked(erode=0.1))["erode"] == 0.1
    assert settings(MeshSwap.card, asked())["erode"] == MeshSwap.card.params["erode"]
    with pytest.raises(UsageError, match="has no parameter 'eroded'"):
        settings(MeshSwap.card, asked(eroded=0.1))
    with pytest.raises(UsageError, match="must be of type float"):
        settings(MeshSwap.card, asked(erode="much"))


def test_cards_are_read_without_loading_a_model_library() -> None:
    heavy = (*HEAVY, "scipy.signal", "sklearn")
    modules = ["generators.make", *sorted(point.module for point in entry_points(group=registry.GROUP))]
    code = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        f"    print(json.dumps([name, [one for one in {heavy!r} if one in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[name, []] for name in modules]
