"""Reading the lines of a table: under the ids that the ledger knows, with durations where they lie in their days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from api.importing.durations.laying import lay_out
from api.importing.lines import Line, LineReader
from api.importing.mapping import Mapping
from api.importing.running import as_recorded
from api.importing.tables import Row, Table, open_table
from ledger.store.log_queries import LogQueries


def read_lines(
    path: Path,
    table: Table,
    reader: LineReader,
    mapping: Mapping,
    sheet: str | None,
    log: LogQueries | None,
    each: Callable[[Iterator[Row]], Iterator[Row]] = lambda rows: rows,
) -> Iterator[Line]:
    """Return the lines of a table. A file with durations is read before, for where they lie in their days.

    Args:
        path, table: the file, and the table that is open in it.
        log: the ledger that the lines are for, if there is one.
        each: called with the rows of each reading; it returns those to read.
    """

    def read(rows: Iterator[Row]) -> Iterator[Line]:
        lines = map(reader.read, each(rows))
        return as_recorded(lines, log) if log is not None and mapping.key else lines

    if not mapping.lays:
        return read(table.rows)
    with open_table(path, mapping.file, sheet) as again:
        layout = lay_out(read(again.rows), mapping.zone, log)
    return map(layout.lay, read(table.rows))
