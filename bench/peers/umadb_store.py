"""UmaDB, an event store for dynamic consistency boundaries: a peer of the intake.

The same states are appended, `batch` of them to a call, to a server of its own (the program of the wheel) by callers
that each wait for the answer. An event has two tags, its stream and its version of the stream, and a UUID.

UmaDB answers when the events are on disk: each commit calls fdatasync twice, for the data and for the header, and calls
that wait together share a commit. A call is atomic; positions have no gaps and are in commit order. All it decides is
the append condition, a query that no event may match. Here the query asks for the version of each event of the call, so
that no version is written twice: what the primary key of the eventsourcing recorder says, and what the recorder of
`eventsourcing-umadb` asks for. Without a condition nothing is decided. A service that checks commands reads events
first, which is not measured.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep
from uuid import uuid4

from umadb import AppendCondition, Client, Event, Query, QueryItem, TransportError

from ledger.store.log_queries import RecordedEvent

START_SECONDS_MAX = 30

Call = tuple[list[Event], AppendCondition | None]


def append_events(
    events: Sequence[RecordedEvent],
    batch: int,
    seconds: float,
    folder: Path,
    callers: int = 1,
    *,
    conditional: bool = True,
) -> float:
    """Append events, `batch` of them to a call; return events per second. The server's files are in `folder`."""
    batches = [events[start : start + batch] for start in range(0, len(events), batch)]
    calls = [_call(each, conditional=conditional) for each in batches]
    with _serving(folder) as address, ThreadPoolExecutor(callers) as pool:
        clients = [Client(address) for _ in range(callers)]
        begun = perf_counter()

        def hand_over(number: int) -> int:
            written = 0
            for made, condition in calls[number::callers]:
                if perf_counter() - begun >= seconds:
                    break
                clients[number].append(made, condition)
                written += len(made)
            return written

        written = sum(pool.map(hand_over, range(callers)))
        rate = written / (perf_counter() - begun)
        assert clients[0].head() == written
    return rate


def _call(events: Sequence[RecordedEvent], *, conditional: bool) -> Call:
    made, versions = [], []
    for said in events:
        stream = f"stream:{said.stream_id}"
        version = f"{stream}:{said.version}"
        made.append(Event(said.topic, said.state, [stream, version], uuid4()))
        versions.append(QueryItem(tags=[version]))
    return made, AppendCondition(Query(versions)) if conditional else None


@contextmanager
def _serving(parent: Path) -> Iterator[str]:
    """Yield the address of a server on an empty store, gone at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # the server does not tell which port it got
        at = f"127.0.0.1:{probe.getsockname()[1]}"
    program = str(Path(sys.executable).with_name("umadb"))
    with (
        tempfile.TemporaryDirectory(prefix="umadb-", dir=parent) as folder,
        subprocess.Popen([program, "--listen", at, "--db-path", folder], stdout=subprocess.DEVNULL) as process,
    ):
        try:
            _wait_for(f"http://{at}", process)
            yield f"http://{at}"
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + START_SECONDS_MAX
    while True:
        assert process.poll() is None, "UmaDB did not start"
        try:
            Client(address).head()
        except TransportError:
            assert monotonic() < deadline, "UmaDB did not answer"
            sleep(0.05)
        else:
            return
