"""The report of an audit as a page to print: one HTML document without scripts or other files, for A4 sheets.

All values are escaped: a bundle comes from others.
"""

from __future__ import annotations

from html import escape

from replay.auditing.findings import Finding, Severity
from replay.auditing.report import CHECKS, NOT_PROVED, Report, facts_of, words_of

_STYLE = """
@page { size: A4; margin: 15mm 14mm; }
body { font: 10pt/1.4 "Noto Sans", "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", sans-serif;
  color: #111; background: #fff; margin: 0 auto; max-width: 182mm; padding: 4mm; }
h1 { font-size: 17pt; margin: 0 0 3mm; } h2 { font-size: 12pt; margin: 6mm 0 1.5mm; break-after: avoid; }
.verdict { border: .5mm solid; border-left-width: 3mm; padding: 2.5mm 4mm; font-size: 12pt; font-weight: bold; }
.verdict.sound { border-color: #1a7f37; } .verdict.bad { border-color: #b42318; }
.verdict.open { border-color: #9a6700; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .6mm 4mm; margin: 4mm 0; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { border-bottom: .2mm solid #bbb; padding: 1mm 1.5mm; text-align: left; vertical-align: top; }
th { border-bottom: .4mm solid #333; } .state { white-space: nowrap; font-weight: bold; }
td.sound { color: #1a7f37; } td.bad { color: #b42318; } td.open { color: #9a6700; }
.evidence { overflow-wrap: anywhere; font-size: 9pt; color: #333; } .small { color: #444; font-size: 9pt; }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 12mm; margin-top: 18mm; break-inside: avoid; }
.sign p { border-top: .2mm solid #333; padding-top: 1mm; margin: 0; }
@media print { body { padding: 0; max-width: none; } }
"""
_KIND = {"sound": "sound", "altered": "bad", "to be explained": "open", "not checked": "open", "nothing there": ""}
_SEVERITY = {Severity.ALTERED: "bad", Severity.REFUSABLE: "open", Severity.NOTICE: ""}


def as_page(report: Report) -> str:
    """Return a report as an HTML document."""
    altered = any(finding.severity is Severity.ALTERED for finding in report.findings)
    kind = "sound" if report.sound else "bad" if altered else "open"
    facts = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts_of(report))
    checks = "".join(
        f'<tr><td class="state {_KIND[report.state(check)]}">{report.state(check)}</td><td>{_text(title)}</td>'
        f"<td>{_text(report.meaning(check))}</td></tr>\n"
        for check, (title, _) in CHECKS.items()
    )
    found = [finding for check in CHECKS for finding in report.of(check)]
    findings = (
        "<h2>Findings</h2>\n<table><thead><tr><th></th><th>What</th><th>Where</th></tr></thead><tbody>\n"
        f"{''.join(map(_row, found))}</tbody></table>"
        if found
        else ""
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{_text(f"Audit of {report.origin}")}</title>
<style>{_STYLE}</style></head>
<body>
<h1>Audit of a ledger of service hours</h1>
<p class="verdict {kind}">{_text(report.verdict)}</p>
<dl>{facts}</dl>
<h2>Checks</h2>
<table><thead><tr><th>Result</th><th>What was checked</th><th>Meaning</th></tr></thead><tbody>
{checks}</tbody></table>
{findings}
<p class="small">{_text(report.conclusion)}</p>
<p class="small">{_text(NOT_PROVED)}</p>
<div class="sign"><p>Name of the auditor</p><p>Date, signature</p></div>
</body>
</html>
"""


def _row(finding: Finding) -> str:
    evidence = f'<div class="evidence">{_text(finding.evidence)}</div>' if finding.evidence else ""
    return (
        f'<tr><td class="state {_SEVERITY[finding.severity]}">{words_of(finding.severity)}</td>'
        f'<td>{_text(finding.what)}{evidence}</td><td class="evidence">{_text(finding.place)}</td></tr>\n'
    )


def _text(value: str) -> str:
    return escape(value, quote=True)
