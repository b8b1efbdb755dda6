"""All parts of a ledger's tables, which an upgrade updates and a restore creates (`ledger/store/upgrading.py`)."""

from __future__ import annotations

from api.access import keys, signatures
from api.axes import candidates
from ledger.store import tables
from replay.generations import store

PARTS = (tables.PART, store.PART, keys.PART, signatures.PART, candidates.PART)
