"""What `hours import` prints at the end: the counts, examples of what was refused, and what else is to be seen to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from api.cli.output import out, print_json, print_table
from api.importing.durations.laying import Laid
from api.importing.lines import LineReader
from api.importing.punches import PairingSummary, PunchLog
from api.importing.reports import told_of
from api.importing.running import Outcome, Tally

REFUSALS_SHOWN_MAX = 1000
"""The number of refusals that are listed; all are counted, and a report lists all."""
DIFFERING_SHOWN_MAX = 10


@dataclass(frozen=True)
class ImportOptions:
    """The options of one import."""

    file: Path
    mapping: Path | None
    by: str
    sheet: str | None = None
    dry_run: bool = False
    report: Path | None = None
    refused: Path | None = None
    stop_after: int | None = None
    events: Path | None = None


@dataclass
class Summary:
    """What is printed at the end."""

    tally: Tally = field(default_factory=Tally)
    refusals: list[dict[str, object]] = field(default_factory=list)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    """The first refusal for each rejection and field."""
    stopped: bool = False
    """Whether --stop-after ended the import."""
    punches: PunchLog = field(default_factory=PunchLog)
    laid: Laid = field(default_factory=Laid)
    """Where durations without clock times lie."""
    differing: list[dict[str, object]] = field(default_factory=list)
    """The first lines whose personal data the directory has otherwise."""
    pairing: PairingSummary | None = None
    """What the rules make of the punches of a dry run."""

    def add(self, slice_: Sequence[Outcome], reader: LineReader) -> None:
        for outcome in slice_:
            self.tally.add(outcome)
            if outcome.differs and len(self.differing) < DIFFERING_SHOWN_MAX:
                detail, remedy = told_of(outcome)
                self.differing.append({"line": outcome.line.number, "detail": detail, "remedy": remedy})
            if (fault := outcome.fault) is None:
                self.laid.add(outcome.line, reader.zone, duplicate=outcome.word == "duplicate")
                continue
            example = f"line {outcome.line.number}: {fault.detail}"
            self.examples.setdefault((fault.rejection, fault.field or ""), example)
            if len(self.refusals) < REFUSALS_SHOWN_MAX:
                self.refusals.append(
                    {
                        "line": outcome.line.number,
                        "outcome": outcome.word,
                        "rejection": fault.rejection,
                        "field": fault.field,
                        "columns": reader.columns_of(fault.field),
                        "detail": fault.detail,
                        "remedy": fault.remedy,
                        "retry": fault.retry,
                    }
                )


def print_summary(options: ImportOptions, summary: Summary, seconds: float, *, as_json: bool) -> None:
    tally = summary.tally
    written = {
        "report": options.report,
        "refused_lines": options.refused if tally.refused else None,
        "events": options.events,
    }
    if as_json:
        print_json(
            {
                "dry_run": options.dry_run,
                "lines": tally.lines,
                "last_line": tally.last_line,
                "accepted": tally.accepted,
                "duplicates": tally.duplicates,
                "refused": tally.refused,
                "refused_by_rule": [
                    {"rejection": rule, "field": name or None, "lines": count, "example": summary.examples[rule, name]}
                    for (rule, name), count in tally.by_rule.most_common()
                ],
                "refusals": summary.refusals,
                "differing": tally.differing,
                "persons": summary.differing,
                "position": tally.position,
                "stopped": summary.stopped,
                **({"laid": asdict(summary.laid)} if summary.laid.lines or summary.laid.duplicates else {}),
                **({"pairing": summary.pairing._asdict()} if summary.pairing else {}),
                "seconds": round(seconds, 3),
                **{name: str(path) if path else None for name, path in written.items()},
            }
        )
        return
    counts = str(tally)
    if options.dry_run or options.events:
        counts = counts.replace("accepted", "would be accepted" if options.dry_run else "written")
    ending = f"; the last position is {tally.position}" if tally.position else ""
    if options.dry_run or options.events:
        ending = "; nothing was recorded"
    if summary.stopped:
        ending += f"; stopped after line {tally.last_line}"
    out().print(f"{options.file}: {counts}{ending}", markup=False)
    if tally.refused:
        rows = [(*rule, count, summary.examples[rule]) for rule, count in tally.by_rule.most_common()]
        print_table("Refused", ("rule", "field", "lines", "for example"), rows)
    _print_differing(tally, summary)
    if (laid := summary.laid).lines:
        hours = f"{laid.minutes // 60}:{laid.minutes % 60:02}"
        said = f"{laid.lines:,} durations without clock times, {hours} hours, lie in their days"
        out().print(f"{said}. Nobody recorded when they began.", markup=False)
        print_table("For example", ("volunteer", "lies", "minutes"), [tuple(one.values()) for one in laid.examples])
    if laid.duplicates:
        out().print(f"{laid.duplicates:,} durations lie where they were recorded before.", markup=False)
    if pairing := summary.pairing:
        hours = f"{pairing.minutes // 60}:{pairing.minutes % 60:02}"
        out().print(f"The rules in force make {pairing.shifts:,} shifts of its punches, {hours} hours.", markup=False)
        if pairing.left_over:
            left = [(reason, count) for reason, count in sorted(pairing.left_over.items())]
            print_table("Punches left over", ("reason", "punches"), left)
        shown = [
            (one["outcome"], one["volunteer"], one["station"], one["at"], one["until"] or "", one["minutes"] or "")
            for one in pairing.examples
        ]
        print_table("For example", ("outcome", "volunteer", "station", "from (UTC)", "until (UTC)", "minutes"), shown)
    for name, path in written.items():
        if path:
            out().print(f"{name.replace('_', ' ').capitalize()}: {path}", markup=False)


def _print_differing(tally: Tally, summary: Summary) -> None:
    """Print which lines of registered volunteers have other personal data than the directory."""
    if not tally.differing:
        return
    rows = [tuple(one.values()) for one in summary.differing]
    print_table("Not as in the directory of persons", ("line", "detail", "what to do"), rows)
    if tally.differing > len(rows):
        out().print(f"{tally.differing:,} such lines in total; --report lists them.", markup=False)
