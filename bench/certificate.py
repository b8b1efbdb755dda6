"""Certificate: a PDF/A-3 file of a certificate with its signed credential attached, from the event to the bytes.

`runs`: the seconds of all certificates, one after the other in one thread, with the fonts loaded. Each is another one:
nothing is taken from a cache. `pdf_ms`, `credential_ms`, `verify_ms`: the median of one. Every file is then verified,
which typesets its page again.

Peer: typst alone, compiling the same pages to PDF without attachments and without PDF/A.
"""

from __future__ import annotations

import secrets
from datetime import date
from statistics import median
from time import perf_counter
from typing import Any

from bench.support.common import Options, Result, parse, peak_mib, print_status, publish, this_machine
from ledger.aggregates.certificate import CertificateIssued, number_of, register_of
from ledger.names import Position
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import encode
from replay.certificates.certificate import Certificate, Disclosed
from replay.certificates.credential_keys import CredentialKey
from replay.certificates.documents import Documents
from replay.certificates.typesetting import plain_pdf_of
from replay.certificates.verification import Keys, verify_file

CERTIFICATES = 1_000
TEXTS = {"name": "陈晓明", "content": "车站引导、社区敬老、护树行动", "in_charge": "林建国", "handler": "王丽"}


def certificate(entry: int) -> Certificate:
    """Return a certificate that differs from all others."""
    texts = {field: Disclosed(text, secrets.token_bytes(32)) for field, text in TEXTS.items()}
    digests: dict[str, Any] = {field: text.digest for field, text in texts.items()}
    event = CertificateIssued(
        occurred_at=1_544_000_000,
        recorded_at=1_544_000_000 + entry,
        by="person:bench",
        command=f"/certificates/person:bench#{entry}",
        certificate=number_of(2018, entry),
        volunteer=f"V{entry:07d}",
        from_year=2016,
        to_year=2018,
        scanned_minutes=5_000 + entry,
        attested_minutes=125,
        evidence_position=126_554,
        rules_digest="a3" * 32,
        organisation="fed-01",
        organisation_name="深圳市罗湖区义工联合会",
        issued_on=date(2018, 12, 5),
        **digests,
    )
    topic, state = encode(event)
    recorded = RecordedEvent(Position(126_555 + entry), register_of(2018), entry, topic, state)
    return Certificate(recorded, texts, "https://hours.example.org")


def measure(options: Options) -> Result:
    """Make certificates, and the same pages by typst alone."""
    count = max(20, int(options.scale * CERTIFICATES))
    key = CredentialKey(bytes(range(32)))
    Documents(certificate(1), key, None).pdf()  # loads the fonts
    plain_pdf_of(certificate(1))
    entries = iter(range(2, 1_000_000))
    runs, bare, whole, credential = [], [], [], []
    pdf = b""
    for _ in range(options.repeat):
        print_status("certificates")
        documents = [Documents(certificate(next(entries)), key, None) for _ in range(count)]
        begun = perf_counter()
        for each in documents:
            started = perf_counter()
            pdf = each.pdf()
            whole.append(perf_counter() - started)
        runs.append(perf_counter() - begun)
        for each in documents[:20]:
            started = perf_counter()
            each.json()
            credential.append(perf_counter() - started)
        print_status("typst alone")
        pages = [certificate(next(entries)) for _ in range(count)]
        for page in pages:
            started = perf_counter()
            plain_pdf_of(page)
            bare.append(perf_counter() - started)
    started = perf_counter()
    verified = verify_file(pdf, Keys(issuers=(key.did,), signature_alone=True))
    verify_seconds = perf_counter() - started
    assert verified.form == "PDF"
    more: dict[str, object] = {
        "pdf_ms": round(1000 * median(whole), 1),
        "credential_ms": round(1000 * median(credential), 1),
        "verify_ms": round(1000 * verify_seconds, 1),
        "over_typst_alone": round(median(whole) / median(bare), 2),
    }
    return Result("certificate", count, runs, peak_mib(), {"typst alone": 1 / median(bare)}, more)


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    publish(measure(options), options, this_machine())


if __name__ == "__main__":
    main()
