"""All honours of all years from credited pieces: thresholds with their dates, and the ranking of every year.

    python -m bench.honors --scale 1.0 --json

The pieces come from the plan of the synthetic history, one for each shift, without a log or PostgreSQL. Opening
balances, trainings and people served are left out. Timed is all work after the pieces: sums by volunteer and year and
by project and month, the day on which each threshold was reached, and the full ranks of all years.

Peers do the same from the same columns: DuckDB in SQL, and a plain Python loop over a sample of volunteers (thresholds
only). Their results are compared with those of the kernels.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter

import numba
import numpy as np

from bench.peers.honors import HAS_DUCKDB, Credited, Found, duckdb_seconds, plain_standings
from bench.support.common import (
    ROOT,
    Options,
    Result,
    Stopwatch,
    median_stages,
    parse,
    peak_mib,
    print_status,
    publish,
    this_machine,
)
from bench.support.data import SEED
from projections.kernels.honors import HonorWorkspace, honor_workspace, reach_honors
from projections.kernels.order import balanced
from projections.kernels.persons import by_person, empty_numbers
from projections.kernels.projects import add_project_months, combine_totals
from projections.kernels.rankings import rank_projects, rank_volunteers, rankings_of
from projections.kernels.read_models import Totals, _add_hours, _allocate, _compacted
from projections.local_time import day_number
from projections.rules.table import RuleTable, honor_ids, rule_table
from projections.rules.timeline import RuleTimeline, parse_timeline
from projections.schema import (
    COUNTED,
    CREDITED,
    DAY,
    FIRST,
    HOURS_COLUMNS,
    NO_DAY,
    PIECE_COLUMNS,
    PROJECT,
    PROJECT_COLUMNS,
    RAW,
    ROW,
    SCANNED,
    SHIFT_COLUMNS,
    Array,
    Ints,
    Longs,
    ShiftTable,
    VolunteerTable,
)
from replay.synthetic.planning.days import DAY_COUNT, FIRST_DAY
from replay.synthetic.planning.plan import make_plan

DAY_MINUTES_MAX = 480
"""The most minutes a shift earns here. Two shifts on one day are not capped: that does not change the work."""


def credited(scale: float) -> Credited:
    """Return the pieces of a synthetic history."""
    plan = make_plan(scale, SEED)
    shifts, count = plan.shifts, plan.people.count
    day = (shifts.day.astype(np.int32) + day_number(FIRST_DAY)).astype(np.int32)
    order = np.lexsort((plan.times.check_in, day, shifts.volunteer))
    volunteer, day = shifts.volunteer[order], day[order]
    first = np.searchsorted(volunteer, np.arange(count + 1)).astype(np.int64)
    minutes = np.minimum(shifts.minutes[order], DAY_MINUTES_MAX)
    rows = np.zeros((len(order), SHIFT_COLUMNS), np.int32)
    rows[:, SCANNED] = ~shifts.attested[order]
    rows[:, PROJECT] = plan.assignment.project[order].astype(np.int32) - 1
    pieces = np.zeros((len(order), PIECE_COLUMNS), np.int32)
    pieces[:, ROW], pieces[:, DAY], pieces[:, FIRST] = np.arange(len(order)), day, 1
    pieces[:, RAW] = pieces[:, COUNTED] = pieces[:, CREDITED] = minutes
    numbers = empty_numbers(count)._replace(
        registered=(plan.members.registered + day_number(FIRST_DAY)).astype(np.int32)
    )
    people = by_person(numbers, None)
    projects = np.array([project.id for project in plan.places.projects], object)
    return Credited(ShiftTable(first, rows), people, pieces, np.array(plan.members.number_texts(), object), projects)


@numba.njit(nogil=True, error_model="numpy")  # not cached: Numba would miss changes in the functions it calls
def _pass_over(
    low: int,
    high: int,
    table: ShiftTable,
    volunteers: VolunteerTable,
    rules: RuleTable,
    pieces: Ints,
    first_day: int,
    honors: HonorWorkspace,
    totals: Totals,
) -> None:
    for volunteer in range(low, high):
        mine = pieces[table.first[volunteer] : table.first[volunteer + 1]]
        count = len(mine)
        if count:
            _add_hours(volunteer, 0, table, mine, count, totals)
            add_project_months(volunteer, table, mine, count, first_day, totals.projects)
        reach_honors(volunteer, table, volunteers, rules, mine, count, honors, totals.reached)
        for honor in range(len(totals.reached)):
            if totals.reached[honor] != NO_DAY:
                row = totals.used[1]
                totals.standings[row, 0] = volunteer
                totals.standings[row, 1] = honor
                totals.standings[row, 2] = totals.reached[honor]
                totals.used[1] += 1


def all_honors(source: Credited, timeline: RuleTimeline) -> tuple[Stopwatch, Found]:
    """Compute all honours of all years; return the times and the honours."""
    watch, threads = Stopwatch(), os.cpu_count() or 1
    table, names = source.table, source.names
    rules = rule_table(timeline, {name: number for number, name in enumerate(source.projects)})
    first_day = day_number(FIRST_DAY)
    rows = DAY_COUNT // 365 + 3
    hours = np.empty((len(names) * rows, 2 + len(HOURS_COLUMNS)), np.int64)
    ranges = balanced(table.first, threads)
    totals = [
        _allocate(hours[low * rows : high * rows], high - low, 0, first_day, first_day + DAY_COUNT, rules)
        for low, high in ranges
    ]

    def work(number: int) -> None:
        low, high = ranges[number]
        total = totals[number]
        _pass_over(low, high, table, source.volunteers, rules, source.pieces, first_day, honor_workspace(), total)

    with ThreadPoolExecutor(len(ranges)) as pool:
        list(pool.map(work, range(len(ranges))))
    standings = np.concatenate([total.standings[: total.used[1]] for total in totals])
    summed = _compacted(hours, [(low * rows, total.used[0]) for (low, _), total in zip(ranges, totals, strict=True)])
    months = combine_totals([total.projects for total in totals], np.empty((0, 4), np.int32), first_day)
    watch.lap("standings and sums")
    ranks = _ranks(source, timeline, summed, months)
    watch.lap("ranks")
    return watch, Found(standings, ranks)


def _ranks(source: Credited, timeline: RuleTimeline, hours: Longs, months: Longs) -> dict[tuple[str, int], Array]:
    project, year, month = np.nonzero(months.any(axis=3))
    place = np.stack([year + FIRST_DAY.year, month], axis=1)
    of_projects = np.concatenate([place, months[project, year, month]], axis=1)
    names, projects = source.names[hours[:, 0]], source.projects[project]
    found = {}
    for of_year in range(FIRST_DAY.year, FIRST_DAY.year + months.shape[1]):
        for name, ranking in rankings_of(timeline, of_year).items():
            if ranking.of == "volunteers":
                found[name, of_year] = rank_volunteers(names, hours[:, 1:], ranking, of_year).names
            else:
                found[name, of_year] = rank_projects(projects, of_projects, ranking, of_year).names
    assert of_projects.shape[1] == 2 + len(PROJECT_COLUMNS)
    return found


def measure(options: Options) -> Result:
    """Compute all honours, then run the peers."""
    print_status("planning the history")
    timeline = parse_timeline((ROOT / "rules" / "luohu.toml").read_text("utf-8"))
    source = credited(options.scale)
    _, found = all_honors(source, timeline)  # warms up
    runs = [all_honors(source, timeline)[0] for _ in range(options.repeat)]
    peak, count = peak_mib(), len(source.pieces)
    print_status("peers")
    peers = {}
    if HAS_DUCKDB:
        seconds, peer_found = duckdb_seconds(source, timeline, options.repeat)
        peers["DuckDB from the same columns"] = count / median(seconds)
        check(source, timeline, found, peer_found)
    begun, shifts, volunteer = perf_counter(), 0, 0
    step = max(len(source.names) // 1000, 1)
    expected = {(int(row[0]), int(row[1])): int(row[2]) for row in found.standings}
    while volunteer < len(source.names) and perf_counter() - begun < options.peer_seconds:
        mine = plain_standings(source, timeline, volunteer)
        shifts += int(source.table.first[volunteer + 1] - source.table.first[volunteer])
        for honor in range(len(honor_ids(timeline))):
            assert mine.get(honor) == expected.get((volunteer, honor)), (source.names[volunteer], honor)
        volunteer += step
    peers["plain Python, thresholds of a sample alone"] = shifts / (perf_counter() - begun)
    more: dict[str, object] = {
        "stages": median_stages(runs),
        "threads": os.cpu_count(),
        "volunteers": len(source.names),
        "standings": len(found.standings),
        "rankings": len(found.ranks),
        "ranked": sum(map(len, found.ranks.values())),
    }
    return Result("honors", count, [run.seconds for run in runs], peak, peers, more)


def check(source: Credited, timeline: RuleTimeline, found: Found, peer_found: Found) -> None:
    """Verify that DuckDB and the kernels agree."""
    mine, other = ({tuple(row) for row in result.standings.tolist()} for result in (found, peer_found))
    assert mine == other, f"{len(mine ^ other)} standings differ"
    for (name, year), ranked in peer_found.ranks.items():
        places = rankings_of(timeline, year)[name].places
        assert found.ranks[name, year][:places].tolist() == ranked[:places].tolist(), (name, year)
    assert {key for key, ranked in found.ranks.items() if len(ranked)} == set(peer_found.ranks)
    assert len(source.names)


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    publish(measure(options), options, this_machine())


if __name__ == "__main__":
    main()
