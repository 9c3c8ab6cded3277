"""The error-correcting code of both watermarks: a message of 96 bits as a word of 192.

A convolutional code of rate 1/2 whose register ends where it began, decoded by its most likely path. At the signal
levels of a mark that was coded and scaled it reads words at half the amplitude that Reed-Solomon bytes would need,
because it weighs every bit by how sure it is. What the bits mean is told in `payload`.

After: Viterbi, IEEE Trans. Information Theory 1967; Ma & Wolf, "On tail biting convolutional codes", IEEE Trans.
Communications 1986; the polynomials are those of Larsen, IEEE Trans. Information Theory 1973.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

N_MESSAGE = 96
N_CODED = 2 * N_MESSAGE
_POLYNOMIALS = (0o10533, 0o17661)
"""Constraint length 13, free distance 16."""
_MEMORY = 12
_STATES = 1 << _MEMORY
_WRAP = 60
"""Steps walked before and after the circle, so that its start and end are as sure as its middle: 5 memories."""
Bits = NDArray[np.bool_]


def encode(message: Bits) -> Bits:
    """The coded word of a message: bool [96] to bool [192]."""
    if message.shape != (N_MESSAGE,):
        raise ValueError(f"a message has {N_MESSAGE} bits, not {message.shape}")
    # Row t: the bit of step t, then those of the steps before it, around the circle.
    seen = np.stack([np.roll(message, k) for k in range(_MEMORY + 1)], axis=1)
    taps = [[polynomial >> (_MEMORY - k) & 1 for k in range(_MEMORY + 1)] for polynomial in _POLYNOMIALS]
    return np.asarray((seen.astype(np.int64) @ np.array(taps).T % 2).reshape(-1), np.bool_)


def decode(soft: NDArray[np.floating]) -> Bits:
    """The likeliest message for soft bits float [192] (above 0: one; further from 0: surer): bool [96]."""
    if soft.shape != (N_CODED,):
        raise ValueError(f"a word has {N_CODED} bits, not {soft.shape}")
    pairs = np.asarray(soft, np.float32).reshape(N_MESSAGE, 2)
    order = np.arange(-_WRAP, N_MESSAGE + _WRAP) % N_MESSAGE
    came_from = _walk(pairs[order])
    state = int(came_from[-1][1].argmax())
    bits = np.empty(len(order), np.bool_)
    for step in range(len(order) - 1, -1, -1):
        bits[step] = state >> (_MEMORY - 1)
        odd = came_from[step][0].reshape(-1)[state]
        state = (2 * state + int(odd)) & (_STATES - 1)
    message = np.empty(N_MESSAGE, np.bool_)
    message[order[_WRAP:-_WRAP]] = bits[_WRAP:-_WRAP]
    return message


def _walk(pairs: NDArray[np.float32]) -> list[tuple[Bits, NDArray[np.float32]]]:
    """For each step, whether the better of a state's two predecessors is the odd one, and the states' scores."""
    even, odd = _branches()
    score = np.zeros(_STATES, np.float32)
    told = []
    for first, second in pairs:
        # What each of the four pairs of bits is worth, by 2 * first bit + second bit.
        worth = np.array([-first - second, second - first, first - second, first + second], np.float32)
        by_even = worth.take(even) + score[0::2]
        by_odd = worth.take(odd) + score[1::2]
        chosen = by_odd > by_even
        score = np.maximum(by_even, by_odd).reshape(-1)
        told.append((chosen, score))
    return told


@lru_cache(maxsize=1)
def _branches() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pair of bits (0 to 3) sent on the way from the even, and from the odd predecessor to each state: [2, S / 2].

    The register holds the newest bit on top: the state after a step is the register without its lowest bit.
    """
    register = np.arange(2 * _STATES)
    first, second = (np.bitwise_count(register & polynomial) & 1 for polynomial in _POLYNOMIALS)
    pair = (2 * first + second).astype(np.intp)
    return pair[0::2].reshape(2, -1), pair[1::2].reshape(2, -1)
