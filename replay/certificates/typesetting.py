"""Certificates as PDF/A-3 files: typeset by typst, with the fonts of a package and nothing of the machine.

The same certificate, credential and proof give the same bytes. A file carries its credential and the tlog-proof as
attachments, which `attachments` reads back.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pylopdf_fonts_zh_cn
import segno
import typst
from pypdf import PdfReader

from replay.certificates import wording
from replay.certificates.certificate import Certificate

CREDENTIAL_FILE, PROOF_FILE = "credential.json", "certificate.tlog-proof"
PDF_BYTES_MAX = 4_000_000
_SOURCE = Path(__file__).with_name("certificate.typ")
_FONTS = Path(pylopdf_fonts_zh_cn.__file__).parent


class PdfError(ValueError):
    """A file is not a PDF file with a credential."""


def pdf_of(certificate: Certificate, credential: str, proof: str | None) -> bytes:
    """Return a certificate as a PDF/A-3 file.

    Args:
        credential: the signed credential, as JSON text.
        proof: the tlog-proof, if there is one.
    """
    files = [_file(CREDENTIAL_FILE, credential, "application/vc+json", "data", "The certificate as a credential")]
    if proof is not None:
        files.append(_file(PROOF_FILE, proof, "text/plain", "supplement", "Proof that the ledger holds it"))
    data = _data(certificate) | {"files": files}
    made = _compiler().compile(
        _SOURCE.read_bytes(),
        format="pdf",
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        pdf_standards=["a-3b"],
    )
    assert isinstance(made, bytes)  # noqa: S101 - a PDF file is one, however many pages it has
    return made


def plain_pdf_of(certificate: Certificate) -> bytes:
    """Return the page as a PDF file that carries nothing and follows no standard, to compare times with."""
    data = json.dumps(_data(certificate) | {"files": []}, ensure_ascii=False)
    made = _compiler().compile(_SOURCE.read_bytes(), format="pdf", sys_inputs={"data": data})
    assert isinstance(made, bytes)  # noqa: S101 - as above
    return made


def picture_of(certificate: Certificate) -> bytes:
    """Return the first page as a PNG picture, to look at."""
    data = json.dumps(_data(certificate) | {"files": []}, ensure_ascii=False)
    made = _compiler().compile(_SOURCE.read_bytes(), format="png", ppi=110, sys_inputs={"data": data})
    (first, *_) = made if isinstance(made, list) else [made]
    assert first is not None  # noqa: S101 - without a file to write to, the pages are returned
    return first


def attachments(pdf: bytes) -> tuple[str, str | None]:
    """Return the credential and the tlog-proof, if there is one, that a PDF file carries.

    Raises:
        PdfError: it is no PDF file, or carries no credential.
    """
    if len(pdf) > PDF_BYTES_MAX:
        raise PdfError(f"the file is larger than {PDF_BYTES_MAX:,} bytes")
    try:
        found = {name: content for name, content in PdfReader(io.BytesIO(pdf)).attachments.items() if name in _NAMES}
        texts = {name: content[0].decode() for name, content in found.items() if len(content) == 1}
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the library raises many kinds of errors on files that are made to fail
        raise PdfError("the file cannot be read as a PDF file") from None
    if CREDENTIAL_FILE not in texts:
        raise PdfError("the PDF file carries no credential; it is no certificate of this ledger")
    return texts[CREDENTIAL_FILE], texts.get(PROOF_FILE)


def code_svg(text: str) -> str:
    """Return a QR code as an SVG picture."""
    picture = io.BytesIO()
    segno.make(text, error="m", micro=False).save(picture, kind="svg", border=0, xmldecl=False, omitsize=True)
    return picture.getvalue().decode()


def typst_version() -> str:
    """Return the version of the program that typesets."""
    from importlib.metadata import version  # noqa: PLC0415 - asked for only when files differ

    return version("typst")


_NAMES = {CREDENTIAL_FILE, PROOF_FILE}


@cache
def _compiler() -> typst.Compiler:
    """Return the compiler, which keeps the fonts."""
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(_FONTS)])
    return typst.Compiler(font_paths=fonts, ignore_system_fonts=True)


def _file(name: str, content: str, mime_type: str, relationship: str, description: str) -> dict[str, str]:
    return {
        "name": name,
        "content": content,
        "mime_type": mime_type,
        "relationship": relationship,
        "description": description,
    }


def _data(certificate: Certificate) -> dict[str, Any]:
    at = datetime.fromtimestamp(certificate.issued.recorded_at, UTC)
    return {
        "title": wording.TITLE,
        "title_english": wording.TITLE_ENGLISH,
        "number": certificate.number,
        "organisation": certificate.issued.organisation_name or certificate.issued.organisation,
        "instant": [at.year, at.month, at.day, at.hour, at.minute, at.second],
        "statement": wording.statement_of(certificate),
        "lines": [line._asdict() for line in wording.lines_of(certificate)],
        "code": code_svg(certificate.code),
        "check": wording.CHECK,
        "check_english": wording.CHECK_ENGLISH,
        "free": wording.FREE,
        "free_english": wording.FREE_ENGLISH,
        "seal_english": wording.SEAL_ENGLISH,
        "date": wording.date_of(certificate),
        "basis": wording.basis_of(certificate),
    }
