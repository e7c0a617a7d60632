"""A shuffle without a list: the place of any index in a random order of `count` things.

A Feistel network permutes the next power of four; indices that land outside are sent through
again until they land inside (cycle walking, Black and Rogaway 2002). Four rounds, mixed by
splitmix64.
"""

import numpy as np
from numpy.typing import NDArray

ROUNDS = 4
Words = NDArray[np.uint64]


def shuffled(index: NDArray[np.int64], count: int, key: int) -> NDArray[np.int64]:
    """(N,) indices below `count` -> their places, a permutation of range(count) for each key."""
    half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
    place = _network(index.astype(np.uint64), half, key)
    while (outside := place >= np.uint64(count)).any():
        place[outside] = _network(place[outside], half, key)
    return place.astype(np.int64)


def mixed(*numbers: int) -> int:
    """64 bits that depend on every bit of the numbers and on their order."""
    state = 0
    for number in numbers:
        word = np.array([(state + number) & 0xFFFF_FFFF_FFFF_FFFF], dtype=np.uint64)
        state = int(_mix(word)[0])
    return state


def _network(value: Words, half: int, key: int) -> Words:
    mask, shift = np.uint64(2**half - 1), np.uint64(half)
    left, right = value >> shift, value & mask
    for number in range(ROUNDS):
        left, right = right, left ^ (_mix(right + np.uint64(mixed(key, number))) & mask)
    return (left << shift) | right


def _mix(word: Words) -> Words:
    word = word + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
