"""The tlog-proof of a certificate, made once: the same certificate gives the same documents.

    data/proof/certificates/2026-000001.tlog-proof

A proof is made under the newest checkpoint that has the event and whose sealed hours are those that the certificate
states. Until there is one, and for a certificate that was superseded before, there is none. A proof whose checkpoint
does not count any more, because its keys were stolen, is made again under the newest one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from replay.certificates.certificate import Certificate
from replay.certificates.evidence import extra_of
from replay.durable import make_private_folder, write_private
from replay.generations.sealing import seal_folder
from replay.proof.checkpoints import read_checkpoint, signed_by
from replay.proof.growth import TransparencyLog
from replay.proof.keys import PublishedKeys
from replay.proof.notes import Note, NoteError
from replay.proof.proofs import SUFFIX, Proof, make_proof
from replay.proof.seals import SealLine
from replay.proof.tree import ProofError


class Proving(NamedTuple):
    """The tlog-proof of a certificate, as text; or why there is none, in a sentence without a full stop."""

    proof: str | None
    why: str = ""


def proof_of(data: Path, log: TransparencyLog, certificate: Certificate) -> Proving:
    """Return the tlog-proof of a certificate, or why there is none yet.

    Args:
        data: the data directory.

    Raises:
        replay.proof.agreement.TreeError: the last checkpoint cannot be used.
        replay.proof.tree.ProofError: the tiles or the seal are damaged.
        OSError
    """
    folder = data / "proof" / "certificates"
    path = folder / f"{certificate.number}{SUFFIX}"
    kept = path.read_text("utf-8") if path.exists() else None
    if not log.keys.exist():
        return Proving(kept, "the ledger has no signing keys; `hours signing-keys make` makes some")
    published = log.keys.published()
    if kept is not None and _counts(kept, published):
        return Proving(kept)
    checkpoint = log.newest()
    if checkpoint is None or checkpoint.size < certificate.recorded.position or not _signed(checkpoint.note, published):
        return Proving(None, "no checkpoint under the keys that count has its event yet; `hours checkpoint` signs one")
    line = SealLine.find(checkpoint.extensions)
    seals = seal_folder(data)
    if line is None or line.position not in seals.positions():
        return Proving(None, "the newest checkpoint seals no hours yet; a running server seals them within the hour")
    entries = seals.read(line.position).prove(certificate.issued.volunteer)
    hours = [each for each in entries if each.verify(line).year in certificate.years]
    sealed = [each.verify(line) for each in hours]
    sums = sum(each.scanned_minutes for each in sealed), sum(each.attested_minutes for each in sealed)
    if sums != (certificate.issued.scanned_minutes, certificate.issued.attested_minutes):
        return Proving(
            None,
            "the hours that the ledger has sealed are not those that it states: they are sealed within the hour if "
            "they changed just now; otherwise the minutes were not computed by the ledger, or changed since",
        )
    index = certificate.recorded.position - 1
    extra = extra_of(certificate.entry, hours)
    proof = make_proof(log.tiles.hashes(checkpoint.size), index, checkpoint.note, extra).encode()
    make_private_folder(folder)
    write_private(path, proof)
    return Proving(proof.decode())


def _counts(proof: str, published: PublishedKeys) -> bool:
    """Return whether the checkpoint of a proof still counts under the keys of the log."""
    try:
        return _signed(Proof.parse(proof.encode()).checkpoint, published)
    except ProofError:
        return False


def _signed(note: Note, published: PublishedKeys) -> bool:
    try:
        return bool(signed_by(read_checkpoint(note.encode()), published))
    except NoteError:
        return False
