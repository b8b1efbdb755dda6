"""What-if files: a table of all volunteers who differ, as CSV or Parquet.

One row per volunteer, the greatest change first: each column of the trace before and after, the honours, and the
reason in words. The metadata of the file name the rules and positions of both sides.
"""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from projections.compare.sides import AFTER, BEFORE, TRACE_COLUMNS
from projections.schema import Longs
from replay.what_if.answers import name_of
from replay.what_if.comparison import Comparison
from replay.what_if.sentences import Honors

Format = Literal["csv", "parquet"]
_HONORS = ("honors_gained", "honors_lost", "honors_moved")


def volunteers_table(found: Comparison) -> Any:
    """Return an Arrow table: volunteer, change_minutes, the trace before and after, honours (joined by ";"), reason."""
    order = found.by_change
    traces, numbers = found.found.traces[order], found.found.volunteers[order]
    columns: dict[str, Any] = {
        "volunteer": pa.array(found.volunteers, pa.string()).take(pa.array(numbers)),
        "change_minutes": pa.array(found.changes[order]),
    }
    for number, name in enumerate(TRACE_COLUMNS):
        column = name if name == "shifts" else f"{name}_minutes"
        for when, side in (("before", BEFORE), ("after", AFTER)):
            columns[f"{column}_{when}"] = pa.array(np.ascontiguousarray(traces[:, side, number]))
    honors = Honors(found)
    for kind, name in enumerate(_HONORS):
        columns[name] = _joined(*honors.by_row(kind), len(order), ";").take(pa.array(order))
    columns["reason"] = _reasons(found).take(pa.array(order))
    return pa.table(columns).replace_schema_metadata(_metadata(found))


def _reasons(found: Comparison) -> Any:
    """Return each volunteer's reasons as text, the largest first. Equal texts are formatted once."""
    steps, minutes = found.reasons
    rows, columns = np.nonzero(minutes)
    parts = minutes[rows, columns]
    order = np.lexsort((columns, -np.abs(parts), rows))
    pairs, place = np.unique(np.stack([columns, parts], axis=1), axis=0, return_inverse=True)
    names = [name_of(*step) for step in steps]
    texts = pa.array([f"{names[column]} {part:+d}" for column, part in pairs.tolist()], pa.string())
    return _joined(rows[order], texts.take(pa.array(place.ravel()[order])), len(minutes), ", ")


def _joined(rows: Longs, texts: Any, count: int, separator: str) -> Any:
    """Join the texts of each of `count` rows. `rows`: the row of each text, ascending."""
    offsets = np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), texts), separator)


def _metadata(found: Comparison) -> dict[str, str]:
    metadata = {"valid_at": found.valid_at.isoformat() if found.valid_at else ""}
    if found.as_if_from is not None:
        metadata["as_if_from"] = found.as_if_from.isoformat()
    for name, point in (("before", found.before), ("after", found.after)):
        metadata |= {
            f"{name}_known_at": str(point.known_at),
            f"{name}_rules_version": str(point.rules.version),
            f"{name}_rules": point.rules.digest,
        }
    return metadata


def as_bytes(found: Comparison, kind: Format) -> bytes:
    """Return the table of volunteers as a file's content."""
    table, sink = volunteers_table(found), io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, sink, compression="zstd")
    else:
        pa_csv.write_csv(table, sink, pa_csv.WriteOptions(quoting_style="needed"))
    return sink.getvalue()
