"""Several servers on one ledger behave as one; and a server that is stopped under load answers what was under way."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

import httpx2
import pytest

from api.access.key_memory import USES_SECONDS
from api.access.roles import Role
from api.http.routes.writes.event_stream import NDJSON
from api.messages.cloud_events import BATCH, EVENT, event_type
from api.operations.service import create_ledger, open_ledger
from replay.generations.rebuild import rebuild
from replay.published import published_rules
from tests.support.api.serving import STATION, found, give
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, Program

VOLUNTEERS = [f"V{number:07d}" for number in range(1, 21)]
MORNING = 1543885200  # 2018-12-04T09:00+08:00


class Running(NamedTuple):
    """A process that serves."""

    process: Program
    address: str

    def end(self, *signals: signal.Signals, pause: float = 0.5) -> list[dict[str, Any]]:
        """End the process by signals; return the lines it logged."""
        for number, one in enumerate(signals):
            time.sleep(pause if number else 0)
            self.process.send_signal(one)
        _, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, err
        return [json.loads(line) for line in err.splitlines()]


class Shared(NamedTuple):
    """A ledger's data directory, with keys."""

    data: Path
    station: str
    reader: str

    @contextmanager
    def serving(self, *options: str) -> Iterator[Running]:
        with Program(*HOURS, "--data", self.data, "serve", "--port", "0", "--json", *options) as process:
            lines: list[str] = []
            while not lines or lines[-1].strip() != "}":
                lines.append(process.stdout.readline())
                assert lines[-1], process.stderr.read()
            try:
                yield Running(process, json.loads("".join(lines))["address"])
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    process.communicate(timeout=PATIENCE_SECONDS)

    def post(self, address: str, events: Any) -> httpx2.Response:
        media_type = BATCH if isinstance(events, list) else EVENT
        headers = {"Authorization": f"Bearer {self.station}", "Content-Type": media_type}
        return httpx2.post(f"{address}/v1/events", json=events, headers=headers, timeout=PATIENCE_SECONDS)

    def get(self, address: str, path: str, token: str | None = None, **parameters: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token or self.reader}"}
        return httpx2.get(f"{address}{path}", params=parameters, headers=headers, timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A data directory whose embedded PostgreSQL runs all the time, as one process or another uses it."""
    data = tmp_path_factory.mktemp("shared") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        with create_ledger(data) as ledger:
            found(ledger)
            for volunteer in VOLUNTEERS:
                give(ledger, "register-volunteer", volunteer=volunteer, registered_on="2016-03-05")
            ledger.make_ready()
            station, reader = (ledger.keys.make(role, STATION)[1] for role in (Role.STATION, Role.READER))
            yield Shared(data, station, reader)


@pytest.fixture(scope="module")
def pair(shared: Shared) -> Iterator[tuple[str, str]]:
    """The addresses of two servers on one ledger."""
    with shared.serving() as one, shared.serving() as other:
        yield one.address, other.address


def scan(number: int, name: str = "scan") -> dict[str, Any]:
    """Return the check-in, or the check-out, of a shift of its own."""
    kind, place = ("check-in", "check-out")[number % 2], number // 2
    data = {
        "volunteer": VOLUNTEERS[place % len(VOLUNTEERS)],
        "station": STATION,
        "shift": str(UUID(int=(7 << 76) | (2 << 62) | (crc32(name.encode()) & 0xFFFF) << 20 | place)),
        "occurred_at": MORNING + place // len(VOLUNTEERS) * 86_400 + number % 2 * 3_600,
    }
    return {
        "specversion": "1.0",
        "id": f"{name}-{number}",
        "source": f"/stations/{STATION}",
        "type": event_type(kind),
        "data": data,
    }


def head(shared: Shared, address: str) -> int:
    position: int = shared.get(address, "/v1/status").json()["head"]
    return position


# --- two servers ----------------------------------------------------------------------------------------------------


def test_what_is_sent_to_two_servers_at_once_is_recorded_once_and_answered_alike(
    shared: Shared, pair: tuple[str, str]
) -> None:
    before, scans = head(shared, pair[0]), [scan(number, "both") for number in range(240)]
    batches = [scans[start : start + 8] for start in range(0, len(scans), 8)]

    def upload(address: str) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda batch: shared.post(address, batch).json()["answers"], batches))
        return [one for batch in answers for one in batch]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(upload, pair)
    assert {one["outcome"] for one in [*first, *second]} == {"accepted"}
    assert [one["position"] for one in first] == [one["position"] for one in second]
    assert sorted(one["position"] for one in first) == list(range(before + 1, before + 241))
    assert all(one["duplicate"] != other["duplicate"] for one, other in zip(first, second, strict=True))
    for address in pair:  # both read models answer alike, and each sees what was written through the other
        answer = shared.get(address, f"/v1/volunteers/{VOLUNTEERS[0]}/shifts", at_least=before + 240).json()
        assert len([one for one in answer["shifts"] if one["check_out"]]) == 6
    with open_ledger(shared.data) as ledger:
        live = ledger.current_generation()
        anew = rebuild(ledger.database, ledger.archive, published_rules(ledger.log), new_facts=True).generation
        assert (live.position, live.checksum) == (anew.position, anew.checksum)


def test_who_writes_through_one_server_reads_it_through_the_other(shared: Shared, pair: tuple[str, str]) -> None:
    for number in range(20):
        write, read = pair[number % 2], pair[(number + 1) % 2]
        event = scan(number, "own")
        position = shared.post(write, event).json()["position"]
        answer = shared.get(read, f"/v1/volunteers/{event['data']['volunteer']}/shifts", at_least=position)
        assert answer.status_code == 200, answer.text
        assert event["data"]["shift"] in {one["shift"] for one in answer.json()["shifts"]}


def test_a_key_that_was_revoked_is_refused_by_every_server_at_once(shared: Shared, pair: tuple[str, str]) -> None:
    with open_ledger(shared.data) as ledger:
        key, token = ledger.keys.make(Role.READER, "gone")
        for address in pair * 5:  # until both remember it
            assert shared.get(address, "/v1/log/1", token).status_code == 200
        ledger.keys.revoke(key.id)
        deadline = time.monotonic() + USES_SECONDS / 2  # until then no server looks it up by itself
        statuses = dict.fromkeys(pair, 200)
        while set(statuses.values()) != {401} and time.monotonic() < deadline:
            statuses = {address: shared.get(address, "/v1/log/1", token).status_code for address in pair}
    assert set(statuses.values()) == {401}


def test_both_servers_are_well_and_the_archive_is_looked_after_by_one(shared: Shared, pair: tuple[str, str]) -> None:
    for address in pair:
        assert httpx2.get(f"{address}/readyz", timeout=PATIENCE_SECONDS).status_code == 200
        status = shared.get(address, "/v1/status").json()
        assert (status["alert"], status["problems"], status["holes"]) == (None, [], 0)


# --- stopping -------------------------------------------------------------------------------------------------------


class Uploads:
    """Tablets that post one event after the other until nobody answers; what was acknowledged, by number."""

    def __init__(self, shared: Shared, address: str, name: str) -> None:
        self.acknowledged: dict[int, int] = {}
        self.turned_away = 0
        self._threads = [threading.Thread(target=self._post, args=(shared, address, name, one)) for one in range(8)]
        for thread in self._threads:
            thread.start()

    def _post(self, shared: Shared, address: str, name: str, lane: int) -> None:
        headers = {"Authorization": f"Bearer {shared.station}", "Content-Type": EVENT}
        with httpx2.Client(headers=headers, timeout=PATIENCE_SECONDS) as client:
            for number in range(lane, 1_000_000, 8):
                try:
                    answer = client.post(f"{address}/v1/events", json=scan(number, name))
                except httpx2.TransportError:
                    return
                if answer.status_code == 503:
                    self.turned_away += 1
                    return
                assert answer.status_code == 201, answer.text
                self.acknowledged[number] = answer.json()["position"]

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()


def test_a_server_that_is_stopped_under_load_keeps_all_it_acknowledged(shared: Shared, pair: tuple[str, str]) -> None:
    with shared.serving() as server:
        uploads = Uploads(shared, server.address, "load")
        while len(uploads.acknowledged) < 200:
            time.sleep(0.01)
        lines = server.end(signal.SIGTERM)
        uploads.wait()
    assert [line["message"] for line in lines][-2:] == ["stopping", "stopped"]
    assert {line["level"] for line in lines} == {"info"}, lines
    numbers = sorted(uploads.acknowledged)
    for start in range(0, len(numbers), 500):
        part = numbers[start : start + 500]
        again = shared.post(pair[0], [scan(number, "load") for number in part]).json()["answers"]
        assert [one["position"] for one in again] == [uploads.acknowledged[number] for number in part]
        assert all(one["duplicate"] for one in again)


class Stream:
    """An upload that is under way: its first lines are sent, its last ones when it is told to go on."""

    def __init__(self, shared: Shared, address: str, name: str) -> None:
        self.go_on = threading.Event()
        self.answers: list[dict[str, Any]] = []
        self.error: Exception | None = None
        before = head(shared, address)
        self._thread = threading.Thread(target=self._upload, args=(shared, address, name))
        self._thread.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while head(shared, address) == before:  # until the server is at it
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _upload(self, shared: Shared, address: str, name: str) -> None:
        def lines() -> Iterator[bytes]:
            for number in range(20):
                yield json.dumps(scan(number, name)).encode() + b"\n"
                if number == 9:
                    self.go_on.wait(PATIENCE_SECONDS)

        headers = {"Authorization": f"Bearer {shared.station}", "Content-Type": NDJSON}
        try:
            answer = httpx2.post(f"{address}/v1/events", content=lines(), headers=headers, timeout=PATIENCE_SECONDS)
            self.answers = [json.loads(line) for line in answer.text.splitlines()]
        except httpx2.TransportError as error:
            self.error = error

    def end(self) -> None:
        self.go_on.set()
        self._thread.join()


def test_a_request_under_way_is_answered_to_its_end(shared: Shared, pair: tuple[str, str]) -> None:
    with shared.serving() as server:
        stream = Stream(shared, server.address, "way")
        threading.Timer(1.0, stream.go_on.set).start()  # when the server has been told to end
        server.end(signal.SIGTERM)
        stream.end()
    assert [one["outcome"] for one in stream.answers] == ["accepted"] * 20
    assert [one["duplicate"] for one in stream.answers] == [False] * 20


@pytest.mark.parametrize(
    ("options", "signals"),
    [
        (["--drain-seconds", "60"], (signal.SIGTERM, signal.SIGTERM)),
        (["--drain-seconds", "1"], (signal.SIGTERM,)),
    ],
)
def test_who_does_not_end_is_not_waited_for_without_end(
    shared: Shared, pair: tuple[str, str], options: list[str], signals: tuple[signal.Signals, ...]
) -> None:
    name = f"stuck-{options[1]}-{signals[0].name}"
    with shared.serving(*options) as server:
        stream = Stream(shared, server.address, name)
        lines = server.end(*signals)
        stream.end()
    assert [line["message"] for line in lines if line["level"] == "warning"] == [
        "a request was cancelled because the server is stopping"
    ]
    assert not [line for line in lines if "exception" in line or "Traceback" in line["message"]]
    assert len(stream.answers) < 20
    again = shared.post(pair[0], [scan(number, name) for number in range(20)]).json()["answers"]
    assert {one["outcome"] for one in again} == {"accepted"}  # whoever was cut off sends it again, as ever
