"""A statement as a page to print: one HTML document without scripts or other files, for A4 sheets.


All values are escaped. `POLICY` allows the page its own style and nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from api.files.statements import time_words, why_words
from replay.queries.statement_answers import Statement, StatementLine

_STYLE = """
@page { size: A4; margin: 15mm 12mm; }
body { font: 10pt/1.35 "Noto Sans", "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", sans-serif;
  color: #111; background: #fff; margin: 0 auto; max-width: 190mm; padding: 4mm; }
h1 { font-size: 16pt; margin: 0 0 2mm; }
p { margin: 1mm 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .5mm 4mm; margin: 2mm 0 4mm; }
dt { color: #555; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; }
thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { border-bottom: .2mm solid #bbb; padding: .8mm 1.2mm; text-align: left; vertical-align: top; }
th { border-bottom: .4mm solid #333; } .n { text-align: right; white-space: nowrap; }
.t { white-space: nowrap; } .sum td { border-top: .4mm solid #333; font-weight: bold; } .small { color: #555; }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 12mm; margin-top: 16mm; break-inside: avoid; }
.sign p { border-top: .2mm solid #333; padding-top: 1mm; }
@media print { body { padding: 0; max-width: none; } }
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy."""


def as_page(found: Statement) -> str:
    """Return a statement as an HTML document."""
    total = found.total
    facts = {
        "Name": found.person_name or "",
        "Volunteer": ", ".join(found.numbers or [found.volunteer]),
        "Period": _period(found),
        "Credited": f"{_hours(total.credited_minutes)} h, of which {_hours(total.scanned_minutes)} h were scanned and "
        f"{_hours(total.attested_minutes)} h attested",
        "Served": f"{_hours(total.raw_minutes)} h in {total.shifts} shifts, {_hours(total.counted_minutes)} h counted",
        "Difference": why_words(total.uncredited),
        "Issued on": str(found.today),
    }
    listed = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts.items() if value)
    balances = "".join(
        f'<tr><td class="t">{balance.as_of}</td><td colspan="4">opening balance, from before this day</td>'
        f'<td class="n"></td><td class="n">{_hours(balance.minutes)}</td><td></td></tr>'
        for balance in found.opening_balances
    )
    left_out = (
        f"<p>{found.left_out} later lines are not listed; the sums include them. Choose a shorter period.</p>"
        if found.left_out
        else ""
    )
    rules = f"{found.rules.name}, " + (f"version {found.rules.version}" if found.rules.version else "not published")
    valid = f", valid at {found.valid_at}" if found.valid_at else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{_text(f"Statement of service: {found.volunteer}")}</title>
<style>{_STYLE}</style></head>
<body>
<h1>Statement of volunteer service</h1>
<dl>{listed}</dl>
<table>
<thead><tr><th>Day</th><th>Time</th><th>Where</th><th>For</th><th>Under</th><th class="n">Served</th>
<th class="n">Credited</th><th>Why not the rest</th></tr></thead>
<tbody>
{balances}{"".join(_row(line) for line in found.lines)}
<tr class="sum"><td>Total</td><td colspan="4"></td><td class="n">{_hours(total.raw_minutes)}</td>
<td class="n">{_hours(total.credited_minutes)}</td><td></td></tr>
</tbody>
</table>
{left_out}
<p class="small">Hours and minutes, in the time zone {_text(found.time_zone)}. Computed from the ledger as known at
position {found.known_at}{_text(valid)}, under the rules {_text(rules)} ({_text(found.rules.digest[:16])}).</p>
<div class="sign"><p>{_text(found.person_name or "Name of the volunteer")}</p><p>Date, signature, stamp</p></div>
</body>
</html>
"""


def _row(line: StatementLine) -> str:
    why = line.without_minutes or why_words(line.uncredited)
    notes = [why] if why else []
    notes += ["recorded late"] if line.late else []
    notes += ["in dispute"] if line.in_dispute else []
    cells = (
        f'<td class="t">{line.day}</td><td class="t">{_text(time_words(line))}</td>'
        f"<td>{_place(line.station, line.station_name)}</td><td>{_place(line.project, line.project_name)}</td>"
        f"<td>{_place(line.organisation, line.organisation_name)}</td>"
        f'<td class="n">{_hours(line.raw_minutes)}</td><td class="n">{_hours(line.credited_minutes)}</td>'
        f"<td>{_text('; '.join(notes))}</td>"
    )
    return f"<tr>{cells}</tr>\n"


def _place(identity: str | None, name: str | None) -> str:
    if identity is None:
        return ""
    return f'{_text(name)} <span class="small">{_text(identity)}</span>' if name else _text(identity)


def _period(found: Statement) -> str:
    if found.first_day is None and found.last_day is None:
        return "all service"
    return f"{found.first_day or 'the beginning'} to {found.last_day or found.valid_at or found.today}"


def _hours(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def _text(value: str) -> str:
    return escape(value, quote=True)
