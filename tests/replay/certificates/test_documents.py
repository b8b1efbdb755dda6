"""PDF files: PDF/A-3 with the credential attached; a page that says something else than its credential is refused."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter

from api.files.certificate_page import as_page
from replay.certificates import typesetting
from replay.certificates.documents import Documents
from replay.certificates.typesetting import CREDENTIAL_FILE, attachments, code_svg, pdf_of, picture_of
from replay.certificates.verification import Keys, NotVerifiedError, verify_file
from replay.certificates.wording import lines_of
from tests.support.replay.certificates import KEY, certificate

DOCUMENTS = Documents(certificate(), KEY, None)
BELIEVED = Keys(issuers=(KEY.did,), signature_alone=True)


@pytest.fixture(scope="module")
def pdf() -> bytes:
    return DOCUMENTS.pdf()


def test_a_pdf_file_is_verified_with_its_page(pdf: bytes) -> None:
    verified = verify_file(pdf, BELIEVED)
    assert verified.form == "PDF"
    assert verified.proved[-1].startswith("The page shows this and nothing else")


def test_a_pdf_file_is_pdf_a_3_with_its_fonts_and_its_credential(pdf: bytes) -> None:
    reader = PdfReader(io.BytesIO(pdf))
    metadata = reader.xmp_metadata
    assert metadata is not None
    assert b"<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>" in pdf
    assert len(reader.pages) == 1
    text = reader.pages[0].extract_text()
    for line in (
        "志愿服务记录证明",
        "陈晓明",
        "V0000462",
        "92 小时 35 分钟",
        "2018-000001",
        "Certificate of Volunteer",
    ):
        assert line.replace(" ", "") in text.replace(" ", "").replace("\n", ""), line
    assert attachments(pdf) == (DOCUMENTS.json(), None)
    assert [*reader.attachments] == [CREDENTIAL_FILE]


def test_the_same_certificate_gives_the_same_bytes(pdf: bytes) -> None:
    typesetting._compiler.cache_clear()
    assert Documents(certificate(), KEY, None).pdf() == pdf


def test_a_page_with_other_hours_than_its_credential_is_refused() -> None:
    forged = pdf_of(certificate(scanned_minutes=54_300), DOCUMENTS.json(), None)
    with pytest.raises(NotVerifiedError, match=r"not the one that is typeset from its credential.*92 h 35 min"):
        verify_file(forged, BELIEVED)


def test_a_page_that_another_program_changed_is_refused(pdf: bytes) -> None:
    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    writer.add_blank_page()
    changed = io.BytesIO()
    writer.write(changed)
    with pytest.raises(NotVerifiedError, match="not the one that is typeset"):
        verify_file(changed.getvalue(), BELIEVED)


def test_each_byte_of_a_pdf_file_counts(pdf: bytes) -> None:
    for at in range(5, len(pdf), len(pdf) // 40):
        changed = pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :]
        with pytest.raises(NotVerifiedError):
            verify_file(changed, BELIEVED)


def test_bytes_after_the_end_are_refused(pdf: bytes) -> None:
    with pytest.raises(NotVerifiedError):
        verify_file(pdf + b"\n", BELIEVED)


@pytest.mark.parametrize(
    "content", [b"", b"%PDF-1.7\n", b"%PDF-1.7\n%%EOF", b"\xff\xfe", b"{", b"[]", b"ey.", b"ey.a.b"]
)
def test_what_is_no_certificate_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(NotVerifiedError):
        verify_file(content, BELIEVED)


def test_long_texts_go_on_on_another_page() -> None:
    long = dict.fromkeys(("content", "remarks"), "服务" * 100)
    whole = certificate()
    texts = {name: each._replace(text=long.get(name, each.text)) for name, each in whole.texts.items()}
    digests: dict[str, Any] = {name: each.digest for name, each in texts.items()}
    changed = certificate(texts=False, **digests)
    made = Documents(type(whole)(changed.recorded, texts), KEY, None)
    assert verify_file(made.pdf(), BELIEVED).form == "PDF"


def test_the_picture_is_a_png() -> None:
    assert picture_of(certificate()).startswith(b"\x89PNG")


def test_the_page_to_print_says_what_the_pdf_file_says_and_escapes_it() -> None:
    page = as_page(certificate())
    for line in lines_of(certificate()):
        assert line.value in page
    nasty = as_page(certificate(organisation_name='<script>"x"</script>'))
    assert "<script>" not in nasty
    assert code_svg(certificate().code) in page


def test_the_code_names_the_address_or_the_number_alone() -> None:
    digest = certificate().digest[:32]
    address = f"https://hours.luohu.example/v1/certificates/2018-000001/state?digest={digest}"
    assert certificate().code == address
    assert certificate(address=None).code == f"2018-000001 sha256:{digest}"
