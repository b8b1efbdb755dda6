"""The report of an audit: what was checked, what was found, and what it means, for somebody who does not program."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from textwrap import wrap

import msgspec

from ledger.sentences import printable
from replay.auditing.findings import Check, Finding, Severity

WIDTH = 100

CHECKS: dict[Check, tuple[str, str]] = {
    Check.CHECKPOINT: (
        "The newest checkpoint",
        "it is signed by the keys that you named, and the events give its root",
    ),
    Check.GROWTH: ("Earlier checkpoints", "everything that was signed before is still there, unchanged"),
    Check.LEAVES: ("The bytes of every event", "each event is the one over which the tree was grown"),
    Check.TILES: ("The tree", "every stored hash of the tree follows from the events"),
    Check.POSITIONS: ("Positions", "they are numbered without a gap"),
    Check.STREAMS: ("Records", "the events of every record are complete and in order"),
    Check.EVENTS: ("The form of every event", "it is valid for its kind"),
    Check.DECISIONS: ("Every decision, repeated", "what was accepted had to be accepted, with this result"),
    Check.SIGNATURES: ("Signatures of stations", "they are over what was recorded"),
    Check.TEXTS: ("Texts", "every text that is stored belongs to an event"),
    Check.ARCHIVE: ("The archive", "its columns follow from the bytes of the events"),
    Check.READ_MODELS: ("Hours, stations, honours as served", "they follow from the events and the published rules"),
    Check.SEALED_HOURS: ("Sealed hours", "the hours that the checkpoint seals follow from the events"),
    Check.FILES: ("The files of the bundle", "they are complete"),
}
"""Each check: its title, and what it means if nothing is found."""

_WORDS = {
    Severity.ALTERED: "ALTERED",
    Severity.REFUSABLE: "TO BE EXPLAINED",
    Severity.NOTICE: "to know",
}

PROVED = (
    "What this proves: since the checkpoint was signed, and since each checkpoint that you kept, no event was changed, "
    "removed, inserted or moved, and every number that was served follows from the events by the published rules."
)
UNPROVED = (
    "What to do: keep this bundle and your checkpoints, they are evidence. An event that was altered stands as it was "
    "in a backup, or in an older bundle. Until every finding is explained, no number that rests on these events is "
    "proved."
)
NOT_PROVED = (
    "What this does not prove: that an event was true when it was recorded. Signatures show which station sent it, "
    "witnesses that everybody sees the same log; anomalies and spot checks look for what is odd. See docs/audit.md."
)


class Report(msgspec.Struct):
    """The result of an audit. `size`: events covered by the checkpoint; `root`: 64 hex digits; `since`: the sizes of
    the checkpoints that the auditor kept; `skipped`: checks that could not be made, and `absent`: those for which there
    is nothing in the bundle, with the reason.
    """

    bundle: str
    ledger: str
    origin: str
    size: int
    root: str
    signed_by: list[str]
    signed_at: int | None
    witnesses: list[str]
    since: list[int]
    made_at: str
    audited_at: str
    program: str
    bytes: int
    decisions: int
    skipped: dict[Check, str]
    absent: dict[Check, str]
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """Whether nothing was found that is wrong or has to be explained, and every check was made."""
        return not self.skipped and all(finding.severity is Severity.NOTICE for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        count = sum(finding.severity is Severity.ALTERED for finding in self.findings)
        questions = sum(finding.severity is Severity.REFUSABLE for finding in self.findings)
        if count:
            places = "place is" if count == 1 else "places are"
            return f"Altered: {count:,} {places} not as it was signed, or not what follows from what was signed."
        if self.skipped:
            return "Not complete: some checks could not be made."
        if questions:
            return f"To be explained: {_number(questions, 'event')} that today's program would not accept in this form."
        return "Sound: nothing was altered, and everything that was served follows from the events."

    def of(self, check: Check) -> list[Finding]:
        """Return the findings of a check."""
        return [finding for finding in self.findings if finding.check is check]

    def meaning(self, check: Check) -> str:
        """Return what the state of a check means."""
        found = sum(finding.severity is not Severity.NOTICE for finding in self.of(check))
        if found and check not in self.skipped:
            return f"{_number(found, 'finding')}, below"
        return self.skipped.get(check) or self.absent.get(check) or CHECKS[check][1]

    @property
    def conclusion(self) -> str:
        """Return what the audit proves, or what to do."""
        return PROVED if self.sound else UNPROVED

    def state(self, check: Check) -> str:
        """Return the state of a check in a word."""
        if check in self.skipped:
            return "not checked"
        if check in self.absent and not self.of(check):
            return "nothing there"
        severities = {finding.severity for finding in self.of(check)} - {Severity.NOTICE}
        if Severity.ALTERED in severities:
            return "altered"
        return "to be explained" if severities else "sound"


def facts_of(report: Report) -> list[tuple[str, str]]:
    """Return what the report is about, as names and values."""
    signed_at = "" if report.signed_at is None else f", at {_instant(report.signed_at)}"
    since = ", ".join(f"{size:,} events" for size in report.since)
    return [
        ("ledger", f"{report.origin} ({report.ledger})"),
        ("events", f"{report.size:,} events, {report.bytes:,} bytes; {report.decisions:,} decisions repeated"),
        ("root", report.root),
        ("signed by", (", ".join(report.signed_by) or "nobody that you named") + signed_at),
        ("witnesses", ", ".join(report.witnesses) or "none"),
        ("since", since or "no checkpoint of your own was given: keep this one for the next audit"),
        ("bundle", f"{report.bundle}, made at {report.made_at}"),
        ("audited", f"{report.audited_at}, with version {report.program} of the program"),
    ]


def text_of(report: Report) -> str:
    """Return the report as text."""
    lines = ["AUDIT OF A LEDGER OF SERVICE HOURS", "", *wrap(report.verdict, WIDTH), ""]
    for name, value in facts_of(report):
        lines += wrap(value, WIDTH - 12, initial_indent=f"{name:<12}", subsequent_indent=" " * 12) or [name]
    lines += ["", "CHECKS"]
    for check, (title, _) in CHECKS.items():
        lines.append(f"  {report.state(check):<16}{title}: {report.meaning(check)}")
    found = list(_finding_lines(report))
    if found:
        lines += ["", "FINDINGS", *found]
    lines += ["", *wrap(report.conclusion, WIDTH), "", *wrap(NOT_PROVED, WIDTH)]
    return "\n".join(map(printable, lines)) + "\n"  # findings quote the bundle


def _finding_lines(report: Report) -> Iterator[str]:
    for check in CHECKS:
        for finding in report.of(check):
            yield from wrap(
                f"{_WORDS[finding.severity]}: {finding.what}", WIDTH, subsequent_indent="    ", initial_indent="  "
            )
            for name, value in (("where", finding.place), ("evidence", finding.evidence)):
                if value:
                    yield from wrap(f"{name}: {value}", WIDTH, initial_indent="    ", subsequent_indent="      ")


def words_of(severity: Severity) -> str:
    """Return how a severity is shown."""
    return _WORDS[severity]


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
