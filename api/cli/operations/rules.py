"""`hours rules`: check a file of rules before it is used; list and show known rules; put rules in force."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.axes.written import find_rules
from api.cli.operations.generations import notify, record_in_force
from api.cli.options import OPERATOR, Json, data_of
from api.cli.output import out, print_json, print_table, stages
from api.cli.readers.queries import read_rules
from api.http.routes.operations.generations import ready
from api.http.routes.operations.rules import (
    RulesAct,
    check_against,
    findings_answer,
    known_rules,
    rules_history,
    rules_named,
)
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from api.operations.warming import warm
from ledger.store.tables import NoLedgerError
from projections.rules.checking import check_rules
from projections.rules.errors import Finding
from projections.rules.limits import text_exceeds
from projections.rules.timeline import RulesError, parse_timeline, rules_digest
from replay.generations.obeying import changing_rules, obey

app = typer.Typer(help="Check a rule file; list known rules; put rules in force.", no_args_is_help=True)


@app.command("check")
def check(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="The TOML file.")], *, as_json: Json = False
) -> int:
    """Check a rule file: each finding with its line and remedy. The exit code is 2 if it cannot be used."""
    text = read_rules(file)
    findings = _findings(data_of(context), text)
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
            }
        )
    else:
        for finding in findings:
            out().print(
                f"{file}:{finding.line}: {finding.severity}: {finding.key}: {finding.sentence}; {finding.remedy}",
                soft_wrap=True,
                markup=False,
            )
        out().print(f"{file}: {_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}", markup=False)
    return 2 if errors else 0


def _findings(data: Path, text: str) -> list[Finding]:
    """Return the findings: without a ledger, those of the text alone."""
    try:
        with open_ledger(data) as ledger:
            return check_against(ledger, text)
    except NoLedgerError:
        return check_rules(text)


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
        known = known_rules(ledger)
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
        print_table("Candidates", ("digest", "by", "kept"), rows)


@app.command("history")
def show_history(context: typer.Context, *, as_json: Json = False) -> None:
    """Show which rules were in force from when to when, by whom and why."""
    with open_ledger(data_of(context)) as ledger:
        found = rules_history(ledger)
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
                act.reason or "",
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
    rules: Annotated[str, typer.Argument(help="A published version, or its digest.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, as a code: small letters, digits and hyphens.")],
    text: Annotated[str | None, typer.Option(help="Why, in words; kept outside the log.")] = None,
    by: Annotated[str, typer.Option(help="Who decides it, as person:NAME.")] = OPERATOR,
    as_json: Json = False,
) -> None:
    """Put published rules in force, new ones or earlier ones again, and switch to their results."""
    with open_ledger(data_of(context)) as ledger, changing_rules(ledger.database):
        found = find_rules(ledger.log, rules)
        record_in_force(ledger, found.version, reason, by, text)
        warm(notify)
        with stages("Switching") as progress:
            obey(ledger.database, ledger.archive, progress, asked=True)
        ledger.catch_up()
        generation = ledger.current_generation()
    if as_json:
        print_json(ready(generation, answering=True))
    else:
        out().print(
            f"version {found.version} of the rules is in force; generation {generation.id} answers, "
            f"position {generation.position}, checksum {generation.checksum:016x}"
        )


@app.command("show")
def show_one(
    context: typer.Context,
    rules: Annotated[str, typer.Argument(help="A version, a digest, or current.")],
    *,
    as_json: Json = False,
) -> None:
    """Show the text of a rule timeline."""
    if Path(rules).is_file():
        raise UsageError(f"{rules} is a file; name a version, a digest, or current")
    with open_ledger(data_of(context)) as ledger:
        found = rules_named(ledger, rules)
    if as_json:
        print_json(
            {"version": found.version, "digest": found.digest, "name": found.timeline().name, "text": found.text}
        )
    else:
        out().print(found.text, end="", markup=False, soft_wrap=True)
