"""Word lists keep languages apart, and a bad list is refused with its file and key."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.locales.lexicons import FOLDER, FunctionWords, SinglishWords, function_words, read, singlish_words


def test_no_function_word_stands_for_two_languages() -> None:
    known = function_words()
    malayic = known.malayic | known.malay | known.indonesian
    for one, other in combinations((known.english, malayic, known.tamil), 2):
        assert not one & other
    assert not known.malay & known.indonesian


def test_what_is_strong_evidence_for_singlish_is_no_common_english_word() -> None:
    words = singlish_words()
    assert not (words.strong | words.particles) & function_words().english
    assert not words.strong & words.weak
    assert all(len(phrase.split()) >= 2 for phrase in words.phrases)


@pytest.mark.parametrize(
    ("name", "model", "old", "new", "named"),
    [
        ("singlish.yaml", SinglishWords, "  - shiok\n", "  - Shiok\n", "singlish.yaml: strong: .*'Shiok'"),
        ("singlish.yaml", SinglishWords, "  - shiok\n", "  - yes\n", "singlish.yaml: strong: .*True"),
        ("singlish.yaml", SinglishWords, "phrases:\n", "phrase:\n", "singlish.yaml: phrases: Field required"),
        (
            "function_words.yaml",
            FunctionWords,
            "tamil: >-",
            "tamil: [",
            "function_words.yaml: not valid YAML",
        ),
    ],
)
def test_a_bad_list_is_refused_with_its_file_and_key(
    tmp_path: Path, name: str, model: type[SinglishWords], old: str, new: str, named: str
) -> None:
    path = tmp_path / name
    shutil.copy(FOLDER / name, path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=named):
        read(path, model)
