"""The auditors' commands: `hours anomalies` and `hours spot-check`."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from api.cli.output import Hours, day, more, out, print_json, print_table
from api.cli.readers.queries import AxisTexts, print_basis, reading, timeline_used
from api.files.spot_checks import as_csv, how_drawn
from api.operations.usage_errors import UsageError
from projections.anomalies.findings import KINDS
from replay.audit.anomalies import AnomalyFilter
from replay.audit.spot_checks import SEED_FORM, Draw

Span = tuple[str | None, str | None]
"""`--from` and `--to` as they were written."""


def anomalies(
    data: Path,
    kind: str | None,
    about: tuple[str | None, str | None, str | None],
    span: Span,
    page: tuple[int, str | None],
    texts: AxisTexts,
    *,
    as_json: bool,
) -> None:
    """Show findings, the latest first; `about` names a station, a volunteer, an actor."""
    named = next((known for known in KINDS if known == kind), None)
    if kind is not None and named is None:
        raise UsageError(f"--kind {kind} is not known; use one of {', '.join(KINDS)}")
    first, last = _days(span)
    with reading(data, texts) as (ledger, axes):
        found = ledger.queries.anomalies.anomalies(axes, AnomalyFilter(named, *about, first, last), *page)
    if as_json:
        print_json(found)
        return
    rows = [
        (one.day, one.kind, one.volunteer or "", one.station or "", one.actor or "", one.reason, one.anomaly)
        for one in found.anomalies
    ]
    told = [f"{known} {count}" for known, count in found.counts.items()]
    late = ", ".join(f"{Hours(minutes)} {grade}" for grade, minutes in found.late_minutes.items())
    caption = f"all: {', '.join(told)}\nrecorded late: {late}"
    if found.next_after:
        caption += f"\n{more(found.next_after)} --known-at {found.known_at}"
    print_table("Anomalies", ("day", "kind", "volunteer", "station", "by", "reason", "anomaly"), rows, caption)
    print_basis(found)


def spot_check(
    data: Path,
    asked: tuple[str, int, str | None, str | None, str],
    span: Span,
    output: Path | None,
    texts: AxisTexts,
    *,
    as_json: bool,
) -> None:
    """Draw a sample; `asked` are seed, size, station, grade and strata."""
    seed, size, station, grade, strata = asked
    if not re.fullmatch(SEED_FORM, seed):
        raise UsageError(f"--seed {seed!r} cannot be a seed; use up to 64 letters, digits, dots and dashes")
    if grade not in {None, "scanned", "attested"}:
        raise UsageError(f"--grade {grade} is not known; use scanned or attested")
    if strata not in {"none", "station-kind", "grade"}:
        raise UsageError(f"--strata {strata} is not known; use station-kind or grade")
    first, last = _days(span)
    draw = Draw(seed, size, station, first, last, grade, strata)  # type: ignore[arg-type] # both were looked at
    with reading(data, texts) as (ledger, axes):
        found, timeline = ledger.queries.spot_checks.draw(draw, axes), timeline_used(ledger, axes)
    if output is not None:
        output.write_text(as_csv(found, timeline.time_zone), "utf-8", newline="")
    if as_json:
        print_json(found)
        return
    if output is not None:
        out().print(f"{output}: {how_drawn(found)}", markup=False)
        return
    zone = ZoneInfo(timeline.time_zone)
    rows = [
        (
            one.number,
            one.stratum,
            one.volunteer,
            one.station,
            one.check_in.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
            one.check_out.astimezone(zone).strftime("%Y-%m-%d %H:%M") if one.check_out else "",
            one.grade,
            "late" if one.late else "",
            one.shift,
        )
        for one in found.shifts
    ]
    columns = ("number", "stratum", "volunteer", "station", "check-in", "check-out", "grade", "late", "shift")
    print_table("Spot check", columns, rows, how_drawn(found))
    print_basis(found)


def _days(span: Span) -> tuple[date | None, date | None]:
    first, last = day(span[0], "--from"), day(span[1], "--to")
    if first and last and last < first:
        raise UsageError(f"--from {first} lies after --to {last}; swap them")
    return first, last
