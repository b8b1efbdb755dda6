"""What a tlog-proof shows: that an event is in the log, and, for a certificate, that its hours were sealed.

A proof is about one event. `extra` holds, as compact JSON, what is proved besides:

    {"entry": base64 of the event's entry, "hours": [SealedEntry.as_json(), …]}

The sealed hours are leaves of a second tree, whose root the checkpoint carries. There is one for each year of the
certificate in which the volunteer had hours; a year that is left out can only make the sum smaller, so it is noticed.
The proof of any other event holds `{"entry": …}` alone.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

from ledger.sentences import printable
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import decode
from replay.certificates import wording
from replay.certificates.certificate import Certificate, CertificateError
from replay.proof.checkpoints import read_checkpoint, signed_by
from replay.proof.entries import EntryError, entry_of, event_of
from replay.proof.keys import PublishedKeys
from replay.proof.policies import CheckpointError, Policy, VerifiedCheckpoint
from replay.proof.proofs import Proof
from replay.proof.seals import SealedEntry, SealedYear, SealLine
from replay.proof.tree import ProofError, leaf_hash


class EvidenceError(ValueError):
    """A tlog-proof does not prove what a certificate says."""


class Sealed(NamedTuple):
    """What a tlog-proof shows: the checkpoint that was verified, and the seal of the hours."""

    checkpoint: VerifiedCheckpoint
    seal: SealLine
    position: int
    minutes: int

    @property
    def sentences(self) -> list[str]:
        """What is proved, in sentences."""
        checkpoint = self.checkpoint
        witnesses = ", ".join(sorted({each.key.name for each in checkpoint.witnesses}))
        recorded = _recorded(checkpoint, self.position)
        sealed = f"The hours, {wording.hours_english(self.minutes)}, were sealed in the same checkpoint, as known at "
        sealed += f"position {self.seal.position}, under the rules {self.seal.rules_digest[:16]}."
        cosigned = [f"The checkpoint was cosigned by {witnesses}."] if witnesses else []
        return [recorded, sealed, *cosigned]


def extra_of(entry: bytes, hours: list[SealedEntry]) -> bytes:
    """Return what a proof holds besides: the event's entry, and the proofs of the sealed hours."""
    content = {"entry": base64.b64encode(entry).decode(), "hours": [each.as_json() for each in hours]}
    return json.dumps(content, separators=(",", ":")).encode()


def extra_of_event(entry: bytes) -> bytes:
    """Return what the proof of an event that is no certificate holds besides: its entry."""
    return json.dumps({"entry": base64.b64encode(entry).decode()}, separators=(",", ":")).encode()


def entry_in(text: str) -> bytes | None:
    """Return the entry that the proof of an event carries, None if it is that of a certificate; nothing is verified.

    Raises:
        EvidenceError: it carries neither.
    """
    proof = _parsed(text)
    if proof.extra is None:
        raise EvidenceError(
            f"the tlog-proof carries no event, so nothing says what leaf {proof.index} is; `hours proof "
            f"{proof.index + 1}` makes one that carries it"
        )
    try:
        content = json.loads(proof.extra)
        entry = None if "hours" in content else base64.b64decode(content["entry"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EvidenceError("the tlog-proof carries no event that is known here") from None
    if entry is not None and extra_of_event(entry) != proof.extra:
        raise EvidenceError("the tlog-proof carries an event in another form than the usual one")
    return entry


def event_in_words(recorded: RecordedEvent) -> str:
    """Return what an event says, without a full stop."""
    what = f"Event {recorded.position}, {recorded.topic}"
    try:
        event = decode(recorded.topic, recorded.state)
        fields = json.loads(recorded.state)
    except (ValueError, LookupError, TypeError, RecursionError):
        return f"{what}, of a form that this program does not know: {recorded.state[:300]!r}"
    happened = "" if event.occurred_at == event.recorded_at else f", of {wording.instant(event.occurred_at)}"
    said = {name: value for name, value in fields.items() if name not in _HEAD and value is not None}
    body = "; ".join(f"{name} {_said(value)}" for name, value in said.items())
    return (
        f"{what}{happened}, recorded at {wording.instant(event.recorded_at)} by {event.by}: {body or 'no more fields'}"
    )


_HEAD = {"occurred_at", "recorded_at", "by", "command"}


def _said(value: object) -> str:
    """Return a value in one line, without what a terminal would obey."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    text = printable(text)
    return text if len(text) <= 300 else f"{text[:299]}…"


def certificate_in(proof: str) -> Certificate:
    """Return the certificate whose event a tlog-proof carries, without its texts; nothing is verified.

    Raises:
        EvidenceError: it carries none.
    """
    entry, _ = _read(_parsed(proof))
    try:
        return Certificate(event_of(entry), {})
    except (EntryError, CertificateError) as error:
        raise EvidenceError(f"the tlog-proof is not that of a certificate: {error}") from None


def verify_evidence(
    certificate: Certificate, text: str, policy: Policy, published: PublishedKeys | None = None
) -> Sealed:
    """Verify that the log recorded a certificate, and that its hours were sealed.

    Args:
        policy: the logs and witnesses that are believed.
        published: the log's keys with the sizes that each signs, if they are known.

    Raises:
        EvidenceError: the proof does not show it, or the policy does not accept its checkpoint.
    """
    proof = _parsed(text)
    entry, hours = _read(proof)
    if entry != certificate.entry or proof.index != certificate.recorded.position - 1:
        raise EvidenceError("the tlog-proof is about another event than that of the certificate")
    try:
        checkpoint = _verified(proof, entry, policy, published)
        line = SealLine.find(checkpoint.extensions)
        if line is None:
            raise EvidenceError("no signature that covers sealed hours is on the checkpoint of the tlog-proof")
        sealed = [each.verify(line) for each in hours]
    except CheckpointError as error:
        raise EvidenceError(str(error)) from None
    except ProofError as error:
        raise EvidenceError(f"the tlog-proof is wrong: {error}") from None
    _require_sum(certificate, sealed)
    return Sealed(checkpoint, line, certificate.recorded.position, certificate.minutes)


def verify_event(recorded: RecordedEvent, text: str, policy: Policy, published: PublishedKeys | None = None) -> str:
    """Verify that the log recorded an event; return what is proved, in a sentence.

    Raises:
        EvidenceError: the proof does not show it, or the policy does not accept its checkpoint.
    """
    proof = _parsed(text)
    if proof.index != recorded.position - 1:
        raise EvidenceError("the tlog-proof is about another event")
    try:
        checkpoint = _verified(proof, entry_of(recorded), policy, published)
    except CheckpointError as error:
        raise EvidenceError(str(error)) from None
    except ProofError as error:
        raise EvidenceError(f"the tlog-proof is wrong: {error}") from None
    return _recorded(checkpoint, recorded.position)


def _verified(proof: Proof, entry: bytes, policy: Policy, published: PublishedKeys | None) -> VerifiedCheckpoint:
    checkpoint = proof.verify(leaf_hash(entry), policy)
    if published is None or published.origin != checkpoint.origin:
        return checkpoint
    if not signed_by(read_checkpoint(proof.checkpoint.encode()), published):
        raise CheckpointError(
            f"the checkpoint of {checkpoint.size:,} events is refused: it is signed by keys that do not sign "
            "checkpoints of this size, or not any more"
        )
    return checkpoint


def _recorded(checkpoint: VerifiedCheckpoint, position: int) -> str:
    """Say which checkpoint an event is in."""
    times = [each.timestamp for each in checkpoint.logs if each.timestamp]
    signed = f" signed at {wording.instant(min(times))}" if times else ""
    return (
        f"Recorded in the ledger {checkpoint.origin} at position {position}: its event is in the checkpoint of size "
        f"{checkpoint.size}{signed}."
    )


def _require_sum(certificate: Certificate, sealed: list[SealedYear]) -> None:
    issued = certificate.issued
    years = [each.year for each in sealed]
    if {each.volunteer for each in sealed} - {issued.volunteer} or len(set(years)) != len(years):
        raise EvidenceError("the sealed hours in the tlog-proof are not those of the volunteer, each year once")
    if set(years) - set(certificate.years):
        raise EvidenceError("the sealed hours in the tlog-proof are of other years than the certificate's")
    found = sum(each.scanned_minutes for each in sealed), sum(each.attested_minutes for each in sealed)
    if found != (issued.scanned_minutes, issued.attested_minutes):
        raise EvidenceError(
            f"the certificate states {wording.hours_english(certificate.minutes)}, but the ledger sealed "
            f"{wording.hours_english(sum(found))} in these years"
        )


def _parsed(text: str) -> Proof:
    try:
        return Proof.parse(text.encode())
    except (ProofError, UnicodeEncodeError) as error:
        raise EvidenceError(f"the tlog-proof is malformed: {error}") from None


def _read(proof: Proof) -> tuple[bytes, list[SealedEntry]]:
    """Return the entry of the event and the sealed hours that a proof carries, in their one form."""
    try:
        content = json.loads(proof.extra or b"")
        entry = base64.b64decode(content["entry"], validate=True)
        hours = [SealedEntry.from_json(each) for each in content["hours"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EvidenceError("the tlog-proof carries no certificate") from None
    if extra_of(entry, hours) != proof.extra:
        raise EvidenceError("the tlog-proof carries a certificate in another form than the usual one")
    return entry, hours
