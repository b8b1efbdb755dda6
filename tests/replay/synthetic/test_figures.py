"""The synthetic history is faithful to the figures of docs/glossary.md."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import numpy as np
import pytest

from ledger.store.mapper import encode
from projections.kernels.facts import facts_of
from projections.rules.timeline import parse_timeline
from projections.schema import HOURS_COLUMNS
from replay.synthetic import OpeningError, simulate
from replay.synthetic.planning.amendments import Change
from replay.synthetic.planning.days import DAY_COUNT, YEAR_SHARES, date_of, day_index, days
from replay.synthetic.planning.people import people
from replay.synthetic.planning.places import THEMES, organisations, places
from replay.synthetic.planning.randomness import apportion
from replay.synthetic.planning.shifts import Shape
from tests.support.replay.simulating import BROAD, RULES, SMALL, broad, read_rows, small, small_rows


def test_the_table_of_the_domain_holds_at_full_scale() -> None:
    where = places(1.0)
    kinds = Counter(station.kind for station in where.stations)
    assert kinds == {"community": 83, "city": 11, "special": 11}
    assert len({station.id for station in where.stations}) == 105
    themes = {"health", "legal", "border-inspection", "mental-health", "food-safety", "culture-and-sports", "water"}
    assert themes < set(THEMES) == {station.theme for station in where.stations if station.kind == "special"}
    found = Counter(organisation.kind for organisation in organisations())
    assert found == {"district": 1, "subdistrict": 13, "community": 83, "group-member": 400, "ngo": 13}
    brands = [project.id for project in where.projects if project.content == "brand-project"]
    assert len(brands) >= 20
    assert {"star-classroom", "porcelain-dolls", "home-warmth"} < set(brands)

    who = people(1.0, 1, where)
    assert (who.count, who.served) == (120_000, 72_000)
    assert simulate(1.0, 1, RULES).minutes == 1_200_000_000
    assert who.electronic_hours.sum() == pytest.approx(18_000_000, rel=1e-6)
    assert who.opening_weight.sum() == pytest.approx(2_000_000, rel=0.005)
    in_all = who.electronic_hours + who.opening_weight
    assert np.median(in_all) == pytest.approx(49, rel=0.02)
    assert int((in_all > 1_500).sum()) == pytest.approx(2_845, rel=0.03)
    assert np.sort(in_all)[-1_200:].sum() / in_all.sum() == pytest.approx(1 / 3, abs=0.02)
    in_schools = int(((who.group >= 0) & (who.group < 60)).sum()) - len(who.leavers)
    assert in_schools >= 20_000


def test_opening_balances_bring_the_credited_hours_to_the_total_exactly() -> None:
    history = small()
    rows = small_rows()
    timeline = parse_timeline(RULES)
    electronic = credited(facts_of(row.event for row in rows), timeline)
    assert electronic == pytest.approx(18_000_000 * 60 * SMALL, rel=0.015)
    chunk = history.openings.chunk(electronic)
    old = list(read_rows(chunk.lines))
    assert [row.position for row in old] == list(range(len(rows) + 1, history.events + 1))
    assert all(encode(row.event) == (row.topic, row.state) for row in old)
    assert all(row.event.stream_id.hex == row.stream and row.version == 1 for row in old)
    assert all(row.event.recorded_at >= rows[-1].event.recorded_at and row.event.imported for row in old)
    assert history.minutes == 12_000_000
    assert credited(facts_of(row.event for row in [*rows, *old]), timeline) == history.minutes


def test_more_credit_than_the_total_leaves_no_opening_balance() -> None:
    history = small()
    with pytest.raises(OpeningError, match="default rules"):
        history.openings.chunk(history.minutes + 1)


def credited(facts: Any, timeline: Any) -> int:
    hours = facts.read_models(timeline).hours
    return int(hours[hours[:, 1] == 0, 2 + HOURS_COLUMNS.index("credited")].sum())


def test_apportioned_shares_are_exact_and_nearest() -> None:
    assert apportion(10, np.array([1.0, 1.0, 1.0])).tolist() == [4, 3, 3]
    assert apportion(0, np.array([1.0])).tolist() == [0]
    weights = np.random.default_rng(1).lognormal(0, 2, 999)
    shares = apportion(123_456_789, weights)
    assert int(shares.sum()) == 123_456_789
    assert np.abs(shares - weights * (123_456_789 / weights.sum())).max() < 1
    with pytest.raises(ArithmeticError, match="split"):
        apportion(2**60 + 12_345, np.array([1.0, 1e-9]))


def test_hours_fall_on_the_years_as_they_should() -> None:
    history = broad()
    plan = history.plan.shifts
    hours = np.bincount(days().year[plan.day], weights=plan.minutes)
    assert (hours / hours.sum() * 100).tolist() == pytest.approx(YEAR_SHARES, abs=0.25)


def test_lengths_are_as_they_should_be() -> None:
    history = broad()
    lengths, counts = np.unique(history.plan.shifts.minutes, return_counts=True)
    assert lengths.tolist() == [60, 120, 180, 240, 480]
    assert (counts / counts.sum() * 100).tolist() == pytest.approx([5, 28, 35, 28, 4], abs=0.3)


def test_days_weigh_what_they_should() -> None:
    history = broad()
    table, year = days(), days().year == 6
    present = np.bincount(history.plan.shifts.day, minlength=DAY_COUNT)
    plain = present[year & (table.weight == 1) & ~table.festival].mean()

    def weight(of_days: Any) -> float:
        return float(present[year & of_days & ~table.festival].mean() / plain)

    summer = (table.weight > 1.2) & (table.weight < 1.4)
    assert weight(table.weight == 1.9) == pytest.approx(1.9, abs=0.1)
    assert weight(summer) == pytest.approx(1.3, abs=0.05)
    great = {date(2012, 12, 5): 8, date(2017, 12, 5): 8, date(2013, 3, 5): 6, date(2018, 3, 5): 6}
    for day, wanted in great.items():
        index = day_index(day)
        ordinary = (table.year == table.year[index]) & (table.weight == 1) & ~table.festival
        assert present[index] / present[ordinary].mean() == pytest.approx(wanted, rel=0.05)
    hubs = history.plan.assignment.project == history.plan.places.project("holiday-transport")
    others = np.bincount(history.plan.shifts.day[~hubs], minlength=DAY_COUNT)
    festival = table.festival & (table.year >= 4) & (table.weekday <= 5)
    ordinary = (table.year >= 4) & (table.weight == 1) & ~table.festival & ~table.transport
    assert others[festival].mean() / others[ordinary].mean() == pytest.approx(0.5, abs=0.06)


def test_city_and_special_stations_are_open_every_day() -> None:
    history = broad()
    plan, where = history.plan, history.plan.places
    assert len(where.stations) == 105
    cells = plan.shifts.day.astype(np.int64) * 105 + plan.assignment.station
    # A correction may yet take a shift away from a station, and an entry may be found out: neither may be the only one.
    taken_away = plan.shifts.attested
    taken_away[plan.amendments.corrected[plan.amendments.change == Change.STATION]] = True
    counted = ~taken_away
    present = np.bincount(cells[counted], minlength=DAY_COUNT * 105).reshape(DAY_COUNT, 105)
    for index in where.always_open:
        opens = where.stations[index].opens
        assert present[opens:, index].min() > 0
        assert present[:opens, index].sum() == 0
    border = where.stations[where.station("border-inspection") or 0]
    assert date_of(border.opens) == date(2017, 4, 1)


def test_posts_are_about_twelve_and_two_a_day_at_full_scale() -> None:
    history = broad()
    plan, where = history.plan, history.plan.places
    medical = plan.assignment.project == where.project("medical-team")
    posts = np.bincount(plan.assignment.station[(plan.assignment.project == 0) | medical], minlength=105) / DAY_COUNT
    busy = [i for i in where.always_open if where.stations[i].opens == 0 and i not in where.hubs]
    assert posts[busy] / BROAD == pytest.approx(np.full(len(busy), 12), rel=0.12)
    assert posts[len(where.always_open) :].mean() / BROAD == pytest.approx(2, rel=0.05)
    at_projects = plan.shifts.minutes[plan.assignment.project > 0].sum() / plan.shifts.minutes.sum()
    assert at_projects > 0.5, "most hours come from group, school and event projects"


def test_the_great_services_serve_as_many_as_reported() -> None:
    history = broad()
    served, where = history.plan.served, history.plan.places
    year = days().year[served.day]

    def people_of(project: str) -> Any:
        return served.project == where.project(project)

    for number in range(8):
        assert served.people[people_of("holiday-transport") & (year == number)].sum() == 200_000
        assert served.people[people_of("botanical-garden-order") & (year == number)].sum() == 20_000
    border = (served.station == where.station("border-inspection")) & (served.project == 0)
    assert served.people[border].sum() == 310_000
    assert served.people[people_of("school-mental-health")].sum() == 174
    transport = history.plan.assignment.project == where.project("holiday-transport")
    per_year = np.bincount(days().year[history.plan.shifts.day[transport]])
    assert per_year.min() / BROAD > 5_500
    cells = np.stack([served.station, served.project, served.day])
    assert np.unique(cells, axis=1).shape[1] == len(served.day), "one count for each station, project and day"


def test_posts_are_never_forged_or_moved_by_a_correction() -> None:
    history = broad()
    plan = history.plan
    for shape in (Shape.FORGED, Shape.LATE_ENTRY, Shape.OVERLAPPING):
        assert plan.assignment.project[plan.shifts.shape == shape].min() > 0
