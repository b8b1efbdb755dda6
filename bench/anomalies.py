"""Anomalies: precision and recall of findings, against the labelled faults of a synthetic history.

For each kind: `labelled` by the ground truth, `found`, `right` (both); precision is right / found, recall right /
labelled, and null if the divisor is 0. Shifts are counted; for wrong clocks, days of stations. Each timed run computes
all findings from the archive, as the first query of an auditor does. `seconds_by_part`: the time spent reading facts,
instants of recording, and actors (from the log).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow.parquet as pq

from bench.support.common import ROOT, Options, Result, machine, parse, peak_mib, print_status, publish
from bench.support.data import SEED, BenchLedger, bench_ledger
from ledger.deciding.working_days import working_days_after
from ledger.names import Position
from projections.anomalies.findings import FIGURES, Finding, Kind
from projections.rules.timeline import RuleTimeline
from projections.schema import NO_DAY
from replay.audit.anomalies import AnomalyReader, FindingList
from replay.audit.recorded_events import read_acts, read_early_scans, read_records
from replay.published import published_rules
from replay.synthetic import History, simulate
from replay.synthetic.events.identity import ShiftIds
from replay.synthetic.planning.days import FIRST_MIDNIGHT, date_of

Things = set[tuple[str, ...]]


class Row(NamedTuple):
    """The findings of one kind, compared with one kind of label."""

    name: str
    labelled: Things
    found: Things

    def figures(self) -> dict[str, float | int | None]:
        """Return counts and shares."""
        right = len(self.labelled & self.found)
        return {
            "labelled": len(self.labelled),
            "found": len(self.found),
            "right": right,
            "precision": round(right / len(self.found), 4) if self.found else None,
            "recall": round(right / len(self.labelled), 4) if self.labelled else None,
        }


class Truth:
    """The ground truth of a history, as names."""

    def __init__(self, history: History) -> None:
        self._history = history
        with TemporaryDirectory() as folder:
            path = Path(folder) / "labels.parquet"
            history.write_labels(path)
            self._labels: list[dict[str, Any]] = pq.read_table(path).to_pylist()

    def shifts(self, kind: str, least: int | None = None) -> Things:
        """Return the shifts with a label, optionally of at least `least` seconds."""
        return {
            (label["volunteer"], label["shift"])
            for label in self._labels
            if label["kind"] == kind and (least is None or label["seconds"] >= least)
        }

    def check(self, ledger: BenchLedger) -> None:
        """Exit if the ledger holds another history, for example one of an older generator."""
        dated = [label for label in self._labels if label["kind"] in {"forged-entry", "correction"}]
        for label in dated[:1_000]:
            (event,) = ledger.database.log.read(Position(label["position"] - 1), 1)
            if label["shift"].encode() not in event.state:
                raise SystemExit("this data directory holds another history; remove it, or name another with --data")

    def late_entries(self, working_days: int) -> Things:
        """Return the shifts labelled as late uploads, and the entries that the plan made later than `working_days`."""
        plan = self._history.plan
        entered = np.flatnonzero(plan.shifts.attested)
        ended, sent = (
            (column[entered] - FIRST_MIDNIGHT) // 86_400 for column in (plan.times.check_out, plan.times.sent_in)
        )
        late = [
            row
            for row, end, at in zip(entered.tolist(), ended.tolist(), sent.tolist(), strict=True)
            if date_of(at) > working_days_after(date_of(end), working_days)
        ]
        return self.shifts("late-upload-over-10-working-days") | self._names(late)

    def late_uploads(self, hours: int) -> Things:
        """Return the labelled shifts whose check-in was late, too; labels count from the shift's last scan."""
        times = self._history.plan.times
        long = times.late[times.sent_in[times.late] - times.check_in[times.late] > hours * 3_600]
        return self._names(long.tolist()) & self.shifts("late-upload")

    def station_days(self) -> Things:
        """Return pairs of station and day with a wrong clock."""
        plan = self._history.plan
        off = plan.schemes.off
        stations = [station.id for station in plan.places.stations]
        places = zip(plan.assignment.station[off].tolist(), plan.shifts.day[off].tolist(), strict=True)
        return {(stations[station], date_of(day).isoformat()) for station, day in places}

    def _names(self, rows: list[int]) -> Things:
        plan = self._history.plan
        numbers = plan.members.number_texts()
        ids = ShiftIds(plan.seed, plan.shifts.volunteer, plan.times.check_in, numbers)
        owners = (numbers[owner] for owner in plan.shifts.volunteer[rows].tolist())
        return set(zip(owners, ids.texts(np.array(rows, np.int64)), strict=True)) if rows else set()


class Findings:
    """Findings, as names."""

    def __init__(self, found: FindingList) -> None:
        self._found = found

    def of(self, kind: Kind) -> list[Finding]:
        """Return the findings of a kind."""
        return [finding for finding in self._found.findings if finding.kind == kind]

    def shifts(self, findings: Iterable[Finding]) -> Things:
        """Return all shifts of findings."""
        return self._names(shift for finding in findings for shift in finding.shifts)

    def last_shifts(self, kind: Kind) -> Things:
        """Return the later shift of each finding about two."""
        return self._names(finding.shifts[-1] for finding in self.of(kind))

    def clocks(self) -> tuple[list[Finding], list[Finding]]:
        """Return the clocks that were wrong all day, and those with single scans in the future."""
        figures = FIGURES["wrong-clock"]
        off, ahead = figures.index("scans_off"), figures.index("scans_ahead")
        clocks = self.of("wrong-clock")
        single = [clock for clock in clocks if clock.figures[ahead] and not clock.figures[off]]
        return [clock for clock in clocks if clock.figures[off]], single

    def station_days(self, findings: Iterable[Finding]) -> Things:
        """Return pairs of station and day of findings."""
        return {
            (self._found.stations[finding.station], np.datetime64(finding.day, "D").astype(str)) for finding in findings
        }

    def _names(self, shifts: Iterable[int]) -> Things:
        owned = (self._found.ids[shift] for shift in shifts)
        return {(self._found.volunteers[owner], str(UUID(int=shift))) for owner, shift in owned}


def rows(truth: Truth, findings: Findings, timeline: RuleTimeline) -> list[Row]:
    """Pair the findings of each kind with the labels that they should match."""
    rules, off, ahead = timeline.anomalies, *findings.clocks()
    days = timeline.rule_sets[-1].late_entry_working_days or 10
    of_kind: dict[Kind, Things] = {
        "long-shift": truth.shifts("longer-than-12-hours"),
        "over-cap": truth.shifts("days-too-long"),
        "entry-burst": truth.shifts("sold-hours"),
        "same-person": truth.shifts("sold-hours"),
        "round-numbers": truth.shifts("forged-entry"),
        "late-upload": truth.late_uploads(rules.upload_hours_max),
        "late-entry": truth.late_entries(days),
        "before-registration": set(),  # the history has no such faults: what is found is found in vain
        "before-opening": set(),
        "after-withdrawal": set(),
        "after-closing": set(),
        "shared-phone": set(),
    }
    return [
        Row("two-stations", truth.shifts("overlap"), findings.last_shifts("two-stations")),
        Row("travel-time", truth.shifts("hurried"), findings.last_shifts("travel-time")),
        *(Row(kind, labelled, findings.shifts(findings.of(kind))) for kind, labelled in of_kind.items()),
        Row("wrong-clock, a station's day", truth.station_days(), findings.station_days(off)),
        Row("wrong-clock, a scan ahead", truth.shifts("clock-skew", rules.clock_seconds + 4), findings.shifts(ahead)),
    ]


def find(ledger: BenchLedger, timeline: RuleTimeline) -> tuple[float, FindingList]:
    """Compute all findings; return the seconds and the findings."""
    begun = perf_counter()
    found = AnomalyReader(ledger.database, ledger.archive).findings(
        Position(ledger.archive.position), timeline, "", NO_DAY
    )
    return perf_counter() - begun, found


def parts(ledger: BenchLedger, timeline: RuleTimeline) -> dict[str, float]:
    """Return the seconds of each part of reading, and the number of acts."""
    begun = perf_counter()
    facts = ledger.archive.facts()
    read = perf_counter()
    off, zone = timeline.anomalies.clock_seconds, timeline.time_zone
    early = read_early_scans(ledger.database, Position(ledger.archive.position))
    records = read_records(ledger.archive, ledger.archive.position, len(facts.stations), off, zone, early)
    recorded = perf_counter()
    acts, _ = read_acts(ledger.database, records.events, records.raises, facts.shifts.volunteer, NO_DAY)
    ended = perf_counter()
    named = {"facts": read - begun, "recorded": recorded - read, "by_whom": ended - recorded}
    return {name: round(seconds, 4) for name, seconds in named.items()} | {"acts": len(acts.code)}


def measure(ledger: BenchLedger, options: Options) -> Result:
    """Time the search, and compare its findings with the ground truth."""
    timeline = published_rules(ledger.database.log).timeline()
    print_status("computing the ground truth")
    truth = Truth(simulate(options.scale, SEED, (ROOT / "rules" / "luohu.toml").read_text("utf-8")))
    truth.check(ledger)
    find(ledger, timeline)  # warms up
    timed = [find(ledger, timeline) for _ in range(options.repeat)]
    compared = rows(truth, Findings(timed[0][1]), timeline)
    more: dict[str, object] = {
        "findings": len(timed[0][1].findings),
        "kinds": {row.name: row.figures() for row in compared},
        "seconds_by_part": parts(ledger, timeline),
    }
    return Result("anomalies", ledger.archive.position, [seconds for seconds, _ in timed], peak_mib(), {}, more)


def main() -> None:
    """Run the bench and print its result."""
    options = parse(__doc__)
    with bench_ledger(options) as ledger:
        publish(measure(ledger, options), options, machine(ledger.url))


if __name__ == "__main__":
    main()
