"""The documents of one certificate: a PDF file, a credential and a VC-JWT, each made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from replay.certificates.badges import Badge, badge_credential
from replay.certificates.certificate import Certificate
from replay.certificates.compact import jwt_of
from replay.certificates.credential import Carried, credential_of, json_text, signed_credential
from replay.certificates.credential_keys import CredentialKey
from replay.certificates.data_integrity import signed
from replay.certificates.typesetting import pdf_of


def badge_json(badge: Badge, key: CredentialKey, proof: str | None) -> str:
    """Return the badge of an award as a credential with a Data Integrity proof, as JSON."""
    credential = badge_credential(badge, Carried(key.did, proof))
    return json_text(signed(credential, key, credential["validFrom"]))


def badge_jwt(badge: Badge, key: CredentialKey, proof: str | None) -> str:
    """Return the badge of an award as a VC-JWT."""
    return jwt_of(badge_credential(badge, Carried(key.did, proof)), key) + "\n"


@dataclass(frozen=True)
class Documents:
    """The documents of a certificate. `proof`: its tlog-proof, None as long as no checkpoint covers it; then `unproved`
    says why.
    """

    certificate: Certificate
    key: CredentialKey
    proof: str | None
    unproved: str = ""

    def json(self) -> str:
        """Return the credential with a Data Integrity proof, as JSON."""
        return json_text(signed_credential(self.certificate, self.key, self.proof))

    def jwt(self) -> str:
        """Return the credential as a VC-JWT."""
        return jwt_of(credential_of(self.certificate, self.key.did, self.proof), self.key) + "\n"

    def pdf(self) -> bytes:
        """Return the PDF/A-3 file, with the credential and the proof attached."""
        return pdf_of(self.certificate, self.json(), self.proof)
