"""What the database failed at, as a caller is told it: in a sentence, with the way out, and no more of its insides.

Whoever calls this has logged the error. Sending the same again is safe in every case: what was recorded is answered as
recorded.
"""

from __future__ import annotations

from psycopg import errors
from psycopg_pool import PoolTimeout

from api.problems import Fault, fault
from ledger.intake import ConnectionLostError
from ledger.writing import LockHeldError

NO_CONNECTION_FREE = "all connections for reading are in use; ask again in a moment"
_LOST = "the database ended the connection; send it again, and be told whether it was recorded"
_STARTING = "the database is being started or stopped; nothing was recorded, send it again in a moment"


def fault_of_database(error: Exception, *, reachable: bool = False) -> Fault:
    """Return what is told of an error of the database.

    Args:
        reachable: whether it is known to answer others: then who got no connection came at a busy time.
    """
    match error:
        case errors.LockNotAvailable():
            held = f"{error}; nothing was recorded, send it again in a moment"
            return fault("locked", held if isinstance(error, LockHeldError) else None)
        case errors.DiskFull():
            return fault("disk-full")
        case PoolTimeout() if reachable:
            return fault("busy", NO_CONNECTION_FREE)
        case ConnectionLostError():
            return fault("unavailable", _LOST)
        case errors.AdminShutdown() | errors.CrashShutdown() | errors.CannotConnectNow():
            return fault("unavailable", _STARTING)
        case _:
            return fault("unavailable")
