"""A statement as a table: CSV for programs, Excel for offices. Instants are local, durations whole minutes.

CSV is UTF-8 with a byte order mark, for spreadsheet programs. The sums are the last row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime

from openpyxl import Workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from replay.queries.statement_answers import Statement, StatementLine, Uncredited

COLUMNS = (
    *("day", "check_in", "check_out", "station", "station_name", "project", "project_name"),
    *("organisation", "organisation_name", "grade", "late", "in_dispute"),
    *("raw_minutes", "counted_minutes", "credited_minutes", "why_not_the_rest", "recorded_under", "shift"),
)
_FIRST_SUM = COLUMNS.index("raw_minutes")
_WORDS = {
    "superseded": "contained in the opening balance",
    "too-short": "too short",
    "clipped": "beyond the longest shift",
    "overlapped": "already counted in another shift",
    "capped": "beyond the day's maximum",
    "factor": "factor",
    "rounding": "rounded down",
}
Cell = str | int


def why_words(parts: list[Uncredited]) -> str:
    """Return why minutes were not credited, in hours and minutes: "0:05 h lost (too short), 0:20 h more (factor)"."""
    return ", ".join(
        f"{_hours(abs(part.minutes))} h {'lost' if part.minutes > 0 else 'more'} ({_WORDS[part.why]})" for part in parts
    )


def time_words(line: StatementLine) -> str:
    """Return the time from check-in to check-out, with the date of one that is not on the line's day."""
    return f"{_clock(line.check_in, line)} to {_clock(line.check_out, line)}"


def _clock(instant: datetime | None, line: StatementLine) -> str:
    if instant is None:
        return "…"
    return f"{instant:%H:%M}" if instant.date() == line.day else f"{instant:%m-%d %H:%M}"


def _hours(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def as_csv(found: Statement) -> str:
    """Return a statement as CSV."""
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerows(_table(found))
    return text.getvalue()


def as_excel(found: Statement) -> bytes:
    """Return a statement as an Excel workbook with one sheet."""
    workbook = Workbook()
    sheet = workbook.active or workbook.create_sheet()
    sheet.title = "Statement"
    for row in _table(found):
        sheet.append(row)
    for cells in sheet.iter_rows():
        for cell in cells:
            if isinstance(cell.value, str):
                cell.data_type = "s"  # text that begins with '=' is no formula
    for cell in (*sheet[1], *sheet[sheet.max_row]):
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    for number, name in enumerate((*COLUMNS, "person_name"), 1):
        sheet.column_dimensions[get_column_letter(number)].width = max(len(name) + 2, 12)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def _table(found: Statement) -> Iterator[list[Cell]]:
    """Yield the names of the columns, then the rows; the person's name is a column of its own, if it was asked for."""
    named = found.person_name is not None
    yield [*COLUMNS, *(["person_name"] if named else [])]
    for row in _rows(found):
        yield [*row, *([found.person_name or ""] if named else [])]


def _rows(found: Statement) -> Iterator[list[Cell]]:
    for balance in found.opening_balances:
        cells: list[Cell] = ["" for _ in COLUMNS]
        cells[0], cells[COLUMNS.index("grade")] = str(balance.as_of), "attested"
        cells[COLUMNS.index("credited_minutes")] = balance.minutes
        cells[COLUMNS.index("why_not_the_rest")] = "opening balance"
        cells[COLUMNS.index("recorded_under")] = balance.volunteer or ""
        yield cells
    for line in found.lines:
        yield _cells(line)
    total, cells = found.total, ["" for _ in COLUMNS]
    cells[0] = "total"
    cells[_FIRST_SUM : _FIRST_SUM + 3] = [total.raw_minutes, total.counted_minutes, total.credited_minutes]
    cells[_FIRST_SUM + 3] = why_words(total.uncredited)
    if found.left_out:
        cells[1] = f"with {found.left_out} later lines that are not listed"
    yield cells


def _cells(line: StatementLine) -> list[Cell]:
    return [
        str(line.day),
        f"{line.check_in:%Y-%m-%d %H:%M:%S}" if line.check_in else "",
        f"{line.check_out:%Y-%m-%d %H:%M:%S}" if line.check_out else "",
        line.station or "",
        line.station_name or "",
        line.project or "",
        line.project_name or "",
        line.organisation or "",
        line.organisation_name or "",
        line.grade,
        "yes" if line.late else "",
        "yes" if line.in_dispute else "",
        line.raw_minutes,
        line.counted_minutes,
        line.credited_minutes,
        line.without_minutes or why_words(line.uncredited),
        line.volunteer or "",
        str(line.shift),
    ]
