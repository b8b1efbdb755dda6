"""What is stored beside the log: signatures of stations over what they sent, and digests of texts.

A signature is verified with the function that a running ledger uses, which is an argument: it belongs to the API.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.aggregates import Event
from ledger.store.mapper import decode
from replay.auditing.chunks import Recorded, Sent
from replay.auditing.deciding.orders import COMMAND_OF
from replay.auditing.findings import Check, Finding, altered, notice, refusable
from replay.progress import Progress, ignore

SIGNATURES = "verifying signatures"


class Signature(NamedTuple):
    """A signature in a bundle: the number of the API key, its public key, what was signed, the signature, the body, and
    the digests of the names of the commands that were recorded.
    """

    key: int
    public_key: bytes
    base: bytes
    signature: bytes
    body: bytes
    names: Sequence[bytes]


_PERSONAL = {event.TOPIC: command.PERSONAL for event, command in COMMAND_OF.items() if command.PERSONAL}
"""The fields of events that are digests of personal texts, by topic."""

VerifySignature = Callable[[Signature, int, Event], str | None]
"""Returns why a signature does not prove the event at a position; None if it does."""


def signed_keys(path: Path) -> frozenset[int]:
    """Return the numbers of the API keys under which signatures are stored."""
    try:
        batches = pq.ParquetFile(path).iter_batches(columns=["key"])  # a small file may hold very many rows
        return frozenset(key for batch in batches for key in batch.column("key").unique().to_pylist())
    except (OSError, KeyError, pa.ArrowException):
        return frozenset()


def check_signatures(
    path: Path,
    where: str,
    sent: Iterable[Sent],
    content: Callable[[int], tuple[str, bytes]],
    verify: VerifySignature,
    progress: Progress = ignore,
) -> list[Finding]:
    """Verify every signature, and count the events under signing keys that none proves.

    Args:
        sent: the events under keys that sign. content: topic and state of the event at a position.
    """
    positions: defaultdict[bytes, list[int]] = defaultdict(list)
    unsigned: dict[int, int] = {}
    for each in sent:
        positions[each.name].append(each.position)
        unsigned[each.position] = each.key
    findings: list[Finding] = []
    done = 0
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                signature = Signature(**{name: row[name] for name in Signature._fields})
                findings += _check_one(signature, where, positions, content, verify, unsigned)
            done += len(batch)
            progress(SIGNATURES, done, file.metadata.num_rows)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        what = "the signatures of stations cannot be read"
        findings.append(altered(Check.SIGNATURES, what, where=where, evidence=str(error)[:200]))
    if unsigned:
        what = f"{len(unsigned):,} events were sent with a key that signs, and no signature of them is stored"
        first, last = min(unsigned), max(unsigned)
        evidence = "signatures of requests with texts are not in a bundle; a signature is erased with its texts"
        findings.append(notice(Check.SIGNATURES, what, first, last, evidence=evidence))
    return findings


def _check_one(
    signature: Signature,
    where: str,
    positions: dict[bytes, list[int]],
    content: Callable[[int], tuple[str, bytes]],
    verify: VerifySignature,
    unsigned: dict[int, int],
) -> Iterable[Finding]:
    for name in signature.names:
        found = positions.get(name, [])
        if not found:
            what = "a station signed a command of which there is no event"
            evidence = f"key {signature.key}, the digest of the command's name is {name.hex()}"
            yield altered(Check.SIGNATURES, what, where=where, evidence=evidence)
        reasons = {position: _why(verify, signature, position, content(position)) for position in found}
        for position, reason in reasons.items():
            if reason is None:
                unsigned.pop(position, None)
            elif all(reasons.values()):  # two actors may have used the same name
                unsigned.pop(position, None)
                what = "the event is not what the station signed"
                yield altered(Check.SIGNATURES, what, position, where=where, evidence=reason)


def _why(verify: VerifySignature, signature: Signature, position: int, event: tuple[str, bytes]) -> str | None:
    try:
        return verify(signature, position, decode(*event))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"the signed request cannot be read: {error}"[:200]


def check_texts(path: Path, where: str, events: Iterable[Recorded]) -> list[Finding]:
    """Compare the digests of texts that the ledger still has with those that events name."""
    try:
        stored = set(path.read_text("ascii").split())
    except (OSError, ValueError) as error:
        return [altered(Check.TEXTS, "the digests of texts cannot be read", where=where, evidence=str(error)[:200])]
    named: dict[str, int] = {}
    for recorded in events:
        personal = _PERSONAL.get(recorded.topic, ())
        if personal or b'"note":"' in recorded.state:
            event = decode(recorded.topic, recorded.state)
            digests = [getattr(event, field, None) for field in ("note", *personal)]
            named.update((digest, recorded.position) for digest in digests if digest is not None)
    findings = [
        refusable(Check.TEXTS, "a text is stored that no event names", where=f"{where}: {digest}")
        for digest in sorted(stored - named.keys())
    ]
    if erased := named.keys() - stored:
        positions = [named[digest] for digest in erased]
        what = f"the texts of {len(erased):,} events were erased, as they may be"
        findings.append(notice(Check.TEXTS, what, min(positions), max(positions)))
    return findings
