"""Which rules are in force: what the stream of rules says, and who may change it."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.aggregates import Command
from ledger.aggregates.request import ApproveAct, RequestAct
from ledger.aggregates.rules import TIMELINE, PublishRules, PutRulesInForce, Rules, RulesPutInForce
from ledger.rejections import Refused, Rejection
from tests.support.ledger.helpers import Memory, by

OLD, NEW, THIRD = "name = 'old'", "name = 'new'", "name = 'third'"
TWO_PERSONS = "name = 'two'\napprovals = { kinds = ['put-rules-in-force'] }"


def put(version: int, digest: str | None = None) -> PutRulesInForce:
    return PutRulesInForce(rules_version=version, rules_digest=digest, reason="cap-too-low")


def later(text: str) -> PublishRules:
    return PublishRules(text=text, in_force=False)


def request(command: Command, number: str = "R1") -> RequestAct:
    fields = command.model_dump(mode="json", exclude_defaults=True)
    return RequestAct.model_validate({"request": number, "act": command.TYPE, "fields": fields})


def in_force(ledger: Memory) -> str:
    found = Rules.of(ledger.events(TIMELINE)).in_force
    assert found is not None
    return found.text


def refused(ledger: Memory, given: object) -> tuple[Rejection, str]:
    decision = ledger.decide(given)  # type: ignore[arg-type]
    assert isinstance(decision, Refused), decision
    return decision.rejection, decision.detail


def test_publishing_puts_in_force_unless_it_says_otherwise() -> None:
    ledger = Memory().given(PublishRules(text=OLD), later(NEW))
    assert in_force(ledger) == OLD
    ledger.given(put(2))
    assert in_force(ledger) == NEW
    ledger.given(put(1))  # taken back
    assert in_force(ledger) == OLD
    ledger.given(PublishRules(text=THIRD), put(2, sha256(NEW.encode()).hexdigest()))
    assert in_force(ledger) == NEW
    (*_, last) = ledger.events(TIMELINE)
    assert isinstance(last, RulesPutInForce)
    assert (last.version, last.reason, last.by) == (2, "cap-too-low", "person:p1")


def test_rules_published_later_on_are_in_force_for_nobody_before() -> None:
    ledger = Memory().given(later(NEW))
    assert Rules.of(ledger.events(TIMELINE)).in_force is None
    ledger.given(put(1))
    assert in_force(ledger) == NEW


@pytest.mark.parametrize(
    ("version", "digest"), [(3, None), (2, "ab" * 32), (2, sha256(OLD.encode()).hexdigest()), (3, "ab" * 32)]
)
def test_rules_that_were_not_published_are_not_put_in_force(version: int, digest: str | None) -> None:
    ledger = Memory().given(PublishRules(text=OLD), later(NEW))
    rejection, _ = refused(ledger, put(version, digest))
    assert rejection is Rejection.UNKNOWN_RULES
    assert in_force(ledger) == OLD


def test_the_policies_in_force_decide_what_needs_approval() -> None:
    ledger = Memory().given(PublishRules(text=TWO_PERSONS), later(NEW))
    rejection, detail = refused(ledger, PublishRules(text=NEW))
    assert rejection is Rejection.NEEDS_APPROVAL
    assert "publish with in_force false" in detail
    assert refused(ledger, put(2))[0] is Rejection.NEEDS_APPROVAL
    ledger.given(request(put(2)))
    assert refused(ledger, ApproveAct(request="R1"))[0] is Rejection.OWN_REQUEST
    ledger.given(by("li", ApproveAct(request="R1")))
    assert in_force(ledger) == NEW
    (*_, last) = ledger.events(TIMELINE)
    assert (last.by, last.approved_by) == ("person:p1", "person:li")
    ledger.given(put(1))  # the rules that hold now do not ask for it
    assert in_force(ledger) == TWO_PERSONS


def test_a_request_is_not_approved_once_other_rules_were_published() -> None:
    ledger = Memory().given(PublishRules(text=TWO_PERSONS), later(NEW), request(put(2)), later(THIRD))
    assert refused(ledger, by("li", ApproveAct(request="R1")))[0] is Rejection.CHANGED_SINCE


def test_what_was_approved_once_binds_the_rules_by_the_type_of_the_act_alone() -> None:
    effects = f"{OLD}\napprovals = {{ approved_records = true }}"
    ledger = Memory().given(PublishRules(text=TWO_PERSONS), later(effects), request(put(2)))
    ledger.given(by("li", ApproveAct(request="R1")), put(1))
    assert in_force(ledger) == TWO_PERSONS


TEXTS = [OLD, NEW, THIRD]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["publish", "later", "put"]), st.integers(0, 4)), max_size=12))
def test_any_order_of_acts_leaves_in_force_what_was_put_there_last(acts: list[tuple[str, int]]) -> None:
    ledger, published, expected = Memory(), list[str](), None
    for act, number in acts:
        text = TEXTS[number % len(TEXTS)]
        match act:
            case "publish":
                if not isinstance(ledger.decide(PublishRules(text=text)), Refused):
                    published.append(text)
                    expected = text
                assert expected == text
            case "later":
                if not isinstance(ledger.decide(later(text)), Refused):
                    published.append(text)
            case _:
                answer = ledger.decide(put(number + 1))
                if number < len(published):
                    assert not isinstance(answer, Refused) or answer.rejection is Rejection.ALREADY_IN_FORCE
                    expected = published[number]
                else:
                    assert isinstance(answer, Refused)
    rules = Rules.of(ledger.events(TIMELINE))
    assert (rules.in_force.text if rules.in_force else None) == expected
    assert [each.version for each in rules.published] == list(range(1, len(published) + 1))
