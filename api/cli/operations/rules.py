"""`hours rules`: check a file of rules before anything rests on it; list and show those that are known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from api.cli.output import out, print_json, print_table
from api.cli.readers.queries import read_rules
from api.http.routes.operations.rules import check_against, findings_answer, known_rules, rules_named
from api.operations.service import open_ledger
from api.operations.usage_errors import UsageError
from projections.rules.checking import check_rules
from projections.rules.errors import Finding
from projections.rules.timeline import RulesError, parse_timeline, rules_digest


def check(data: Path, file: Path, *, as_json: bool) -> int:
    """Check a file; where there is a ledger, against what it knows. Exit code 2 if it cannot be used."""
    text = read_rules(file)
    findings = _findings(data, text)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        told: dict[str, Any] = {
            "file": str(file),
            "digest": rules_digest(text),
            "name": _name(text),
            "errors": errors,
            "warnings": len(findings) - errors,
            "findings": [finding.model_dump() for finding in findings_answer(findings)],
        }
        print_json(told)
    else:
        for one in findings:
            out().print(
                f"{file}:{one.line}: {one.severity}: {one.key}: {one.sentence}; {one.remedy}",
                soft_wrap=True,
                markup=False,
            )
        out().print(f"{file}: {_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}", markup=False)
    return 2 if errors else 0


def _findings(data: Path, text: str) -> list[Finding]:
    """Check without a ledger where there is none: nothing is made for a check."""
    if "DATABASE_URL" not in os.environ and not (data / "postgres").exists():
        return check_rules(text)
    with open_ledger(data) as ledger:
        return check_against(ledger, text)


def _name(text: str) -> str | None:
    try:
        return parse_timeline(text).name
    except RulesError:
        return None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def show_list(data: Path, *, as_json: bool) -> None:
    """List what was published, and candidates."""
    with open_ledger(data) as ledger:
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


def show_one(data: Path, name: str, *, as_json: bool) -> None:
    """Print the text of some rules."""
    if Path(name).is_file():
        raise UsageError(f"{name} is a file; name a version, a digest, or current")
    with open_ledger(data) as ledger:
        found = rules_named(ledger, name)
    if as_json:
        print_json(
            {"version": found.version, "digest": found.digest, "name": found.timeline().name, "text": found.text}
        )
    else:
        out().print(found.text, end="", markup=False, soft_wrap=True)
