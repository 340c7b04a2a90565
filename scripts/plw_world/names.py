"""Names and words made from syllables, drawn without repetition."""

import random
from collections.abc import Sequence

VOWELS = "aeiou"


def make_names(
    rng: random.Random,
    *,
    count: int,
    onsets: list[str],
    vowels: list[str] | str = VOWELS,
    codas: Sequence[str] = ("",),
    syllables: int = 2,
    taken: set[str] | None = None,
) -> list[str]:
    """Make `count` words of `syllables` syllables; those in `taken` are avoided, the new ones added.

    A word is (onset vowel) × syllables + coda. The caller gives inventories large enough for `count` words;
    a ValueError says when they are not.
    """
    taken = set() if taken is None else taken
    names: list[str] = []
    for _ in range(count * 200):
        if len(names) == count:
            return names
        stem = "".join(rng.choice(onsets) + rng.choice(list(vowels)) for _ in range(syllables))
        word = stem + rng.choice(list(codas))
        if word not in taken:
            taken.add(word)
            names.append(word)
    raise ValueError(f"these syllables make too few words: {count} wanted, {len(names)} found")
