"""How many examples property tests run: few in `make check`, more in `make test`, many before a release.

HYPOTHESIS_PROFILE names the profile: `brief` runs a tenth of the examples that a test names, `quick` half of them,
or a quarter if one example takes tens of milliseconds, `thorough` ten times as many.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis.internal.conjecture import engine

FACTORS = {"brief": 0.1, "quick": 0.5, "thorough": 10.0}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
if PROFILE not in FACTORS:
    raise ValueError(f"HYPOTHESIS_PROFILE is {PROFILE!r}; set it to one of {', '.join(FACTORS)}")


COSTLY_MIN = 25
"""In `quick` a test whose examples are costly runs no fewer, unless it names fewer than twice as many."""


def examples(count: int, *, costly: bool = False) -> int:
    """Return the number of examples of a property test that names `count` of them."""
    number = max(int(count * FACTORS[PROFILE]), 5)
    return max(number // 2, min(number, COSTLY_MIN)) if costly and PROFILE == "quick" else number


# Only `thorough` looks for examples that nobody has seen: what passes once passes every time.
settings.register_profile(PROFILE, max_examples=examples(100), derandomize=PROFILE != "thorough")
settings.load_profile(PROFILE)

SHRINK_SECONDS_MAX = 20
"""A failure is reported in time, if not always as the smallest example. Before a release there is time to find that."""
if PROFILE != "thorough":
    assert engine.MAX_SHRINKING_SECONDS == 300, "hypothesis bounds shrinking in another way"
    engine.MAX_SHRINKING_SECONDS = SHRINK_SECONDS_MAX
