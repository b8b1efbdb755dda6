"""Pages: how long the server takes for each, with a whole history behind it, and how large they are.

Each page is asked for by a reader whose role may open it, one request after the other, in turn with the others, so that
no page is measured alone in a warm cache of its own. `pages`: for each, the first request after a start, the median and
the 95th percentile of those after it, in milliseconds, and the bytes of HTML, styles and scripts that a browser loads
for it at its first visit.

Peer: the API's answer about one volunteer (`/v1/volunteers/{number}/overview`) as JSON, in the same run: what a page
adds is its further requests and its template.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import NamedTuple

from fastapi.testclient import TestClient

from api.access.roles import Role
from api.http.app import create_app
from api.http.server import tune_interpreter
from api.operations.service import OpenLedger, Service
from api.pages.sessions import COOKIE
from bench.support.common import Options, Result, machine, parse, peak_mib, print_status, publish
from bench.support.data import BenchLedger, bench_ledger

ROUNDS_OF_REPETITION = 20
_FILES = re.compile(r'(?:href|src)="(/assets/[^"]+\.(?:css|js))"')


class Page(NamedTuple):
    """A page: its address with names to be filled in, and the role of its reader; None for anybody."""

    path: str
    role: Role | None


PAGES = (
    Page("/", None),
    Page("/counter", Role.STATION),
    Page("/me", Role.VOLUNTEER),
    Page("/volunteers/{volunteer}", Role.STAFF),
    Page("/stations", Role.READER),
    Page("/stations/{station}", Role.READER),
    Page("/office", Role.STAFF),
    Page("/honors", Role.HONORS_OFFICER),
    Page("/audit", Role.AUDITOR),
    Page("/audit/findings", Role.AUDITOR),
    Page("/what-if", Role.ANALYST),
)


class _Names(NamedTuple):
    volunteer: str
    station: str


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Ask for every page in turn."""
    tune_interpreter()  # as a server does
    with tempfile.TemporaryDirectory() as folder, _served(ledger, Path(folder)) as (client, opened):
        names = _names(opened)
        holders = {Role.STATION: names.station, Role.VOLUNTEER: names.volunteer}
        tokens = {role: opened.keys.make(role, holders.get(role, "bench"), per_second=100_000)[1] for role in Role}

        def get(path: str, role: Role | None) -> tuple[float, str]:
            headers = {"Cookie": f"{COOKIE}={tokens[role]}"} if role else {}
            began = perf_counter()
            answer = client.get(path, headers=headers, follow_redirects=True)
            seconds = perf_counter() - began
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
            return seconds, answer.text

        addresses = [(page, page.path.format(**names._asdict())) for page in PAGES]
        first = {page.path: get(address, page.role) for page, address in addresses}
        sizes = {path: _bytes(client, html) for path, (_, html) in first.items()}
        taken: dict[str, list[float]] = {page.path: [] for page in PAGES}
        peer: list[float] = []
        bearer = {"Authorization": f"Bearer {tokens[Role.READER]}"}
        rounds: list[float] = []
        rounds_wanted = ROUNDS_OF_REPETITION * options.repeat
        for number in range(rounds_wanted):
            if number % 10 == 0:
                print_status(f"round {number} of {rounds_wanted}")
            for page, address in addresses:
                taken[page.path].append(get(address, page.role)[0])
            rounds.append(sum(each[-1] for each in taken.values()))
            began = perf_counter()
            assert client.get(f"/v1/volunteers/{names.volunteer}/overview", headers=bearer).status_code == 200
            peer.append(perf_counter() - began)
    pages = {
        path: {
            "first_ms": round(1000 * first[path][0], 1),
            "median_ms": round(1000 * median(seconds), 1),
            "p95_ms": round(1000 * quantiles(seconds, n=20)[-1], 1),
            "bytes": sizes[path],
        }
        for path, seconds in taken.items()
    }
    worst = max(quantiles(seconds, n=20)[-1] for seconds in taken.values())
    more: dict[str, object] = {"pages": pages, "worst_p95_ms": round(1000 * worst, 1)}
    peers = {"one volunteer's overview as JSON": 1 / median(peer)}
    return Result("pages", len(PAGES), rounds, peak_mib(), peers, more)


@contextmanager
def _served(ledger: BenchLedger, folder: Path) -> Iterator[tuple[TestClient, OpenLedger]]:
    """Serve the pages of a ledger that nothing changes: no follower, no archivist, no notary."""
    opened = OpenLedger(ledger.database, folder)
    opened.__dict__["archive"] = ledger.archive
    service = Service(opened)
    service.keys.start()
    try:
        with TestClient(create_app(service)) as client:
            yield client, opened
    finally:
        service.close()


def _names(ledger: OpenLedger) -> _Names:
    with ledger.database.pool.connection() as connection:
        schema = ledger.current_generation().schema
        row = connection.execute(
            f"SELECT volunteer FROM {schema}.volunteer_hours WHERE year = 0 ORDER BY shifts DESC, volunteer LIMIT 1"  # noqa: S608
        ).fetchone()
        assert row is not None
    return _Names(row[0], ledger.queries.stations()[0])


def _bytes(client: TestClient, html: str) -> int:
    """Return the bytes of a page, its styles and its scripts."""
    return len(html.encode()) + sum(len(client.get(path).content) for path in set(_FILES.findall(html)))


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
