"""A shuffle without a list: a random permutation of range(count), computed index by index.

A Feistel network permutes the next power of four; an index that maps outside the range is mapped
again until it is inside (cycle walking, Black and Rogaway 2002). Four rounds, with the finalizer of
splitmix64 as the round function (Steele et al. 2014).
"""

ROUNDS = 4
WORD = 2**64 - 1


def shuffle_index(index: int, count: int, key: int) -> int:
    """The image of an index below `count`: a permutation of range(count) for each key."""
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    image = _permute(index, half, key)
    while image >= count:
        image = _permute(image, half, key)
    return image


def mix_seed(*numbers: int) -> int:
    """A 64-bit seed that depends on every bit of the numbers and on their order."""
    state = 0
    for number in numbers:
        state = _mix(state + number)
    return state


def _permute(value: int, half: int, key: int) -> int:
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for number in range(ROUNDS):
        left, right = right, left ^ (_mix(right + _mix(key + number)) & mask)
    return left << half | right


def _mix(word: int) -> int:
    word = (word + 0x9E3779B97F4A7C15) & WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & WORD
    return word ^ word >> 31
