"""A certificate for tests, as the ledger would have recorded it, and what changes every field of a document."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date
from typing import Any

from ledger.aggregates.certificate import CertificateIssued, register_of
from ledger.names import Position
from ledger.store.log_queries import RecordedEvent
from ledger.store.mapper import encode
from replay.certificates.certificate import Certificate, Disclosed
from replay.certificates.credential_keys import CredentialKey
from replay.certificates.verification import Verified

KEY = CredentialKey(bytes(range(32)))
ANOTHER_KEY = CredentialKey(bytes(32))
ADDRESS = "https://hours.luohu.example"
TEXTS = {
    "name": "陈晓明",
    "id_type": "居民身份证",
    "id_number": "440303199001011234",
    "content": "车站引导、社区敬老、护树行动",
    "in_charge": "林建国",
    "handler": "王丽",
    "contact": "0755-2556 0000",
    "remarks": "用于升学申请。",
}
SALTED = {field: Disclosed(text, bytes([number]) * 32) for number, (field, text) in enumerate(TEXTS.items(), 1)}


def certificate(
    *, texts: bool = True, address: str | None = ADDRESS, position: int = 126_555, **changes: Any
) -> Certificate:
    """Return a certificate. `changes`: other values for fields of its event."""
    fields: dict[str, Any] = {
        "occurred_at": 1_544_000_000,
        "recorded_at": 1_544_000_000,
        "by": "person:anna",
        "command": "/certificates/person:anna#8e03978e-40d5-43dd-bc93-6894a57f9324",
        "certificate": "2018-000001",
        "volunteer": "V0000462",
        "from_year": 2016,
        "to_year": 2018,
        "scanned_minutes": 5_430,
        "attested_minutes": 125,
        "evidence_position": 126_554,
        "rules_digest": "a3" * 32,
        "organisation": "fed-01",
        "organisation_name": "深圳市罗湖区义工联合会",
        "issued_on": date(2018, 12, 5),
    }
    event = CertificateIssued(**{**fields, **{name: each.digest for name, each in SALTED.items()}, **changes})
    topic, state = encode(event)
    recorded = RecordedEvent(Position(position), register_of(2018), 1, topic, state)
    return Certificate(recorded, SALTED if texts else {}, address)


def certificate_of(verified: Verified) -> Certificate:
    """Return the certificate of a verified file."""
    assert verified.certificate is not None
    return verified.certificate


def changed_in_each_field(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield a copy of a JSON document for each value in it, with that value changed, and for each field, without it."""
    for place in _places(document):
        name = ".".join(map(str, place))
        changed = copy.deepcopy(document)
        holder = _at(changed, place[:-1])
        holder[place[-1]] = _other(holder[place[-1]])
        yield name, changed
        if isinstance(holder, dict):
            lacking = copy.deepcopy(document)
            del _at(lacking, place[:-1])[place[-1]]
            yield f"without {name}", lacking


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*place, name)
        yield from _places(inner, (*place, name))


def _at(document: Any, place: tuple[Any, ...]) -> Any:
    for name in place:
        document = document[name]
    return document


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case str():
            return value[:-1] + ("0" if value[-1:] != "0" else "1")
        case list():
            return value[:-1]
        case dict():
            return {**value, "name": "forged"}
        case _:
            return None
