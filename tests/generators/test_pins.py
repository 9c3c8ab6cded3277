"""What loading wants is told file by file, and how to pin what is not pinned yet is told with whole paths."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from generators.pins import Part, Pin, lacking, parts_of, pins_file, require_pinned
from generators.protocol import Card
from generators.registry import installed
from haetae.errors import UsageError

SHA = "ab" * 32
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _part(revision: str | None, **files: str) -> Part:
    pin = Pin(repo="some/model", revision=revision, licence="MIT", files=files)
    return Part("mms_tts", "ko", pin, ("config", "tensors"))


def _card(part: Part) -> Card:
    return Card(
        name="theirs", version="1", family="speech", modalities=("audio",), profile="full",
        weights=part.pin.weights, description="Speaks.", intended_use="Tests.",
    )  # fmt: skip


def test_a_part_tells_wanted_and_pinned_files_and_which_cannot_be_used_yet() -> None:
    some = _part(COMMIT, tensors=SHA, more=SHA)
    assert some.files == {"config": None, "tensors": SHA, "more": SHA}
    whole, unfixed = (_part(revision, config=SHA, tensors=SHA) for revision in (COMMIT, None))
    assert lacking(_card(some), [some]) == ["config"]
    assert lacking(_card(whole), [whole]) == []
    assert lacking(_card(unfixed), [unfixed]) == ["config", "tensors"], "no revision, no file"


def test_what_is_not_pinned_is_told_with_the_whole_path_of_the_file_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAETAE_PINS", raising=False)
    path = pins_file("mms_tts")
    assert path.is_absolute() and path.is_file()
    some, whole = _part(COMMIT, tensors=SHA), _part(COMMIT, config=SHA, tensors=SHA)
    with pytest.raises(UsageError) as caught:
        require_pinned(_card(some), [some])
    assert "theirs@1: the SHA-256 of config is not known" in str(caught.value)
    assert f"Copy {path} into a folder of yours" in str(caught.value)
    own = tmp_path / "mms_tts.yaml"
    own.write_text(yaml.safe_dump({"ko": {"repo": "x", "revision": None, "licence": "MIT"}}))
    monkeypatch.setenv("HAETAE_PINS", str(tmp_path))
    with pytest.raises(UsageError, match=rf"Add the commit .* to {own}, which HAETAE_PINS names"):
        require_pinned(_card(some), [some])
    require_pinned(_card(whole), [whole])


def test_each_generator_that_cannot_load_yet_tells_which_files_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message of `load` and the parts that `describe` lists are of one source."""
    monkeypatch.delenv("HAETAE_PINS", raising=False)
    unpinned = {key: maker for key, maker in installed().items() if lacking(maker.card, parts_of(maker))}
    assert {"sd_inpaint@1", "voice_clone_en@1", "latentsync@1", "mms_tts_ko@1", "wav2lip@1"} <= set(unpinned)
    for key, maker in unpinned.items():
        with pytest.raises(UsageError) as caught:
            maker().load("cpu")
        parts = parts_of(maker)
        named = ", ".join(lacking(maker.card, parts))
        assert str(caught.value).startswith(f"{key}: the SHA-256 of {named} is not known")
        assert str(pins_file(parts[0].pins)) in str(caught.value)
        assert {one.filename for one in maker.card.weights} <= {n for part in parts for n in part.files}


def test_no_generator_that_wants_weights_keeps_silent_about_them() -> None:
    for key, maker in installed().items():
        if maker.card.profile == "full" and not maker.card.learns:
            assert maker.card.weights or parts_of(maker), key
