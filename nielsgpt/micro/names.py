"""First names put together from syllables: something to train on without any file.

name   = start vowel (join vowel)* ending
delina = d     e      l    i       na
"""

import random


def weighted(text: str) -> list[str]:
    """The words of a text; a repeated word is drawn more often."""
    return text.split()


COUNT, SEED = 4000, 0
STARTS = weighted("b br c ch d d dr el er f g h j j k kl l l m m n n p ph r r s s st t t tr v z")
VOWELS = weighted("a a a a e e e i i i o o u ai ia ei")
JOINS = weighted("b d d k l l l ll m m n n n nn nd r r r rr rl s ss st t t th v v z lm ng")
ENDINGS = weighted(
    "n n n na na na nne la la lla ra ra r l l s s th ta tte lyn ne ne ro do nie ndra y"
)
MIDDLES = (0, 0, 0, 1, 1, 1, 2)


def invented(count: int = COUNT, seed: int = SEED) -> list[str]:
    """Names of three to nine letters in lower case, all different; the same ones for a seed."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        middle = [rng.choice(JOINS) + rng.choice(VOWELS) for _ in range(rng.choice(MIDDLES))]
        name = "".join((rng.choice(STARTS), rng.choice(VOWELS), *middle, rng.choice(ENDINGS)))
        if len(name) in range(3, 10):
            found[name] = None
    return list(found)
