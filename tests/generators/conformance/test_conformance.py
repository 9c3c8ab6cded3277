"""The conformance suite catches every wrong generator by the rule that it breaks, and lets an honest one through."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from generators.conformance import Broken, Report, Size, check
from generators.conformance.clips import film, read
from generators.conformance.observe import judged
from generators.conformance.rules import RULES
from generators.protocol import FakeRequest, Generator
from haetae.errors import UsageError
from tests.conftest import REPOSITORY
from tests.generators.conformance import wrong
from tests.generators.conformance.conftest import TINY, TINY_ONCE

pytestmark = pytest.mark.usefixtures("shared_clips")


@cache
def _checked(maker: type[Generator], size: Size = TINY_ONCE) -> Report:
    return check(maker, size=size)


@pytest.fixture(scope="module")
def honest(shared_clips: None) -> Report:
    return _checked(wrong.Honest, TINY)


def test_an_honest_generator_keeps_every_rule(honest: Report) -> None:
    honest.raise_if_broken()
    assert {one.rule for one in honest.findings if one.state == "not_asked"} == {"text", "lesson"}
    assert honest.generator == "honest@1"


def test_every_rule_is_told_of_with_what_was_looked_at(honest: Report) -> None:
    assert [one.rule for one in honest.findings] == list(RULES)
    assert honest.finding("refusals").cases == 5
    assert honest.finding("determinism").cases == 5
    assert "no_face" in honest.finding("refusals").detail
    assert honest.finding("labels").figures == {"video_error_ms": 0.0, "audio_error_ms": 0.0}


def test_speed_and_memory_are_measured_where_the_fakes_are_made(honest: Report) -> None:
    figures = honest.finding("speed").figures
    assert 0 < figures["cpu_s_per_fake"] < 2
    assert figures["fakes_per_minute_per_core"] == pytest.approx(60 / figures["cpu_s_per_fake"], rel=0.05)
    assert 40 < figures["peak_memory_mib"] < 2000


def test_the_report_is_plain_json(honest: Report) -> None:
    told = json.loads(json.dumps(honest.as_json()))
    assert told["holds"] is True
    assert told["generator"] == "honest@1"
    assert {one["rule"]: one["state"] for one in told["findings"]}["labels"] == "holds"


WRONG: list[tuple[type[Generator], set[str], str]] = [
    (wrong.ShiftedLabels, {"labels"}, "segment"),
    (wrong.OutsideMask, {"untouched"}, "1 pixels of frame"),
    (wrong.OwnDice, {"determinism"}, "a second call in the same process gave other"),
    (wrong.GlobalDice, {"determinism", "random_state"}, "follows the global random state"),
    (wrong.SeedsTheProcess, {"random_state"}, "moves the global state of numpy.random"),
    (wrong.Remembers, {"determinism"}, "after other work gave other frames"),
    (wrong.ShortFrames, {"shape"}, "shape: frames"),
    (wrong.ChangesInput, {"inputs"}, "changed target.audio, target face"),
    (wrong.Talks, {"network"}, "looks up 192.0.2.7"),
    (wrong.Litters, {"files"}, "debug.txt"),
    (wrong.Crashes, {"refusals"}, "IndexError"),
    (wrong.RefusesBadly, {"refusals"}, "'There is no face!' is no snake_case word"),
    (wrong.NeverRefuses, {"refusals"}, "no speech: made a fake all the same"),
    (wrong.DiesOfIt, {"refusals"}, "SIGSEGV"),
    (wrong.Hangs, {"odd_clips", "speed"}, "no answer within 6 s"),
    (wrong.OtherFace, {"other_faces"}, "is the one to change"),
    (wrong.OneLanguage, {"languages"}, "refused as no_voice: there is no Malay voice"),
    (wrong.NoLicence, {"card"}, "is no SPDX id"),
    (wrong.DoesNotLoad, {"load"}, "ZeroDivisionError: 1 / 0"),
]


@pytest.mark.parametrize(("maker", "rules", "told"), WRONG, ids=[maker.__name__ for maker, _, _ in WRONG])
def test_a_wrong_generator_is_caught_by_the_rule_that_it_breaks_and_by_no_other(
    maker: type[Generator], rules: set[str], told: str
) -> None:
    report = _checked(maker)
    assert {one.rule for one in report.broken} == rules, [(one.rule, one.detail) for one in report.broken]
    assert any(told in line for one in report.broken for line in one.evidence)
    assert not report.holds
    with pytest.raises(Broken, match=next(iter(rules))):
        report.raise_if_broken()


def test_programs_that_are_started_are_told_of() -> None:
    found = _checked(wrong.StartsPrograms).finding("network")
    assert found.state == "holds"
    assert "not seen" in found.detail
    assert found.figures["programs_started"] >= 1


def test_what_changes_from_process_to_process_is_found_by_a_second_one() -> None:
    assert _checked(wrong.HashOrder).holds
    (broken,) = _checked(wrong.HashOrder, TINY).broken
    assert broken.rule == "determinism"
    assert "another process gave other frames" in broken.evidence[0]


@pytest.mark.parametrize(
    ("maker", "name", "told"),
    [
        (wrong.Honest, "fault", None),
        (wrong.ShiftedSound, "fault", "audio_segments"),
        (wrong.LongSound, "fault", "length"),
        (wrong.LateWords, "fault", "words"),
        (wrong.Nothing, "fault", "gave back NoneType"),
        (wrong.OddMetrics, "metrics_fault", "loudness_db is -inf"),
        (wrong.WrongText, "text_fault", "outside every text segment"),
    ],
)
def test_the_faults_of_one_fake_are_told(
    maker: type[Generator], name: str, told: str | None, honest: Report
) -> None:
    filmed = film(["aisyah"], TINY)
    request = FakeRequest(read(Path(filmed["aisyah"].path)), 5, "ms")
    found = judged(maker.card, request, maker().generate(request))[name]
    assert (told is None and found is None) or (told is not None and told in str(found))


def test_every_fault_of_a_card_is_told_at_once(honest: Report) -> None:
    evidence = _checked(wrong.NoLicence).finding("card").evidence
    assert len(evidence) == 4
    for word in ("free for all!", "intended_use", "fr", "profile full"):
        assert any(word in line for line in evidence)


def test_after_a_death_the_rest_is_still_tried(honest: Report) -> None:
    report = _checked(wrong.DiesOfIt)
    assert report.finding("refusals").cases == honest.finding("refusals").cases
    assert report.finding("determinism").state == "holds"


def test_a_model_library_at_the_top_of_a_module_is_found(
    install: Callable[..., None], tmp_path: Path
) -> None:
    source = (Path(wrong.__file__).read_text(encoding="utf-8")).replace(
        "import os\n", "import os\nimport timm\n", 1
    )
    stub = tmp_path / "site-packages" / "timm.py"
    install("heavy_one", source, heavy="heavy_one:Honest")
    stub.write_text("")
    report = check("honest@1", size=TINY_ONCE, clips=1)
    assert {one.rule for one in report.broken} == {"import"}
    assert "loads timm" in report.finding("import").detail


def test_missing_weights_are_no_broken_rule_but_told_to_who_set_it_up(install: Callable[..., None]) -> None:
    source = (Path(wrong.__file__).read_text(encoding="utf-8")).replace(
        '"""Nothing to load."""',
        'raise __import__("haetae.errors").errors.UsageError("put weights.safetensors here")',
    )
    install("weightless", source, weightless="weightless:Honest")
    with pytest.raises(UsageError, match=r"put weights\.safetensors here"):
        check("honest@1", size=TINY_ONCE, clips=1)


def test_a_class_that_no_other_process_can_import_is_refused() -> None:
    class Local(wrong.Honest):
        pass

    with pytest.raises(UsageError, match="top of a module"):
        check(Local, size=TINY)


def test_the_documentation_tells_of_every_rule() -> None:
    told = (REPOSITORY / "docs" / "generators.md").read_text(encoding="utf-8")
    for rule, wanted in RULES.items():
        assert f"| `{rule}` | {wanted}" in told, rule
