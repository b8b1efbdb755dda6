"""Samples are drawn by hashes alone: again and again the same, in whatever order the shifts stand."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from replay.audit.samples import allot, hash_of, smallest
from tests.support.oracle.histories import patiently

POPULATIONS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 40))


@patiently
@given(st.text("S0-", min_size=1, max_size=4), st.lists(st.integers(0, 10**6), unique=True, max_size=30), st.randoms())
def test_the_smallest_hashes_are_drawn_in_any_order(seed: str, shifts: list[int], chance: object) -> None:
    expected = sorted(sha256(f"{seed}/V1/{shift}".encode()).hexdigest() for shift in shifts)[:7]
    chance.shuffle(shifts)  # type: ignore[attr-defined] # a random.Random
    hashes = [hash_of(seed, "V1", str(shift)) for shift in shifts]
    assert [hashes[place] for place in smallest(hashes, 7)] == expected


@patiently
@given(POPULATIONS, st.integers(0, 250))
def test_shares_follow_populations_and_leave_nobody_out(populations: dict[str, int], size: int) -> None:
    shares = allot(populations, size)
    known = {name: population for name, population in populations.items() if population}
    assert set(shares) == set(known)
    assert sum(shares.values()) == min(size, sum(known.values()))
    assert all(0 <= shares[name] <= known[name] for name in known)
    if size >= len(known):
        assert all(shares.values())
    for (one, many), (other, fewer) in permutations(known.items(), 2):
        assert many <= fewer or shares[one] >= shares[other] - 1
    assert shares == allot(dict(reversed(populations.items())), size)


def test_a_sample_is_no_longer_the_same_with_another_seed_and_favours_nobody() -> None:
    shifts = [str(number) for number in range(4_000)]
    times: Counter[str] = Counter()
    for seed in range(40):
        hashes = [hash_of(str(seed), "V1", shift) for shift in shifts]
        times.update(shifts[place] for place in smallest(hashes, 1_000))
    assert sum(times.values()) == 40_000
    assert abs(sum(times[shift] for shift in shifts[:2_000]) - 20_000) < 500  # seven deviations
    assert max(times.values()) < 30
    assert len(times) > 3_990


def test_a_sample_as_large_as_there_are_strata_has_one_of_each() -> None:
    """A smaller one is refused before (`tests/api/reads/test_audits.py`)."""
    assert allot({"city": 1, "community": 400}, 2) == {"city": 1, "community": 1}
    assert allot({"city": 1, "community": 400, "special": 4}, 2) == {"city": 0, "community": 2, "special": 0}
