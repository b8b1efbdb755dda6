"""A supervisor of computing processes that is a program of its own: a server starts it when its first one has ended.

    python -m api.http.computing.supervisor MODULE:WORK FOLDER LISTENING CONTROL

WORK is the function that computes, FOLDER the folder of the socket, LISTENING and CONTROL the descriptors of the
socket and of the pipe to the server.
"""

from __future__ import annotations

import importlib
import socket
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from api.http.computing.process import supervise
from api.operations.memory import return_freed_memory


def main() -> NoReturn:
    """Supervise, as the arguments of the process say."""
    work, folder, listening, control = sys.argv[1:]
    module, _, name = work.partition(":")
    return_freed_memory()  # before the module imports Arrow
    supervise(
        getattr(importlib.import_module(module), name),
        Path(folder),
        socket.socket(fileno=int(listening)),
        Connection(int(control)),
    )


if __name__ == "__main__":
    main()
