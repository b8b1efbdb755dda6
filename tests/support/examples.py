"""How many examples property tests run: few in `make check`, more in `make test`, many before a release.

HYPOTHESIS_PROFILE names the profile: `brief` runs a tenth of the examples of `quick`, `thorough` ten times as many.
"""

from __future__ import annotations

import os

from hypothesis import settings

FACTORS = {"brief": 0.1, "quick": 1.0, "thorough": 10.0}
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
if PROFILE not in FACTORS:
    raise ValueError(f"HYPOTHESIS_PROFILE is {PROFILE!r}; set it to one of {', '.join(FACTORS)}")


def examples(count: int) -> int:
    """Return the number of examples of a property test that runs `count` of them in the quick profile."""
    return max(int(count * FACTORS[PROFILE]), 5)


settings.register_profile(PROFILE, max_examples=examples(100))
settings.load_profile(PROFILE)
