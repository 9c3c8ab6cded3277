"""The word in both watermarks: what it corrects, and how improbable it is that one is read where none is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haetae.errors import UsageError
from haetae.marks import payload

MARK = "3f9a0123456789ab"


def soft(mark: str = MARK, key: bytes = payload.OPEN_KEY) -> np.ndarray:
    return np.where(payload.word_of(mark, key), 1.0, -1.0)


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=8, max_size=8), st.sets(st.integers(0, 191), max_size=14))
def test_a_word_with_wrong_bits_is_read(identity, wrong):
    bits = soft(identity.hex())
    bits[list(wrong)] *= -0.5
    read = payload.read_word(bits)
    assert read is not None
    assert read.mark == identity.hex()
    assert read.bit_errors == len(wrong)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_what_is_not_known_of_a_third_of_the_bits_is_made_up_for(first):
    """Every third bit says nothing, also over the end of the circle, and 8 others are wrong."""
    bits = soft()
    bits[first::3] = 0
    bits[(first + 1 + 24 * np.arange(8)) % 192] *= -0.5
    assert payload.read_word(bits).mark == MARK


def test_words_in_noise_are_read_down_to_the_strength_that_the_marks_rely_on():
    """Half the amplitude that hard decisions on bytes would need."""
    rng = np.random.default_rng(3)
    read = [payload.read_word(1.45 * soft() + rng.normal(size=192)) for _ in range(60)]
    assert sum(one is not None for one in read) >= 59
    assert {one.mark for one in read if one} == {MARK}
    assert sum(payload.read_word(0.7 * soft() + rng.normal(size=192)) is not None for _ in range(20)) <= 2


def test_nothing_is_read_of_noise_silence_and_damage():
    rng = np.random.default_rng(0)
    assert not any(payload.read_word(rng.normal(size=payload.N_BITS)) for _ in range(200))
    for bits in (np.zeros(192), np.full(192, np.nan), np.ones(191), np.full(192, 1.0), np.full(192, -1.0)):
        assert payload.read_word(bits) is None


def test_the_bound_on_false_reads_rests_on_a_checksum_that_fits_by_chance_alone():
    assert payload.false_read_bound() == 2.0**-32
    assert payload.false_read_bound(10) == pytest.approx(10 * 2.0**-32)
    # Of a checksum of three bits the same can be seen: it fits one word of noise in eight.
    rng = np.random.default_rng(1)
    messages = [payload.coding.decode(rng.normal(size=192)) for _ in range(300)]
    packed = np.packbits(messages, axis=1)
    fits = sum(payload.zlib.crc32(bytes(one[:8])) & 7 == one[8] & 7 for one in packed)
    assert abs(fits / 300 - 1 / 8) < 4 * np.sqrt(1 / 8 * 7 / 8 / 300)
    # Each bit of a message is one as often as zero, so no message is likelier than another.
    assert np.abs(np.mean(messages, axis=0) - 0.5).max() < 0.13


def test_another_key_reads_nothing_and_writes_another_word():
    assert payload.read_word(soft(key=b"secret")) is None
    assert payload.read_word(soft(key=b"secret"), b"secret").mark == MARK
    assert 60 < np.count_nonzero(payload.word_of(MARK) != payload.word_of(MARK, b"secret")) < 132


def test_the_words_and_patterns_never_change():
    """Golden: files that were marked years ago must still be read."""
    import hashlib

    parts = [
        np.packbits(payload.word_of(MARK)).tobytes(),
        payload.signs(b"k", "s", 100).tobytes(),
        payload.order(b"k", "o", 1000).astype("<i8").tobytes(),
        payload.uniform(b"k", "u", 100).tobytes(),
    ]
    assert hashlib.sha256(b"".join(parts)).hexdigest()[:16] == "c5109650bfc65469"


def test_a_mark_is_what_a_fakes_id_begins_with():
    assert payload.mark_of("fake-3f9a0123456789abcdef") == MARK
    for wrong in ("fake-3f9a", "3f9a0123456789abcdef", "fake-XYZ", "", "fake-3f9a0123456789abcdeg"):
        with pytest.raises(UsageError):
            payload.mark_of(wrong)
