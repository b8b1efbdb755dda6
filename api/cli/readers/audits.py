"""The auditors' commands: `hours anomalies` and `hours spot-check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from api.cli.options import AxesTexts, First, Force, Json, Last, data_of, refuse_idle, with_axes
from api.cli.output import Hours, check_output, more, out, period, place, print_json, print_table, wall, write_output
from api.cli.readers.queries import print_basis, reading, timeline_used
from api.files.spot_checks import as_csv, how_drawn
from api.operations.usage_errors import UsageError
from projections.anomalies.findings import KINDS
from replay.audit.anomalies import AnomalyFilter
from replay.audit.spot_checks import SEED_FORM, Draw, SampleTooSmallError

Span = tuple[str | None, str | None]
"""The texts of `--from` and `--to`."""


@with_axes
def anomalies(
    context: typer.Context,
    *,
    kind: Annotated[str | None, typer.Option(help="Only this kind: two-stations, late-entry, ...")] = None,
    station: Annotated[str | None, typer.Option(help="Only of this station.")] = None,
    volunteer: Annotated[str | None, typer.Option(help="Only about this volunteer.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this actor did: person:NAME or station:ID.")] = None,
    first: First = None,
    last: Last = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Findings at most.")] = 20,
    after: Annotated[str | None, typer.Option(help="Continue after this finding: DAY/KIND/ANOMALY.")] = None,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """List odd records, the latest first, each with its reason and the events behind it."""
    known_kind = next((known for known in KINDS if known == kind), None)
    if kind is not None and known_kind is None:
        raise UsageError(f"--kind {kind} is not known; use one of {', '.join(KINDS)}")
    chosen = AnomalyFilter(known_kind, station, volunteer, actor, *period(first, last))
    with reading(data_of(context), texts) as (ledger, axes):
        found = ledger.named(ledger.queries.anomalies.anomalies(axes, chosen, limit, after))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            finding.day,
            finding.kind,
            finding.volunteer or "",
            place(finding.station, finding.station_name) or "",
            finding.actor or "",
            finding.reason,
            finding.anomaly,
        )
        for finding in found.anomalies
    ]
    counts = [f"{known} {count}" for known, count in found.counts.items()]
    late = ", ".join(f"{Hours(minutes)} {grade}" for grade, minutes in found.late_minutes.items())
    caption = f"all: {', '.join(counts)}\nrecorded late: {late}"
    if found.next_after:
        caption += f"\n{more(found.next_after)} --known-at {found.known_at}"
    print_table("Anomalies", ("day", "kind", "volunteer", "station", "by", "reason", "anomaly"), rows, caption)
    print_basis(found)


@with_axes
def spot_check(
    context: typer.Context,
    *,
    seed: Annotated[str, typer.Option(help="A seed from outside, such as a lottery number or dice.")],
    size: Annotated[int, typer.Option(min=1, max=100_000, help="Shifts to draw.")],
    station: Annotated[str | None, typer.Option(help="Only of this station.")] = None,
    grade: Annotated[str | None, typer.Option(help="Only scanned, or only attested shifts.")] = None,
    strata: Annotated[str, typer.Option(help="none, station-kind or grade: draw proportionally.")] = "none",
    first: First = None,
    last: Last = None,
    output: Annotated[Path | None, typer.Option(help="Write a table for field work: FILE.csv.")] = None,
    force: Force = False,
    texts: AxesTexts,
    as_json: Json = False,
) -> None:
    """Draw a random sample of shifts for checks in the field; the same seed draws the same shifts."""
    if not re.fullmatch(SEED_FORM, seed):
        raise UsageError(f"--seed {seed!r} is not a valid seed; use up to 64 letters, digits, dots and dashes")
    if grade not in {None, "scanned", "attested"}:
        raise UsageError(f"--grade {grade} is not known; use scanned or attested")
    if strata not in {"none", "station-kind", "grade"}:
        raise UsageError(f"--strata {strata} is not known; use station-kind or grade")
    if output is not None:
        check_output(output, "--output", force=force)
    else:
        refuse_idle(context, "without --output", "force")
    draw = Draw(seed, size, station, *period(first, last), grade, strata)  # type: ignore[arg-type] # both are checked above
    with reading(data_of(context), texts) as (ledger, axes):
        try:
            found = ledger.named(ledger.queries.spot_checks.draw(draw, axes))
        except SampleTooSmallError as error:
            raise UsageError(f"--{error}") from None
        timeline = timeline_used(ledger, axes)
    if output is not None:
        write_output(output, as_csv(found, timeline.time_zone).encode())
    if as_json:
        print_json(found)
        return
    if output is not None:
        out().print(f"{output}: {how_drawn(found)}", markup=False)
        return
    zone = ZoneInfo(timeline.time_zone)
    rows = [
        (
            shift.number,
            shift.stratum,
            shift.volunteer,
            place(shift.station, shift.station_name),
            wall(shift.check_in, zone),
            wall(shift.check_out, zone) if shift.check_out else "",
            shift.grade,
            "late" if shift.late else "",
            shift.shift,
        )
        for shift in found.shifts
    ]
    columns = ("number", "stratum", "volunteer", "station", "check-in", "check-out", "grade", "late", "shift")
    print_table("Spot check", columns, rows, how_drawn(found))
    print_basis(found)
