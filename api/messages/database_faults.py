"""Database errors as faults: a sentence with a remedy, without internal details.

The caller of this module logs the error. Sending the same request again is always safe: a command that was
recorded is not recorded again; its first answer is repeated.
"""

from __future__ import annotations

from psycopg import errors
from psycopg_pool import PoolTimeout

from api.messages.problems import Fault, fault
from ledger.store.append import ConnectionLostError, LockHeldError, ReadOnlyError
from ledger.store.durability import UnsafeDatabaseError

NO_CONNECTION_FREE = "all database connections for reading are in use; send it again in a moment"
_FAULTS: tuple[tuple[type[Exception], str, str | None], ...] = (
    (LockHeldError, "locked", "{error}; nothing was recorded, send it again in a moment"),
    (errors.LockNotAvailable, "locked", None),
    (errors.DiskFull, "disk-full", None),
    (errors.QueryCanceled, "timed-out", "a statement took longer than allowed and was stopped; nothing was changed"),
    (UnsafeDatabaseError, "unavailable", "nothing was recorded, because the database would not keep it; {error}"),
    (ReadOnlyError, "unavailable", "{error}; nothing was recorded, send it again in a moment"),
    (
        ConnectionLostError,
        "unavailable",
        "the database closed the connection; send it again, and the answer says whether it was recorded",
    ),
)
"""By error: the problem's name, and a detail in place of the problem's own sentence, or None."""


def fault_of_database(error: Exception, *, reachable: bool = False) -> Fault:
    """Return a database error as a fault.

    Args:
        reachable: whether the database is known to be up; a pool timeout then means busy, not unreachable.
    """
    if reachable and isinstance(error, PoolTimeout):
        return fault("busy", NO_CONNECTION_FREE)
    for kind, rejection, sentence in _FAULTS:
        if isinstance(error, kind):
            return fault(rejection, sentence and sentence.format(error=error))
    return fault("unavailable")
