"""`hours rules`: check a file of rules before it is used; list and show known rules; put rules in force."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.axes.written import SHOWN_DIGITS, find_rules
from api.cli.operations.generations import (
    ChangeTimeZone,
    published_or_none,
    record_in_force,
    tell_header_changes,
    tell_past_change,
)
from api.cli.options import OPERATOR, Json, data_of
from api.cli.output import notify, out, print_json, print_table, stages
from api.cli.readers.queries import read_rules
from api.http.routes.operations.generations import ready
from api.http.routes.operations.rules import (
    RulesAct,
    check_against,
    findings_answer,
    headers_of,
    known_rules,
    past_days_of,
    past_note,
    rules_history,
    rules_named,
)
from api.operations.service import open_ledger
from api.operations.sides import CURRENT
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.store.tables import NoLedgerError
from projections.compare.header_changes import TIME_ZONE
from projections.rules.checking import check_rules
from projections.rules.errors import Finding
from projections.rules.limits import text_exceeds
from projections.rules.timeline import RulesError, parse_timeline, rules_digest
from replay.generations.obeying import changing_rules, obey
from replay.published import Rules
from replay.what_if.answers import HeaderChanged
from replay.what_if.day_spans import DaySpan

app = typer.Typer(help="Check a rule file; list known rules; put rules in force.", no_args_is_help=True)


@app.command("check")
def check(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="The TOML file.")], *, as_json: Json = False
) -> int:
    """Check a rule file: each finding with its line and remedy. The exit code is 2 if it cannot be used."""
    text = read_rules(file)
    findings, headers, past = _findings(data_of(context), text)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        print_json(
            {
                "file": str(file),
                "digest": rules_digest(text),
                "name": _name(text),
                "errors": errors,
                "warnings": len(findings) - errors,
                "findings": [finding.model_dump() for finding in findings_answer(findings)],
                "header_changes": [one.model_dump() for one in headers],
                "past_days": [span.model_dump(mode="json") for span in past],
            }
        )
    else:
        for finding in findings:
            out().print(
                f"{file}:{finding.line}: {finding.severity}: {finding.key}: {finding.sentence}; {finding.remedy}",
                soft_wrap=True,
                markup=False,
            )
        for one in headers:
            if one.key == TIME_ZONE:
                continue  # a finding, with its line
            out().print(f"{file}: note: outside the rule sets, {one.sentence}", soft_wrap=True, markup=False)
        if note := past_note(past, f"`hours diff current {file}`"):
            out().print(f"{file}: note: {note}", soft_wrap=True, markup=False)
        out().print(f"{file}: {_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}", markup=False)
    return 2 if errors else 0


def _findings(data: Path, text: str) -> tuple[list[Finding], list[HeaderChanged], list[DaySpan]]:
    """Return the findings, what changes outside the rule sets, and the past days that change: without a ledger, the
    findings of the text alone.
    """
    try:
        with open_ledger(data) as ledger:
            findings = check_against(ledger, text)
            sound = all(finding.severity != "error" for finding in findings)
            return (findings, headers_of(ledger, text), past_days_of(ledger, text)) if sound else (findings, [], [])
    except NoLedgerError:
        return check_rules(text), [], []


def _name(text: str) -> str | None:
    if text_exceeds(text):
        return None
    try:
        return parse_timeline(text).name
    except RulesError:
        return None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@app.command("list")
def show_list(context: typer.Context, *, as_json: Json = False) -> None:
    """List published rules and candidates."""
    with open_ledger(data_of(context)) as ledger:
        known = known_rules(ledger, ledger.candidates)
    if as_json:
        print_json(known)
        return
    print_table(
        "Published rules",
        ("version", "name", "sets hold from", "published (UTC)", "by", "position", "digest", ""),
        [
            (
                one.version,
                one.name,
                ", ".join(map(str, one.holds_from)),
                one.published_at.strftime("%Y-%m-%d %H:%M"),
                one.by,
                one.position,
                one.digest[:12],
                "in force" if one.in_force else "",
            )
            for one in known.published
        ],
    )
    if known.candidates:
        rows = [(one.digest, one.by, one.kept_at.strftime("%Y-%m-%d %H:%M")) for one in known.candidates]
        print_table("Candidates", ("digest", "by", "kept (UTC)"), rows)


@app.command("history")
def show_history(context: typer.Context, *, as_json: Json = False) -> None:
    """Show which rules were in force from when to when, by whom and why."""
    with open_ledger(data_of(context)) as ledger:
        found = rules_history(ledger, texts=True)
    if as_json:
        print_json(found)
        return
    print_table(
        "Rules, the latest act first (times in UTC)",
        ("position", "recorded", "act", "version", "name", "in force", "by", "why", "approved by"),
        [
            (
                act.position,
                _minute(act.recorded_at),
                act.act,
                act.version,
                act.name,
                _in_force(act),
                act.by,
                f"{act.reason}: {act.text}" if act.text else act.reason or "",
                act.approved_by or "",
            )
            for act in found.acts
        ],
    )


def _in_force(act: RulesAct) -> str:
    if act.in_force_from is None:
        return "not by this act"
    return f"{_minute(act.recorded_at)} to {_minute(act.until) if act.until else 'now'}"


def _minute(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M")


@app.command("put-in-force")
def put_in_force(
    context: typer.Context,
    rules: Annotated[str, typer.Argument(help="A published version, or its digest (the first 8 digits are enough).")],
    *,
    reason: Annotated[
        str, typer.Option(metavar="CODE", help="Why, as a code that is recorded: small letters, digits and hyphens.")
    ],
    text: Annotated[
        str | None,
        typer.Option(
            metavar="SENTENCE",
            help="Why, in your own words, for those who read the history; not the text of the rules. It is stored "
            "outside the log, where it can be erased.",
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="Who decides it, as person:NAME.")] = OPERATOR,
    change_time_zone: ChangeTimeZone = False,
    as_json: Json = False,
) -> None:
    """Put published rules in force, new ones or earlier ones again, and switch to their results."""
    with open_ledger(data_of(context)) as ledger, changing_rules(ledger.database):
        found = find_rules(ledger.log, rules)
        before = published_or_none(ledger)
        headers = tell_header_changes(ledger, found, change_time_zone=change_time_zone)
        past = tell_past_change(ledger, found)
        record_in_force(ledger, found.version, reason, by, text, change_time_zone=change_time_zone)
        warm(notify)
        with stages("Switching") as progress:
            obey(ledger.database, ledger.archive, progress, asked=True)
        ledger.catch_up()
        generation = ledger.current_generation()
        act = next(one for one in rules_history(ledger, texts=True).acts if one.in_force_from and one.until is None)
    recorded = before is None or before.version != found.version
    if as_json:
        print_json(
            ready(generation, answering=True).model_dump(mode="json")
            | {"recorded": recorded, "in_force": act.model_dump(mode="json")}
            | {"header_changes": [one.model_dump() for one in headers]}
            | ({} if past is None else {"past_change": past.model_dump(mode="json")})
        )
        return
    for line in _put_in_force_lines(act, before, recorded=recorded):
        out().print(line, markup=False, soft_wrap=True)
    out().print(
        f"generation {generation.id} answers, position {generation.position}, checksum {generation.checksum:016x}"
    )


def _put_in_force_lines(act: RulesAct, before: Rules | None, *, recorded: bool) -> Iterator[str]:
    """Yield what is in force now: which rules, who decided it, when and why, until when, and what was before."""
    which = f"version {act.version} of the rules ({act.name}, digest {act.digest[:SHOWN_DIGITS]}…)"
    since = f"from {_minute(act.recorded_at)} UTC (position {act.position}) until others are put in force"
    if recorded:
        yield f"{which} is in force {since}"
    else:
        yield f"{which} was in force already, {since}; nothing was recorded"
    by = f"put in force by {act.by}" if act.act == "put-in-force" else f"published by {act.by}"
    why = "" if act.reason is None else f", because: {act.reason}{f' ({act.text})' if act.text else ''}"
    yield by + (f", approved by {act.approved_by}" if act.approved_by else "") + why
    if recorded and before is not None:
        yield f"before, version {before.version} (digest {before.digest[:SHOWN_DIGITS]}…) was in force"


@app.command("show")
def show_one(
    context: typer.Context,
    rules: Annotated[
        str, typer.Argument(help="A version, a digest (its first 8 digits are enough), or current: those that answer.")
    ] = CURRENT,
    *,
    as_json: Json = False,
) -> None:
    """Show the text of a rule timeline."""
    if Path(rules).is_file():
        raise UsageError(f"{rules} is a file; name a version, a digest, or current")
    with open_ledger(data_of(context)) as ledger:
        found = rules_named(ledger, rules, lambda name: find_rules(ledger.log, name, ledger.candidates))
    if as_json:
        print_json(
            {"version": found.version, "digest": found.digest, "name": found.timeline().name, "text": found.text}
        )
    else:
        out().print(found.text, end="", markup=False, soft_wrap=True)
