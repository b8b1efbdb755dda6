"""Rules are named by a version, a digest, or the beginning of a digest that no other has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from api.axes.candidates import Candidates
from api.axes.written import AmbiguousDigestError, AxisError, choose_rules, names_rules
from replay.published import Rules
from tests.support.api.serving import Served

pytest_plugins = ["tests.support.api.fixtures"]

ONE, TWO, DIGITS = "abcdef01" + "0" * 56, "abcdef01" + "1" * 56, "12345678" + "a" * 56
PUBLISHED = [Rules(1, ONE, "one"), Rules(2, DIGITS, "digits"), Rules(3, ONE, "one")]


class Stored:
    """Candidates of two digests, one of which was published too."""

    def find(self, digest: str) -> Sequence[Rules]:
        return [Rules(0, known, known) for known in (ONE, TWO) if known.startswith(digest)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1", (1, ONE)),
        (ONE, (3, ONE)),  # the latest version of the text
        (ONE.upper(), (3, ONE)),
        (ONE[:9], (3, ONE)),
        (TWO[:9], (0, TWO)),
        (DIGITS[:8], (2, DIGITS)),  # eight decimal digits that are no version
        (DIGITS, (2, DIGITS)),
    ],
)
def test_a_digest_is_named_by_its_beginning(name: str, expected: tuple[int, str]) -> None:
    assert names_rules(name)
    assert choose_rules(name, PUBLISHED, cast("Candidates", Stored()))[:2] == expected


def test_a_published_version_comes_before_a_digest_of_the_same_digits() -> None:
    assert choose_rules("12345678", [*PUBLISHED, Rules(12345678, TWO, "")]).digest == TWO


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("abcdef0", "rules abcdef0 is neither a version nor a digest of 64 hex digits, or its first 8 or more"),
        ("abcdef02", "no rules have the digest abcdef02; post the candidate"),
        (f"{ONE[:-1]}f", "no rules have the digest abcdef010000…; post the candidate"),
        ("7", "version 7 of the rules has not been published"),
        ("123456789", "version 123456789 of the rules has not been published"),
    ],
)
def test_what_names_no_rules_is_refused_with_the_way_out(name: str, told: str) -> None:
    with pytest.raises(AxisError) as caught:
        choose_rules(name, PUBLISHED, cast("Candidates", Stored()))
    assert str(caught.value).startswith(told)


def test_the_beginning_of_several_digests_is_refused_and_lists_them() -> None:
    with pytest.raises(AmbiguousDigestError) as caught:
        choose_rules("ABCDEF01", PUBLISHED, cast("Candidates", Stored()))
    assert str(caught.value) == f"2 digests begin with abcdef01: {ONE}, {TWO}; write more of the digest"


def test_eight_digits_do_wherever_rules_are_named(served: Served) -> None:
    digest = served.get("/v1/rules").json()["published"][0]["digest"]
    volunteer = served.volunteer()
    _, position = served.served_shift(volunteer, "2018-12-04T09:00:00+08:00", "2018-12-04T12:00:00+08:00")
    assert served.get(f"/v1/volunteers/{volunteer}", at_least=position).status_code == 200
    for name in (digest[:8], digest[:20].upper()):
        shown = served.get(f"/v1/rules/{name}")
        assert (shown.status_code, shown.json()["digest"]) == (200, digest)
        assert served.get(f"/v1/volunteers/{volunteer}", rules=name).json()["rules"]["digest"] == digest
    short = served.get(f"/v1/volunteers/{volunteer}", rules=digest[:7])
    assert short.status_code == 422 or digest[:7].isdecimal()
