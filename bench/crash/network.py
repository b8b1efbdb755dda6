"""The load of the crash bench: stations, and an unreliable network between them and the servers.

The proxy cuts connections before and after the answer, delays requests, and sends some twice. A station uploads in any
order, and repeats what was not answered and sometimes what was.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from api.messages.cloud_events import BATCH, event_type

VOLUNTEERS = [f"V{number:07d}" for number in range(1, 201)]
STATION = "C01"
EVENTS_MAX = 24

Fact = tuple[str, str, int]
"""The content of a scan: volunteer, shift, instant."""


@dataclass
class Seen:
    """What clients sent, and the answers they got, over all rounds."""

    sent: dict[str, Fact] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    repeated: int = 0
    unanswered: int = 0
    contradictions: int = 0
    new_at: float = 0.0
    """The instant of the last request with a new accepted event."""
    _lock: Lock = field(default_factory=Lock)

    def note_sent(self, events: Sequence[dict[str, Any]]) -> None:
        """Note events that are about to be sent."""
        with self._lock:
            for event in events:
                data = event["data"]
                self.sent[name_of(event)] = data["volunteer"], data["shift"], data["occurred_at"]

    def note_answers(self, answers: Sequence[dict[str, Any]], sent_at: float) -> None:
        """Note the answers to a batch; an event must get the same answer each time."""
        with self._lock:
            for answer in answers:
                name = name_of(answer)
                if answer["outcome"] == "refused":
                    self.refused.add(name)
                    continue
                before = self.accepted.setdefault(name, answer["position"])
                self.contradictions += before != answer["position"]
                self.repeated += answer["duplicate"]
                if not answer["duplicate"]:
                    self.new_at = max(self.new_at, sent_at)

    def note_unanswered(self) -> None:
        """Note a request that got no answer, or an error."""
        with self._lock:
            self.unanswered += 1


def name_of(event: dict[str, Any]) -> str:
    """Return the command name of an event, as in the log."""
    return f"{event['source']}#{event['id']}"


class Proxy:
    """An unreliable network between its own port and the servers."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._upstreams = [urlsplit(address) for address in addresses]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        """Forward one request and its answer, with faults."""
        with suppress(OSError), client:
            client.settimeout(20)
            request = _read_message(client)
            chance = random.random()
            if chance < 0.1:
                self._exchange(request[: random.randrange(len(request))], wait=False)  # an incomplete request
                return
            if chance < 0.2:
                self._exchange(request, wait=True)  # sent twice, the first answer is lost
            time.sleep(random.random() * 0.02)
            answer = self._exchange(request, wait=True)
            if chance < 0.3:
                answer = answer[: random.randrange(len(answer) + 1)]  # an incomplete answer
            client.sendall(answer)

    def _exchange(self, request: bytes, *, wait: bool) -> bytes:
        upstream = random.choice(self._upstreams)  # a repeated request may go to another server
        with socket.create_connection((upstream.hostname, upstream.port or 80), timeout=20) as connection:
            connection.sendall(request)
            return _read_message(connection) if wait else b""


def _read_message(connection: socket.socket) -> bytes:
    """Read an HTTP/1.1 request or answer to its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        body += part
    return head + b"\r\n\r\n" + body


class Client(Thread):
    """A tablet that uploads scans in any order, and repeats uploads that were not answered."""

    def __init__(self, port: int, token: str, seen: Seen, stop: Event) -> None:
        super().__init__(daemon=True)
        self._port, self._seen, self._halt = port, seen, stop
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": BATCH, "Connection": "close"}
        self._waiting: list[dict[str, Any]] = []

    def run(self) -> None:
        """Upload until stopped."""
        while not self._halt.is_set():
            self._waiting += shifts(random.randrange(1, EVENTS_MAX // 2))
            random.shuffle(self._waiting)
            batch = self._waiting[:EVENTS_MAX]
            self._seen.note_sent(batch)
            sent_at = time.monotonic()
            answers = self._post(batch)
            if answers is None:
                self._seen.note_unanswered()
                self._halt.wait(0.01)
                continue
            self._seen.note_answers(answers, sent_at)
            repeated = batch if random.random() < 0.1 else []  # as if the answer had been lost
            self._waiting = repeated + self._waiting[EVENTS_MAX:]

    def _post(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            path = "/v1/events" if random.random() < 0.7 else "/v1/events?wait=projected"  # depends on the follower
            connection.request("POST", path, json.dumps(batch), self._headers)
            response = connection.getresponse()
            body = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return list(body["answers"]) if response.status == 200 else None


def shifts(number: int) -> list[dict[str, Any]]:
    """Return the events of new shifts; one shift in twenty has an unknown volunteer."""
    events = []
    for _ in range(number):
        volunteer = random.choice(VOLUNTEERS) if random.random() > 0.05 else "V9999999"
        begins = 1_543_885_200 + random.randrange(300) * 86_400 + random.randrange(8 * 3600)
        shift = str(uuid4())
        for kind, instant in (("check-in", begins), ("check-out", begins + random.randrange(1800, 14_400))):
            data = {"volunteer": volunteer, "station": STATION, "shift": shift, "occurred_at": instant}
            events.append(
                {
                    "specversion": "1.0",
                    "id": str(uuid4()),
                    "source": f"/stations/{STATION}",
                    "type": event_type(kind),
                    "data": data,
                }
            )
    return events
