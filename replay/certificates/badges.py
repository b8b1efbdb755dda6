"""Awards as Open Badges 3.0 credentials: made from the event of the award alone, as certificates are.

A badge names the honour and the award by their ids: an honour's title stands in the rules, which a verifier does not
have. Its evidence is that of the event: minutes, position and version of the rules.
"""

from __future__ import annotations

import base64
import uuid
from hashlib import sha256
from typing import NamedTuple

import msgspec

from ledger.aggregates.honor import HonorAwarded
from ledger.names import instant_text
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import UnknownTopicError, decode
from replay.certificates.credential import CONTEXTS, EVENT, PROOF, Carried, piece
from replay.certificates.data_integrity import Document
from replay.proof.entries import entry_of

ISSUER_NAME = "Service-hours ledger"


class Badge(NamedTuple):
    """An award, as its event was stored."""

    recorded: RecordedEvent
    awarded: HonorAwarded

    @property
    def entry(self) -> bytes:
        """The bytes that the transparency log binds."""
        return entry_of(self.recorded)

    @property
    def words(self) -> str:
        """What it says, in a sentence."""
        awarded = self.awarded
        to = f"volunteer {awarded.volunteer}" if awarded.volunteer else f"project {awarded.project}"
        return (
            f"Honour {awarded.honor} awarded to {to} on {awarded.awarded_on} as award {awarded.award}: "
            f"{awarded.credited_minutes} credited minutes at position {awarded.evidence_position}, under version "
            f"{awarded.rules_version} of the rules"
        )


def badge_in(recorded: RecordedEvent) -> Badge | None:
    """Return the badge of an event, None if it is not that of an award."""
    try:
        event = decode(recorded.topic, recorded.state)
    except (UnknownTopicError, msgspec.MsgspecError, ValueError):
        return None
    return Badge(recorded, event) if isinstance(event, HonorAwarded) else None


def badge_credential(badge: Badge, carried: Carried) -> Document:
    """Return the credential of an award, without a signature."""
    awarded = badge.awarded
    urn = uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{sha256(badge.recorded.state).hexdigest()}").urn
    kind, recipient = ("volunteerNumber", awarded.volunteer) if awarded.volunteer else ("project", awarded.project)
    evidence = [piece(EVENT, "The event in the ledger", base64.b64encode(badge.entry).decode())]
    if carried.proof is not None:
        evidence.append(piece(PROOF, "Proof that the event is in the ledger", carried.proof))
    return {
        "@context": CONTEXTS,
        "id": urn,
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": awarded.honor,
        "issuer": {"id": carried.issuer, "type": ["Profile"], "name": ISSUER_NAME},
        "validFrom": instant_text(awarded.recorded_at),
        "credentialSubject": {
            "id": f"{urn}#recipient",
            "type": ["AchievementSubject"],
            "identifier": [
                {
                    "type": "IdentityObject",
                    "hashed": False,
                    "identityHash": recipient,
                    "identityType": f"ext:{kind}",
                }
            ],
            "achievement": {
                "id": f"{urn}#honor",
                "type": ["Achievement"],
                "achievementType": "Award",
                "humanCode": awarded.award,
                "name": awarded.honor,
                "description": f"Honour {awarded.honor}, awarded on {awarded.awarded_on}.",
                "criteria": {"narrative": f"{badge.words}."},
            },
        },
        "evidence": evidence,
    }
