"""A witness for tests, over HTTP: one that keeps to C2SP tlog-witness, and others that do not."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

from replay.proof.notes import Note, NoteError, SigningKey, VerifierKey, read_note, tree_head, verify_note
from replay.proof.tree import ProofError, verify_consistency

Answer = tuple[int, str, bytes]
Behaviour = Callable[["Witness", bytes], Answer]
"""Answers the body of a request with status, content type and body; bytes that are no HTTP have status 0."""


class Witness:
    """A witness of one log: its key, what it has cosigned, and the requests it was sent."""

    def __init__(self, key: SigningKey, log_keys: list[VerifierKey], now: Callable[[], float] = time.time) -> None:
        self.key = key
        self.log_keys = log_keys
        self.size, self.root = 0, b""
        self.requests: list[bytes] = []
        self.behaviour: Behaviour = Witness.answer
        self.released = Event()
        self.url = ""
        self._now = now
        self._lock = Lock()

    def answer(self, body: bytes) -> Answer:
        """Answer as the specification says."""
        with self._lock:
            return self._answer(body)

    def _answer(self, body: bytes) -> Answer:
        head, _, content = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        note = read_note(content)
        origin, size, root = tree_head(note.text)
        old = int(first.removeprefix("old "))
        status = 200
        if origin != self.log_keys[0].name:
            status = 404
        elif not self._is_signed(note):
            status = 403
        elif old > size:
            status = 400
        elif old != self.size:
            return 409, "text/x.tlog.size", f"{self.size}\n".encode()
        elif not self._continues(size, root, [base64.b64decode(line, validate=True) for line in lines]):
            status = 422
        if status != 200:
            return status, "text/plain", b""
        self.size, self.root = size, root
        return 200, "text/plain", self.key.sign(note.text, int(self._now())).line.encode()

    def _is_signed(self, note: Note) -> bool:
        try:
            return bool(verify_note(note, self.log_keys))
        except NoteError:
            return False

    def _continues(self, size: int, root: bytes, proof: list[bytes]) -> bool:
        if not self.size:
            return not proof
        try:
            verify_consistency(self.size, self.root, size, root, proof)
        except ProofError:
            return False
        return True


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Give what comes to the witness, and send what it answers."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        witness = self.server.witness
        witness.requests.append(body)
        if self.path != "/prefix/add-checkpoint":
            self.send_error(404)
            return
        status, content_type, content = witness.behaviour(witness, body)
        if status == 0:
            self.wfile.write(content)
            return
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if 300 <= status < 400:
            self.send_header("Location", witness.url)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    witness: Witness

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over connections that were cut."""


@contextmanager
def serving_witness(witness: Witness) -> Iterator[Witness]:
    """Serve a witness at an address that it knows, as `url`, within the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.witness = witness
    witness.url = f"http://127.0.0.1:{server.server_address[1]}/prefix"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield witness
    finally:
        witness.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
