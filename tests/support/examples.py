"""How many examples property tests run: few in `make test`, many before a release.

`HYPOTHESIS_PROFILE=thorough make test` runs ten times as many, in about an hour.
"""

from __future__ import annotations

import os

from hypothesis import settings

PROFILES = ("quick", "thorough")
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
if PROFILE not in PROFILES:
    raise ValueError(f"HYPOTHESIS_PROFILE is {PROFILE!r}; it has to be one of {', '.join(PROFILES)}")

settings.register_profile("quick")
settings.register_profile("thorough", max_examples=1_000)
settings.load_profile(PROFILE)


def examples(count: int) -> int:
    """Return the number of examples of a property test that runs `count` of them in the quick profile."""
    return count if PROFILE == "quick" else 10 * count
