"""Randomness from a seed, and whole numbers that add up.

Every concern draws from a generator of its own, named by its purpose, so that a new fault does not change the people.
Nothing here reads a clock or hashes by Python's `hash`: the same seed gives the same numbers. All sorting is stable
for the same reason.
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
    """Return `count` different members of `eligible` (all of them if there are fewer), ascending."""
    chosen = rng.choice(eligible, size=min(count, len(eligible)), replace=False, shuffle=False)
    chosen.sort(kind="stable")
    return chosen


def pick_apart(rng: np.random.Generator, eligible: Array, counts: list[int]) -> list[Array]:
    """Return disjoint picks of these sizes; each ascending. Picks shrink alike if `eligible` is too small."""
    wanted = sum(counts)
    if wanted > len(eligible):
        counts = [count * len(eligible) // wanted for count in counts]
    chosen = rng.choice(eligible, size=sum(counts), replace=False, shuffle=True)
    parts = np.split(chosen, np.cumsum(counts)[:-1])
    return [np.sort(part, kind="stable") for part in parts]


def apportion(total: int, weights: Array) -> Array:
    """Split a whole number by weights, exactly: rounded down, then one more for the largest remainders, first first."""
    if not len(weights) or total == 0:
        return np.zeros(len(weights), np.int64)
    shares = weights.astype(np.float64) * (total / float(weights.sum()))
    whole = np.floor(shares).astype(np.int64)
    rest = total - int(whole.sum())
    if rest < 0 or rest > len(weights):
        raise ArithmeticError(f"{total} cannot be split by these weights to the last one")
    whole[np.argsort(whole - shares, kind="stable")[:rest]] += 1
    return whole


def ranks_within(groups: Array) -> Array:
    """Return the rank of each element within its run of equal values, from 0; `groups` holds each value in one run."""
    if not len(groups):
        return np.zeros(0, np.int64)
    begins = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))
    lengths = np.diff(np.concatenate((begins, [len(groups)])))
    return np.arange(len(groups)) - np.repeat(begins, lengths)
