"""`hours diff A B`: who gains and who loses between two rule timelines or two positions, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import Force, Json, ValidAt, data_of, refuse_idle
from api.cli.output import Hours, check_output, day, err, out, place, print_json, print_table, stages, write_output
from api.cli.readers.queries import read_rules
from api.operations.service import OpenLedger, open_ledger
from api.operations.sides import check_trial, side_axes, split_side
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from replay.queries.queries import Axes
from replay.what_if.answers import Change, HonorChange, RankChanged, SideUsed, StationChange, VolunteerChange, WhatIf
from replay.what_if.comparison import Comparison, points, what_if
from replay.what_if.files import Format, as_bytes
from replay.what_if.sentences import note_of, what_if_answer

FILES: dict[str, Format | None] = {".csv": "csv", ".parquet": "parquet", ".json": None}
"""Formats of --to by file suffix: None is the whole answer, the others hold the volunteers who differ."""


def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="current, a version, a digest or a TOML file; @POSITION, @INSTANT.")],
    after: Annotated[str, typer.Argument(help="In the same form; 2@1000 or current@2018-06-01T00:00Z give both.")],
    *,
    valid_at: ValidAt = None,
    as_if_from: Annotated[
        str | None, typer.Option(metavar="DAY", help="Try the new rules of the second side as if they held from DAY.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="Rows of each table.")] = 20,
    to: Annotated[Path | None, typer.Option(help="Write everybody who differs: FILE.csv, .parquet or .json.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show who gains and who loses between two rule timelines or two moments of knowledge, and why."""
    valid, tried = day(valid_at, "--valid-at"), day(as_if_from, "--as-if-from")
    if to is None:
        refuse_idle(context, "without --to", "force")
    _check_target(to, force=force)
    with open_ledger(data_of(context)) as ledger:
        ledger.catch_up()
        sides = _side(ledger, before, valid), _side(ledger, after, valid)
        check_trial(ledger, sides, tried)
        warm(lambda message: err().print(message))
        with stages("Comparing") as progress:
            both = points(ledger.database, ledger.archive, sides, progress)
            found = what_if(*both, valid_at=valid, as_if_from=tried, progress=progress)
        answer = ledger.named(what_if_answer(found, limit))
        if to is not None:
            _write(ledger, found, to)
    if as_json:
        print_json(answer)
        return
    _print(answer, limit)
    if to is not None:
        out().print(f"{answer.volunteers_differing:,} differing volunteers written to {to}")


def _side(ledger: OpenLedger, text: str, valid_at: date | None) -> Axes:
    rules, known_at = split_side(text, lambda name: Path(name).is_file())
    if rules is not None and (Path(rules).is_file() or rules.endswith(".toml") or "/" in rules):
        rules = read_rules(Path(rules))
    return side_axes(ledger, rules, known_at, valid_at)


def _check_target(to: Path | None, *, force: bool) -> None:
    """Check --to before anything is computed."""
    if to is None:
        return
    if to.suffix not in FILES:
        raise UsageError(f"--to {to} has an unknown suffix; use one of {', '.join(FILES)}")
    check_output(to, "--to", force=force)


def _write(ledger: OpenLedger, found: Comparison, to: Path) -> None:
    kind = FILES[to.suffix]
    if kind is None:
        content = ledger.named(what_if_answer(found)).model_dump_json(indent=1).encode()
    else:
        content = as_bytes(found, kind)
    write_output(to, content)


# --- tables ---------------------------------------------------------------------------------------------------------


def _print(answer: WhatIf, limit: int) -> None:
    print_table(
        f"{_side_words(answer.before)} → {_side_words(answer.after)}: hours:minutes"
        + (f", valid at {answer.valid_at}" if answer.valid_at else "")
        + (f", as if the new rules held from {answer.as_if_from}" if answer.as_if_from else ""),
        ("total", "before", "after", "change"),
        [
            (name.replace("_", " "), *(_shown(name, part) for part in (change.before, change.after, change.change)))
            for name, change in answer.totals.items()
        ],
    )
    for one in answer.header_changes:
        out().print(f"Outside the rule sets, {one.sentence}.", markup=False, soft_wrap=True)
    if note := note_of(answer, "--as-if-from DAY"):
        out().print(f"Note: {note}.")
    if not _differs(answer):
        out().print("Nothing differs.")
        return
    out().print(f"{answer.volunteers_gaining:,} volunteers gain, {answer.volunteers_losing:,} lose.\n")
    _table(
        "Volunteers",
        ("volunteer", "before", "after", "change", "reason", "honours"),
        map(_volunteer_row, answer.volunteers),
        answer.volunteers_differing,
    )
    stations = _station_rows(answer.stations)
    _table("Stations", ("station", "before", "after", "change"), stations[:limit], len(stations))
    _table(
        "Honours",
        ("honour", "title", "gained", "lost", "moved"),
        [(one.honor, one.title, one.gained, one.lost, one.moved) for one in answer.honors],
        0,
    )
    _table(
        "Who",
        ("volunteer", "honour", "", "before", "after", "reason"),
        map(_honor_row, answer.honor_changes),
        answer.honor_changes_in_all,
    )
    _table(
        "Ranks",
        ("ranking", "year", "who", "", "before", "after"),
        map(_rank_row, answer.rank_changes),
        answer.rank_changes_in_all,
    )


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]], total: int) -> None:
    shown = list(rows)
    if not shown:
        return
    more = total - len(shown)
    print_table(
        title, columns, shown, f"{more:,} more: --limit shows more, --to FILE.json writes all" if more > 0 else ""
    )


def _differs(answer: WhatIf) -> bool:
    return bool(answer.volunteers_differing or answer.stations or answer.rank_changes_in_all)


def _side_words(side: SideUsed) -> str:
    version = f"version {side.rules.version}" if side.rules.version else f"candidate {side.rules.digest[:8]}"
    return f"{side.rules.name} ({version}) at position {side.known_at}"


def _shown(name: str, value: int) -> object:
    return value if name in {"shifts", "volunteers", "people_served"} else Hours(value)


def _three(change: Change) -> tuple[Hours, Hours, Hours]:
    return Hours(change.before), Hours(change.after), Hours(change.change)


def _volunteer_row(one: VolunteerChange) -> tuple[object, ...]:
    honors = [f"+{honor}" for honor in one.honors_gained] + [f"-{honor}" for honor in one.honors_lost]
    honors += [f"~{honor}" for honor in one.honors_moved]
    merged = f"merged into {one.goes_on_as.after}, " if one.goes_on_as else ""
    return one.volunteer, *_three(one.credited), merged + one.reason, " ".join(honors)


def _station_rows(stations: list[StationChange]) -> list[tuple[object, ...]]:
    changed = [
        (place(one.station, one.station_name), one.activity["credited"])
        for one in stations
        if "credited" in one.activity
    ]
    return [(name, *_three(change)) for name, change in sorted(changed, key=lambda one: -abs(one[1].change))]


def _honor_row(one: HonorChange) -> tuple[object, ...]:
    return one.volunteer, one.honor, one.kind, one.before, one.after, one.reason


def _rank_row(one: RankChanged) -> tuple[object, ...]:
    return one.ranking, str(one.year), place(one.name, one.project_name), one.kind, one.before, one.after
