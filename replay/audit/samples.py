"""Random samples of shifts that anybody can draw again: the shifts with the smallest hashes of a seed and their names.

    hash = SHA-256 of the text "SEED/VOLUNTEER/SHIFT", with the shift's id as 36 characters

Whether a shift is drawn depends neither on the order of uploads nor on surrogates of this program. Somebody who selects
the seed can influence the sample, so the seed should come from outside: a lottery, a newspaper, a die.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from heapq import nsmallest

METHOD = "the smallest SHA-256 of SEED/VOLUNTEER/SHIFT, of each stratum"
"""The description of the method, as shown to readers."""


def hash_of(seed: str, volunteer: str, shift: str) -> str:
    """Return the hash of a shift, 64 hex digits; the smallest are drawn."""
    return sha256(f"{seed}/{volunteer}/{shift}".encode()).hexdigest()


def smallest(hashes: Sequence[str], count: int) -> list[int]:
    """Return the indexes of the smallest hashes, the smallest first."""
    return nsmallest(count, range(len(hashes)), key=hashes.__getitem__)


def allot(populations: Mapping[str, int], size: int) -> dict[str, int]:
    """Allot a sample to strata in proportion to their populations: rounded down, then one more for the largest
    remainders, by name if they are equal. Every stratum gets at least one if the sample is large enough for that, and
    none more than its population.
    """
    names = sorted(name for name, population in populations.items() if population)
    size = min(size, sum(populations.values()))
    least = 1 if size >= len(names) else 0
    shares = dict.fromkeys(names, least)
    rest = size - least * len(names)
    spare = sum(populations[name] - least for name in names)
    if not rest:
        return shares if least else dict.fromkeys(names, 0)
    remainders = {}
    for name in names:
        whole, remainders[name] = divmod(rest * (populations[name] - least), spare)
        shares[name] += whole
    left = size - sum(shares.values())
    for name in sorted(names, key=lambda name: (-remainders[name], name))[:left]:
        shares[name] += 1
    return shares
