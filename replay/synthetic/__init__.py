"""A synthetic history that looks like Luohu (docs/glossary.md): real records are private.

`simulate` names a history, `write_history` loads one into a ledger. The same scale and seed give the same bytes.
"""

from replay.synthetic.history import History, simulate
from replay.synthetic.loading import HistoryConflictError, HistoryWriterError, Loaded, write_history
from replay.synthetic.opening import OpeningError, Openings
from replay.synthetic.sources import Chunk

__all__ = [
    "Chunk",
    "History",
    "HistoryConflictError",
    "HistoryWriterError",
    "Loaded",
    "OpeningError",
    "Openings",
    "simulate",
    "write_history",
]
