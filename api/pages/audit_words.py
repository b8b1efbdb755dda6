"""What auditors read in words: fields and kinds of events, kinds of findings, and why something is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from api.pages.languages import Gettext
from api.pages.languages import marked as _
from api.pages.words import in_words
from projections.anomalies.findings import Kind

_TOPICS = {
    "organisation-founded.v1": _("Organisation founded"),
    "organisation-renamed.v1": _("Organisation renamed"),
    "organisation-moved.v1": _("Organisation moved"),
    "organisation-ended.v1": _("Organisation ended"),
    "station-opened.v1": _("Station opened"),
    "station-renamed.v1": _("Station renamed"),
    "station-closed.v1": _("Station closed"),
    "project-launched.v1": _("Project launched"),
    "project-renamed.v1": _("Project renamed"),
    "project-ended.v1": _("Project ended"),
    "people-served-counted.v1": _("People served counted"),
    "rules-published.v1": _("Rules published"),
    "rules-put-in-force.v1": _("Rules put in force"),
}
_FIELDS = {
    "occurred_at": _("Happened at"),
    "recorded_at": _("Recorded at"),
    "by": _("By"),
    "approved_by": _("Approved by"),
    "command": _("Name of the request"),
    "attested": _("Entered by hand"),
    "imported": _("From old records"),
    "registered_on": _("Registered on"),
    "completed_on": _("Completed on"),
    "awarded_on": _("Awarded on"),
    "award": _("Award"),
    "honor": _("Honour"),
    "rules_version": _("Version of the rules"),
    "version": _("Version"),
    "digest": _("SHA-256 of the text"),
    "note": _("SHA-256 of the reason in words"),
    "evidence_position": _("Evidence up to position"),
    "credited_minutes": _("Credited minutes"),
    "year": _("Year"),
    "rank": _("Rank"),
    "name": _("Name"),
    "kind": _("Kind"),
    "organisation": _("Organisation"),
    "parent": _("Belongs to"),
    "content": _("Content"),
    "day": _("Day"),
    "people": _("People"),
    "tier": _("Tier"),
    "training": _("Training"),
    "into": _("Into"),
    "request": _("Request"),
    "act": _("Act"),
    "fields": _("What is asked for"),
    "changes": _("Changes"),
    "text": _("Text"),
    "in_force": _("In force at once"),
    "receipt": _("Receipt"),
}
KINDS: Mapping[Kind, str] = {
    "two-stations": _("At two stations at once"),
    "travel-time": _("Too fast from station to station"),
    "long-shift": _("Very long shift"),
    "over-cap": _("Over the cap day after day"),
    "entry-burst": _("Many entries within minutes"),
    "same-person": _("Mostly entered by one person"),
    "round-numbers": _("Too many full hours"),
    "late-upload": _("Uploaded late"),
    "late-entry": _("Recorded late"),
    "wrong-clock": _("Wrong clock"),
    "before-registration": _("Before the registration"),
    "before-opening": _("Before the opening"),
    "after-withdrawal": _("After the withdrawal"),
    "after-closing": _("After the closing"),
    "shared-phone": _("One phone, several persons"),
}
_SENTENCES: Mapping[Kind, str] = {
    "two-stations": _("At both stations at the same time for %(minutes)s min."),
    "travel-time": _("Checked in at the other station only %(minutes)s min after leaving."),
    "long-shift": _("The shift lasted %(minutes)s min."),
    "over-cap": _("On %(days)s days in a row; %(minutes)s min did not count."),
    "entry-burst": _("%(entries)s shifts of %(volunteers)s volunteers were entered within %(seconds)s seconds."),
    "same-person": _("One person acted on %(shifts)s of %(of)s shifts."),
    "round-numbers": _("%(instants)s of %(of)s times are on the full hour."),
    "late-upload": _("The scan arrived %(hours)s hours later."),
    "late-entry": _("%(minutes)s min of service were recorded %(days)s days later."),
    "wrong-clock": _(
        "%(scans_ahead)s scans from the future, %(scans_off)s of %(of)s scans off in one direction, "
        "%(check_outs_first)s check-outs before the check-in."
    ),
    "before-registration": _("%(shifts)s shifts, up to %(days)s days before the registration."),
    "before-opening": _("%(shifts)s shifts of %(volunteers)s volunteers, up to %(days)s days before the opening."),
    "after-withdrawal": _("%(shifts)s shifts, up to %(days)s days after the withdrawal."),
    "after-closing": _("%(shifts)s shifts of %(volunteers)s volunteers, up to %(days)s days after the closing."),
    "shared-phone": _("%(persons)s persons have the same phone."),
}


class Shown(NamedTuple):
    """A field of an event: its code, its name, how it is shown, and its value."""

    code: str
    name: str
    form: Literal["instant", "day", "code", "text", "volunteer", "yes-no"]
    value: Any


def topic_words(gettext: Gettext) -> Callable[[str], str]:
    """Return the function that names a kind of event."""
    others = in_words(gettext)
    return lambda topic: gettext(_TOPICS[topic]) if topic in _TOPICS else others(topic)


def fields_of(event: Mapping[str, Any], gettext: Gettext) -> Iterator[Shown]:
    """Yield the fields of an event in the order in which they are stored."""
    others = in_words(gettext)
    for code, value in event.items():
        name = gettext(_FIELDS[code]) if code in _FIELDS else others(code)
        yield Shown(code, name, _form(code, value), value)


def _form(code: str, value: Any) -> Literal["instant", "day", "code", "text", "volunteer", "yes-no"]:
    if isinstance(value, bool):
        return "yes-no"
    if isinstance(value, int) and (code.endswith("_at") or code in {"check_in", "check_out"}):
        return "instant"
    if isinstance(value, str) and (code.endswith("_on") or code in {"day", "as_of"}):
        return "day"
    if code in {"volunteer", "to_volunteer", "into"}:
        return "volunteer"
    return "code" if code in {"reason", "evidence", "outcome", "act"} else "text"


def reason_of(anomaly: Mapping[str, Any], gettext: Gettext) -> str:
    """Return why something is a finding, as a sentence of its figures."""
    figures = {"hours": anomaly["figures"].get("seconds", 0) // 3600, **anomaly["figures"]}
    return gettext(_SENTENCES[anomaly["kind"]]) % figures
