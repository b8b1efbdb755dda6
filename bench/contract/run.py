"""Contract: Schemathesis holds a served ledger to its OpenAPI description, with all its checks and some of our own.

The server is `hours serve`, a process of its own, on a temporary ledger with a little history. Requests are made from
the description, valid and invalid ones, for every operation; no answer may be a server's error, or outside the schema.

    python -m bench.contract --examples 100 --json

`failures` counts what did not hold; the last line is one JSON object, and the exit code is 1 if there is any.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from api.access.roles import Role
from api.operations.service import OpenLedger
from bench.support.common import BENCH_DATA, ROOT, say
from bench.support.loaded_server import program
from ledger.store.database import Database
from ledger.store.embedded import serving
from tests.support.api.serving import stock

PHASES = ("examples", "coverage", "fuzzing", "stateful")
"""Requests as the examples have them; at the bounds of every schema; at random; each from another one's answer."""

REQUESTS_PER_SECOND = 1_000_000
"""No limit: what is asked here is asked of the ledger."""

_COUNTS = re.compile(r"(\d+) generated")
_FAILURES = re.compile(r"found (\d+) unique failures")
_OPERATIONS = re.compile(r"Tested: (\d+)")


class Held(NamedTuple):
    """What came of it."""

    operations: int
    requests: int
    failures: int
    report: str


@contextmanager
def served(url: str, data: Path) -> Iterator[tuple[str, str]]:
    """Serve a ledger with a little history at a database's URL; yield its address and an administrator's key."""
    with Database.open(url) as database:
        ledger = OpenLedger(database, data)
        stock(ledger)
        _, token = ledger.keys.make(Role.ADMIN, "contract", per_second=REQUESTS_PER_SECOND)
    command = [sys.executable, "-c", "from api.cli.main import main; main()", "--data", str(data)]
    with program([*command, "serve", "--port", "0", "--json"], {"DATABASE_URL": url}) as address:
        yield address, token


def hold(
    address: str,
    token: str | None,
    *,
    examples: int,
    phases: Sequence[str] = PHASES,
    seed: int = 1,
    without: str | None = None,
    description: Path | None = None,
) -> Held:
    """Hold a served ledger to its description, with a key or without any.

    Args:
        without: a pattern of addresses that are not asked.
        description: what it is held to, where that is not its own.
    """
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += [
        "--config-file",
        str(ROOT / "bench" / "contract" / "contract.toml"),
        "run",
        str(description or f"{address}/openapi.json"),
    ]
    command += ["--url", address]
    command += ["--phases", ",".join(phases), "--max-examples", str(examples), "--seed", str(seed)]
    command += ["--generation-database", "none", "--continue-on-failure", "--no-shrink", "--no-color"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    if without:
        command += ["--exclude-path-regex", without]
    hooks = {"SCHEMATHESIS_HOOKS": "bench.contract.checks", "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, env=os.environ | hooks, cwd=ROOT, capture_output=True, text=True, check=False)
    report = ended.stdout + ended.stderr
    numbers = [pattern.search(report) for pattern in (_OPERATIONS, _COUNTS, _FAILURES)]
    operations, requests, failures = (int(found[1]) if found else 0 for found in numbers)
    # It may also have failed at something else than an answer: the description, say.
    return Held(operations, requests, failures or int(ended.returncode != 0), report)


def main() -> None:
    """Hold a temporary ledger to its description, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100, help="requests at random for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, help="where the temporary ledger is made")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    asked = parser.parse_args()
    parent = asked.data or BENCH_DATA
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="contract-", dir=parent) as folder:
        data = Path(folder)
        with serving(data / "postgres") as url, served(url, data / "data") as (address, token):
            runs = {
                "with a key": hold(address, token, examples=asked.examples, seed=asked.seed),
                "without a key": hold(address, None, examples=1, phases=PHASES[:2], seed=asked.seed),
            }
    for name, held in runs.items():
        if held.failures or not asked.json:
            say(f"{name}:\n{held.report}")
    failures = sum(held.failures for held in runs.values())
    line = {
        "name": "contract",
        "operations": max(held.operations for held in runs.values()),
        "examples": asked.examples,
        "requests": sum(held.requests for held in runs.values()),
        "failures": failures,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(1 if failures else 0)
