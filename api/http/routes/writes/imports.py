"""Tables of old records, read by a mapping: each line as an event to post to `/v1/events`, or what is wrong with it.

Nothing is recorded here, so what an import may do is decided where events are posted: by the import that the key was
given. What needs files or the directory beside the table is left to `hours import`.
"""

from __future__ import annotations

import base64
import binascii
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.access.roles import Caller, Right
from api.http.requests.dependencies import ServiceDep, allowed_to, run_check
from api.http.requests.json_routes import JsonRoute
from api.importing.cells import shortened
from api.importing.durations.laying import lies
from api.importing.lines import Line, LineReader
from api.importing.mapping import Mapping, MappingError, parse_mapping
from api.importing.reading import read_lines as read_lines_of
from api.importing.running import event_of
from api.importing.tables import BrokenTableError, Row, UnreadableTableError, open_table
from api.messages.problems import ProblemDetails, details_of, problem
from ledger.aggregates import Order
from ledger.store.log_queries import LogQueries
from replay.progress import with_checkpoints

router = APIRouter(prefix="/v1/imports", tags=["commands"], route_class=JsonRoute)

LINES_MAX = 10_000
CHECKPOINT_LINES = 200
UNPACKED_BYTES_MAX = 16 << 20
"""Of a workbook; its cells take a hundred times as much memory. A file as large as a request may be unpacks to less."""
PART_BYTES_MAX = 2 << 20
"""Of a part without rows or texts, such as the styles: the library reads it whole, several objects for each tag."""
_LARGE_PARTS = ("xl/worksheets/", "xl/sharedStrings.xml", "xl/media/", "xl/drawings/")
ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".json", ".ndjson", ".jsonl")
MapsLines = Annotated[Caller, Depends(allowed_to(Right.IMPORT))]


class TableSent(BaseModel):
    """A table and its mapping. `content`: the file, as base64; `name`: its name, whose ending says what it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "stations.csv",
                    "content": "aWQKVTAxCg==",
                    "mapping": 'command = "open-station"\nsource = "/imports/old-stations"\nkey = "id"\n\n[fields]\n'
                    'station = "id"\nkind = { constant = "community" }\n',
                }
            ]
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=200)]
    content: Annotated[str, Field(max_length=1 << 20)]
    mapping: Annotated[str, Field(max_length=100_000)]
    sheet: Annotated[str | None, Field(max_length=100)] = None


class LineRead(BaseModel):
    """A line of a table: the event that it becomes, or its problem.

    `line`: its number in the file. `lies`: where a duration without clock times lies, in local time.
    """

    line: int
    event: dict[str, JsonValue] | None
    problem: ProblemDetails | None
    lies: str | None = None


class TableRead(BaseModel):
    """The lines of a table, in order. `source`: that of the events, which has to be the import of the key.
    `time_zone`: that of the table's clock times.
    """

    source: str
    command: str
    time_zone: str
    lines: list[LineRead]


@router.post("/lines", summary="Read a table of old records as events")
async def read_lines(request: Request, table: TableSent, service: ServiceDep, _caller: MapsLines) -> TableRead:
    """Each line as an event to post to `/v1/events`, or its problem; nothing is recorded. At most 10,000 lines."""
    content = _decoded(table.content)
    return await run_check(request, lambda: _read(table, content, service.ledger.log))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        remedy = "send the file as base64"
        raise problem("invalid", f"content is not base64; {remedy}", field="content", remedy=remedy) from None


def _read(table: TableSent, content: bytes, log: LogQueries) -> TableRead:
    mapping = _mapping(table.mapping)
    ending = Path(table.name).suffix.lower()
    if ending not in ENDINGS:
        remedy = f"send a file that ends in {', '.join(ENDINGS)}"
        raise problem("invalid", f"name {table.name} is none of a table; {remedy}", field="name", remedy=remedy)
    if ending == ".xlsx":
        _check_unpacked(content)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"table{ending}"
        path.write_bytes(content)
        try:
            lines = _lines(path, mapping, table.sheet, log)
        except MappingError as error:
            raise problem("invalid", f"mapping does not fit the file: {error}", field="mapping") from None
        except (UnreadableTableError, BrokenTableError) as error:
            detail = str(error).replace(str(path), table.name)
            raise problem("invalid", detail, field="content", remedy="correct the file") from None
    return TableRead(source=mapping.source, command=mapping.command, time_zone=mapping.zone.key, lines=lines)


def _mapping(text: str) -> Mapping:
    try:
        mapping = parse_mapping(text)
    except MappingError as error:
        raise problem("invalid", f"mapping cannot be used: {error}", field="mapping") from None
    why = None
    if mapping.person is not None:
        why = "[person] fills the directory of persons"
    elif any(source.values_file for source in mapping.fields.values()):
        why = "a values_file is a file of its own; write its lines as values"
    if why:
        remedy = "import it with `hours import`"
        raise problem("invalid", f"mapping: {why}; {remedy}", field="mapping", remedy=remedy)
    return mapping


def _check_unpacked(content: bytes) -> None:
    """Refuse a workbook that would unpack to more than is read: what is unpacked is never more than it declares."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as book:
            parts = book.infolist()
    except zipfile.BadZipFile:
        remedy = "save the file as .xlsx again"
        raise problem("invalid", f"content is no workbook; {remedy}", field="content", remedy=remedy) from None
    if sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
        raise problem("too-large", f"the workbook unpacks to more than {UNPACKED_BYTES_MAX >> 20} MiB", field="content")
    for part in parts:
        if part.file_size > PART_BYTES_MAX and not part.filename.startswith(_LARGE_PARTS):
            detail = f"a part of the workbook, {shortened(part.filename)}, has more than {PART_BYTES_MAX >> 20} MiB"
            raise problem("too-large", detail, field="content")


def _lines(path: Path, mapping: Mapping, sheet: str | None, log: LogQueries) -> list[LineRead]:
    with open_table(path, mapping.file, sheet) as table:
        reader = LineReader.of_table(mapping, table, "system:import")
        lines = read_lines_of(path, table, reader, mapping, sheet, log, _bounded)
        return [_line_read(line, mapping) for line in lines]


def _bounded(rows: Iterator[Row]) -> Iterator[Row]:
    for number, row in enumerate(with_checkpoints(rows, CHECKPOINT_LINES)):
        if number == LINES_MAX:
            remedy = "divide the file, or import it with `hours import`"
            raise problem("too-large", f"the table has more than {LINES_MAX:,} lines; {remedy}", field="content")
        yield row


def _line_read(line: Line, mapping: Mapping) -> LineRead:
    if isinstance(line.order, Order):
        event: dict[str, Any] = event_of(line.order)
        return LineRead(line=line.number, event=event, problem=None, lies=lies(line, mapping.zone) or None)

    return LineRead(line=line.number, event=None, problem=details_of(line.order))
