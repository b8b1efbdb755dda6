"""Witnesses: asks those of a policy to cosign a checkpoint, over HTTP, by `add-checkpoint` of C2SP tlog-witness.

A witness remembers the last checkpoint that it cosigned, and cosigns only one that continues it: so a log that shows
different histories to different people needs witnesses who help it. What a witness answers is not trusted: a
cosignature counts if it is the one of the key in the policy, over this checkpoint, and everything else is ignored. All
witnesses are asked at once, within one time limit.

It fails closed: without the quorum of the policy, `Witnesses.cosign` raises, and the checkpoint is not published. The
error says what each witness answered. The policy lies in the data directory, so every process of a ledger obeys it:

    data/proof/log-policy   the policy that `hours serve --log-policy` was given last; without it, nobody is asked

Source: c2sp.org/tlog-witness.
"""

from __future__ import annotations

import base64
import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from replay.durable import make_private_folder, way_out, write_private
from replay.proof.agreement import TreeError
from replay.proof.checkpoints import Checkpoint
from replay.proof.notes import Note, NoteError, Signature, read_signatures, verify_note
from replay.proof.policies import CheckpointError, Policy, PolicyError, Witness
from replay.proof.tiles import TileError, TileFolder
from replay.proof.tree import Hashes, consistency_proof

logger = logging.getLogger(__name__)

POLICY_NAME = "log-policy"
WITNESS_SECONDS_MAX = 10.0
"""How long witnesses may take, all together."""
CLOCK_SECONDS_MAX = 300
"""How far the time in a cosignature may be ahead of the clock here."""
ANSWER_BYTES_MAX = 100_000
REQUESTS_MAX = 3
"""Requests to a witness for one checkpoint: its size may not be known, and may change once while it is asked."""


class WitnessError(TreeError):
    """A checkpoint must not be published: its witnesses do not make up the quorum. The message says why."""


class AnswerError(Exception):
    """A witness did not cosign; the message says what it did, after the name of the witness."""


class Outcome(NamedTuple):
    """What came of asking one witness: a verified cosignature, or what was wrong, as a sentence."""

    witness: str
    signature: Signature | None
    problem: str | None

    def __str__(self) -> str:
        return f"{self.witness} {self.problem or 'cosigned'}"


class _Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


class Witnesses:
    """The witnesses of one policy, for the log that asks them.

    Raises:
        PolicyError: an address is not one of HTTP, or the witnesses that have an address cannot make up the quorum.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        seconds_max: float = WITNESS_SECONDS_MAX,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self.outcomes: tuple[Outcome, ...] = ()
        """What came of the last checkpoint, in the order of the policy."""
        self._seconds_max = seconds_max
        self._clock = clock
        self._witnesses = [_Client(each) for each in policy.witnesses if each.url is not None]
        lacking = policy.missing(each.witness.name for each in self._witnesses)
        if lacking is not None:
            raise PolicyError(f"too few witnesses have an address to ask them for cosignatures: {lacking}")

    def cosign(self, checkpoint: Checkpoint, tiles: TileFolder) -> Checkpoint:
        """Return the checkpoint with the cosignatures of all witnesses that gave one.

        Raises:
            WitnessError: the policy does not accept it, because too few witnesses cosigned or for another reason.
        """
        hashes = tiles.hashes(checkpoint.size)
        asked = [each.start(checkpoint, hashes, int(self._clock())) for each in self._witnesses]
        deadline = time.monotonic() + self._seconds_max
        self.outcomes = tuple(each.wait(deadline) for each in asked)
        for outcome in self.outcomes:
            if outcome.problem:
                logger.warning("the witness %s", outcome)
        cosigned = checkpoint.with_signatures(each.signature for each in self.outcomes if each.signature)
        lacking = self.lacking(cosigned)
        if lacking is not None:
            problems = "; ".join(str(each) for each in self.outcomes if each.problem)
            raise WitnessError(
                f"the checkpoint of {checkpoint.size} events is not published: {lacking}"
                f"{f' ({problems})' if problems else ''}"
            )
        return cosigned

    def lacking(self, checkpoint: Checkpoint) -> str | None:
        """Return why the policy does not accept a checkpoint; None if it does. Logs are compared if it names any."""
        keys = {each.key: each.name for each in self.policy.witnesses}
        try:
            if self.policy.logs:
                self.policy.verify(checkpoint.note)
            return self.policy.missing(keys[each.key] for each in verify_note(checkpoint.note, keys))
        except (CheckpointError, NoteError) as error:
            return str(error)


class LedgerWitnesses:
    """The witnesses of a ledger: those of the policy in its folder, or none.

    Args:
        folder: `data/proof`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / POLICY_NAME
        self._content: bytes | None = None
        self._witnesses: Witnesses | None = None

    def install(self, file: Path) -> None:
        """Replace the policy by that in a file.

        Raises:
            PolicyError: the file cannot be read, is no policy, or too few of its witnesses have an address.
            OSError: the policy cannot be stored; the one before is unchanged.
        """
        try:
            content = file.read_bytes()
        except OSError as error:
            raise PolicyError(f"{file} cannot be read: {error.strerror}") from None
        try:
            Witnesses(Policy.parse(content))
        except PolicyError as error:
            raise PolicyError(f"{file} is not a policy that can be followed: {error}") from None
        make_private_folder(self.path.parent)
        write_private(self.path, content)

    def cosign(self, checkpoint: Checkpoint, tiles: TileFolder) -> Checkpoint:
        """Return the checkpoint with the cosignatures of all witnesses that gave one; as it is without a policy.

        Raises:
            WitnessError: the policy does not accept it, or cannot be read.
        """
        witnesses = self._current()
        return checkpoint if witnesses is None else witnesses.cosign(checkpoint, tiles)

    def accept(self, checkpoint: Checkpoint) -> bool:
        """Return whether a checkpoint has the cosignatures that the policy asks for.

        Raises:
            WitnessError: the policy cannot be read.
        """
        witnesses = self._current()
        return witnesses is None or witnesses.lacking(checkpoint) is None

    def _current(self) -> Witnesses | None:
        """Return the witnesses of the policy as it is now; what they are known to have cosigned is remembered."""
        try:
            content = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            advice = way_out(error, "repair it")
            raise WitnessError(
                f"{self.path} cannot be read: {error.strerror}; nothing is published; {advice}"
            ) from None
        if self._witnesses is None or content != self._content:
            try:
                self._witnesses = Witnesses(Policy.parse(content))
            except PolicyError as error:
                raise WitnessError(
                    f"{self.path} is damaged: {error}; nothing is published until `hours serve --log-policy FILE`"
                ) from None
            self._content = content
        return self._witnesses


@dataclass
class _Request:
    """A witness that is being asked, by a thread of its own."""

    client: _Client
    thread: threading.Thread | None = None
    connection: socket.socket | None = None
    outcome: Outcome | None = None
    cancelled: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, deadline: float) -> Outcome:
        """Return the outcome; after the deadline the connection is cut, and what comes later is ignored."""
        if self.thread is not None:
            self.thread.join(max(0.0, deadline - time.monotonic()))
        with self.lock:
            self.cancelled = True
            if self.outcome is not None:
                return self.outcome
            _cut(self.connection)
        return self.client.failed("did not answer in time")


class _Client:
    """The client of one witness. It remembers the size that the witness cosigned last."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self._size = 0
        self._running: threading.Thread | None = None
        self._is_secure, self._host, self._port, self._path = _address(witness)

    def failed(self, problem: str) -> Outcome:
        """Return the outcome of a witness that did not cosign."""
        return Outcome(self.witness.name, None, problem)

    def start(self, checkpoint: Checkpoint, hashes: Hashes, now: int) -> _Request:
        """Begin to ask the witness."""
        request = _Request(self)
        if self._running is not None and self._running.is_alive():  # a name that is not resolved cannot be cut off
            request.outcome = self.failed("is still not reached since the last checkpoint")
            return request
        # A daemon: the program can end while a witness does not answer.
        request.thread = threading.Thread(
            target=self._run, args=(request, checkpoint, hashes, now), name=f"witness {self.witness.name}", daemon=True
        )
        self._running = request.thread
        request.thread.start()
        return request

    def _run(self, request: _Request, checkpoint: Checkpoint, hashes: Hashes, now: int) -> None:
        try:
            outcome = Outcome(self.witness.name, self._ask(request, checkpoint, hashes, now), None)
        except (AnswerError, TileError) as error:
            outcome = self.failed(str(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome = self.failed(f"could not be asked: {_printable(str(error) or type(error).__name__)}")
        with request.lock:
            request.outcome = outcome

    def _ask(self, request: _Request, checkpoint: Checkpoint, hashes: Hashes, now: int) -> Signature:
        """Submit a checkpoint, with the proof that it continues the one that the witness cosigned last."""
        size = self._size if self._size <= checkpoint.size else 0
        for _ in range(REQUESTS_MAX):
            answer = self._post(request, _body(checkpoint, hashes, size))
            if answer.status == 200:
                signature = self._cosignature(checkpoint, answer.body, now)
                self._size = checkpoint.size
                return signature
            if answer.status != 409:
                shown = _printable(answer.body.decode(errors="replace"))
                raise AnswerError(f"answered {answer.status}{f' ({shown})' if shown else ''}")
            known = _size(answer)
            if known > checkpoint.size:
                raise AnswerError(
                    f"says it has cosigned {known} events of this log, which has {checkpoint.size} here: an older "
                    "state of this log was restored, or its keys sign elsewhere too"
                )
            if known == size:
                raise AnswerError(f"refused the size {size} and asked for the same")
            if known < self._size:
                logger.warning(
                    "the witness %s cosigned %d events and now knows of %d: it has lost its memory",
                    self.witness.name,
                    self._size,
                    known,
                )
            size = known
        raise AnswerError("named another size at every request")

    def _cosignature(self, checkpoint: Checkpoint, body: bytes, now: int) -> Signature:
        """Return the cosignature in an answer, after verifying it."""
        key = self.witness.key
        try:
            own = [each for each in read_signatures(body) if (each.name, each.key_id) == (key.name, key.key_id)]
            verified = verify_note(Note(checkpoint.note.text, tuple(own)), [key])
        except NoteError as error:
            raise AnswerError(f"answered with no valid cosignature: {_printable(str(error))}") from None
        if not own:
            raise AnswerError("answered without a cosignature by the key in the policy")
        ahead = (verified[0].timestamp or 0) - now
        if ahead > CLOCK_SECONDS_MAX:
            raise AnswerError(f"cosigned with a time that is {ahead} s ahead of the clock here")
        return own[0]

    def _post(self, request: _Request, body: bytes) -> _Answer:
        """Send one request. No redirection is followed, and no more is read than an answer can be long."""
        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=WITNESS_SECONDS_MAX)
        try:
            connection.connect()
            with request.lock:
                if request.cancelled:
                    raise AnswerError("did not answer in time")
                request.connection = connection.sock
            connection.request("POST", f"{self._path}/add-checkpoint", body, {"Content-Type": "text/plain"})
            response = connection.getresponse()
            content = response.read(ANSWER_BYTES_MAX + 1)
            if len(content) > ANSWER_BYTES_MAX:
                raise AnswerError(f"answered more than {ANSWER_BYTES_MAX:,} bytes")
            if response.length:
                raise AnswerError("ended its answer early")
            return _Answer(response.status, response.headers.get("Content-Type", ""), content)
        finally:
            connection.close()


def _address(witness: Witness) -> tuple[bool, str, int | None, str]:
    """Return whether the address of a witness is HTTPS, and its host, port and path."""
    try:
        address = urlsplit(witness.url or "")
        host, port = (address.hostname or "").encode("idna").decode(), address.port
        path = quote(address.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        more = address.query or address.fragment or address.username or address.password
        if host and not more and address.scheme in {"http", "https"}:
            return address.scheme == "https", host, port, path
    except ValueError:
        pass
    raise PolicyError(
        f"the address of the witness {_printable(witness.name)} is {_printable(str(witness.url))}; expected one such "
        "as https://witness.example.org/prefix, without a query or a password"
    )


def _body(checkpoint: Checkpoint, hashes: Hashes, old: int) -> bytes:
    """Return the body of a request: the old size, the proof of consistency, and the checkpoint."""
    proof = consistency_proof(hashes, old, checkpoint.size)
    lines = [f"old {old}", *(base64.b64encode(each).decode() for each in proof), "", ""]
    return "\n".join(lines).encode() + checkpoint.encode()


def _size(answer: _Answer) -> int:
    """Return the size that a witness names in an answer 409."""
    number = answer.body.removesuffix(b"\n")
    is_right = (
        answer.content_type.partition(";")[0].strip().lower() == "text/x.tlog.size"
        and answer.body.endswith(b"\n")
        and number.isdigit()
        and len(number) < 20
        and b"%d" % int(number) == number
        and int(number) < 1 << 63
    )
    if not is_right:
        raise AnswerError("answered 409 without the size that it knows")
    return int(number)


def _cut(connection: socket.socket | None) -> None:
    """End a connection on which another thread waits."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _printable(text: str) -> str:
    """Return text from outside in a form that can be shown in one line."""
    shown = "".join(each if each.isprintable() else " " for each in text.encode(errors="replace").decode()).strip()
    return shown if len(shown) <= 120 else f"{shown[:119]}…"
