"""All parts of a ledger's tables: what an upgrade brings up and a restore makes (`ledger/store/upgrading.py`)."""

from __future__ import annotations

from api import candidates, keys, signatures
from ledger.store import tables
from replay import store

PARTS = (tables.PART, store.PART, keys.PART, signatures.PART, candidates.PART)
