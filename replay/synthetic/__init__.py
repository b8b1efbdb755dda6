"""A synthetic history that looks like Luohu (docs/luohu.md), because real records are private.

`planning/` decides what happened, as columns; `events/` writes it as events; `labels.py` keeps the ground truth about
every fault. Nothing here goes through commands, and nothing else in the program depends on it.
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
