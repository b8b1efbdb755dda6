"""UmaDB, an event store for dynamic consistency boundaries: a peer of the intake.

The same states are appended, `batch` of them per call, to a separate server (the program in the wheel) by callers that
each wait for the answer. An event has two tags, its stream and its version in the stream, and a UUID.

UmaDB answers when the events are on disk: each commit calls fdatasync twice, for the data and for the header, and
waiting calls share a commit. A call is atomic; positions have no gaps and are in commit order. UmaDB checks only the
append condition, a query that no event may match. Here the query contains the version of each event of the call, so
that no version is written twice. The primary key of the eventsourcing recorder ensures the same, and the recorder of
`eventsourcing-umadb` uses the same condition. Without a condition nothing is checked. A service that checks commands
reads events first; this is not measured.
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
    """Append events, `batch` of them per call; return events per second. The server's files are in `folder`."""
    batches = [events[start : start + batch] for start in range(0, len(events), batch)]
    calls = [_call(each, conditional=conditional) for each in batches]
    with _serving(folder) as address, ThreadPoolExecutor(callers) as pool:
        clients = [Client(address) for _ in range(callers)]
        begun = perf_counter()

        def append(number: int) -> int:
            written = 0
            for call_events, condition in calls[number::callers]:
                if perf_counter() - begun >= seconds:
                    break
                clients[number].append(call_events, condition)
                written += len(call_events)
            return written

        written = sum(pool.map(append, range(callers)))
        rate = written / (perf_counter() - begun)
        assert clients[0].head() == written
    return rate


def _call(events: Sequence[RecordedEvent], *, conditional: bool) -> Call:
    call_events, versions = [], []
    for event in events:
        stream = f"stream:{event.stream_id}"
        version = f"{stream}:{event.version}"
        call_events.append(Event(event.topic, event.state, [stream, version], uuid4()))
        versions.append(QueryItem(tags=[version]))
    return call_events, AppendCondition(Query(versions)) if conditional else None


@contextmanager
def _serving(parent: Path) -> Iterator[str]:
    """Run a server on an empty, temporary store; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:  # the server does not report a port that it chose
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    program = str(Path(sys.executable).with_name("umadb"))
    with (
        tempfile.TemporaryDirectory(prefix="umadb-", dir=parent) as folder,
        subprocess.Popen([program, "--listen", listen, "--db-path", folder], stdout=subprocess.DEVNULL) as process,
    ):
        try:
            _wait_for(f"http://{listen}", process)
            yield f"http://{listen}"
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
