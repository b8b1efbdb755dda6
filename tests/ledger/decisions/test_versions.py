"""Versions: an act that is based on an earlier version of a record is refused, and so is the approval of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from ledger.aggregates import COMMANDS, Command
from ledger.aggregates.dispute import SettleDispute
from ledger.aggregates.request import ActRequested, ApproveAct, RequestAct
from ledger.aggregates.rules import PublishRules
from ledger.aggregates.scans import SCANS
from ledger.aggregates.shift_acts import AttestShift
from ledger.intake.prepare import content_digest
from ledger.names import shift_stream, stream
from ledger.rejections import Refused, Rejection
from ledger.store.mapper import encode
from tests.ledger.decisions.test_decide import (
    APPROVE,
    CHECK_IN,
    CHECK_OUT,
    CORRECT,
    DISPUTED,
    GRANTED,
    RAISE,
    SETTLE,
    SHIFT,
    VOID,
    WORLD,
)
from tests.support.ledger.helpers import Given, Memory, by

WITHOUT = {*SCANS, AttestShift.TYPE}
"""Commands that are based on no earlier version: scans are facts, and a late entry begins a record."""
MORE = CORRECT.model_copy(update={"changes": ("project",), "check_out": None, "project": "P1"})


def expecting(command: Command, version: int) -> Command:
    return command.model_copy(update={"expected_version": version})


def request(command: Command, number: str = "R1", **more: Any) -> RequestAct:
    fields = command.model_dump(mode="json", exclude_defaults=True)
    return RequestAct.model_validate({"request": number, "act": command.TYPE, "fields": fields, **more})


def refused(ledger: Memory, given: Given) -> Refused:
    answer = ledger.decide(given)
    assert isinstance(answer, Refused), answer
    assert answer.rejection is Rejection.CHANGED_SINCE, answer.detail
    assert not answer.retry
    return answer


def accepted(ledger: Memory, given: Given) -> None:
    answer = ledger.decide(given)
    assert not isinstance(answer, Refused), answer.detail


def test_every_command_takes_a_version_but_those_that_are_based_on_none() -> None:
    assert {name for name, kind in COMMANDS.items() if "expected_version" not in kind.model_fields} == WITHOUT


@pytest.mark.parametrize(("given", "command", "topics"), GRANTED, ids=lambda value: getattr(value, "TYPE", ""))
def test_a_command_is_granted_on_the_version_that_its_record_has_and_on_no_other(
    given: Sequence[Given], command: Command, topics: list[str]
) -> None:
    if command.TYPE in WITHOUT:
        return
    tried = Memory().given(*given).decide(command)
    assert not isinstance(tried, Refused)
    about = tried[0] if command.TYPE != "request-act" else None
    ledger = Memory().given(*given)
    version = ledger.version(about.stream_id if about else shift_stream("V1", SHIFT))
    for other in (version + 1, version - 1):
        if other >= 0:
            answer = refused(ledger, expecting(command, other))
            assert (answer.expected_version, answer.actual_version) == (other, version)
            assert f"has version {version}, not {other}: " in answer.detail
    decision = ledger.decide(expecting(command, version))
    assert not isinstance(decision, Refused), decision.detail
    assert [event.TOPIC for event in decision] == topics
    assert all(b"expected_version" not in encode(event)[1] for event in decision)


def test_two_who_correct_what_they_read_do_not_overwrite_each_other() -> None:
    ledger = Memory().given(*WORLD, CHECK_IN, CHECK_OUT)
    accepted(ledger, by("li", expecting(CORRECT, 2)))
    answer = refused(ledger, by("wang", expecting(MORE, 2)))
    assert (answer.field, answer.expected_version, answer.actual_version) == ("shift", 2, 3)
    assert answer.detail == (
        f"shift {SHIFT} has version 3, not 2: the record has changed since the version that this was based on; read it "
        "again"
    )
    accepted(ledger, by("wang", expecting(MORE, 3)))


def test_an_act_that_would_be_refused_anyway_is_refused_for_its_own_reason() -> None:
    ledger = Memory().given(*WORLD, CHECK_IN, VOID)
    answer = ledger.decide(expecting(VOID, 1))
    assert isinstance(answer, Refused)
    assert (answer.rejection, answer.actual_version) == (Rejection.ALREADY_VOID, None)


def test_the_text_of_rules_is_not_repeated_in_a_refusal() -> None:
    answer = refused(Memory(), PublishRules(text="name = 'x'\n" * 1000, expected_version=4))
    assert answer.detail.startswith("text has version 0, not 4: ")


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_request_keeps_the_version_and_is_not_approved_on_another() -> None:
    ledger = Memory().given(*WORLD, CHECK_IN, CHECK_OUT, by("li", request(CORRECT)), by("wang", MORE))
    (requested,) = ledger.events(stream("request", "R1"))
    assert isinstance(requested, ActRequested)
    assert requested.record_version == 2
    answer = refused(ledger, by("anna", APPROVE))
    assert (answer.field, answer.expected_version, answer.actual_version) == ("shift", 2, 3)
    assert len(ledger.events(stream("request", "R1"))) == 1
    ledger.given(by("li", request(CORRECT, "R2")), by("anna", ApproveAct(request="R2")))


@pytest.mark.parametrize("where", ["request", "fields"])
def test_a_request_that_is_based_on_an_earlier_version_is_refused_at_once(where: str) -> None:
    ledger = Memory().given(*WORLD, CHECK_IN, CHECK_OUT, by("wang", MORE))
    for version, granted in ((2, False), (3, True)):
        asked = (
            request(CORRECT, expected_version=version) if where == "request" else request(expecting(CORRECT, version))
        )
        if granted:
            accepted(ledger, by("li", asked))
        else:
            assert refused(ledger, by("li", asked)).actual_version == 3
    (requested,) = ledger.events(stream("request", "R1"))
    assert isinstance(requested, ActRequested)
    assert (requested.record_version, "expected_version" in requested.fields) == (3, False)
    ledger.given(by("anna", APPROVE))


def test_a_request_for_a_record_that_does_not_exist_yet_is_based_on_none() -> None:
    ledger = Memory().given(*WORLD, by("li", request(RAISE)), by("wang", RAISE.model_copy(update={"raise_id": "R7"})))
    assert refused(ledger, by("anna", APPROVE)).expected_version == 0


def test_a_request_of_before_versions_is_approved_as_before() -> None:
    ledger = Memory().given(*WORLD, CHECK_IN, CHECK_OUT, by("li", request(CORRECT)), by("wang", MORE))
    (requested,) = ledger.events(stream("request", "R1"))
    assert isinstance(requested, ActRequested)
    old = {name: getattr(requested, name) for name in requested.__struct_fields__ if name != "record_version"}
    ledger.streams[stream("request", "R1")] = [ActRequested(**old)]
    accepted(ledger, by("anna", APPROVE))


def test_a_settlement_compares_the_shift_and_the_act_that_follows_has_no_version_of_its_own() -> None:
    ledger = Memory().given(*DISPUTED)
    assert refused(ledger, expecting(SETTLE, 1)).actual_version == 2
    accepted(ledger, expecting(SETTLE, 2))
    fields = {"changes": ["project"], "expected_version": 2}
    settled = SETTLE.model_dump(mode="json") | {"act": "correct-shift", "fields": fields}
    with pytest.raises(ValidationError, match="expected_version is taken from the settlement"):
        SettleDispute.model_validate(settled)


# --- what is stored -------------------------------------------------------------------------------------------------


def test_a_version_is_content_and_changes_no_digest_of_commands_without_one() -> None:
    assert content_digest(VOID) == content_digest(expecting(VOID, 0).model_copy(update={"expected_version": None}))
    assert len({content_digest(command) for command in (VOID, expecting(VOID, 0), expecting(VOID, 1))}) == 3


@pytest.mark.parametrize("version", [-1, 1.5, "1", 1_000_001, True])
def test_a_version_is_a_whole_number(version: object) -> None:
    with pytest.raises(ValidationError, match="expected_version"):
        RAISE.model_validate(RAISE.model_dump() | {"day": date(2018, 12, 1), "expected_version": version})
