"""Contract: Schemathesis tests a served ledger against its OpenAPI description, with all its checks and more of ours.

The server is `hours serve` in a separate process, on a temporary ledger with a short history. Valid and invalid
requests are generated from the description for every operation; no answer may be a server error or violate the schema.

    python -m bench.contract --examples 100 --json

`failures` counts failed checks; the last line is one JSON object, and the exit code is 1 if there are failures.
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
from bench.support.common import BENCH_DATA, ROOT, print_status
from bench.support.loaded_server import program
from ledger.store.database import Database
from ledger.store.embedded import serving
from tests.support.api.serving import stock

PHASES = ("examples", "coverage", "fuzzing", "stateful")
"""Requests from the examples; at the bounds of every schema; at random; from the answers to other requests."""

REQUESTS_PER_SECOND = 1_000_000
"""No limit."""

ANSWER_SECONDS_MAX = 300
"""A busy machine may take long, and that is no failure."""

_COUNTS = re.compile(r"(\d+) generated")
_FAILURES = re.compile(r"found (\d+) unique failures")
_OPERATIONS = re.compile(r"Tested: (\d+)")


class ContractResult(NamedTuple):
    """The counts and the report of a run."""

    operations: int
    requests: int
    failures: int
    report: str


@contextmanager
def served(url: str, data: Path) -> Iterator[tuple[str, str]]:
    """Serve a ledger with a short history at a database's URL; yield its address and an administrator's key."""
    with Database.open(url) as database:
        ledger = OpenLedger(database, data)
        stock(ledger)
        _, token = ledger.keys.make(Role.ADMIN, "contract", per_second=REQUESTS_PER_SECOND)
    command = [sys.executable, "-c", "from api.cli.main import main; main()", "--data", str(data)]
    with program([*command, "serve", "--port", "0", "--json"], {"DATABASE_URL": url}) as address:
        yield address, token


def verify(
    address: str,
    token: str | None,
    *,
    examples: int,
    phases: Sequence[str] = PHASES,
    seed: int = 1,
    without: str | None = None,
    description: Path | None = None,
) -> ContractResult:
    """Test a served ledger against its description, with a key or without one.

    Args:
        without: a pattern of paths to exclude.
        description: an OpenAPI file to use in place of the served one.
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
    command += ["--request-timeout", str(ANSWER_SECONDS_MAX)]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    if without:
        command += ["--exclude-path-regex", without]
    hooks = {"SCHEMATHESIS_HOOKS": "bench.contract.checks", "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, env=os.environ | hooks, cwd=ROOT, capture_output=True, text=True, check=False)
    report = ended.stdout + ended.stderr
    numbers = [pattern.search(report) for pattern in (_OPERATIONS, _COUNTS, _FAILURES)]
    operations, requests, failures = (int(found[1]) if found else 0 for found in numbers)
    # A failure may also be due to something else than an answer, for example the description.
    return ContractResult(operations, requests, failures or int(ended.returncode != 0), report)


def main() -> None:
    """Test a temporary ledger against its description, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100, help="random requests for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, help="directory for the temporary ledger")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    arguments = parser.parse_args()
    parent = arguments.data or BENCH_DATA
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="contract-", dir=parent) as folder:
        data = Path(folder)
        with serving(data / "postgres") as url, served(url, data / "data") as (address, token):
            runs = {
                "with a key": verify(address, token, examples=arguments.examples, seed=arguments.seed),
                "without a key": verify(address, None, examples=1, phases=PHASES[:2], seed=arguments.seed),
            }
    for name, result in runs.items():
        if result.failures or not arguments.json:
            print_status(f"{name}:\n{result.report}")
    failures = sum(result.failures for result in runs.values())
    line = {
        "name": "contract",
        "operations": max(result.operations for result in runs.values()),
        "examples": arguments.examples,
        "requests": sum(result.requests for result in runs.values()),
        "failures": failures,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(1 if failures else 0)
