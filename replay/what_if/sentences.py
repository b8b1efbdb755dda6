"""What-if wording: a comparison of two replays as an answer, with its reasons in words."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from projections.compare.rule_changes import first_difference
from projections.compare.sides import AFTER, BEFORE, STATION_CHANGE_COLUMNS, TRACE_COLUMNS
from projections.local_time import day_of_number
from projections.schema import HOURS_COLUMNS, NO_DAY, Longs
from replay.axes.answers import RulesUsed
from replay.what_if.answers import (
    Change,
    ChangeBand,
    GoesOnAs,
    HonorChange,
    HonorSummary,
    Kind,
    RankChanged,
    Reason,
    SideUsed,
    StationChange,
    VolunteerChange,
    WhatIf,
    YearChange,
    headers_changed,
)
from replay.what_if.comparison import Comparison, Point
from replay.what_if.day_spans import past_days
from replay.what_if.rank_changes import RankChange

_CREDITED_OF_YEAR = HOURS_COLUMNS.index("credited")
BAND_EDGES = (60, 300, 600, 1_200, 3_000, 6_000, 12_000, 30_000, 60_000)
"""Where the bands of changes begin, in minutes: 1, 5, 10, 20, 50, 100, 200, 500 and 1,000 hours."""
_KINDS: tuple[Kind, ...] = ("gained", "lost", "moved")


def what_if_answer(found: Comparison, limit: int | None = None) -> WhatIf:
    """Return a comparison as an answer. Lists hold `limit` entries at most, all if it is None."""
    changes, order, honors = found.changes, found.by_change.tolist(), Honors(found)
    differs, last = first_difference(found.before.timeline, found.after.timeline), _last_service(found)
    answer = WhatIf(
        before=_side(found.before),
        after=_side(found.after),
        valid_at=found.valid_at,
        as_if_from=found.as_if_from,
        not_tried=list(found.left_out) or None,
        header_changes=headers_changed(found.before.timeline, found.after.timeline),
        rules_differ_from=differs,
        past_days=[] if last is None else past_days(found.before.timeline, found.after.timeline, last),
        last_service=last,
        totals=_changes(TRACE_COLUMNS, found.found.totals, everything=True),
        volunteers_differing=len(changes),
        volunteers_gaining=int((changes > 0).sum()),
        volunteers_losing=int((changes < 0).sum()),
        distribution=distribution_of(changes),
        volunteers=[volunteer_change(found, row, honors) for row in order[:limit]],
        stations=[
            StationChange(station=found.stations[number], activity=activity)
            for number in range(len(found.found.stations))
            if (activity := _changes(STATION_CHANGE_COLUMNS, found.found.stations[number]))
        ],
        honors=honors.summaries(),
        honor_changes_in_all=len(found.found.honors),
        honor_changes=honors.listed(limit),
        rank_changes_in_all=len(found.ranks),
        rank_changes=[_rank(change) for change in found.ranks[:limit]],
    )
    return answer.model_copy(update={"note": note_of(answer, "as_if_from")})


def distribution_of(changes: Longs) -> list[ChangeBand]:
    """Return how many changes of minutes lie in each band, from the greatest loss to the greatest gain; bands without
    one that lie outside of all others are left out.
    """
    edges = np.array(BAND_EDGES)
    bands: list[ChangeBand] = []
    for direction, signed in (("lose", -changes), ("gain", changes)):
        found = np.bincount(np.searchsorted(edges, signed[signed > 0], side="right"), minlength=len(edges) + 1).tolist()
        made = [
            ChangeBand(direction=direction, from_minutes=first, to_minutes=last, volunteers=count)
            for first, last, count in zip((1, *BAND_EDGES), (*BAND_EDGES, None), found, strict=True)
        ]
        while made and not made[-1].volunteers:
            made.pop()
        bands += made[::-1] if direction == "lose" else made
    return bands


def note_of(answer: WhatIf, parameter: str) -> str | None:
    """Return a sentence if the rules of the two sides differ only on days without service, or if changed rule sets were
    not tried.

    Args:
        parameter: the name by which the caller gives `as_if_from`.
    """
    differs, last = answer.rules_differ_from, answer.last_service
    if answer.not_tried and answer.as_if_from is not None:
        days = ", ".join(map(str, answer.not_tried))
        sets, are = ("sets", "are") if len(answer.not_tried) > 1 else ("set", "is")
        sentence = f"the changed rule {sets} of {days} {are} not tried, because a later one holds from"
        return f"{sentence} {answer.as_if_from}; without {parameter} each is compared on its own days"
    if differs is None or last is None or differs <= last:
        return None
    sentence = f"the rules differ only from {differs} on, and the last service compared is of {last}"
    if answer.as_if_from is None:
        return f"{sentence}, so they change no hours yet; {parameter} tries them on past service"
    return f"{sentence}, so they change no hours; use an earlier day for {parameter}"


def _last_service(found: Comparison) -> date | None:
    last = found.after.last_service()
    return last if last is None or found.valid_at is None else min(last, found.valid_at)


def _side(point: Point) -> SideUsed:
    rules = point.rules
    return SideUsed(rules=RulesUsed.of(rules), known_at=point.known_at)


def _changes(names: tuple[str, ...], pair: Longs, *, everything: bool = False) -> dict[str, Change]:
    """Return the columns of int64[2, names] that differ, or all with `everything`."""
    before, after = pair[BEFORE].tolist(), pair[AFTER].tolist()
    return {
        name: Change(before=old, after=new, change=new - old)
        for name, old, new in zip(names, before, after, strict=True)
        if everything or old != new
    }


# --- volunteers -----------------------------------------------------------------------------------------------------


def reasons_of(found: Comparison, row: int) -> list[Reason]:
    """Return why a volunteer's credited minutes change, in the order of the rules."""
    steps, minutes = found.reasons
    return [
        Reason(step=step, factor=factor, minutes=part)
        for (step, factor), part in zip(steps, minutes[row].tolist(), strict=True)
        if part
    ]


def reason_text(reasons: list[Reason]) -> str:
    """Return reasons as one text, the largest first: "night factor +120, day cap -60"."""
    return ", ".join(reason.words() for reason in sorted(reasons, key=lambda reason: -abs(reason.minutes)))


def volunteer_change(found: Comparison, row: int, honors: Honors) -> VolunteerChange:
    """Return a volunteer who differs as an answer."""
    number = int(found.found.volunteers[row])
    trace = found.found.traces[row]
    before, after = trace[:, TRACE_COLUMNS.index("credited")].tolist()
    reasons = reasons_of(found, row)
    gained, lost, moved = honors.of(number)
    return VolunteerChange(
        volunteer=found.volunteers[number],
        goes_on_as=_goes_on_as(found, number),
        credited=Change(before=before, after=after, change=after - before),
        reasons=reasons,
        reason=reason_text(reasons),
        trace=_changes(TRACE_COLUMNS, trace),
        years=_years(found, number),
        honors_gained=gained,
        honors_lost=lost,
        honors_moved=moved,
    )


def _goes_on_as(found: Comparison, number: int) -> GoesOnAs | None:
    before, after = (found.volunteers[numbers[number]] for numbers in found.person_numbers)
    return None if before == after else GoesOnAs(before=before, after=after)


def _years(found: Comparison, volunteer: int) -> list[YearChange]:
    years = found.found.years
    low, high = np.searchsorted(years[:, 0], [volunteer, volunteer + 1])
    columns = [1, 2 + _CREDITED_OF_YEAR, 2 + len(HOURS_COLUMNS) + _CREDITED_OF_YEAR]
    return [
        YearChange(year=year, credited=Change(before=old, after=new, change=new - old))
        for year, old, new in years[low:high][:, columns].tolist()
        if old != new
    ]


# --- honours and ranks ----------------------------------------------------------------------------------------------


class Honors:
    """The changes of honours in a comparison."""

    def __init__(self, found: Comparison) -> None:
        self._found = found
        self._rows = found.found.honors  # by volunteer, then by honour
        before, after = self._rows[:, 2], self._rows[:, 3]
        self._kinds = np.where(before == NO_DAY, 0, np.where(after == NO_DAY, 1, 2))

    def of(self, volunteer: int) -> tuple[list[str], list[str], list[str]]:
        """Return the honours that a volunteer gains, loses, and reaches on another date."""
        low, high = np.searchsorted(self._rows[:, 0], [volunteer, volunteer + 1])
        gained, lost, moved = (
            [self._found.honors[honor] for honor in self._rows[low:high][self._kinds[low:high] == kind, 1]]
            for kind in range(3)
        )
        return gained, lost, moved

    def by_row(self, kind: int) -> tuple[Longs, Any]:
        """Return the changes of one kind (0 gained, 1 lost, 2 moved): rows of `Differences.volunteers`, ascending, and
        the honours' ids as an Arrow array of the same length.
        """
        chosen = self._rows[self._kinds == kind]
        rows = np.searchsorted(self._found.found.volunteers, chosen[:, 0])
        return rows, pa.array(self._found.honors, pa.string()).take(pa.array(chosen[:, 1]))

    def summaries(self) -> list[HonorSummary]:
        """Return the number of changes of each honour that has any."""
        titles = {
            honor.id: honor.title
            for point in (self._found.before, self._found.after)
            for rule_set in point.timeline.rule_sets
            for honor in rule_set.honors
        }
        counts = np.zeros((len(self._found.honors), 3), np.int64)
        np.add.at(counts, (self._rows[:, 1], self._kinds), 1)
        return [
            HonorSummary(honor=honor, title=titles[honor], gained=gained, lost=lost, moved=moved)
            for honor, (gained, lost, moved) in zip(self._found.honors, counts.tolist(), strict=True)
            if gained or lost or moved
        ]

    def listed(self, limit: int | None) -> list[HonorChange]:
        """Return changes by honour, then the volunteers whose minutes change most first."""
        found, rows = self._found, self._rows
        row_of_volunteer = np.searchsorted(found.found.volunteers, rows[:, 0])
        order_of_row = np.empty(len(found.by_change), np.int64)
        order_of_row[found.by_change] = np.arange(len(order_of_row))
        order = np.lexsort((order_of_row[row_of_volunteer], rows[:, 1]))[:limit]
        return [
            HonorChange(
                volunteer=found.volunteers[volunteer],
                honor=found.honors[honor],
                kind=_KINDS[kind],
                before=None if before == NO_DAY else day_of_number(before),
                after=None if after == NO_DAY else day_of_number(after),
                reason=_reason(found, row, honor, min(before, after)),
            )
            for (volunteer, honor, before, after), kind, row in zip(
                rows[order].tolist(), self._kinds[order].tolist(), row_of_volunteer[order].tolist(), strict=True
            )
        ]


def _reason(found: Comparison, row: int, honor: int, day: int) -> str:
    """Return why an honour changes. `day`: the earlier of the days on which the two sides reach it, when only one side
    meets the conditions of that day.
    """
    redefined = found.conditions_differ(found.honors[honor], day_of_number(day))
    parts = ["the honour has other conditions"] if redefined else []
    number = int(found.found.volunteers[row])
    if person := _goes_on_as(found, number):
        undone = person.after == found.volunteers[number]
        parts.append(f"merge into {person.before} undone" if undone else f"merged into {person.after}")
    minutes = reason_text(reasons_of(found, row))
    if minutes:
        parts.append(minutes)
    elif found.zone_changes:
        parts.append("another time zone")
    return "; ".join(parts) or "minutes on other days, registration or training"


def _rank(change: RankChange) -> RankChanged:
    return RankChanged(
        ranking=change.ranking,
        title=change.title,
        of=change.of,
        year=change.year,
        name=change.name,
        kind=change.kind,
        before=change.before,
        after=change.after,
    )
