"""Files that somebody made so that verifying them fails, never ends, or shows what is not so."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from replay.certificates.documents import Documents
from replay.certificates.verification import Keys, NotVerifiedError, verify_file
from replay.proof.entries import entry_of
from replay.proof.policies import Policy
from tests.support.api.command_line import CommandLine
from tests.support.replay.certificates import KEY, certificate
from tests.support.replay.proving import ORIGIN, VERIFIER_KEYS

pytest_plugins = ["tests.support.api.fixtures"]

DOCUMENTS = Documents(certificate(), KEY, None)
BELIEVED = Keys(Policy.of_keys(VERIFIER_KEYS), (KEY.did,), signature_alone=True)
DEEP = "[" * 100_000
NOTE = f"{ORIGIN}\n5\n{base64.b64encode(bytes(32)).decode()}\n\n— {ORIGIN} {base64.b64encode(bytes(68)).decode()}\n"


def credential(**changes: Any) -> dict[str, Any]:
    return {**json.loads(DOCUMENTS.json()), **changes}


def entry(**changes: Any) -> bytes:
    """Return the entry of a certificate's event with other fields."""
    recorded = certificate().recorded
    state = json.dumps({**json.loads(recorded.state), **changes}, separators=(",", ":")).encode()
    return entry_of(recorded._replace(state=state))


def of_event(**changes: Any) -> str:
    """Return a credential that carries an event with other fields."""
    found = credential()
    found["evidence"][0]["narrative"] = base64.b64encode(entry(**changes)).decode()
    return json.dumps(found)


def proof(extra: str) -> str:
    return f"c2sp.org/tlog-proof@v1\nextra {base64.b64encode(extra.encode()).decode()}\nindex 1\n\n{NOTE}"


def jwt(payload: str, header: str | None = None) -> str:
    parts = DOCUMENTS.jwt().strip().split(".")
    first = parts[0] if header is None else _base64url(header)
    return f"{first}.{_base64url(payload)}.{parts[2]}"


def _base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def jwt_with_a_field_twice() -> str:
    """Sign a payload of which one reader sees other hours than another."""
    header, payload, _ = DOCUMENTS.jwt().strip().split(".")
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    twice = text.replace("{", '{"credentialSubject":{"id":"urn:forged"},', 1)
    signed = f"{header}.{_base64url(twice)}"
    return f"{signed}.{base64.urlsafe_b64encode(KEY.sign(signed.encode())).decode().rstrip('=')}"


def pdf(filters: bytes, content: bytes) -> str:
    """Return a PDF file with an attachment that is to be decoded by some filters."""
    parts = [
        b"<</Type/Catalog/Pages 2 0 R/Names<</EmbeddedFiles<</Names[(credential.json) 3 0 R]>>>>>>",
        b"<</Type/Pages/Kids[]/Count 0>>",
        b"<</Type/Filespec/F(credential.json)/UF(credential.json)/EF<</F 4 0 R>>>>",
        b"<</Filter[" + filters + b"]/Length %d>>stream\n" % len(content) + content + b"\nendstream",
    ]
    out, places = b"%PDF-1.7\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + part + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 5\n0000000000 65535 f \n" + table
    return (out + end + b"trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(out)).decode("latin-1")


LATER_THAN_ALL = (10**12, 10**15, 2**62, 2**63 - 1)
FILES: dict[str, Callable[[], str]] = {
    "deep JSON": lambda: DEEP,
    "deep JSON as the payload of a JWT": lambda: jwt(DEEP),
    "deep JSON as the header of a JWT": lambda: jwt("{}", DEEP),
    "deep JSON beside a proof": lambda: proof(DEEP),
    "a long number": lambda: "1" * 5000,
    "half a character": lambda: json.dumps(credential(**{"\ud800": "\ud800"})),
    "a field twice in a JWT": jwt_with_a_field_twice,
    "a filter that runs another program": lambda: pdf(b"/JBIG2Decode", b"x"),
    "a filter that nobody knows": lambda: pdf(b"/Nothing", b"x"),
    "very many filters": lambda: pdf(b"/FlateDecode" * 100_000, b"x"),
    "what unpacks to a hundred million bytes": lambda: pdf(b"/FlateDecode", zlib.compress(bytes(100_000_000), 9)),
    **{
        f"an event of {instant}": lambda instant=instant: of_event(occurred_at=instant, recorded_at=instant)  # type: ignore[misc]
        for instant in LATER_THAN_ALL
    },
    **{
        f"the proof of an event of {instant}": lambda instant=instant: proof(  # type: ignore[misc]
            json.dumps({"entry": base64.b64encode(entry(recorded_at=instant)).decode()}, separators=(",", ":"))
        )
        for instant in LATER_THAN_ALL
    },
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_a_sentence(name: str) -> None:
    content = FILES[name]()
    with pytest.raises(NotVerifiedError) as refused:
        verify_file(content.encode("latin-1" if content.startswith("%PDF") else "utf-8"), BELIEVED)
    assert str(refused.value).isprintable()


def test_a_field_that_is_named_twice_in_a_jwt_is_told() -> None:
    with pytest.raises(NotVerifiedError, match="names a field twice"):
        verify_file(jwt_with_a_field_twice().encode(), BELIEVED)


@pytest.mark.parametrize(
    "field", ["\x1b[2K\x1b[1Aa.json: verified (credential)", "\na.json: verified", "\x9b2K", "\u202e"]
)
def test_a_file_cannot_make_a_terminal_show_something_else(hours: CommandLine, field: str) -> None:
    file = hours.data.parent / "a.json"
    file.write_text(json.dumps(credential(**{field: 1})))
    refused = hours("verify", file, "--key", KEY.did, "--signature-alone")
    assert refused.code == 1
    assert len(refused.out.splitlines()) == 1
    assert "NOT VERIFIED" in refused.out
    assert refused.out.strip().isprintable()
