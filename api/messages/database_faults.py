"""What the database failed at, as a caller is told it: in a sentence, with the way out, and no more of its insides.

Whoever calls this has logged the error. Sending the same again is safe in every case: what was recorded is answered as
recorded.
"""

from __future__ import annotations

from psycopg import errors
from psycopg_pool import PoolTimeout

from api.messages.problems import Fault, fault
from ledger.store.append import ConnectionLostError, LockHeldError, ReadOnlyError

NO_CONNECTION_FREE = "all connections for reading are in use; ask again in a moment"
_TOLD: tuple[tuple[type[Exception], str, str | None], ...] = (
    (LockHeldError, "locked", "{error}; nothing was recorded, send it again in a moment"),
    (errors.LockNotAvailable, "locked", None),
    (errors.DiskFull, "disk-full", None),
    (ReadOnlyError, "unavailable", "{error} now; nothing was recorded, send it again in a moment"),
    (
        ConnectionLostError,
        "unavailable",
        "the database ended the connection; send it again, and be told whether it was recorded",
    ),
)
"""Errors of the database, the problem each is, and what is said instead of the problem's own sentence."""


def fault_of_database(error: Exception, *, reachable: bool = False) -> Fault:
    """Return what is told of an error of the database.

    Args:
        reachable: whether it is known to answer others: then who got no connection came at a busy time.
    """
    if reachable and isinstance(error, PoolTimeout):
        return fault("busy", NO_CONNECTION_FREE)
    for kind, rejection, said in _TOLD:
        if isinstance(error, kind):
            return fault(rejection, said and said.format(error=error))
    return fault("unavailable")
