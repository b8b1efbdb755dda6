"""Random numbers from a seed, and apportioning integers.

Each purpose has its own generator, so that a new kind of fault, for example, does not change the people. Nothing here
reads a clock or uses Python's `hash`, and all sorting is stable, so the same seed gives the same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return the generator of a purpose: PCG64, seeded by the seed and the purpose's letters."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *purpose.encode()])))


def pick(rng: np.random.Generator, eligible: Array, count: int) -> Array:
    """Return `count` different members of `eligible`, or all if there are fewer, ascending."""
    chosen = rng.choice(eligible, size=min(count, len(eligible)), replace=False, shuffle=False)
    chosen.sort(kind="stable")
    return chosen


def pick_apart(rng: np.random.Generator, eligible: Array, counts: list[int]) -> list[Array]:
    """Return disjoint picks of these sizes, each ascending; proportionally smaller ones if `eligible` is too small."""
    total = sum(counts)
    if total > len(eligible):
        counts = [count * len(eligible) // total for count in counts]
    chosen = rng.choice(eligible, size=sum(counts), replace=False, shuffle=True)
    parts = np.split(chosen, np.cumsum(counts)[:-1])
    return [np.sort(part, kind="stable") for part in parts]


def apportion(total: int, weights: Array) -> Array:
    """Split an integer by weights, exactly: shares are rounded down, then the largest remainders get one more; of equal
    remainders, the first.
    """
    if not len(weights) or total == 0:
        return np.zeros(len(weights), np.int64)
    shares = weights.astype(np.float64) * (total / float(weights.sum()))
    whole = np.floor(shares).astype(np.int64)
    rest = total - int(whole.sum())
    if rest < 0 or rest > len(weights):
        raise ArithmeticError(f"{total} cannot be split exactly by these weights")
    whole[np.argsort(whole - shares, kind="stable")[:rest]] += 1
    return whole


def ranks_within(groups: Array) -> Array:
    """Return the rank, from 0, of each element within its run of equal values; each value occurs in one run only."""
    if not len(groups):
        return np.zeros(0, np.int64)
    begins = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))
    lengths = np.diff(np.concatenate((begins, [len(groups)])))
    return np.arange(len(groups)) - np.repeat(begins, lengths)
