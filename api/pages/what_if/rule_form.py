"""The usual values of a rule timeline as fields of a form, by their places in its text.

The text is what is checked, tried and published. A field names the place of its value, such as
`rule_sets.1.day_minutes_max`, and a script of the page writes what is typed there into the text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from annotated_types import Ge, Le
from pydantic import BaseModel

from api.pages.languages import marked as _
from ledger.deciding.policies import Approvals, Disputes
from projections.rules.limits import text_exceeds
from projections.rules.timeline import Factor, PublicNotice, RuleSet, Threshold

Form = Literal["number", "yes-no", "choice", "day", "time", "text"]


class Usual(NamedTuple):
    """A key that the form shows: its name, how it is written, and its unit."""

    key: str
    name: str
    form: Form = "number"
    unit: str = ""
    choices: tuple[tuple[str, str], ...] = ()


MINUTES, HOURS, DAYS, SECONDS = _("min"), _("hours"), _("working days"), _("s")
_SET = (
    Usual("holds_from", _("Holds for service from"), "day"),
    Usual("day_minutes_max", _("Cap of the day"), unit=MINUTES),
    Usual("shift_minutes_min", _("Shortest shift that counts"), unit=MINUTES),
    Usual("shift_minutes_max", _("Longest shift that counts"), unit=MINUTES),
    Usual("missing_check_out_minutes", _("Without a check-out"), unit=MINUTES),
    Usual("credit_unit_minutes", _("Credited in units of"), unit=MINUTES),
    Usual("late_entry_working_days", _("Late after"), unit=DAYS),
)
_PAIRING = (
    Usual("double_tap_seconds", _("The same scan again within"), unit=SECONDS),
    Usual("open_hours_max", _("A check-in stays open for"), unit=HOURS),
    Usual(
        "undirected_punches",
        _("Scans without direction"),
        "choice",
        choices=(
            ("alternate", _("in, out, in, out")),
            ("first-and-last", _("the first and the last of the day")),
        ),
    ),
    Usual("pair_across_stations", _("Another station may end a shift"), "yes-no"),
)
_FACTOR = (
    Usual("percent", _("A minute earns"), unit="%"),
    Usual("first_day", _("First day"), "day"),
    Usual("last_day", _("Last day"), "day"),
    Usual("minute_from", _("From the time"), "time"),
    Usual("minute_until", _("Until the time"), "time"),
)
_HONOR = (
    Usual("credited_minutes_min", _("Credited at least"), unit=MINUTES),
    Usual("tenure_months_min", _("Registered for"), unit=_("months")),
    Usual("active_years_min", _("Active years"), unit=_("years")),
    Usual("active_year_minutes_min", _("An active year has"), unit=MINUTES),
)
_NOTICE = (Usual("working_days", _("Public notice of honours"), unit=DAYS),)
_APPROVALS = (
    Usual("shift_minutes_more", _("More minutes of a shift without approval"), unit=MINUTES),
    Usual("person_day_minutes_more", _("More minutes of a person's day without approval"), unit=MINUTES),
    Usual("raised_day_minutes_max", _("A day's cap is raised to at most"), unit=MINUTES),
)
_DISPUTES = (
    Usual("answer_working_days", _("A dispute is answered within"), unit=DAYS),
    Usual("settle_working_days", _("A dispute is settled within"), unit=DAYS),
)


class Field(NamedTuple):
    """A field: what the form shows, and the place of its value. `default`: what holds where the text says nothing."""

    usual: Usual
    path: str
    value: str
    default: str
    least: int | None
    most: int | None


class Group(NamedTuple):
    """Fields under a heading. `title` is translated; without one, `name` is the window's or honour's own."""

    title: str
    name: str
    fields: Sequence[Field]


class SetForm(NamedTuple):
    """The form of a rule set: its day, its own values, and those of its windows and honours."""

    holds_from: str
    groups: Sequence[Group]
    factors: Sequence[Group]
    honors: Sequence[Group]


class RuleForm(NamedTuple):
    """The form of a timeline, the latest rule set first, and the values that belong to no set."""

    sets: Sequence[SetForm]
    general: Group


def rule_form(text: str) -> RuleForm | None:
    """Return the form of a text; None if it is not TOML, not of the usual shape, or exceeds the limits of new rules.

    Refused texts get here too, and their parsing takes as long as their sender likes.
    """
    if text_exceeds(text) is not None:
        return None
    try:
        found = tomllib.loads(text)
        sets = [_set(number, rule_set) for number, rule_set in enumerate(found["rule_sets"])]
        general = [
            *_fields(_NOTICE, PublicNotice, "public_notice", found.get("public_notice", {})),
            *_fields(_APPROVALS, Approvals, "approvals", found.get("approvals", {})),
            *(_fields(_DISPUTES, Disputes, "disputes", found["disputes"]) if "disputes" in found else ()),
        ]
    except (tomllib.TOMLDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return RuleForm(sets[::-1], Group(_("For all days"), "", general))


def _set(number: int, values: Mapping[str, Any]) -> SetForm:
    path = f"rule_sets.{number}"
    factors = enumerate(values.get("factors", ()))
    honors = enumerate(values.get("honors", ()))
    return SetForm(
        str(values["holds_from"]),
        [
            Group(_("Minutes"), "", list(_fields(_SET, RuleSet, path, values))),
            Group(_("Pairing of scans"), "", list(_fields(_PAIRING, RuleSet, path, values))),
        ],
        [
            Group("", str(each["name"]), list(_fields(_FACTOR, Factor, f"{path}.factors.{place}", each)))
            for place, each in factors
        ],
        [
            Group("", str(each["title"]), list(_fields(_HONOR, Threshold, f"{path}.honors.{place}", each)))
            for place, each in honors
        ],
    )


def _fields(usuals: Sequence[Usual], model: type[BaseModel], path: str, values: Mapping[str, Any]) -> Iterator[Field]:
    for usual in usuals:
        info = model.model_fields[usual.key]
        bounds: list[Any] = [*info.metadata]
        for part in getattr(info.annotation, "__args__", ()):
            bounds += getattr(part, "__metadata__", ())
        least = next((bound.ge for bound in bounds if isinstance(bound, Ge)), None)
        most = next((bound.le for bound in bounds if isinstance(bound, Le)), None)
        default = "" if info.is_required() else _written(info.default, usual.form)
        yield Field(
            usual,
            f"{path}.{usual.key}",
            _written(values.get(usual.key), usual.form),
            default,
            _whole(least),
            _whole(most),
        )


def _whole(bound: Any) -> int | None:
    return bound if isinstance(bound, int) else None


def _written(value: Any, form: Form) -> str:
    """Return a value as the field shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if form == "time" and isinstance(value, int):
        return f"{value // 60:02}:{value % 60:02}"
    return str(value)
