"""`bench.abuse` runs with each attacker at a tiny scale, and says what it promises; not how fast anything is."""

from __future__ import annotations

import json

import pytest

from bench.abuse import Scan, figures
from bench.support.attackers import ATTACKS
from tests.support.processes.program import run

pytestmark = pytest.mark.slow


def test_scans_are_counted_by_what_became_of_them() -> None:
    outcomes = [Scan(201, 0.001, "a"), Scan(429, 0.002, "b"), Scan(0, 30.0, "c"), Scan(201, 0.003, "d")]
    told = figures(outcomes)
    assert (told["scans"], told["refused"], told["without_answer"]) == (4, 1, 1)
    assert (told["p50_ms"], told["max_ms"]) == (2.5, 30_000)


def test_every_attacker_attacks_and_honest_scans_are_followed_into_the_log() -> None:
    gentle = [name for name in ATTACKS if name not in {"big headers", "half requests"}]
    found = run("-m", "bench.abuse", "--seconds", "1", "--scale", "0.001", "--json", "--attacks", *gentle)
    assert found.returncode == 0, found.stderr[-2000:]
    (line,) = found.stdout.splitlines()
    said = json.loads(line)
    assert (said["name"], said["lost"], said["server_ended"]) == ("abuse", 0, False)
    assert set(said["attackers"]) == set(gentle)
    assert {"scans", "p50_ms", "p99_ms", "max_ms", "without_answer", "refused"} == set(said["quiet"])
    assert said["quiet"]["scans"] == said["attacked"]["scans"] == 200
    assert set(said["memory_mib"]) == {"before", "most", "after"}
    assert said["p99_ratio"] > 0
