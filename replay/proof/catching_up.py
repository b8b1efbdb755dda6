"""A process that brings the tree to the head of the log (`replay/apart.py`), which the notary starts if that is far
away. It publishes nothing: the notary signs the checkpoint that is published.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

from ledger.store.log_queries import LogReader
from ledger.store.pool import CONNECT_SECONDS_MAX, configure
from replay.apart import run_main
from replay.proof.agreement import TreeError
from replay.proof.growth import TransparencyLog
from replay.proof.keys import SigningKeyError


def main(data: Path, url: str) -> None:
    """Catch up."""
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX) as connection:
        configure(connection)
        TransparencyLog(data, LogReader(connection)).catch_up()


if __name__ == "__main__":
    run_main(main, TreeError, SigningKeyError)
