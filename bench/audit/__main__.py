"""Run the bench of audits. (The processes that it starts do not import this module again, because of its name.)"""

from __future__ import annotations

from bench.audit import measuring
from bench.support.common import machine, parse, publish
from bench.support.data import bench_ledger


def main() -> None:
    """Run the bench and print its result."""
    options = parse(measuring.__doc__)
    with bench_ledger(options) as ledger:
        publish(measuring.measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
