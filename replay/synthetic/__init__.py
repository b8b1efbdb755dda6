"""A synthetic history that looks like Luohu (docs/luohu.md), because real records are private.

`planning/` plans what happened, as columns; `events/` turns the plan into events; `labels.py` records the ground truth
of every fault. Events are not created by commands. Only the command line uses this package.
"""

from replay.synthetic.events.opening import OpeningError, Openings
from replay.synthetic.events.sources import Chunk
from replay.synthetic.history import History, simulate
from replay.synthetic.loading import HistoryConflictError, HistoryWriterError, Loaded, write_history

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
