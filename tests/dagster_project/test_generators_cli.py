"""`haetae generators` as a plug-in author meets it: the table, a card, a new package, the rules kept or broken."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from generators.pins import pins_file
from generators.registry import card_digest, installed
from tests.dagster_project.conftest import InProcess
from tests.generators.conformance.conftest import shared_clips

__all__ = ["shared_clips"]  # a fixture

Run = Callable[..., tuple[int, str, str]]
OWN = {"mesh_swap@1", "self_blend@1", "viseme_sync@1", "espeak_tts@1", "dubbed@1"}
WORDS = b"the weights of a model"
PLUGIN = """
from dataclasses import replace
from generators.protocol import Card, FakeResult, Segment, Weights
from haetae.errors import Rejected
class Theirs:
    card = Card(name="theirs", version="7", family="text", modalities=("text",), languages=("ko", "en-SG"),
                needs=("words",), params={"strength": 0.5}, paper="A paper, 2020",
                description="Turns the first word of the transcript around.",
                intended_use="Trying the command on a plug-in of somebody else."WEIGHTS)
    def load(self, device): ...
    def generate(self, request):
        words = list(request.target.words)
        if not words:
            raise Rejected("no_words", "what is said is not known")
        words[0] = replace(words[0], word=words[0].word[::-1] + "x")
        stretch = Segment("text", words[0].start_s + SHIFT, words[0].end_s + SHIFT)
        return FakeResult((stretch,), text=" ".join(w.word for w in words), words=tuple(words))
"""


pytestmark = pytest.mark.usefixtures("shared_clips")


@pytest.fixture
def haetae(monkeypatch: pytest.MonkeyPatch, in_process: InProcess) -> Run:
    """The command, on a wide screen."""
    monkeypatch.setenv("COLUMNS", "240")
    return in_process


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install the plug-in `theirs@7` as pip would leave it on disk; returns the folder of its module."""
    folder = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(folder))

    def _install(shift_s: float = 0.0, weights: str = "") -> Path:
        info = folder / "theirs-7.0.dist-info"
        info.mkdir(parents=True)
        source = PLUGIN.replace("SHIFT", str(shift_s)).replace("WEIGHTS", weights)
        (folder / "theirs_module.py").write_text(source)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 7.0\n")
        (info / "entry_points.txt").write_text("[haetae.generators]\ntheirs = theirs_module:Theirs\n")
        monkeypatch.delitem(sys.modules, "theirs_module", raising=False)
        return folder

    return _install


def test_without_a_subcommand_it_lists_what_is_installed(haetae: Run, plugin: Callable[..., Path]) -> None:
    plugin()
    code, out, _ = haetae("generators")
    assert code == 0
    for key in (*OWN, "theirs@7"):
        assert key in out


@pytest.mark.usefixtures("plugin")
def test_the_list_fits_into_80_columns_with_every_word_of_it(
    haetae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = haetae("generators")
    assert code == 0
    assert max(map(len, out.splitlines()[:-3])) <= 80
    assert "…" not in out
    told = " ".join(out.split())
    for maker in installed().values():
        assert maker.card.key in told
        assert maker.card.licence in told
    assert "face, donor_face; any; full, learns first" in told, "simswap"
    assert "speech, sentence; ta; full" in told, "mms_tts_ta"


def test_as_json_it_is_a_list_of_cards_with_their_keys(haetae: Run, plugin: Callable[..., Path]) -> None:
    plugin()
    code, out, _ = haetae("generators", "--json")
    cards = {one["generator"]: one for one in json.loads(out)}
    assert code == 0
    assert set(cards) >= {*OWN, "theirs@7"}
    for key, maker in installed().items():
        assert cards[key] == {"generator": key, **maker.card.model_dump(mode="json")}


def test_a_broken_plug_in_is_told_of_and_the_others_are_listed(
    haetae: Run, plugin: Callable[..., Path]
) -> None:
    folder = plugin()
    (folder / "theirs_module.py").write_text("import a_module_that_is_not_there")
    code, out, err = haetae("generators")
    assert code == 0
    assert "theirs of theirs cannot be used" in err
    assert "a_module_that_is_not_there" in err
    assert "self_blend@1" in out


def test_a_card_is_told_as_a_person_reads_it(haetae: Run) -> None:
    code, out, _ = haetae("generators", "describe", "self_blend")
    card = installed()["self_blend@1"].card
    assert code == 0
    for told in (card.description, card.intended_use, card.licence, str(card.paper), card_digest(card)):
        assert told in " ".join(out.split()), told
    assert "strength = 1.0" in out
    assert "ko, en-SG, ms, ta, other" in out
    assert "runs without downloads" in out


def test_a_card_as_json_has_its_digest_too(haetae: Run) -> None:
    code, out, _ = haetae("generators", "describe", "dubbed@1", "--json")
    card = installed()["dubbed@1"].card
    told = json.loads(out)
    assert code == 0
    assert told["card_digest"] == card_digest(card)
    assert {name: told[name] for name in card.model_dump(mode="json")} == card.model_dump(mode="json")


def test_weights_are_told_with_where_they_are_looked_for_and_whether_they_are_there(
    haetae: Run, plugin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HAETAE_WEIGHTS", str(tmp_path / "weights"))
    sha, revision = hashlib.sha256(WORDS).hexdigest(), "0123456789abcdef" * 2 + "01234567"
    plugin(
        weights=f""", profile="full", weights=(Weights(repo="some/model", revision="{revision}",
                filename="model.safetensors", sha256="{sha}", licence="MIT"),)"""
    )
    _, out, _ = haetae("generators", "describe", "theirs")
    assert "some/model@0123456789ab/model.safetensors (MIT" in out
    assert "not here" in out
    assert str(tmp_path / "weights") in "".join(out.split())
    (row,) = [line for line in haetae("generators")[1].splitlines() if "theirs@7" in line]
    assert "1 file of weights missing" in row
    place = tmp_path / "weights" / "some/model" / revision
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(WORDS)
    _, out, _ = haetae("generators", "describe", "theirs", "--json")
    told = json.loads(out)
    assert [one["found"] for one in told["weights"]] == [True]
    assert told["weights_looked_for_in"] == [str(tmp_path / "weights"), str(tmp_path / "cache")]
    (row,) = [line for line in haetae("generators")[1].splitlines() if "theirs@7" in line]
    assert "missing" not in row


def test_what_loading_wants_is_listed_file_by_file_where_pins_are_not_complete(
    haetae: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAETAE_PINS", raising=False)
    monkeypatch.setenv("HAETAE_CACHE", str(tmp_path / "cache"))
    code, out, _ = haetae("generators", "describe", "mms_tts_ko")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert any(line.startswith("part ko facebook/mms-tts-kor, revision 1b6491366d2e") for line in lines)
    for name in ("config.json", "tokenizer_config.json", "vocab.json"):
        assert f"file {name}: SHA-256 not known" in lines
    assert any(line.startswith("file model.safetensors: SHA-256 915e6a5fd42f…, not here") for line in lines)
    assert f"pins {pins_file('mms_tts')}; to give your own: HAETAE_PINS=folder with mms_tts.yaml" in lines
    told = json.loads(haetae("generators", "describe", "sd_inpaint", "--json")[1])
    (part,) = told["weight_parts"]
    assert (part["part"], part["revision"], told["weights"]) == ("checkpoint", None, [])
    assert {"filename": "unet/config.json", "sha256": None, "found": None} in part["files"]
    assert told["pins"] == str(pins_file("sd_inpaint"))
    _, out, _ = haetae("generators", "describe", "voice_clone_en")
    assert out.count("revision not pinned yet") == 3, "speech, vocoder, speaker"
    assert "embedding_model.ckpt: SHA-256 not known" in out


def test_the_list_says_not_pinned_where_some_wanted_files_have_no_pin(
    haetae: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAETAE_PINS", raising=False)
    rows = {line.split()[0]: line for line in haetae("generators")[1].splitlines() if "@" in line}
    for key in ("mms_tts_ko@1", "mms_tts_ta@1", "mms_tts_ms@1", "latentsync@1", "neural_vocoder@1"):
        assert "weights not pinned" in rows[key], rows[key]
    assert "not pinned" not in rows["llm_rewrite@1"]


@pytest.mark.parametrize("command", ["describe", "verify"])
def test_an_unknown_generator_exits_2_and_names_what_is_installed(command: str, haetae: Run) -> None:
    code, _, err = haetae("generators", command, "nobody")
    assert code == 2
    assert "'nobody' is not installed" in err
    assert "self_blend@1" in err


def test_a_generator_that_is_nearly_named_is_offered(haetae: Run, tmp_path: Path) -> None:
    code, _, err = haetae("--lake", tmp_path / "lake", "run", "--generators", "mesh_swp")
    assert code == 2 and "no generator mesh_swp (did you mean mesh_swap?) is installed" in err
    assert (
        "'self_blnd' is not installed (did you mean self_blend?)"
        in haetae("generators", "describe", "self_blnd")[2]
    )
    assert "(did you mean self_blend@1?)" in haetae("generators", "verify", "self_blend@3")[2]
    assert "did you mean" not in haetae("generators", "describe", "nobody")[2]


def test_a_generator_that_keeps_the_rules_exits_0(haetae: Run, plugin: Callable[..., Path]) -> None:
    plugin()
    code, out, _ = haetae("generators", "verify", "theirs", "--quick", "--clips", 2, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["holds"] is True
    assert told["generator"] == "theirs@7"
    states = {one["rule"]: one["state"] for one in told["findings"]}
    assert states["text"] == states["determinism"] == states["network"] == "holds"
    assert states["untouched"] == "not_asked"


def test_a_generator_that_breaks_a_rule_exits_3_and_is_told_which(
    haetae: Run, plugin: Callable[..., Path]
) -> None:
    plugin(shift_s=0.5)
    code, out, err = haetae("generators", "verify", "theirs@7", "--quick", "--clips", 2)
    assert code == 3
    assert err.count("theirs@7: ") > 3, "what it is doing, also where nobody sees it spin"
    assert "BROKEN" in out
    assert "outside every text segment" in " ".join(out.split())
    assert "text is changed where its segments say" in " ".join(out.split())


def test_a_new_package_is_written_and_what_to_do_next_is_told(haetae: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    code, out, _ = haetae("generators", "new", "face_swap", "my_swap", "--into", folder)
    assert code == 0
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["README.md", "pyproject.toml", "src/haetae_my_swap/__init__.py", "tests/test_my_swap.py"]
    assert "haetae generators verify my_swap" in out
    assert "refresh --generator my_swap" in out


def test_a_name_that_an_installed_generator_bears_is_refused(haetae: Run, tmp_path: Path) -> None:
    code, _, err = haetae("generators", "new", "face_swap", "mesh_swap", "--into", tmp_path / "made")
    assert code == 2
    assert "there is a generator mesh_swap@1 already" in err
    assert not (tmp_path / "made").exists()


def test_a_new_package_goes_beside_where_one_stands_if_nothing_is_said(
    haetae: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert haetae("generators", "new", "speech", "low_voice")[0] == 0
    assert (tmp_path / "haetae-low-voice" / "pyproject.toml").is_file()
    code, _, err = haetae("generators", "new", "speech", "low_voice")
    assert code == 2
    assert "not empty" in err


@pytest.mark.parametrize(
    ("words", "told"), [(("gan", "x1"), "there is no family"), (("text", "Bad"), "cannot be")]
)
def test_what_cannot_be_written_exits_2(
    words: tuple[str, str], told: str, haetae: Run, tmp_path: Path
) -> None:
    code, _, err = haetae("generators", "new", *words, "--into", tmp_path / "made")
    assert code == 2
    assert told in err
    assert not (tmp_path / "made").exists()
