"""Signed requests: what is signed is held to its signature, kept, and can be checked for ever; nothing else passes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import ED25519
from http_message_signatures.httpx2 import adapt_message
from httpx2 import Request, Response
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from api.access.keys import SigningError
from api.access.roles import Role
from api.access.signatures import Signatures, check
from api.access.signed_requests import BadSignatureError, Sent, verify
from api.http.routes.writes.event_stream import NDJSON
from api.messages.cloud_events import BATCH, EVENT
from api.messages.json_bodies import BYTE_ORDER_MARK
from api.operations.schema_parts import PARTS
from api.operations.service import open_ledger
from ledger.store.append import Append
from ledger.store.database import Database
from replay.backup.backup import back_up, restore
from tests.support.api.command_line import CommandLine
from tests.support.api.serving import STATION, Served, found
from tests.support.examples import examples

pytest_plugins = ["tests.support.api.fixtures"]

PAGE = (Path(__file__).parents[3] / "docs" / "access.md").read_text("utf-8")
COVERED = ("@method", "@path", "content-digest")


def pem(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def raw(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Station(NamedTuple):
    """A station whose requests must be signed."""

    served: Served
    key: int
    token: str
    private: Ed25519PrivateKey

    def event(self, volunteer: str | None = None) -> dict[str, Any]:
        """Return a check-in that was not sent before."""
        return self.served.event(
            "check-in",
            volunteer=volunteer or self.served.volunteer(),
            station=STATION,
            occurred_at="2018-12-04T09:00:00+08:00",
            shift=str(uuid4()),
        )

    def request(self, content: Any, media_type: str = EVENT, path: str = "/v1/events", **headers: str) -> Request:
        """Return a request that is not signed."""
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.served.client.build_request(
            "POST",
            path,
            content=content if isinstance(content, bytes) else json.dumps(content),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": media_type, **told},
        )

    def sign(self, request: Request, covered: tuple[str, ...] = COVERED, **given: Any) -> Request:
        """Sign a request as a station does."""
        key_id = given.pop("key_id", str(self.key))
        keys = MappingKeyResolver(public_keys={}, private_keys={key_id: given.pop("private", self.private)})
        signer = HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=keys)
        signer.sign(adapt_message(request), key_id=key_id, covered_component_ids=covered, body=request.content, **given)
        return request

    def send(self, request: Request) -> Response:
        return self.served.client.send(request)

    def refused(self, request: Request, rejection: str = "bad-signature") -> str:
        """Send what must be refused; return the reason."""
        head = self.served.ledger.log.head()
        answer = self.send(request)
        assert (answer.status_code, answer.json()["rejection"]) == (401, rejection), answer.text
        assert self.served.ledger.log.head() == head
        return str(answer.json()["detail"])

    def kept(self) -> int:
        """Return how many signatures are stored."""
        with self.served.ledger.database.pool.connection() as connection:
            return int(connection.execute("SELECT count(*) FROM api.signatures").fetchall()[0][0])

    def holds(self, position: int) -> bool:
        return check(self.served.ledger.log, self.served.ledger.signatures, position).holds


@pytest.fixture(scope="module")
def station(served: Served) -> Station:
    key, token = served.ledger.keys.make(Role.STATION, STATION)
    private = Ed25519PrivateKey.generate()
    served.ledger.keys.sign_with(key.id, raw(private), required=True)
    return Station(served, key.id, token, private)


# --- what passes ----------------------------------------------------------------------------------------------------


def test_a_signed_event_is_recorded_and_can_be_checked(station: Station) -> None:
    answer = station.send(station.sign(station.request(station.event())))
    assert answer.status_code == 201
    checked = check(station.served.ledger.log, station.served.ledger.signatures, answer.json()["position"])
    assert checked.sentence.startswith(f"yes: station:{STATION} signed")
    assert (checked.key, checked.public_key) == (station.key, raw(station.private))


@pytest.mark.parametrize("said", [{}, {"direction": "in"}, {"direction": "out"}], ids=str)
@pytest.mark.parametrize("command", ["check-in", "check-out", "punch"])
def test_a_signed_punch_can_be_checked(station: Station, command: str, said: dict[str, str]) -> None:
    if said and command != "punch":
        pytest.skip("only a punch has a direction")
    about = {"volunteer": station.served.volunteer(), "station": STATION, "occurred_at": "2018-12-04T09:00:00+08:00"}
    answer = station.send(station.sign(station.request(station.served.event(command, **about, **said))))
    assert answer.status_code == 201, answer.text
    assert station.holds(answer.json()["position"])


def test_each_event_of_a_signed_batch_can_be_checked(station: Station) -> None:
    events = [station.event() for _ in range(3)]
    answers = station.send(station.sign(station.request(events, BATCH))).json()["answers"]
    assert all(station.holds(answer["position"]) for answer in answers)


NESTED = b'{"more":' + b"[" * 500 + b"]" * 500 + b"}"


@pytest.mark.parametrize("beside", [b"7", b'{"id":"\xff"}', b'{"id":1e999}', NESTED])
@pytest.mark.parametrize("mark", [b"", BYTE_ORDER_MARK])
def test_a_signed_batch_with_anything_that_is_no_event_is_not_recorded(
    station: Station, beside: bytes, mark: bytes
) -> None:
    """Its body would have to be stored whole, so that the signature can be checked."""
    body = mark + b"[" + json.dumps(station.event()).encode() + b"," + beside + b"]"
    head, kept = station.served.ledger.log.head(), station.kept()
    answer = station.send(station.sign(station.request(body, BATCH)))
    if beside == NESTED:
        assert (answer.status_code, answer.json()["field"]) == (422, "1.more")
    else:
        alone, refused = answer.json()["answers"]
        assert (alone["outcome"], alone["rejection"]) == ("refused", "not-alone")
        assert "a signed batch with an element that is no valid event is not recorded at all" in alone["detail"]
        assert refused["outcome"] == "refused"
    assert (station.served.ledger.log.head(), station.kept()) == (head, kept)


@pytest.mark.parametrize("mark", [b"", BYTE_ORDER_MARK])
def test_a_signed_event_with_a_byte_order_mark_can_be_checked(station: Station, mark: bytes) -> None:
    answer = station.send(station.sign(station.request(mark + json.dumps(station.event()).encode())))
    assert answer.status_code == 201, answer.text
    assert station.holds(answer.json()["position"])


SURPLUS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "an unknown attribute": (lambda event: event | {"phone": "13800138000"}, "phone"),
    "one that is nested": (lambda event: event | {"more": {"deep": [["Zhang"]]}}, "more"),
    "the subject": (lambda event: event | {"subject": "Zhang"}, "subject"),
    "the schema": (lambda event: event | {"dataschema": "https://zhang"}, "dataschema"),
    "data twice": (lambda event: json.dumps(event)[:-1] + ',"data":{"name":"Zhang"}}', "data"),
    "a field twice": (
        lambda event: json.dumps(event).replace('"volunteer"', '"volunteer":"Zhang","volunteer"'),
        "volunteer",
    ),
    "a number that one reader refuses": (
        lambda event: json.dumps(event)[:-1] + ',"digits":' + "1" * 5000 + ',"subject":"Zhang"}',
        "digits",
    ),
    "a time that is none": (lambda event: event | {"time": "when Zhang came"}, "time"),
}


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("what", SURPLUS)
def test_what_is_not_recorded_may_not_be_signed(station: Station, what: str, batch: bool) -> None:  # noqa: FBT001
    change, field = SURPLUS[what]
    changed = change(station.event())
    text = changed if isinstance(changed, str) else json.dumps(changed)
    place = "1." if batch else ""
    body = f"[{json.dumps(station.event())},{text}]" if batch else text
    head, kept = station.served.ledger.log.head(), station.kept()
    answer = station.send(station.sign(station.request(body.encode(), BATCH if batch else EVENT)))
    assert (answer.status_code, answer.json()["rejection"]) == (422, "invalid"), answer.text
    assert (answer.json()["field"], answer.json()["remedy"]) == (place + field, f"leave {place}{field} out")
    assert (station.served.ledger.log.head(), station.kept()) == (head, kept)


@pytest.mark.parametrize(
    ("mode", "header", "value", "field"),
    [
        ("rest", "X-Comment", "from Zhang", "x-comment"),
        ("binary", "X-Comment", "from Zhang", "x-comment"),
        ("binary", "ce-phone", "13800138000", "ce-phone"),
        ("binary", "ce-subject", "Zhang", "ce-subject"),
        ("binary", "ce-time", "when Zhang came", "time"),
    ],
)
def test_headers_that_are_not_recorded_may_not_be_signed(
    station: Station, mode: str, header: str, value: str, field: str
) -> None:
    event = station.event()
    if mode == "binary":
        attributes = {f"ce_{name}": event[name] for name in ("specversion", "id", "source", "type")}
        request = station.request(event["data"], "application/json", **attributes)
    else:
        request = station.request(
            event["data"], "application/json", "/v1/commands/check-in", Idempotency_Key=str(uuid4())
        )
    request.headers[header] = value
    covered: tuple[str, ...] = (*COVERED, header.lower())
    covered += tuple(sorted(name for name in request.headers if name.startswith("ce-") and name not in covered))
    covered += ("idempotency-key",) if mode == "rest" else ()
    head, kept = station.served.ledger.log.head(), station.kept()
    answer = station.send(station.sign(request, covered))
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert (station.served.ledger.log.head(), station.kept()) == (head, kept)


def test_parameters_of_a_signature_hold_no_text(station: Station) -> None:
    parameters: list[tuple[dict[str, Any], str]] = [({"tag": "from Zhang"}, "tag"), ({"nonce": "from Zhang"}, "nonce")]
    for parameter, field in parameters:
        answer = station.send(station.sign(station.request(station.event()), **parameter))
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_nothing_is_kept_of_what_was_not_recorded(station: Station) -> None:
    kept = station.kept()
    unknown = station.event(volunteer="V9999999")
    for body, media_type, path in (
        (unknown, EVENT, "/v1/events"),
        ([unknown], BATCH, "/v1/events"),
        (station.event(), EVENT, "/v1/events?dry_run=true"),
        ([station.event(), unknown], BATCH, "/v1/events?atomic=true"),
        ([station.event(), 7], BATCH, "/v1/events"),
        (b"{", EVENT, "/v1/events"),
        (station.event() | {"type": "unknown"}, EVENT, "/v1/events"),
    ):
        covered = (*COVERED, "@query") if "?" in path else COVERED
        answer = station.send(station.sign(station.request(body, media_type, path), covered))
        assert answer.status_code in {200, 400, 404, 422}, answer.text
    assert station.kept() == kept
    answers = station.send(station.sign(station.request([station.event(), unknown], BATCH))).json()["answers"]
    assert [answer["outcome"] for answer in answers] == ["accepted", "refused"]
    assert station.kept() == kept + 1
    assert station.holds(answers[0]["position"])


@pytest.mark.parametrize("media_type", [EVENT, BATCH])
@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"7", b"[7]", b"null"])
def test_a_signed_body_that_holds_no_event_is_answered_as_any_other(
    station: Station, body: bytes, media_type: str
) -> None:
    answer = station.send(station.sign(station.request(body, media_type)))
    unsigned = station.served.client.post(
        "/v1/events", content=body, headers=station.served.headers(Role.STATION) | {"Content-Type": media_type}
    )
    assert (answer.status_code, answer.json()) == (unsigned.status_code, unsigned.json())
    assert answer.status_code < 500


def test_signatures_can_be_checked_in_a_restored_ledger(
    station: Station, new_database_url: Callable[[], str], tmp_path: Path
) -> None:
    signed = station.send(station.sign(station.request(station.event()))).json()["position"]
    unsigned = station.served.command("count-people-served", station=STATION, day="2018-12-05", people=1)
    back_up(station.served.ledger.database, tmp_path / "backup")
    with Database.open(new_database_url()) as database:
        restore(tmp_path / "backup", database, PARTS)
        signatures = Signatures(database.pool)
        assert check(database.log, signatures, signed).sentence.startswith(f"yes: station:{STATION} signed")
        assert not check(database.log, signatures, unsigned.json()["position"]).holds


def test_a_signed_command_can_be_checked(station: Station) -> None:
    volunteer = station.served.volunteer()
    check_in = {"volunteer": volunteer, "station": STATION, "occurred_at": 1543888800}
    for command, body in (
        ("check-in", check_in),
        ("check-out", {**check_in, "occurred_at": 1543892400}),
        ("count-people-served", {"station": STATION, "day": "2018-12-04", "people": 7}),
        ("count-people-served", {"station": STATION, "day": "2017-07-19", "people": 7, "expected_version": 0}),
    ):
        request = station.request(body, "application/json", f"/v1/commands/{command}", Idempotency_Key=str(uuid4()))
        answer = station.send(station.sign(request, (*COVERED, "idempotency-key")))
        assert answer.status_code == 201, answer.text
        assert station.holds(answer.json()["position"])


def test_a_signed_event_in_binary_mode_can_be_checked(station: Station) -> None:
    event = station.event()
    attributes = {f"ce_{name}": event[name] for name in ("specversion", "id", "source", "type")}
    request = station.request(event["data"], "application/json", **attributes)
    reason = station.refused(station.sign(station.request(event["data"], "application/json", **attributes)))
    assert "ce-id" in reason
    answer = station.send(station.sign(request, (*COVERED, "ce-id", "ce-source", "ce-specversion", "ce-type")))
    assert answer.status_code == 201
    assert station.holds(answer.json()["position"])


def test_a_request_sent_again_records_nothing_and_keeps_nothing(station: Station) -> None:
    request = station.sign(station.request(event := station.event()))
    first, again = station.send(request), station.send(request)
    assert (first.status_code, again.status_code) == (201, 200)
    name = f"{event['source']}#{event['id']}"
    assert len(station.served.ledger.signatures.of(name)) == 1
    anew = station.sign(station.request(event), created=datetime.now(UTC) - timedelta(seconds=30))
    assert station.send(anew).json()["duplicate"]
    assert len(station.served.ledger.signatures.of(name)) == 2
    assert station.holds(first.json()["position"])


def test_reading_needs_no_signature(station: Station) -> None:
    answer = station.served.client.get("/v1/status", headers={"Authorization": f"Bearer {station.token}"})
    assert answer.status_code == 200


def test_where_it_is_not_required_only_what_is_signed_must_hold(station: Station) -> None:
    keys = station.served.ledger.keys
    key, token = keys.make(Role.STATION, STATION)
    keys.sign_with(key.id, raw(station.private), required=False)
    free = station._replace(key=key.id, token=token)
    plain = free.send(free.request(free.event()))
    assert plain.status_code == 201
    unsigned = check(free.served.ledger.log, free.served.ledger.signatures, plain.json()["position"])
    assert (unsigned.holds, "was not signed" in unsigned.sentence) == (False, True)
    free.refused(free.sign(free.request(free.event()), private=Ed25519PrivateKey.generate()))
    assert free.send(free.sign(free.request(free.event()))).status_code == 201


# --- what does not --------------------------------------------------------------------------------------------------


def test_what_is_not_signed_is_refused(station: Station) -> None:
    assert "must be signed" in station.refused(station.request(station.event()), "not-signed")
    assert "must be signed" in station.refused(station.request([station.event()], BATCH), "not-signed")
    assert "send signed batches" in station.refused(station.request(station.event(), NDJSON), "not-signed")


def _other_body(station: Station, request: Request) -> Request:
    return station.request(station.event(), **{name: request.headers[name] for name in _SIGNATURE})


_SIGNATURE = ("signature", "signature-input", "content-digest")
_WRONG: dict[str, tuple[Callable[[Station, Request], Request], str]] = {
    "another private key": (
        lambda station, request: station.sign(request, private=Ed25519PrivateKey.generate()),
        "does not match",
    ),
    "another body": (lambda station, request: _other_body(station, station.sign(request)), "body"),
    "another keyid": (lambda station, request: station.sign(request, key_id="999999"), "keyid"),
    "no path": (lambda station, request: station.sign(request, ("@method", "content-digest")), "@path"),
    "no method": (lambda station, request: station.sign(request, ("@path", "content-digest")), "@method"),
    "old": (
        lambda station, request: station.sign(request, created=datetime.now(UTC) - timedelta(seconds=400)),
        "created is 400 seconds ago by this ledger's clock, and the age may be at most 360; check the clock",
    ),
    "of the future": (
        lambda station, request: station.sign(request, created=datetime.now(UTC) + timedelta(seconds=100)),
        "created lies 100 seconds in the future of this ledger's clock, and at most 60 are allowed; check the clock",
    ),
    "expired": (
        lambda station, request: station.sign(request, expires=datetime.now(UTC) - timedelta(seconds=100)),
        "expires was 100 seconds ago by this ledger's clock; check the clock",
    ),
}


@pytest.mark.parametrize("what", _WRONG)
def test_a_signature_that_does_not_hold_is_refused_with_the_reason(station: Station, what: str) -> None:
    spoil, reason = _WRONG[what]
    told = station.refused(spoil(station, station.request(station.event())))
    seconds = re.compile(r"\b([0-9]+)[0-9]{2} seconds")  # a request takes some of them
    assert seconds.sub(r"\g<1>00 seconds", reason) in seconds.sub(r"\g<1>00 seconds", told)


def test_a_query_must_be_covered(station: Station) -> None:
    path = "/v1/events?dry_run=true"
    assert "@query" in station.refused(station.sign(station.request(station.event(), path=path)))
    signed = station.sign(station.request(station.event(), path=path), (*COVERED, "@query"))
    assert station.send(signed).status_code == 200


def test_a_command_without_a_name_of_its_own_is_refused(station: Station) -> None:
    body = {"volunteer": station.served.volunteer(), "station": STATION, "occurred_at": 1543888800}
    request = station.request(body, "application/json", "/v1/commands/check-in")
    assert "idempotency-key" in station.refused(station.sign(request))


@pytest.mark.parametrize(
    "headers",
    [
        {"signature": "sig=:AAAA:"},
        {"signature-input": "nonsense (", "signature": "sig=:AAAA:"},
        {"signature-input": 'sig=("@method");created=1;keyid="1"', "signature": "sig=1"},
        {"signature-input": 'sig=("@method");created=99999999999999;keyid="1"', "signature": "sig=:AAAA:"},
        {"signature-input": "", "signature": ""},
    ],
)
def test_headers_that_are_no_signature_are_refused(station: Station, headers: dict[str, str]) -> None:
    assert station.refused(station.request(station.event(), **headers))


@settings(max_examples=examples(60), deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(
            [
                "sig",
                "=",
                '("@path" "content-digest")',
                "(",
                ")",
                ";created=1",
                ';keyid="1"',
                ";created=9" * 9,
                '"ce-id";bs',
                ":AAAA:",
                ",",
                " ",
                '"@query-param";name="a"',
                ";alg=1",
                "@1",
                "?0",
                ";tag",
                "%",
                '"@status"',
                "-1",
                "\t",
            ]
        ),
        max_size=12,
    ),
    signature=st.sampled_from(["sig=:AAAA:", "sig=1", "sig", "", "a=:AAAA:, sig=:AAAA:", "sig=:" + "A" * 86 + "==:"]),
)
def test_no_header_is_met_with_anything_but_a_reason(parts: list[str], signature: str) -> None:
    headers = {"signature-input": "".join(parts), "signature": signature, "content-digest": "sha-256=:AAAA:"}
    sent = Sent("POST", "http://ledger/v1/events?a=1&a=2", Headers(headers), b"{}")
    with pytest.raises(BadSignatureError):
        verify(sent, 1, bytes(32))


def test_two_signatures_are_refused(station: Station) -> None:
    request = station.sign(station.request(station.event()), label="one")
    station.sign(request, label="two", append_if_signature_exists=True, use_existing_digest=True)
    assert "ultiple" in station.refused(request)


def test_a_stream_cannot_be_signed(station: Station) -> None:
    request = station.request(station.event(), NDJSON)
    assert "batches" in station.refused(station.sign(request), "not-signed")


def test_a_problem_tells_neither_token_nor_signature(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    request = station.sign(station.request(station.event()), private=Ed25519PrivateKey.generate())
    answer = station.send(request)
    secrets = [station.token, re.findall(r":(.*):", request.headers["signature"])[0], pem(station.private).decode()]
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "asyncio"))]
    for secret in secrets:
        assert secret not in answer.text
        assert not any(secret in said for said in ours)


def test_only_keys_of_stations_sign(station: Station) -> None:
    key, _ = station.served.ledger.keys.make(Role.STAFF, "anna")
    with pytest.raises(SigningError, match="has the role staff"):
        station.served.ledger.keys.sign_with(key.id, raw(station.private), required=False)


# --- what is found later --------------------------------------------------------------------------------------------

_TAMPERING = {
    "what the event says": (
        (
            "UPDATE ledger.stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'), "
            '\'"station":"C01"\', \'"station":"C02"\'), \'UTF8\') WHERE notification_id = %s'
        ),
        "the event differs from",
    ),
    "which key it names": (
        (
            "UPDATE ledger.stored_events SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'), "
            "'\"key\":[0-9]+', '\"key\":1'), 'UTF8') WHERE notification_id = %s"
        ),
        "names key 1",
    ),
    "what was not said": (
        (
            "UPDATE ledger.stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'), "
            "'}', ',\"evidence\":\"paper-list\"}'), 'UTF8') WHERE notification_id = %s"
        ),
        "the event differs from",
    ),
    "the body": (
        (
            "UPDATE api.signatures SET body = body || ' ' WHERE kept_at = (SELECT max(kept_at) FROM api.signatures) "
            "AND %s > 0"
        ),
        "not the one that was signed",
    ),
    "the signature base": (
        (
            "UPDATE api.signatures SET base = base || ' ' WHERE kept_at = (SELECT max(kept_at) FROM api.signatures) "
            "AND %s > 0"
        ),
        "does not match",
    ),
}


@pytest.mark.parametrize("what", _TAMPERING)
def test_tampering_is_found(station: Station, what: str) -> None:
    statement, reason = _TAMPERING[what]
    position = station.send(station.sign(station.request(station.event()))).json()["position"]
    assert station.holds(position)
    ledger = station.served.ledger
    with ledger.database.pool.connection() as connection:
        (before,) = connection.execute(
            "SELECT state FROM ledger.stored_events WHERE notification_id = %s", (position,)
        ).fetchone() or (b"",)
        signed = connection.execute("SELECT base, body, kept_at FROM api.signatures").fetchall()
        assert connection.execute(statement, (position,)).rowcount == 1
    try:
        checked = check(ledger.log, ledger.signatures, position)
        assert not checked.holds
        assert reason in checked.sentence
    finally:
        with ledger.database.pool.connection() as connection:
            connection.execute(
                "UPDATE ledger.stored_events SET state = %s WHERE notification_id = %s", (before, position)
            )
            statement = "UPDATE api.signatures SET base = %s, body = %s WHERE kept_at = %s"
            connection.cursor().executemany(statement, signed)


def test_the_signature_and_the_event_are_recorded_together_or_not_at_all(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = station.event()
    head, kept = station.served.ledger.log.head(), station.kept()

    def failing(*_: Any) -> None:
        raise psycopg.OperationalError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Append, "proofs", failing)
        assert station.send(station.sign(station.request(event))).status_code == 503
    assert (station.served.ledger.log.head(), station.kept()) == (head, kept)
    assert station.send(station.sign(station.request(event))).status_code == 201
    assert (station.served.ledger.log.head(), station.kept()) == (head + 1, kept + 1)


# --- the page and the command line ----------------------------------------------------------------------------------


def test_the_example_of_the_page_signs(station: Station) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert code.count("\n") <= 25
    names: dict[str, Any] = {}
    exec(compile(code, "access.md", "exec"), names)  # noqa: S102 - our own page
    answer = names["post"](
        station.served.client, station.token, str(station.key), pem(station.private), [station.event()]
    )
    assert answer.json()["accepted"] == 1
    assert station.holds(answer.json()["position"])


def test_the_command_line_registers_keys_and_checks(hours: CommandLine, tmp_path: Path) -> None:
    with open_ledger(hours.data) as ledger:
        found(ledger)
    made = hours("keys", "make", "--role", "station", "--name", STATION, "--json").answer
    public, other = tmp_path / "public.pem", tmp_path / "other.pem"
    private = tmp_path / "private.pem"
    for command in re.findall(r"^\$ (openssl .*)$", PAGE, re.MULTILINE):
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    assert "PRIVATE" in private.read_text()
    assert "refused" in hours("keys", "sign-with", made["id"], public, "--required").out
    assert hours("keys", "list", "--json").answer[0]["signs"] == "always"
    assert hours("keys", "sign-with", made["id"], public, "--json").answer["required"] is False
    other.write_bytes(
        X25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert "not an Ed25519 key" in hours("keys", "sign-with", made["id"], other).sentence
    assert "is not a public key in PEM" in hours("keys", "sign-with", made["id"], private).sentence
    assert "no key has the id 99" in hours("keys", "sign-with", 99, public).sentence
    assert "nothing.pem" in hours("keys", "sign-with", made["id"], tmp_path / "nothing.pem").err
    checked = hours("signatures", "check", 1)
    assert (checked.code, "was not signed" in checked.out) == (1, True)
    assert "999" in hours("signatures", "check", 999).sentence
