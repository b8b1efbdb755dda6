"""All parts of a ledger's tables: what an upgrade brings up and a restore makes (`ledger/upgrading.py`)."""

from __future__ import annotations

from api import candidates, keys, signatures
from ledger import database
from replay import store

PARTS = (database.PART, store.PART, keys.PART, signatures.PART, candidates.PART)
